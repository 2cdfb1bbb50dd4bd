"""Blur kernels of a batch, each with parameters of its own, and the convolution with them.

The shapes are those of Real-ESRGAN (Wang et al. 2021, sections 3.1 and 3.3) and motion. All are
computed in float64 on the CPU, where a batch's kernels take less than its first launch on a GPU.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from tmd.measurements.canvas import Canvas, Size

#: Kernels by name: whether the axes have widths of their own.
KERNELS = {
    "isotropic": False,
    "anisotropic": True,
    "generalized_isotropic": False,
    "generalized_anisotropic": True,
    "plateau_isotropic": False,
    "plateau_anisotropic": True,
    "sinc": False,
    "motion": False,
}

#: Up to so many taps a side sums of products are faster than a Fourier transform.
DIRECT = 13


@dataclass(frozen=True)
class Shapes:
    """Parameters of the kernels of N images, float64.

    Attributes:
        names: of `KERNELS`.
        size: taps a side.
        sigma, sigma_y: widths along the two axes, in pixels.
        rotation: of the axes, and of motion, in radians.
        beta: exponent of the generalised Gaussian and of the plateau.
        cutoff: of the sinc, in radians a pixel.
        length: of motion, in pixels.
    """

    names: list[str]
    size: Tensor
    sigma: Tensor
    sigma_y: Tensor
    rotation: Tensor
    beta: Tensor
    cutoff: Tensor
    length: Tensor

    def rows(self, *starts: str) -> Tensor:
        """Numbers of the images whose kernel's name begins with one of ``starts``."""
        rows = [row for row, name in enumerate(self.names) if name.startswith(starts)]
        return torch.tensor(rows, dtype=torch.long)


def kernels(shapes: Shapes, room: int, centre: float = 0.0) -> Tensor:
    """Kernels (N, K, K), float64, each with the sum 1.

    Args:
        room: the taps a side that the largest has; smaller ones are surrounded by zeros.
        centre: of the kernels, 0 or 0.5: on the middle tap, or between it and the next, so that
            there is a tap more.
    """
    place = torch.arange(-(room // 2), room // 2 + 2 * centre + 1, dtype=torch.float64) - centre
    x, y = place[None, None, :], place[None, :, None]
    values = torch.empty(len(shapes.names), len(place), len(place), dtype=torch.float64)
    for starts, function in _SHAPES.items():
        if len(rows := shapes.rows(*starts)):
            values[rows] = function(shapes, rows, x, y)
    half = shapes.size[:, None, None] / 2
    values *= (x.abs() <= half) & (y.abs() <= half)
    return values / values.sum((1, 2), keepdim=True)


def _of(values: Tensor, rows: Tensor) -> Tensor:
    return values[rows][:, None, None]


def _distance(shapes: Shapes, rows: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Squared distance from the centre, by the width along each of the rotated axes."""
    cosine, sine = (_of(f(shapes.rotation), rows) for f in (torch.cos, torch.sin))
    along, across = x * cosine + y * sine, y * cosine - x * sine
    return (along / _of(shapes.sigma, rows)) ** 2 + (across / _of(shapes.sigma_y, rows)) ** 2


def _gaussian(shapes: Shapes, rows: Tensor, x: Tensor, y: Tensor) -> Tensor:
    powers = _distance(shapes, rows, x, y) ** _of(shapes.beta, rows)
    return torch.exp(-0.5 * powers)


def _plateau(shapes: Shapes, rows: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return 1 / (1 + _distance(shapes, rows, x, y) ** _of(shapes.beta, rows))


def _sinc(shapes: Shapes, rows: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The ideal circular low-pass filter."""
    cutoff, radius = _of(shapes.cutoff, rows), torch.sqrt(x**2 + y**2)
    safe = torch.where(radius == 0, 1, radius)
    values = cutoff * torch.special.bessel_j1(cutoff * safe) / (2 * math.pi * safe)
    return torch.where(radius == 0, cutoff**2 / (4 * math.pi), values)


def _motion(shapes: Shapes, rows: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """A straight line, whose ends and edges fade within a pixel, as in MATLAB's ``fspecial``."""
    cosine, sine = (_of(f(shapes.rotation), rows) for f in (torch.cos, torch.sin))
    along, across = x * cosine + y * sine, y * cosine - x * sine
    beyond = (along.abs() - (_of(shapes.length, rows) - 1) / 2).clamp(min=0)
    return (1 - torch.sqrt(across**2 + beyond**2)).clamp(min=0)


_SHAPES = {
    ("isotropic", "anisotropic", "generalized"): _gaussian,
    ("plateau",): _plateau,
    ("sinc",): _sinc,
    ("motion",): _motion,
}


def filtered(canvas: Canvas, weights: Tensor, before: int, direct: bool) -> Canvas:
    """Images, each correlated with its own kernel; borders are replicated.

    Args:
        weights: (N, K, K), of the type and device of the pixels.
        before: taps on the left of a pixel, and above it.
        direct: whether by sums of products, which take longer for large kernels, or by Fourier
            transform.
    """
    with torch.autocast(weights.device.type, enabled=False):
        if direct:
            return canvas.with_pixels(_summed(canvas.replicated().pixels, weights, before))
        return canvas.with_pixels(_by_transform(canvas, weights, before))


def _summed(x: Tensor, weights: Tensor, before: int) -> Tensor:
    n, channels, height, width = x.shape
    after = weights.shape[-1] - 1 - before
    padded = F.pad(x, (before, after, before, after), mode="replicate")
    planes = padded.reshape(1, n * channels, *padded.shape[-2:])
    each = weights.repeat_interleave(channels, 0)[:, None]
    return F.conv2d(planes, each, groups=n * channels).reshape(n, channels, height, width)


def _by_transform(canvas: Canvas, weights: Tensor, before: int) -> Tensor:
    """Images of a similar size together, so that small ones cost as little as they are."""
    beyond = weights.shape[-1] - 1
    groups: dict[Size, list[int]] = {}
    for row, (height, width) in enumerate(canvas.own_sizes()):
        shape = _transformed(height + beyond), _transformed(width + beyond)
        groups.setdefault(shape, []).append(row)
    images = canvas.images()
    blurred: list[Tensor] = [canvas.pixels] * len(images)
    for shape, rows in groups.items():
        padded = torch.cat([_padded(images[row], before, shape) for row in rows])
        each = weights if len(groups) == 1 else torch.stack([weights[row] for row in rows])
        response = torch.fft.rfft2(each, shape).conj()[:, None]
        together = torch.fft.irfft2(torch.fft.rfft2(padded) * response, shape)
        for row, image in zip(rows, together, strict=True):
            blurred[row] = image
    height, width = canvas.room
    if canvas.sizes is None:
        return together[..., :height, :width]
    return torch.stack(
        [
            F.pad(image[:, :h, :w], (0, width - w, 0, height - h))
            for image, (h, w) in zip(blurred, canvas.sizes, strict=True)
        ]
    )


def _padded(image: Tensor, before: int, shape: Size) -> Tensor:
    height, width = image.shape[-2:]
    after = shape[1] - width - before, shape[0] - height - before
    return F.pad(image, (before, after[0], before, after[1]), mode="replicate")


@lru_cache(maxsize=4096)
def _transformed(length: int) -> int:
    """The least multiple of 8 from ``length`` on whose Fourier transform is fast."""
    length = -(-length // 8) * 8
    while True:
        rest = length
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return length
        length += 8
