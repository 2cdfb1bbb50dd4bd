"""Images of a batch resized each to its own size and by its own filter, in two products."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from tmd.measurements.canvas import Canvas, Size, room_for

#: Filters by which images are resized.
FILTERS = ("bicubic", "bilinear", "area", "nearest", "lanczos")

# Outputs computed by one matrix: a longer axis is cut, so that the work stays linear in its length.
_BLOCK = 256


def resampled(
    canvas: Canvas,
    after: Sequence[Size],
    every: Sequence[Size],
    filters: Sequence[str],
    antialias: bool = False,
) -> Canvas:
    """The images in other sizes.

    Args:
        after: (h, w) of each.
        every: of the images of all processes, likewise.
        filters: of each, of `FILTERS`.
        antialias: whether bicubic, bilinear and lanczos are stretched when shrinking.
    """
    x, room = canvas.pixels, room_for(every)
    before = canvas.own_sizes()
    # Autocast would compute the products in half precision, and LR would be off by levels.
    with torch.autocast(x.device.type, enabled=False):
        for axis in (-1, -2):
            lengths = [
                (old[axis], new[axis], name)
                for old, new, name in zip(before, after, filters, strict=True)
            ]
            x = _along(x, axis, lengths, room[axis], antialias)
    return canvas.resized(x, after, every)


def _along(
    x: Tensor, axis: int, lengths: Sequence[tuple[int, int, str]], room: int, antialias: bool
) -> Tensor:
    """One axis, which becomes as long as ``room``; what is beyond an image is its end, repeated."""
    each = [taps(*one, antialias) for one in lengths]
    width = max(weights.shape[1] for _, weights in each)
    firsts = np.empty((len(each), room), dtype=np.int64)
    weights = np.zeros((len(each), room, width), dtype=np.float64)
    for image, (first, weight) in enumerate(each):
        count, taken = weight.shape
        firsts[image, :count], firsts[image, count:] = first, first[-1]
        weights[image, :count, :taken], weights[image, count:, :taken] = weight, weight[-1]
    pieces = []
    for begin in range(0, room, _BLOCK):
        block = slice(begin, begin + _BLOCK)
        pieces.append(_product(x, axis, firsts[:, block], weights[:, block]))
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces, axis)


def _product(x: Tensor, axis: int, firsts: np.ndarray, weights: np.ndarray) -> Tensor:
    """A block of outputs, (N, B) first inputs and (N, B, K) weights of each."""
    n, block, width = weights.shape
    length = min(x.shape[axis], int(np.ptp(firsts, axis=1).max()) + width)
    if 2 * length > x.shape[axis]:
        starts, length = np.zeros(n, dtype=np.int64), x.shape[axis]
    else:
        starts = np.minimum(firsts.min(1), x.shape[axis] - length)
        x = torch.stack(
            [image.narrow(axis, int(start), length) for image, start in zip(x, starts, strict=True)]
        )
    places = firsts - starts[:, None]
    index = torch.from_numpy(places[..., None] + np.arange(width)).to(x.device, non_blocking=True)
    values = torch.from_numpy(weights).to(x.dtype).to(x.device, non_blocking=True)
    # Taps of an image with fewer than the others have weight 0; those beyond the end are cut off.
    matrix = values.new_zeros(n, block, length + width).scatter_(2, index, values)[..., :length]
    if axis == -2:
        return matrix[:, None] @ x
    channels, height = x.shape[1:3]
    rows = x.reshape(n, channels * height, length) @ matrix.mT
    return rows.reshape(n, channels, height, block)


@lru_cache(maxsize=16384)
def taps(before: int, after: int, name: str, antialias: bool) -> tuple[np.ndarray, np.ndarray]:
    """First input (M,) of each output, and the weights (M, K) of the inputs from there on."""
    centres = (np.arange(after) + 0.5) * before / after
    if name == "nearest":
        return np.arange(after) * before // after, np.ones((after, 1))
    if name == "area":
        firsts = np.arange(after) * before // after
        counts = -(-(np.arange(after) + 1) * before // after) - firsts
        inside = np.arange(counts.max()) < counts[:, None]
        return _windows(firsts, inside / counts[:, None], before)
    kernel, support = _KERNELS[name, antialias or name == "lanczos"]
    stretch = max(before / after, 1) if antialias else 1.0
    firsts = np.floor(centres - support * stretch).astype(np.int64)
    places = firsts[:, None] + np.arange(int(np.ceil(2 * support * stretch)) + 1)
    weights = kernel((places + 0.5 - centres[:, None]) / stretch)
    if antialias or name == "lanczos":
        # As Pillow and torch's antialiasing have it, nothing is beyond the border.
        weights = weights * ((places >= 0) & (places < before))
    return _windows(firsts, weights / weights.sum(1, keepdims=True), before)


def _windows(firsts: np.ndarray, weights: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """The same with all inputs inside [0, ``length``): a tap beyond an end counts for that end."""
    width = min(weights.shape[1], length)
    starts = firsts.clip(0, length - width)
    moved = np.zeros((len(firsts), width))
    places = (firsts[:, None] + np.arange(weights.shape[1])).clip(0, length - 1) - starts[:, None]
    rows = np.broadcast_to(np.arange(len(firsts))[:, None], places.shape)
    # Weights of 0 may lie anywhere, those of antialiasing beyond both ends too.
    np.add.at(moved, (rows, places.clip(0, width - 1)), weights)
    return starts, moved


def _cubic(a: float) -> Callable[[np.ndarray], np.ndarray]:
    """The cubic convolution kernel of Keys (1981)."""

    def kernel(x: np.ndarray) -> np.ndarray:
        x = np.abs(x)
        near = ((a + 2) * x - (a + 3)) * x * x + 1
        far = a * (((x - 5) * x + 8) * x - 4)
        return np.where(x <= 1, near, np.where(x < 2, far, 0.0))

    return kernel


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(1 - np.abs(x), 0)


def _lanczos(x: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)


#: Kernel and its support, without and with antialiasing; torch's bicubic has another a with it.
_KERNELS: dict[tuple[str, bool], tuple[Callable[[np.ndarray], np.ndarray], float]] = {
    ("bicubic", False): (_cubic(-0.75), 2),
    ("bicubic", True): (_cubic(-0.5), 2),
    ("bilinear", False): (_triangle, 1),
    ("bilinear", True): (_triangle, 1),
    ("lanczos", True): (_lanczos, 3),
}
