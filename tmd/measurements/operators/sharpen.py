"""Unsharp masking, of HR or as a camera does it."""

from __future__ import annotations

import functools

import numpy as np
import torch

from tmd.errors import check_flag, check_number
from tmd.measurements.canvas import Canvas
from tmd.measurements.draws import Draws
from tmd.measurements.operator import MEASUREMENTS, Operator, Range, checked_range


@MEASUREMENTS.register("sharpen")
class Sharpen(Operator):
    """Unsharp masking where an image differs from its blur by more than a threshold.

    Real-ESRGAN trains towards HR that is sharpened like this (Wang et al. 2021, section 3.4;
    BasicSR 1.4.2, ``USMSharp``): ``x + weight * (x - blur(x))``, clamped to [0, 1], in the softened
    mask of the pixels above the threshold.

    Args:
        weight: of the difference, or [lowest, highest] to draw it for each image.
        radius: taps a side of the Gaussian; the next odd number, and of a standard deviation of
            ``0.15 * taps + 0.35`` pixels, as OpenCV takes it.
        threshold: levels of 255.
        target: whether HR itself is sharpened, so that it is learnt; such an operator is the first
            of the list. Else the images of this place in the list are.
    """

    def __init__(
        self,
        scale: int,
        weight: Range = 0.5,
        radius: int = 50,
        threshold: float = 10,
        target: bool = True,
    ) -> None:
        name = "measurement sharpen"
        self.weight = checked_range(f"{name} weight", weight, minimum=0, maximum=10)
        check_number(f"{name} radius", radius, 3, 201, integer=True)
        check_number(f"{name} threshold", threshold, 0, 255)
        check_flag(f"{name} target", target)
        self.taps = radius + 1 - radius % 2
        self.threshold = threshold
        self.of_target = target
        self.is_identity = self.weight[1] == 0

    def __call__(self, x: torch.Tensor, draws: Draws) -> torch.Tensor:
        return self.on_canvas(Canvas(x), draws).pixels

    def on_canvas(self, canvas: Canvas, draws: Draws) -> Canvas:
        canvas = canvas.replicated()
        x = canvas.pixels
        weight = draws.uniform("weight", self.weight, len(x))[:, None, None, None]
        residual = x - self._blurred(x)
        mask = (residual.detach().abs() * 255 > self.threshold).to(x.dtype)
        mask = self._blurred(canvas.with_pixels(mask).replicated().pixels)
        sharp = x + residual * weight.to(x.device, x.dtype, non_blocking=True)
        return canvas.with_pixels(torch.lerp(x, sharp.clamp(0, 1), mask))

    def _blurred(self, x: torch.Tensor) -> torch.Tensor:
        # What other images a smaller one shares a canvas with must not reach its borders.
        border = "reflect" if self.of_target else "edge"
        down, across = (
            _blur_matrix(side, self.taps, border).to(x.device, x.dtype, non_blocking=True)
            for side in x.shape[-2:]
        )
        with torch.autocast(x.device.type, enabled=False):
            return down @ (x @ across.T)


@functools.lru_cache(maxsize=16)
def _blur_matrix(side: int, taps: int, border: str) -> torch.Tensor:
    """Gaussian blur of ``side`` pixels (side, side), for which a convolution takes longer.

    Args:
        border: ``reflect`` or ``edge``, as NumPy has them.
    """
    place = np.arange(taps) - taps // 2
    weights = np.exp(-((place / (0.15 * taps + 0.35)) ** 2) / 2)
    weights /= weights.sum()
    # NumPy reflects a single pixel as often as it takes.
    source = np.pad(np.arange(side), taps // 2, mode=border)  # type: ignore[call-overload]
    matrix = np.zeros((side, side))
    for tap in range(taps):
        np.add.at(matrix, (np.arange(side), source[tap : tap + side]), weights[tap])
    return torch.from_numpy(matrix)
