"""Metrics of images of several bands: how far spectra, and bands of different levels, are apart.

Both are of the numbers that files hold: a shift of the range would change them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tmd.errors import UserError
from tmd.images import EIGHT_BITS, ImageKind
from tmd.metrics.fidelity import inside
from tmd.metrics.registry import Needs, register


@register("sam", Needs(channels="several", border=True))
def sam(sr: Tensor, hr: Tensor, border: int = 0, kind: ImageKind = EIGHT_BITS) -> Tensor:
    """Spectral angle (Kruse et al., 1993) in degrees: the mean over pixels; 0 for equal images.

    The angle between the vectors of a pixel's numbers in all bands, which brightness alone does not
    change. Where one of the two is dark in every band it is 90°, where both are, 0.

    Args:
        sr, hr: (N, C, H, W) in [0, 1], C at least 2.
        border: pixels left out on each side.
        kind: of the images.

    Returns:
        (N,)

    Raises:
        UserError: shapes that differ, or a single band.
        TooSmallError: the border leaves nothing.
    """
    if hr.shape[1] < 2:
        raise UserError("SAM: an image of one band has no spectrum")
    a, b = (_numbers(image, kind) for image in inside(sr, hr, border, "rgb"))
    a, b = _unit_length(a), _unit_length(b)
    # The arc cosine would lose half the digits of a small angle (Kahan).
    half = torch.atan2((a - b).norm(dim=1), (a + b).norm(dim=1))
    dark = (a.abs().amax(1) == 0) ^ (b.abs().amax(1) == 0)
    angle = torch.where(dark, torch.full_like(half, 90), torch.rad2deg(2 * half))
    return angle.mean((1, 2)).to(hr.dtype if hr.is_floating_point() else torch.float32)


@register("ergas", Needs(border=True))
def ergas(
    sr: Tensor, hr: Tensor, border: int = 0, scale: int = 1, kind: ImageKind = EIGHT_BITS
) -> Tensor:
    """Relative global error of synthesis (Wald, 2000): 100 / scale · √(mean over bands (RMSE/μ)²).

    Each band's error counts relative to the band's mean μ in HR.

    Args:
        sr, hr: (N, C, H, W) in [0, 1].
        border: pixels left out on each side.
        scale: HR pixels per LR pixel.
        kind: of the images.

    Returns:
        (N,), 0 for equal images.

    Raises:
        UserError: shapes that differ.
        TooSmallError: the border leaves nothing.
    """
    a, b = (_numbers(image, kind) for image in inside(sr, hr, border, "rgb"))
    error = (a - b).square().mean((2, 3))
    relative = torch.where(error > 0, error / b.mean((2, 3)).square(), error)
    value = 100 / scale * relative.mean(1).sqrt()
    return value.to(hr.dtype if hr.is_floating_point() else torch.float32)


def _numbers(image: Tensor, kind: ImageKind) -> Tensor:
    """(N, C, H, W), float64, as a file has them."""
    if not image.is_floating_point():
        return image.double()
    return kind.numbers(image.double())


def _unit_length(spectra: Tensor) -> Tensor:
    length = spectra.norm(dim=1, keepdim=True)
    return torch.where(length > 0, spectra / length, spectra)
