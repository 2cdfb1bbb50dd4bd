"""Distance of two images by the magnitudes of their gradients."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tmd.metrics.fidelity import TooSmallError, compared, inside
from tmd.metrics.registry import Needs, register

#: The constant of Xue et al., section II, for a range of 1: 170 of levels from 0 to 255.
_CONSTANT = 170 / 255**2


@register(
    "gmsd",
    Needs(minimum=2),
    label="GMSD",
    decimals=4,
    higher_is_better=False,
    range=(0.0, 1.0),
)
def gmsd(sr: Tensor, hr: Tensor) -> Tensor:
    """Gradient magnitude similarity deviation (Xue et al., 2014, arXiv:1308.3052); 0 if equal.

    Of luma (BT.601, 0 to 255), or of all channels of images of other than three: mean over 2×2, of
    which every other is taken; magnitudes by Prewitt's filters; the standard deviation over places
    of their similarity. The whole image counts, with zeros beyond its border, as published.

    Args:
        sr, hr: (N, C, H, W) in [0, 1], at least 2×2.

    Returns:
        (N,)

    Raises:
        UserError: shapes that differ.
        TooSmallError: less than 2×2 pixels.
    """
    images = inside(sr, hr, 0, "rgb")
    if min(hr.shape[-2:]) < 2:
        raise TooSmallError(f"GMSD of {hr.shape[-2]}×{hr.shape[-1]} pixels: must be at least 2×2")
    a, b = (_magnitude(compared(image, "y-full")) for image in images)
    similarity = (2 * a * b + _CONSTANT) / (a.square() + b.square() + _CONSTANT)
    return similarity.flatten(2).std(2, correction=0).mean(1)


def _magnitude(planes: Tensor) -> Tensor:
    """Prewitt's gradient of each plane of halved images, (N, C, H/2, W/2)."""
    padded = F.pad(F.avg_pool2d(planes, 2), (1, 1, 1, 1))
    # Sums of shifted images, not a convolution: on GPUs that may round to TF32.
    rows = (padded[..., :-2, :] + padded[..., 1:-1, :] + padded[..., 2:, :]) / 3
    columns = (padded[..., :-2] + padded[..., 1:-1] + padded[..., 2:]) / 3
    across = rows[..., 2:] - rows[..., :-2]
    down = columns[..., 2:, :] - columns[..., :-2, :]
    return torch.hypot(across, down)
