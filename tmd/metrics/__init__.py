"""Image quality, with one declared convention (see `tmd.metrics.fidelity`).

Functions take batches (N, C, H, W) in [0, 1] and give one value an image; the classes are Ignite
metrics that take their mean.
"""

from tmd.metrics.fidelity import CHANNELS, psnr, ssim
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
    "SpectralDistance",
    "UnpairedSpectrum",
    "find_lpips_weights",
    "lpips",
    "psnr",
    "spectral_distance",
    "ssim",
]
