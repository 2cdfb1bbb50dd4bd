"""Benchmarks: pairs of HR and LR images, the systems that upscale them, tables of the results.

By the field's convention what is compared is 8-bit images, and the metric of a benchmark is the
mean over its images.
"""

from tmd.evaluation.benchmarks import (
    Benchmark,
    Sample,
    benchmark_kind,
    look_at_given_lr,
    open_benchmark,
    open_without_hr,
    partner_names,
    read_pair,
)
from tmd.evaluation.per_image import ImageValue, PerImage
from tmd.evaluation.systems import (
    METHODS,
    System,
    interpolation,
    network,
    results_in_folder,
)
from tmd.evaluation.tables import (
    Table,
    check_images_suffice,
    check_metrics,
    compare,
    convention_in_words,
    evaluate,
    metrics_at_hand,
)

__all__ = [
    "METHODS",
    "Benchmark",
    "ImageValue",
    "PerImage",
    "Sample",
    "System",
    "Table",
    "benchmark_kind",
    "check_images_suffice",
    "check_metrics",
    "compare",
    "convention_in_words",
    "evaluate",
    "interpolation",
    "look_at_given_lr",
    "metrics_at_hand",
    "network",
    "open_benchmark",
    "open_without_hr",
    "partner_names",
    "read_pair",
    "results_in_folder",
]
