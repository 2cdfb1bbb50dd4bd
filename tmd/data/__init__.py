"""Image datasets: HR batches in the files' own numbers, each a pure function of (seed, its number).

A new kind of dataset is a file in `tmd.data.kinds` with a class registered in `DATASETS`.
"""

from tmd.data import kinds as _kinds  # noqa: F401  (registers them)
from tmd.data.measured import MeasuredData, Pair, measured_batches
from tmd.data.numbers import settled
from tmd.data.options import DatasetOptions
from tmd.data.paired import PairedData, create_data, create_paired_data
from tmd.data.pairing import pair_up
from tmd.data.registry import DATASETS, Dataset, Pools, Request
from tmd.data.training import TrainingData, create_dataset

__all__ = [
    "DATASETS",
    "Dataset",
    "DatasetOptions",
    "MeasuredData",
    "Pair",
    "PairedData",
    "Pools",
    "Request",
    "TrainingData",
    "create_data",
    "create_dataset",
    "create_paired_data",
    "measured_batches",
    "pair_up",
    "settled",
]
