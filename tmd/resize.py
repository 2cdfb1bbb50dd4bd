"""Bicubic resizing by MATLAB's convention, the one in which the field's LR images are made.

Each axis is one multiplication by a weight matrix, so that the same code is fast on the CPU and on
the GPU, differentiable, and deterministic in its backward pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import torch

# Outputs computed by one matrix: a longer axis is cut, so that the work stays linear in its length.
_BLOCK = 64


def baseline_name(scale: int) -> str:
    """Name of the result that needs no network: bicubic enlargement; at scale 1 the input."""
    return "input" if scale == 1 else "bicubic"


def imresize(
    x: torch.Tensor, scale: float | tuple[int, int], antialias: bool = True
) -> torch.Tensor:
    """Resize with the cubic kernel a = -0.5, stretched when shrinking, and symmetric borders.

    Args:
        x: (N, C, H, W), float.
        scale: a factor, 0.25 or 4, or the size (H', W') of the result. A factor gives sizes
            rounded up, as MATLAB's ``imresize`` does.
        antialias: whether the kernel is stretched when shrinking, as MATLAB does by default.

    Returns:
        (N, C, H', W') of the same type and device; overshoots are not clamped.

    Example:
        >>> imresize(torch.rand(1, 3, 32, 48), 0.25).shape
        torch.Size([1, 3, 8, 12])
    """
    if not x.is_floating_point():
        raise TypeError(f"imresize takes float images, got {x.dtype}; bytes go to imresize_uint8")
    for dim, length, factor in _plan(x, scale):
        x = _resize_axis(x, dim, length, factor, antialias)
    return x


def imresize_uint8(x: torch.Tensor, scale: float | tuple[int, int]) -> torch.Tensor:
    """Resize bytes and get the bytes that MATLAB's ``imresize`` gives.

    The result of the first axis is rounded and clamped to bytes before the second one, as MATLAB
    does; the arithmetic is in float64.

    Args:
        x: (N, C, H, W) or (C, H, W), uint8.
        scale: a factor, or the size (H', W') of the result.
    """
    if x.dtype != torch.uint8:
        raise TypeError(f"imresize_uint8 takes uint8 images, got {x.dtype}")
    if x.dim() == 3:
        return imresize_uint8(x[None], scale)[0]
    for dim, length, factor in _plan(x, scale):
        # A block at a time: as float64, a large image would take eight times its memory.
        shape = list(x.shape)
        shape[dim] = length
        whole = torch.empty(shape, dtype=torch.uint8, device=x.device)
        first = 0
        for exact in _resized_blocks(x, dim, length, factor, torch.float64):
            block = whole.narrow(dim, first, exact.shape[dim])
            # MATLAB rounds halves up, torch.round to even.
            block.copy_(exact.add_(0.5).floor_().clamp_(0, 255))
            first += exact.shape[dim]
        x = whole
    return x


def _plan(x: torch.Tensor, scale: float | tuple[int, int]) -> list[tuple[int, int, float]]:
    """(axis, new length, factor) in the order in which MATLAB treats them: smaller factor first."""
    height, width = x.shape[-2:]
    if isinstance(scale, (int, float)):
        factors = (float(scale), float(scale))
        # 255 * (1 / 3) is a hair above 85 in floating point.
        lengths = [math.ceil(round(n * scale, 9)) for n in (height, width)]
    else:
        lengths = [int(n) for n in scale]
        factors = (lengths[0] / height, lengths[1] / width)
    if min(lengths) < 1 or min(factors) <= 0:
        raise ValueError(f"cannot resize {height}x{width} by {scale}")
    axes = [(-2, lengths[0], factors[0]), (-1, lengths[1], factors[1])]
    return sorted(axes, key=lambda axis: axis[2])


def _resize_axis(
    x: torch.Tensor, dim: int, length: int, factor: float, antialias: bool
) -> torch.Tensor:
    pieces = list(_resized_blocks(x, dim, length, factor, x.dtype, antialias))
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim)


def _resized_blocks(
    x: torch.Tensor,
    dim: int,
    length: int,
    factor: float,
    dtype: torch.dtype,
    antialias: bool = True,
) -> Iterator[torch.Tensor]:
    """The result in blocks along ``dim``, computed in ``dtype``."""
    # Autocast would compute the products in half precision, and LR images would be off by levels.
    with torch.autocast(x.device.type, enabled=False):
        for start, stop, matrix in _matrices(
            x.shape[dim], length, factor, antialias, dtype, x.device
        ):
            piece = x.narrow(dim, start, stop - start).to(dtype)
            yield matrix @ piece if dim == -2 else piece @ matrix.T


@lru_cache(maxsize=64)
def _matrices(
    n: int, length: int, factor: float, antialias: bool, dtype: torch.dtype, device: torch.device
) -> list[tuple[int, int, torch.Tensor]]:
    """For each block of outputs: the inputs [start, stop) that it needs, and their weights."""
    with torch.inference_mode(False), torch.no_grad():
        taps, weights = _taps(n, length, factor, antialias)
        blocks = []
        for first in range(0, length, _BLOCK):
            some = taps[first : first + _BLOCK]
            start, stop = int(some.min()), int(some.max()) + 1
            matrix = torch.zeros(len(some), stop - start, dtype=torch.float64)
            # Mirrored taps name the same input twice: their weights add up.
            matrix.scatter_add_(1, some - start, weights[first : first + _BLOCK])
            matrix = matrix.to(device, dtype, non_blocking=True)
            blocks.append((start, stop, matrix))
    return blocks


def _taps(n: int, length: int, factor: float, antialias: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices and weights (length, K) of the inputs that make each output."""
    stretch = factor if antialias and factor < 1 else 1.0
    support = 4.0 / stretch
    centre = (torch.arange(length, dtype=torch.float64) + 0.5) / factor - 0.5
    left = torch.floor(centre - support / 2)
    index = left[:, None] + torch.arange(math.ceil(support) + 2, dtype=torch.float64)
    weights = _cubic(stretch * (centre[:, None] - index))
    weights /= weights.sum(1, keepdim=True)
    mirrored = index.long() % (2 * n)
    return torch.where(mirrored < n, mirrored, 2 * n - 1 - mirrored), weights


def _cubic(x: torch.Tensor) -> torch.Tensor:
    """The cubic convolution kernel of Keys (1981) with a = -0.5."""
    x = x.abs()
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return torch.where(x <= 1, near, torch.where(x <= 2, far, torch.zeros_like(x)))
