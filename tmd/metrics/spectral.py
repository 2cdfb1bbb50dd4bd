"""A perceptual measure that needs no weights: how far the local power spectra are apart.

A blurred image lacks power at high frequencies, a noisy one has too much of it; both count,
whatever the phases. PSNR sees the opposite: it asks for the right phases and forgives blur.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tmd.errors import UserError
from tmd.metrics.fidelity import prepare

PATCH = 32
SMALLEST = 8


def spectral_distance(sr: Tensor, hr: Tensor, border: int = 0, channel: str = "y") -> Tensor:
    """Mean absolute difference of local log power spectra, in dB; 0 for equal images.

    Patches of 32×32 (or the image's smaller side) cover the image, half overlapping. Of each, under
    a Hann window: the power of the 2-D Fourier transform averaged over rings of one frequency
    step, the mean (frequency 0) left out and the corners counted to the last ring;
    plus the power that rounding to 8 bits has, so that what no file can hold does not count;
    as 10·log10. The distance is the mean over rings, patches and channels of the absolute
    difference.

    Args:
        sr, hr: (N, C, H, W) in [0, 1], C = 3 or 1; at least 8×8 within the border.
        border: pixels left out on each side.
        channel: as for `tmd.metrics.psnr`.

    Returns:
        (N,)

    Raises:
        UserError: shapes that differ, or images too small.
    """
    a, b = prepare(sr, hr, border, channel)
    height, width = a.shape[-2:]
    size = min(PATCH, height, width)
    if size < SMALLEST:
        raise UserError(
            f"spectral distance of {height}×{width} pixels (border={border}): "
            f"must be at least {SMALLEST}×{SMALLEST}"
        )
    rows, columns = _starts(height, size), _starts(width, size)
    total = torch.zeros(len(a), dtype=a.dtype, device=a.device)
    for row in rows:  # one row of patches at a time: the memory of a large image stays small
        bands = (image[..., row : row + size, :] for image in (a, b))
        log_a, log_b = (_ring_levels(band, columns, size) for band in bands)
        total = total + (log_a - log_b).abs().mean((1, 2, 3))
    return total / len(rows)


def _starts(length: int, size: int) -> list[int]:
    """Where patches begin so that they overlap by half or more and end with the image."""
    steps = max(1, math.ceil((length - size) / (size // 2)))
    return sorted({round(step * (length - size) / steps) for step in range(steps + 1)})


def _ring_levels(band: Tensor, columns: list[int], size: int) -> Tensor:
    """(N, C, size, W) -> levels in dB, (N, C, patches, rings)."""
    patches = torch.stack([band[..., column : column + size] for column in columns], dim=2)
    window = torch.hann_window(size, periodic=True, dtype=band.dtype, device=band.device)
    window = window[:, None] * window
    power = torch.fft.rfft2(patches * window).abs().square()
    rings = power.flatten(-2) @ _rings(size).to(power)
    rounding = window.square().sum() / (12 * 255**2)
    return 10 * torch.log10(rings + rounding)


def _rings(size: int) -> Tensor:
    """(size · (size // 2 + 1), rings): weights that average an `rfft2` over rings."""
    vertical = torch.fft.fftfreq(size, 1 / size, dtype=torch.float64)
    horizontal = torch.arange(size // 2 + 1, dtype=torch.float64)
    radius = torch.hypot(vertical[:, None], horizontal[None]).round().long().clamp(max=size // 2)
    # `rfft2` leaves out one of each conjugate pair of columns.
    twice = torch.full_like(horizontal, 2.0)
    twice[0] = 1
    if size % 2 == 0:
        twice[-1] = 1
    weights = torch.nn.functional.one_hot(radius, size // 2 + 1).double() * twice[None, :, None]
    weights = weights.flatten(0, 1)[:, 1:]
    return weights / weights.sum(0)
