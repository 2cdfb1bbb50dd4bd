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

from tmd.images import EIGHT_BITS, ImageKind
from tmd.metrics.fidelity import TooSmallError
from tmd.metrics.registry import FUNCTIONS

MetricFunction = Callable[[Tensor, Tensor], Tensor]

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


def metric_function(name: str, settings: MetricSettings) -> MetricFunction:
    """The metric ``name`` as a function (SR, HR) -> (N,) of images (N, C, H, W) in [0, 1].

    Raises:
        UserError: there is no such metric.

    Example:
        >>> sharp = metric_function("psnr", MetricSettings(border=4))
        >>> sharp(torch.zeros(1, 1, 32, 32), torch.full((1, 1, 32, 32), 0.1)).round()
        tensor([20.])
    """
    function = FUNCTIONS[name]
    known = inspect.signature(function).parameters
    given = {key: value for key, value in settings._asdict().items() if key in known}
    return partial(function, **given)


def value_of_image(function: MetricFunction, sr: Tensor, hr: Tensor) -> float | None:
    """A metric of one image; None where the image is too small for it or the value is NaN.

    Args:
        sr, hr: (1, C, H, W) in [0, 1].
    """
    try:
        value = function(sr, hr).item()
    except TooSmallError:
        return None
    return value if value == value else None
