"""Structural similarity as a loss, at one scale and at five.

The window is the metric's. `pytorch_msssim` 1.0.0 and piq 0.8.0 agree to 10⁻⁶ where images are
alike; where structures oppose each other at one scale, both have no gradient at any, and piq takes
no SR beyond [0, 1], which generators give.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tmd.losses.extra import generator_term
from tmd.metrics.fidelity import SSIM_WINDOW, blur

#: Weights of the scales, from the finest on (Wang et al. 2003, section 3.2).
SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
#: Least side in pixels: the window fits into the coarsest scale.
MS_SSIM_SIZE = SSIM_WINDOW * 2 ** (len(SCALES) - 1)
#: Similarity that opposing structures count as: a root's slope at 0 is infinite.
LEAST = 1e-4


@generator_term("ssim", minimum_size=SSIM_WINDOW)
def ssim_loss(sr: Tensor, hr: Tensor) -> Tensor:
    """1 − SSIM (Wang et al. 2004), the mean over places and channels."""
    luminance, structure = _parts(sr, hr)
    return 1 - (luminance * structure).mean()


@generator_term("ms_ssim", minimum_size=MS_SSIM_SIZE)
def ms_ssim_loss(sr: Tensor, hr: Tensor) -> Tensor:
    """1 − MS-SSIM of five scales (Wang et al. 2003, eq. 7), each half the one before.

    A channel's scales are multiplied, then images and channels averaged, as by most who use it.
    Where structures oppose each other, similarity counts as `LEAST` and has no gradient.
    """
    product: Tensor | float = 1.0
    for number, weight in enumerate(SCALES):
        if number:
            sr, hr = F.avg_pool2d(sr, 2), F.avg_pool2d(hr, 2)
        luminance, structure = _parts(sr, hr)
        if number == len(SCALES) - 1:
            structure = luminance * structure
        product = product * structure.mean((-2, -1)).clamp(min=LEAST) ** weight
    assert isinstance(product, Tensor)
    return 1 - product.mean()


def _parts(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Luminance, and contrast times structure, where the window fits: (N, C, h, w) each."""
    c1, c2 = 0.01**2, 0.03**2
    a, b = (image.to(torch.promote_types(image.dtype, torch.float32)) for image in (a, b))
    mean_a, mean_b = blur(a), blur(b)
    variances = blur(a * a) - mean_a**2 + blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return luminance, (2 * covariance + c2) / (variances + c2)
