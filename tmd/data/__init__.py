"""Image datasets: uint8 HR batches, each a pure function of (seed, its number).

A new kind of dataset is a file here with a class registered in `DATASETS`, and its import below.
"""

from tmd.data import demo as _demo
from tmd.data import folder as _folder
from tmd.data.options import DatasetOptions
from tmd.data.registry import DATASETS, Dataset, Pools, Request
from tmd.data.training import TrainingData, create_dataset

__all__ = [
    "DATASETS",
    "Dataset",
    "DatasetOptions",
    "Pools",
    "Request",
    "TrainingData",
    "create_dataset",
]
