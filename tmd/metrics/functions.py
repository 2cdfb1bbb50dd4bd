"""Metrics that can be computed, by name."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from tmd.errors import UserError
from tmd.images import EIGHT_BITS, ImageKind
from tmd.metrics.consistency import Measure
from tmd.metrics.fidelity import TooSmallError
from tmd.metrics.registry import FUNCTIONS, needs_of, readiness

#: A `MetricFunction`, or any other function (SR, HR) -> (N,).
ImageMetric = Callable[..., Tensor]

# A new metric is a file of this folder that registers itself; `stateful` has Ignite's, and it.
for _module in pkgutil.iter_modules([str(Path(__file__).parent)]):
    if _module.name not in (__name__.rpartition(".")[2], "stateful"):
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
        settings: as given.
        sign: -1 gives its negative, which is lower where the metric is higher.

    Example:
        >>> sharp = MetricFunction("psnr", MetricSettings(border=4))
        >>> sharp(torch.zeros(1, 1, 32, 32), torch.full((1, 1, 32, 32), 0.1)).round()
        tensor([20.])
    """

    def __init__(self, name: str, settings: MetricSettings, sign: int = 1) -> None:
        self.name = name
        self.sign = sign
        self.needs = needs_of(name)
        self.settings = settings
        self._function = _with_settings(FUNCTIONS[name], settings)
        self._is_numbered = "index" in inspect.signature(FUNCTIONS[name]).parameters

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
        value = self._function(sr, *(given[key] for key in self.needs.of_images()), **numbered)
        return value if self.sign == 1 else self.sign * value

    def of_set(self, images: Iterable[tuple[Tensor, Tensor | None]]) -> float | None:
        """Value of a whole set, of a metric that `Needs.whole_set` is said of.

        Args:
            images: SR and HR, (1, C, H, W) in [0, 1] each.
        """
        of_set = set_metric(self.name, self.settings)
        for sr, hr in images:
            of_set.add(sr, hr)
        value = of_set.value()
        return None if value is None else self.sign * value

    def check_images(self, size: tuple[int, int] | None = None) -> None:
        """Raise `UserError` where it can't be computed of images of ``size``, or of any.

        Args:
            size: height and width; `TooSmallError` where they are too small.
        """
        kind, border = self.settings.kind, self.settings.border if self.needs.border else 0
        if self.needs.channels == "several" and kind.channels < 2:
            raise UserError("needs images of several bands")
        least = self.needs.minimum + 2 * border
        height, width = size or (least, least)
        ready = readiness(self.name)
        if ready is not None and (self.needs.whole_set or min(height, width) >= least):
            _with_settings(ready, self.settings)()
        elif not self.needs.whole_set:
            self._try(height, width)  # which says in its own words what is too small

    def _try(self, height: int, width: int) -> None:
        scale, device = self.settings.scale, self.settings.device
        noise = torch.Generator().manual_seed(0)
        sizes = [[-(-side // scale) * part for side in (height, width)] for part in (scale, 1)]
        hr, lr = (
            torch.rand(1, self.settings.kind.channels, *sides, generator=noise).to(device)
            for sides in sizes
        )
        self(hr, hr, lr)


class SetMetric(Protocol):
    """A metric of a whole set of images, which it is given one after the other."""

    def add(self, sr: Tensor, hr: Tensor | None) -> None:
        """Take an image, (1, C, H, W) in [0, 1]."""

    def value(self) -> float | None:
        """Return the set's value; None where it has too few images."""


def set_metric(name: str, settings: MetricSettings) -> SetMetric:
    """A metric that `Needs.whole_set` is said of, before its first image."""
    if missing := needs_of(name).missing_package():
        raise UserError(f"{name}: {missing}")
    return _with_settings(FUNCTIONS[name], settings)()


def _with_settings(function: Callable[..., Any], settings: MetricSettings) -> Callable[..., Any]:
    """The function with those settings that it knows."""
    known = inspect.signature(function).parameters
    return partial(function, **{k: v for k, v in settings._asdict().items() if k in known})


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
