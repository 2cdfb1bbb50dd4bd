"""Colours that are off: brightness, contrast, saturation, gamma."""

from __future__ import annotations

import torch

from tmd.errors import check_flag
from tmd.measurements.canvas import Canvas
from tmd.measurements.draws import Draws
from tmd.measurements.operator import MEASUREMENTS, Operator, Range, checked_range, straight_through

# BT.601, as torchvision's grey has it.
_LUMA = (0.2989, 0.587, 0.114)
_FACTORS = ("brightness", "contrast", "saturation", "gamma")


@MEASUREMENTS.register("colour")
class Colour(Operator):
    """Changes of brightness, contrast, saturation and gamma, in this order.

    Each is as torchvision's ``adjust_…`` has it and ends clamped to [0, 1]; 1 changes nothing.

    Args:
        brightness: factor, or [lowest, highest] to draw it for each image.
        contrast: factor of the differences from the mean luma, likewise.
        saturation: factor of the differences from the pixel's luma, likewise; of images that are
            not RGB it changes nothing.
        gamma: exponent, likewise.
        target: whether HR itself is changed, so that it is learnt; such an operator is among the
            first of the list.
    """

    def __init__(
        self,
        scale: int,
        brightness: Range = 1.0,
        contrast: Range = 1.0,
        saturation: Range = 1.0,
        gamma: Range = 1.0,
        target: bool = False,
    ) -> None:
        name = "measurement colour"
        given = (brightness, contrast, saturation, gamma)
        self.ranges = {
            key: checked_range(f"{name} {key}", value, minimum=0.01, maximum=10)
            for key, value in zip(_FACTORS, given, strict=True)
        }
        check_flag(f"{name} target", target)
        self.of_target = target
        self.is_identity = all(ends == (1, 1) for ends in self.ranges.values())

    def __call__(self, x: torch.Tensor, draws: Draws) -> torch.Tensor:
        return self.on_canvas(Canvas(x), draws).pixels

    def on_canvas(self, canvas: Canvas, draws: Draws) -> Canvas:
        for key, ends in self.ranges.items():
            if ends == (1, 1):
                continue
            factor = draws.uniform(key, ends, len(canvas))[:, None, None, None]
            x = canvas.pixels
            factor = factor.to(x.device, x.dtype, non_blocking=True)
            if key == "gamma":
                # The slope at 0 would be without bound.
                changed = x.clamp(min=1e-6) ** factor
            elif key == "brightness":
                changed = x * factor
            else:
                middle = _luma(x) if key == "saturation" else _mean_luma(canvas)
                changed = middle + (x - middle) * factor
            clamped = straight_through(changed, changed.detach().clamp(0, 1))
            canvas = canvas.with_pixels(clamped)
        return canvas


def _luma(x: torch.Tensor) -> torch.Tensor:
    """Luma (N, 1, H, W) of RGB; other images as they are."""
    if x.shape[1] != 3:
        return x
    return (x * x.new_tensor(_LUMA)[:, None, None]).sum(1, keepdim=True)


def _mean_luma(canvas: Canvas) -> torch.Tensor:
    """Mean of each image, without what is beyond it, (N, 1, 1, 1)."""
    return torch.cat([_luma(image).mean((1, 2, 3), keepdim=True) for image in canvas.images()])
