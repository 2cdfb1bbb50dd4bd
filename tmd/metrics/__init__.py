"""Image quality, with one declared convention (see `tmd.metrics.fidelity`).

Functions take batches (N, C, H, W) in [0, 1] and give one value an image; the classes are Ignite
metrics that take their mean. A new metric is one function with `register` above it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tmd.metrics.registry import Metric, described, metric, register

if TYPE_CHECKING:
    from tmd.metrics.fidelity import CHANNELS, TooSmallError, is_flat, psnr, ssim
    from tmd.metrics.functions import MetricSettings, metric_function
    from tmd.metrics.multiband import ergas, sam
    from tmd.metrics.perceptual import LPIPS, LPIPSWeights, find_lpips_weights, lpips
    from tmd.metrics.spectral import spectral_distance
    from tmd.metrics.stateful import PSNR, SSIM, ImageMean, MeanLPIPS, SpectralDistance
    from tmd.metrics.unpaired import UnpairedSpectrum

__all__ = [
    "CHANNELS",
    "LPIPS",
    "PSNR",
    "SSIM",
    "ImageMean",
    "LPIPSWeights",
    "MeanLPIPS",
    "Metric",
    "MetricSettings",
    "SpectralDistance",
    "TooSmallError",
    "UnpairedSpectrum",
    "default_border",
    "described",
    "ergas",
    "find_lpips_weights",
    "is_flat",
    "lpips",
    "metric",
    "metric_function",
    "psnr",
    "register",
    "sam",
    "spectral_distance",
    "ssim",
]

# Who only asks for a label, a list of runs say, need not wait for torch.
_LATER = ("fidelity", "functions", "multiband", "perceptual", "spectral", "unpaired", "stateful")


def __getattr__(name: str) -> Any:
    if name in __all__:
        for module in _LATER:
            loaded = importlib.import_module(f"{__name__}.{module}")
            if hasattr(loaded, name):
                return getattr(loaded, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
