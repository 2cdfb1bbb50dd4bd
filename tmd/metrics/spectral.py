"""A perceptual metric that needs no weights: how far the local power spectra are apart.

A blurred image lacks power at high frequencies, a noisy one has too much of it; both count,
whatever the phases. PSNR sees the opposite: it asks for the right phases and forgives blur.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from tmd.metrics.fidelity import TooSmallError, compared, inside
from tmd.metrics.registry import Needs, register

PATCH = 32
SMALLEST = 8
SECTORS = 4  # orientations


@register("spectral", Needs(minimum=SMALLEST, border=True, levels=True))
def spectral_distance(sr: Tensor, hr: Tensor, border: int = 0, channel: str = "y") -> Tensor:
    """Mean absolute difference of local log power spectra, in dB; 0 for equal images.

    Finite for flat images, too: what rounding to 8 bits adds is in every spectrum.

    Patches of 32×32 (or the image's smaller side) cover the image, half overlapping. Of each,
    without its mean, under a Hann window: the power of the 2-D Fourier transform, averaged over
    cells of one frequency step by 45° of orientation (centred on 0°, 45°, 90° and 135°; frequency 0
    left out, the spectrum's corners counted to the last ring); plus the power that rounding to
    8 bits has, so that what no file can hold does not count; as 10·log10. The distance is the mean
    absolute difference over cells, patches and channels.

    Orientation is kept because false detail often has the power of true detail and another
    direction: without it, nearest-neighbour's blocks come out as well as half the true detail.

    Args:
        sr, hr: (N, C, H, W) in [0, 1]; at least 8×8 within the border.
        border: pixels left out on each side.
        channel: as for `tmd.metrics.psnr`.

    Returns:
        (N,)

    Raises:
        UserError: shapes that differ.
        TooSmallError: less than 8×8 within the border.
    """
    images = inside(sr, hr, border, channel)
    height, width = images[0].shape[-2:]
    size = min(PATCH, height, width)
    if size < SMALLEST:
        raise TooSmallError(
            f"spectral distance of {height}×{width} pixels (border={border}): "
            f"must be at least {SMALLEST}×{SMALLEST}"
        )
    rows, columns = _starts(height, size), _starts(width, size)
    total: Tensor | None = None
    for row in rows:  # one row of patches at a time: the memory of a large image stays small
        bands = [compared(image[..., row : row + size, :], channel) for image in images]
        cells = _cells(size).to(bands[0])
        log_a, log_b = (_levels(band, columns, cells) for band in bands)
        distance = (log_a - log_b).abs().mean((1, 2, 3))
        total = distance if total is None else total + distance
    assert total is not None
    return total / len(rows)


def spectral_levels(image: Tensor) -> Tensor:
    """Log power spectra, in dB; `spectral_distance` compares two.

    Args:
        image: (N, C, H, W), at least 32×32.

    Returns:
        (N, C, patches, 16 · `SECTORS`): by frequency, then by orientation.
    """
    height, width = image.shape[-2:]
    rows, columns = _starts(height, PATCH), _starts(width, PATCH)
    cells = _cells(PATCH).to(image)
    bands = (image[..., row : row + PATCH, :] for row in rows)
    return torch.cat([_levels(band, columns, cells) for band in bands], dim=2)


def _starts(length: int, size: int) -> list[int]:
    """First pixels of patches that overlap by half or more and end with the image."""
    steps = max(1, math.ceil((length - size) / (size // 2)))
    return sorted({round(step * (length - size) / steps) for step in range(steps + 1)})


def _levels(band: Tensor, columns: list[int], cells: Tensor) -> Tensor:
    """(N, C, size, W) -> levels in dB, (N, C, patches, cells)."""
    size = band.shape[-2]
    patches = torch.stack([band[..., column : column + size] for column in columns], dim=2)
    window = torch.hann_window(size, periodic=True, dtype=band.dtype, device=band.device)
    window = window[:, None] * window
    # The mean as the window weighs it, or the rest would leak into the lowest frequencies.
    patches = patches - (patches * window).sum((-2, -1), keepdim=True) / window.sum()
    power = torch.fft.rfft2(patches * window).abs().square()
    rounding = window.square().sum() / (12 * 255**2)
    return 10 * torch.log10(power.flatten(-2) @ cells + rounding)


@cache
def _cells(size: int) -> Tensor:
    """(size · (size // 2 + 1), cells): weights that average an `rfft2` over cells."""
    frequency = torch.fft.fftfreq(size, 1 / size).round().long()
    y, x = torch.meshgrid(frequency, frequency, indexing="ij")
    ring = torch.hypot(y.double(), x.double()).round().long().clamp(max=size // 2)
    angle = torch.atan2(y.double(), x.double()) / math.pi  # of an orientation: periodic by 1
    cell = one_hot(ring * SECTORS + (angle * SECTORS).round().long() % SECTORS).double()
    # `rfft2` leaves out the left half of the plane, which mirrors the right one.
    row, column = torch.where(x < 0, -y, y) % size, x.abs()
    places = (row * (size // 2 + 1) + column).flatten()
    weights = torch.zeros(size * (size // 2 + 1), cell.shape[-1], dtype=torch.float64)
    weights = weights.index_add(0, places, cell.flatten(0, 1))[:, SECTORS:]
    total = weights.sum(0)
    return weights[:, total > 0] / total[total > 0]
