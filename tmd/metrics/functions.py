"""Metrics that can be computed, by name."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from tmd.errors import UserError
from tmd.images import EIGHT_BITS, ImageKind
from tmd.metrics.consistency import Measure
from tmd.metrics.fidelity import TooSmallError
from tmd.metrics.registry import FUNCTIONS, needs_of

#: A `MetricFunction`, or any other function (SR, HR) -> (N,).
ImageMetric = Callable[..., Tensor]

# A new metric is a file of this folder that registers itself.
for _module in pkgutil.iter_modules([str(Path(__file__).parent)]):
    if _module.name != __name__.rpartition(".")[2]:
        importlib.import_module(f"{__package__}.{_module.name}")


class MetricSettings(NamedTuple):
    """Settings that the metrics of an evaluation have in common; each takes those that it knows.

    Attributes:
        border: pixels left out on each side. LPIPS takes the whole image, as it is published.
        channel: of PSNR, SSIM and the spectral distance.
        lpips_weights: folder for `find_lpips_weights`.
        iqa_weights: folder of the other metrics' weights; None: their packages' caches.
        measurement: how LR is made, (HR, index) -> LR; None: bicubic.
        device: where images are compared.
        kind: of the images.
        scale: HR pixels per LR pixel.
    """

    border: int
    channel: str = "y"
    lpips_weights: str | os.PathLike[str] | None = None
    device: str | torch.device = "cpu"
    kind: ImageKind = EIGHT_BITS
    scale: int = 1
    iqa_weights: str | os.PathLike[str] | None = None
    measurement: Measure | None = None


class MetricFunction:
    """A metric with its settings: called with SR and those of HR and LR that it needs.

    Never computes gradients.

    Attributes:
        name: its key.
        needs: see `tmd.metrics.registry.Needs`.

    Example:
        >>> sharp = MetricFunction("psnr", MetricSettings(border=4))
        >>> sharp(torch.zeros(1, 1, 32, 32), torch.full((1, 1, 32, 32), 0.1)).round()
        tensor([20.])
    """

    def __init__(self, name: str, settings: MetricSettings) -> None:
        function = FUNCTIONS[name]
        known = inspect.signature(function).parameters
        given = {key: value for key, value in settings._asdict().items() if key in known}
        self.name = name
        self.needs = needs_of(name)
        self._function = partial(function, **given)
        self._is_numbered = "index" in known

    @torch.no_grad()
    def __call__(
        self, sr: Tensor, hr: Tensor | None = None, lr: Tensor | None = None, index: int = 0
    ) -> Tensor:
        """Values of images (N, C, H, W) in [0, 1]; LR's sides are smaller by the scale.

        Args:
            index: what the measurement's random parameters were drawn for.

        Returns:
            (N,)

        Raises:
            UserError: an image that it needs is not there.
            TooSmallError: the images are too small for it.
        """
        given = {"hr": hr, "lr": lr}
        if missing := [key.upper() for key in self.needs.of_images() if given[key] is None]:
            raise UserError(f"{self.name}: needs {' and '.join(missing)}, and there is none")
        numbered = {"index": index} if self._is_numbered else {}
        return self._function(sr, *(given[key] for key in self.needs.of_images()), **numbered)


def metric_function(name: str, settings: MetricSettings) -> MetricFunction:
    """The metric ``name`` as a function (SR, HR, LR) -> (N,) of images (N, C, H, W) in [0, 1].

    Raises:
        UserError: there is no such metric, or its package is not installed.
    """
    if missing := needs_of(name).missing_package():
        raise UserError(f"{name}: {missing}")
    return MetricFunction(name, settings)


def values_of(
    function: ImageMetric, sr: Tensor, hr: Tensor | None, lr: Tensor | None = None, index: int = 0
) -> Tensor:
    """(N,) of a metric, or of any other function (SR, HR)."""
    if isinstance(function, MetricFunction):
        return function(sr, hr, lr, index)
    return function(sr, hr)


def value_of_image(
    function: ImageMetric, sr: Tensor, hr: Tensor | None, lr: Tensor | None = None, index: int = 0
) -> float | None:
    """A metric of one image; None where the image is too small for it or the value is NaN.

    Args:
        sr, hr, lr: (1, C, H, W) in [0, 1].
        index: what the measurement's random parameters were drawn for.
    """
    try:
        value = values_of(function, sr, hr, lr, index).item()
    except TooSmallError:
        return None
    return value if value == value else None
