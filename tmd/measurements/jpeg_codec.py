"""JPEG's lossy part in tensors: a batch on its device, each image with a quality of its own.

It follows libjpeg (ITU-T T.81 and libjpeg-turbo's sources) in all that decides the levels of the
decoded image: the integers of YCbCr, the mean of chroma with its alternating rounding, how borders
are continued, the cosine transform of whole numbers (``jfdctint``, ``jidctint``), the tables by
quality, the triangle filter that enlarges chroma. Entropy coding loses nothing and is left out.
"""

from __future__ import annotations

import functools
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from tmd.measurements.operator import straight_through

# Annex K of T.81, row by row.
_LUMA = (
    "16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 "
    "62 18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 "
    "98 112 100 103 99"
)
_CHROMA = (
    "17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 47 66" + " 99" * 38
)
# libjpeg's multiples of 1/65536, which float32 holds exactly, as it does their sums here.
_TO_YCC = ((19595, 38470, 7471), (-11059, -21709, 32768), (32768, -27439, -5329))
_TO_YCC_OFFSET = (32768, 128 * 65536 + 32767, 128 * 65536 + 32767)
_TO_RGB = ((65536, 0, 91881), (65536, -22554, -46802), (65536, 116130, 0))
_BLOCK = 8


def through_jpeg(
    x: Tensor,
    quality: Tensor,
    sizes: tuple[tuple[int, int], ...] | None = None,
    subsampled: bool = True,
) -> Tensor:
    """Images as they come back from a JPEG file; the gradient passes each rounding unchanged.

    Args:
        x: (N, C, H, W) in [0, 1], of one channel or three; beyond an image its border is repeated.
        quality: (N,), whole numbers from 1 to 100, on the CPU.
        sizes: (h, w) of each image, where they don't fill (H, W).
        subsampled: whether chroma has half the sides (4:2:0), as files have by default.
    """
    height, width = x.shape[-2:]
    half = subsampled and x.shape[1] == 3
    unit = 2 * _BLOCK if half else _BLOCK
    levels = straight_through(x * 255, x.detach().clamp(0, 1).mul_(255).round_())
    levels = F.pad(levels, (0, -width % unit, 0, -height % unit), mode="replicate")
    tables = [_tables(name, quality).to(x, non_blocking=True) for name in (_LUMA, _CHROMA)]
    if x.shape[1] == 1:
        return _decoded(levels, tables[0])[..., :height, :width] / 255
    ycc = _whole(_mixed(levels, _TO_YCC, _TO_YCC_OFFSET))
    luma = _decoded(ycc[:, :1], tables[0])
    chroma = ycc[:, 1:]
    if half:
        own = sizes or ((height, width),) * len(x)
        ends = [[math.ceil(side / 2) for side in size] for size in own]
        chroma = _decoded(_bounded(_halved(chroma), ends, (2,)), tables[1])
        chroma = _enlarged(_bounded(chroma, ends, (2, 3)))
    else:
        chroma = _decoded(chroma, tables[1])
    ycc = torch.cat((luma, chroma - 128), 1)[..., :height, :width]
    return _clamped(_whole(_mixed(ycc, _TO_RGB, (32768,) * 3))) / 255


def _whole(values: Tensor) -> Tensor:
    """The whole number below each value; overwritten where no gradient is needed."""
    return straight_through(
        values, values.floor_() if not values.requires_grad else (values.detach().floor())
    )


def _clamped(values: Tensor) -> Tensor:
    """Levels from 0 to 255; the gradient passes where there are none."""
    return straight_through(values, values.detach().clamp(0, 255))


def _mixed(planes: Tensor, matrix: tuple, offset: tuple[int, ...]) -> Tensor:
    """Channels (N, 3, H, W) mixed by a matrix, both in multiples of 1/65536."""
    n, channels, height, width = planes.shape
    weights = planes.new_tensor(matrix) / 65536
    shift = planes.new_tensor(offset)[:, None] / 65536
    with torch.autocast(planes.device.type, enabled=False):
        mixed = torch.baddbmm(shift, weights.expand(n, -1, -1), planes.reshape(n, channels, -1))
    return mixed.view(n, channels, height, width)


def _tables(base: str, quality: Tensor) -> Tensor:
    """Quantisation tables (N, 64) of qualities; libjpeg's ``jpeg_set_quality``."""
    table = torch.tensor([float(step) for step in base.split()], dtype=torch.float64)
    percent = torch.where(quality < 50, (5000 / quality).floor(), 200 - 2 * quality)
    return ((table * percent[:, None] + 50) / 100).floor().clamp(1, 255)


# Rows of the cosine transform in multiples of 1/8192, the eighth's half that symmetry leaves.
_WAVES = (
    (8192, 8192, 8192, 8192),
    (11363, 9633, 6437, 2260),
    (10703, 4433, -4433, -10703),
    (9633, -2259, -11362, -6436),
    (8192, -8192, -8192, 8192),
    (6437, -11362, 2261, 9633),
    (4433, -10704, 10704, -4433),
    (2260, -6436, 9633, -11363),
)


@functools.lru_cache(maxsize=8)
def _transforms(dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """The cosine transform of a block's rows, and of its columns, each (64, 64)."""
    half = torch.tensor(_WAVES, dtype=dtype)
    signs = torch.tensor([1.0, -1.0] * 4, dtype=dtype)[:, None]
    waves, unit = torch.cat((half, signs * half.flip(1)), 1), torch.eye(_BLOCK, dtype=dtype)
    return torch.kron(unit, waves).to(device), torch.kron(waves, unit).to(device)


def _decoded(planes: Tensor, table: Tensor) -> Tensor:
    """Planes (N, K, H, W) of levels, coded and decoded."""
    n, count, height, width = planes.shape
    grid = (n, count, height // _BLOCK, width // _BLOCK)
    blocks = planes.view(n, count, grid[2], _BLOCK, grid[3], _BLOCK).transpose(3, 4)
    rows, columns = _transforms(planes.dtype, planes.device)
    steps = table[:, None]
    with torch.autocast(planes.device.type, enabled=False):
        values = _descaled((blocks.reshape(n, -1, 64) - 128) @ rows.T, 11)
        coefficients = _descaled(values @ columns.T, 15)
        # A hair more, so that halves are rounded away from zero.
        parts = (coefficients.detach() * ((1 + 2**-20) / 8 / steps)).round_().mul_(steps)
        parts = straight_through(coefficients / 8, parts)
        values = _descaled(parts @ columns, 11)
        pixels = _descaled(values @ rows, 18)
    return _clamped(pixels + 128).view(*grid, _BLOCK, _BLOCK).transpose(3, 4).reshape(planes.shape)


def _descaled(values: Tensor, bits: int) -> Tensor:
    """Values by 2 ** bits, rounded; overwritten where no gradient is needed."""
    if values.requires_grad:
        return _whole(values / 2**bits + 0.5)
    return values.mul_(2.0**-bits).add_(0.5).floor_()


def _halved(chroma: Tensor) -> Tensor:
    """Means of 2 × 2 pixels, rounded in turn down and up."""
    bias = 1 + torch.arange(chroma.shape[-1] // 2, device=chroma.device) % 2
    return _whole(F.avg_pool2d(chroma, 2) + bias / 4)


def _bounded(planes: Tensor, ends: list[list[int]], axes: tuple[int, ...]) -> Tensor:
    """Planes (N, K, H, W) that repeat the last row or column, of each image, from its end on."""
    for axis in axes:
        own = [end[axis - 2] for end in ends]
        side = planes.shape[axis]
        if len(set(own)) == 1:
            rest = side - own[0]
            pad = (0, 0, 0, rest) if axis == 2 else (0, rest, 0, 0)
            planes = F.pad(planes.narrow(axis, 0, own[0]), pad, mode="replicate")
            continue
        last = torch.tensor(own).to(planes.device, non_blocking=True)[:, None] - 1
        places = torch.arange(side, device=planes.device).minimum(last)
        shape = [len(planes), 1, 1, 1]
        shape[axis] = side
        planes = planes.gather(axis, places.view(shape).expand_as(planes))
    return planes


def _enlarged(chroma: Tensor) -> Tensor:
    """Twice the sides by libjpeg's triangle filter, which bilinear is; borders are repeated."""
    bias = 8 - torch.arange(2 * chroma.shape[-1], device=chroma.device) % 2
    twice = F.interpolate(chroma, scale_factor=2, mode="bilinear")
    return _whole(twice + bias / 16)
