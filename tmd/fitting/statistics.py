"""Numbers that tell how images were degraded, whatever they show: no pairs are needed.

Those were chosen that blur, noise and JPEG change much and that differ little from photo to photo.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

#: What each group counts for in the distance, shared evenly by its numbers.
WEIGHTS = {"spectrum": 1.0, "noise": 1.0, "blocks": 1.0, "residual": 0.5}
#: What a difference of spreads counts for, beside one of means: photos differ by themselves.
SPREAD = 0.3
# Added to every spread: numbers of equally degraded images may all be the same.
_LEAST_SPREAD = 0.1

#: Edges of the rings of a spectrum, in cycles a pixel.
RINGS = (0.02, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
# How many rings the ends of a fall are apart.
_APART = 4
# Taps of a Gaussian of 0.7 pixels; which of the gradients are edges; quantiles of their ratios.
_KERNEL = (0.0096, 0.2054, 0.5699, 0.2054, 0.0096)
_STEEPEST = 0.02
_EDGES = (0.5, 0.75, 0.9)
# Of 8-bit levels: what rounding alone leaves, below which nothing is to be told.
_ROUNDING = 0.1
# The AC coefficients of a block that photos fill best.
_COEFFICIENTS = ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (1, 2), (2, 1), (0, 3), (3, 0))
_STEPS = range(2, 65)
# Pixels a side in which an image's grid is looked for.
_LOOKED_AT = 512
_HALVES = 1024  # bins of the coefficients' absolute values, half a level each


def patch_statistics(patches: Tensor) -> dict[str, Tensor]:
    """Numbers of each patch by group, the keys of `WEIGHTS`.

    Args:
        patches: (N, C, s, s) in [0, 1], s a multiple of 8 and at least 32; three channels are RGB.

    Returns:
        (N, K) each: falls of the spectrum and the sharpness of edges; the noise of luma and chroma
        at two sizes; seams of the 8 × 8 grid that begins with a patch, and the steps by which JPEG
        counts; the kurtosis of luma's Laplacian.
    """
    levels = 255 * patches.float()
    planes = _luma_and_chroma(levels)
    luma = planes[:, 0]
    return {
        "spectrum": spectrum(luma),
        "noise": noise(planes),
        "blocks": blocks(luma),
        "residual": kurtosis(luma),
    }


def _luma_and_chroma(levels: Tensor) -> Tensor:
    """(N, 3, H, W) of RGB, as JPEG has them; (N, 1, H, W), the mean, of other channels."""
    if levels.shape[1] != 3:
        return levels.mean(1, keepdim=True)
    matrix = levels.new_tensor(
        [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
    )
    return torch.einsum("dc,nchw->ndhw", matrix, levels)


def spectrum(luma: Tensor) -> Tensor:
    """Falls of the radial power spectrum and the sharpness of edges: (N, H, W) -> (N, rings - 1).

    Photos' levels differ by octaves, their falls over a fifth of the frequencies by half of one.
    """
    height, width = luma.shape[-2:]
    window = torch.outer(*(torch.hann_window(side, periodic=False) for side in (height, width)))
    centred = luma - luma.mean((-2, -1), keepdim=True)
    power = torch.fft.rfft2(centred * window).abs().square() / window.square().sum()
    rings = (power.flatten(1) @ _rings(height, width) + _ROUNDING).log2()
    return torch.cat([rings[:, _APART:] - rings[:, :-_APART], edges(luma)], 1)


def edges(luma: Tensor) -> Tensor:
    """Steepest gradients beside those after a blur, in quarters of octaves: (N, H, W) -> (N, 3).

    Of an ideal edge it depends on its blur alone (Zhuo and Sim, Pattern Recognition 2011, eq. 3).
    """
    kernel = luma.new_tensor(_KERNEL)
    blurred = F.pad(luma[:, None], (2, 2, 2, 2), mode="replicate")
    blurred = F.conv2d(F.conv2d(blurred, kernel.view(1, 1, 1, 5)), kernel.view(1, 1, 5, 1))[:, 0]
    sharp, soft = _gradient(luma), _gradient(blurred)
    steepest, places = soft.topk(max(8, int(_STEEPEST * soft.shape[1])), 1)
    ratios = ((sharp.gather(1, places) + _ROUNDING) / (steepest + _ROUNDING)).log2()
    return 4 * torch.quantile(ratios, ratios.new_tensor(_EDGES), dim=1).T


def _gradient(luma: Tensor) -> Tensor:
    across = luma[:, 1:-1, 2:] - luma[:, 1:-1, :-2]
    down = luma[:, 2:, 1:-1] - luma[:, :-2, 1:-1]
    return torch.hypot(across, down).flatten(1)


@lru_cache(maxsize=8)
def _rings(height: int, width: int) -> Tensor:
    """(frequencies, rings): taking the mean of each ring."""
    radius = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None])
    inside = [(low <= radius) & (radius < high) for low, high in pairwise(RINGS)]
    weights = torch.stack([ring.flatten().float() for ring in inside], 1)
    return weights / weights.sum(0)


def noise(planes: Tensor) -> Tensor:
    """Spread of diagonal detail at full and at half size: (N, C, H, W) -> (N, 2C + 1).

    It is taken where a patch has least of it, in a quarter of its 16 × 16 cells. The last number is
    how much more of it the brighter half of the luma's cells has than the darker half.
    """
    fine, coarse = _spread(planes, 8), _spread(F.avg_pool2d(planes, 2), 4)
    least = [torch.quantile(each, 0.25, dim=-1) for each in (fine, coarse)]
    order = F.avg_pool2d(planes[:, 0], 16).flatten(1).argsort(1)
    by_brightness = fine[:, 0].gather(1, order)
    dark, bright = by_brightness.tensor_split(2, dim=1)
    return torch.cat([*least, (bright.mean(1) - dark.mean(1))[:, None]], 1)


def _spread(planes: Tensor, cell: int) -> Tensor:
    """log2 of the diagonal detail's standard deviation in each cell, (N, C, cells)."""
    a, b = planes[..., ::2, ::2], planes[..., ::2, 1::2]
    c, d = planes[..., 1::2, ::2], planes[..., 1::2, 1::2]
    power = F.avg_pool2d((a - b - c + d).square() / 4, cell).flatten(2)
    return (power.sqrt() + _ROUNDING).log2()


def grid(image: Tensor) -> tuple[int, int]:
    """Row and column, 0 to 7, at which the blocks of an image's JPEG begin.

    There, more coefficients are none than at any other place.

    Args:
        image: (C, H, W) in [0, 1], of 16 pixels a side and more; three channels are RGB.

    Returns:
        Any place where there is no grid.
    """
    top, left = (max(0, side - _LOOKED_AT) // 16 * 8 for side in image.shape[-2:])
    part = image[None, :, top : top + _LOOKED_AT, left : left + _LOOKED_AT]
    luma = _luma_and_chroma(255 * part.float())[0, 0]

    def empty(place: tuple[int, int]) -> float:
        here = luma[place[0] :, place[1] :]
        coefficients = _transformed(here.unfold(0, 8, 8).unfold(1, 8, 8)).flatten(-2)[..., 1:]
        return (coefficients.abs() < 0.5).float().mean().item()

    places = [(row, column) for row in range(8) for column in range(8)]
    return max(places, key=empty)


def blocks(luma: Tensor) -> Tensor:
    """Seams of the 8 × 8 grid, steps of its coefficients, empty ones: (N, H, W) -> (N, 3).

    The grid begins at the first pixel; see `grid`. A step is the largest by which a coefficient's
    values are counted; where JPEG was not the last to touch the image, there is none.
    """
    seams = []
    for dim in (-1, -2):
        strength = luma.diff(dim=dim).abs().mean(-3 - dim)
        by_place = torch.stack([strength[:, place::8].mean(1) for place in range(8)], 1)
        others = by_place[:, :7].mean(1)
        seams.append((by_place[:, 7] + _ROUNDING).log2() - (others + _ROUNDING).log2())
    cut = F.unfold(luma[:, None], 8, stride=8).mT.unflatten(2, (8, 8))
    coefficients = _transformed(cut)
    fine = coefficients[..., 4:, 4:].abs()
    nothing = (fine < 0.5).float().mean((1, 2, 3))
    chosen = torch.stack([coefficients[..., v, u] for v, u in _COEFFICIENTS], 1)
    return torch.stack([(seams[0] + seams[1]) / 2, _steps(chosen), 2 * nothing], 1)


def _transformed(cut: Tensor) -> Tensor:
    """JPEG's cosine transform of blocks (..., 8, 8)."""
    cosines = _cosines()
    return cosines @ cut @ cosines.T


@lru_cache(maxsize=1)
def _cosines() -> Tensor:
    k, n = torch.arange(8.0)[:, None], torch.arange(8.0)[None]
    matrix = ((2 * n + 1) * k * math.pi / 16).cos() / 2
    matrix[0] /= math.sqrt(2)
    return matrix


def _steps(coefficients: Tensor) -> Tensor:
    """Mean over the coefficients (N, K, blocks) of log2 of their steps, 0 where none is found."""
    halves = (2 * coefficients.abs()).round().long().clamp_(max=_HALVES - 1)
    counts = torch.zeros(*halves.shape[:2], _HALVES)
    counts.scatter_add_(2, halves, torch.ones(halves.shape))
    waves, beyond = _waves()
    score, number = counts @ waves, counts @ beyond
    fits = (number >= 6) & (score > 0.6 * number)
    steps = torch.tensor(list(_STEPS), dtype=torch.float32)
    return torch.where(fits, steps, 1.0).amax(2).log2().mean(1)


@lru_cache(maxsize=1)
def _waves() -> tuple[Tensor, Tensor]:
    """(bins, steps) each: cosine of a value in a step; 1 where it is half a step or more."""
    values = torch.arange(_HALVES)[:, None] / 2
    steps = torch.tensor(list(_STEPS))[None]
    beyond = (values >= steps / 2).float()
    return (2 * math.pi * values / steps).cos() * beyond, beyond


def kurtosis(luma: Tensor) -> Tensor:
    """log2 of the kurtosis of luma's Laplacian, (N, 1): noise has 3, photos without any more."""
    kernel = luma.new_tensor([[[[0, 1, 0], [1, -4, 1], [0, 1, 0]]]])
    left = F.conv2d(luma[:, None], kernel).flatten(1)
    left = left - left.mean(1, keepdim=True)
    variance = left.square().mean(1) + _ROUNDING**2
    return (left.pow(4).mean(1) / variance.square() + 1).log2()[:, None]


def distance(
    ours: Sequence[dict[str, Tensor]], theirs: Sequence[dict[str, Tensor]]
) -> dict[str, float]:
    """Weighted distance by group between the statistics of two sets of patches.

    For each number, how far the means are apart and, for `SPREAD` of it, the spreads, both in
    spreads of theirs; the mean over a group's numbers.

    Args:
        ours, theirs: (N, K) by group, of patches of the same kinds, flat and textured ones say.
    """
    return {
        group: weight
        * sum(_apart(a[group], b[group]) for a, b in zip(ours, theirs, strict=True))
        / len(ours)
        for group, weight in WEIGHTS.items()
    }


def _apart(a: Tensor, b: Tensor) -> float:
    (mean_a, spread_a), (mean_b, spread_b) = _middle(a), _middle(b)
    apart = (mean_a - mean_b).abs() + SPREAD * (spread_a - spread_b).abs()
    return (apart / (spread_b + _LEAST_SPREAD)).mean().item()


def _middle(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of (N, K) without a tenth at each end, and the mean distance from it, (K,) each."""
    cut = round(0.1 * len(values))
    middle = values.sort(0).values[cut : len(values) - cut]
    mean = middle.mean(0)
    return mean, (middle - mean).abs().mean(0)
