"""Metrics of each band of a benchmark's images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from statistics import fmean

import torch
from torch import Tensor

from tmd.images import ImageKind
from tmd.metrics.functions import ImageMetric, value_of_image
from tmd.metrics.registry import NONE

Values = dict[str, dict[tuple[str, str], float | None]]


class EachBand:
    """Means of metrics over images, by band.

    Args:
        functions: metrics by name; those that a single band has are taken.
        kind: of the images.
    """

    def __init__(self, functions: Mapping[str, ImageMetric], kind: ImageKind) -> None:
        self.functions = {
            name: each for name, each in functions.items() if getattr(each, "needs", NONE).each_band
        }
        self.kind = kind
        self._values: dict[tuple[str, str, str], list[float]] = defaultdict(list)

    @torch.no_grad()
    def add(self, system: str, sr: Tensor, hr: Tensor) -> None:
        """Compare the bands of one result of a system, (C, H, W), numbers of the kind."""
        numbers = self.kind.bands or range(1, self.kind.channels + 1)
        for place, number in enumerate(numbers):
            a, b = (self.kind.to_float(image[None, place, None]) for image in (sr, hr))
            for name, function in self.functions.items():
                if (value := value_of_image(function, a, b)) is not None:
                    self._values[f"band {number}", system, name].append(value)

    def rows(self) -> Values:
        """Band -> {(system, metric): mean over the images}."""
        rows: Values = defaultdict(dict)
        for (band, system, name), values in self._values.items():
            rows[band][system, name] = fmean(values)
        return dict(rows)
