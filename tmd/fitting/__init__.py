"""Degradations fitted to a folder of images, without pairs."""

from tmd.fitting.samples import Sample, take_sample
from tmd.fitting.search import NEAR, Fit, Objective, fit, floor, total
from tmd.fitting.space import Space
from tmd.fitting.statistics import WEIGHTS, distance, patch_statistics

__all__ = [
    "NEAR",
    "WEIGHTS",
    "Fit",
    "Objective",
    "Sample",
    "Space",
    "distance",
    "fit",
    "floor",
    "patch_statistics",
    "take_sample",
    "total",
]
