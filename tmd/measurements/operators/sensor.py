"""A camera's sensor: one colour for each pixel, its noise, and the colours interpolated."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from tmd.errors import check_choice
from tmd.measurements.canvas import Canvas
from tmd.measurements.demosaicing import DEMOSAICINGS, PATTERNS, demosaiced, mosaic
from tmd.measurements.draws import Draws
from tmd.measurements.operator import MEASUREMENTS, Operator, Range, checked_range, straight_through

# What is interpolated from: two pixels beyond the border.
_BORDER = 2


@MEASUREMENTS.register("sensor")
class Sensor(Operator):
    """The way of light through a camera: linear, mosaicked, noisy, and developed again.

    sRGB is made linear, divided by the gains of the white balance, sampled in Bayer's pattern, and
    gets the photons' (shot) and the electronics' (read) noise; then the gains are multiplied back,
    the colours interpolated, and sRGB's curve is applied. Without noise and mosaic nothing would
    change. Ranges by default, and the tie between both noises, are those of Brooks et al. 2019
    (arXiv:1811.11127, sections 3.1 and 3.3). Grey images get the noise alone.

    Args:
        shot: variance of the photons' noise at white, or [lowest, highest] to draw it for each
            image, uniformly in its logarithm.
        read: standard deviation of the electronics' noise in [0, 1] units, or [lowest, highest];
            None: drawn around what cameras with such a ``shot`` have.
        red, blue: gains of the white balance, or [lowest, highest].
        cast: factor by which the gains that are multiplied back are off, red and blue each, or
            [lowest, highest]; 1 is a right white balance.
        pattern: colours of the upper left 2 × 2 pixels: ``RGGB``, ``BGGR``, ``GRBG``, ``GBRG``.
        demosaicing: ``malvar`` (Malvar, He and Cutler 2004) or ``bilinear``.
    """

    photos_only = True

    def __init__(
        self,
        scale: int,
        shot: Range = (0.0001, 0.012),
        read: Range | None = None,
        red: Range = (1.9, 2.4),
        blue: Range = (1.5, 1.9),
        cast: Range = 1.0,
        pattern: str = "RGGB",
        demosaicing: str = "malvar",
    ) -> None:
        name = "measurement sensor"
        self.shot = checked_range(f"{name} shot", shot, minimum=1e-9, maximum=1)
        self.read = None
        if read is not None:
            self.read = checked_range(f"{name} read", read, minimum=0, maximum=1)
        self.gains = {
            key: checked_range(f"{name} {key}", value, minimum=0.1, maximum=10)
            for key, value in (("red", red), ("blue", blue))
        }
        self.cast = checked_range(f"{name} cast", cast, minimum=0.1, maximum=10)
        check_choice(f"{name} pattern", pattern, PATTERNS)
        check_choice(f"{name} demosaicing", demosaicing, tuple(DEMOSAICINGS))
        self.pattern = pattern
        self.demosaicing = demosaicing

    def on_canvas(self, canvas: Canvas, draws: Draws) -> Canvas:
        return super().on_canvas(canvas.replicated(), draws)

    def __call__(self, x: torch.Tensor, draws: Draws) -> torch.Tensor:
        linear = to_linear(_clamped(x))
        is_grey = x.shape[1] == 1
        gains = None if is_grey else self._factors(draws, x)
        if gains is not None:
            linear = F.pad(linear / gains[0], (_BORDER,) * 4, mode="replicate")
            linear = mosaic(linear, self.pattern)
        shot, read = (
            each.to(x.device, x.dtype, non_blocking=True)[:, None, None, None]
            for each in self._variances(draws, len(x))
        )
        deviation = (linear.detach() * shot + read).sqrt()
        light = _clamped(linear + deviation * draws.normal("noise", linear))
        if gains is not None:
            # Balanced before they are interpolated, so that edges have no colour.
            balanced = light * mosaic(gains[1].expand(-1, -1, *light.shape[-2:]), self.pattern)
            light = demosaiced(balanced, self.pattern, DEMOSAICINGS[self.demosaicing])
        return from_linear(_clamped(light))

    def _factors(self, draws: Draws, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Gains (N, 3, 1, 1) that are divided by, and those that are multiplied with."""
        n = len(x)
        one = torch.ones(n, dtype=torch.float64)
        red, blue = (draws.uniform(key, self.gains[key], n) for key in ("red", "blue"))
        casts = [draws.uniform(f"cast {key}", self.cast, n) for key in ("red", "blue")]
        divided = torch.stack((red, one, blue), 1)
        restored = divided * torch.stack((casts[0], one, casts[1]), 1)
        first, second = (
            each[:, :, None, None].to(x.device, x.dtype, non_blocking=True)
            for each in (divided, restored)
        )
        return first, second

    def _variances(self, draws: Draws, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Shot noise's variance at white, and read noise's, each (N,)."""
        lowest, highest = map(math.log, self.shot)
        shot = draws.uniform("shot", (lowest, highest), n)
        if self.read is not None:
            read = draws.uniform("read", self.read, n) ** 2
        else:
            around = draws.normal("read", torch.zeros(n, dtype=torch.float64))
            read = (2.18 * shot + 1.20 + 0.26 * around).exp()
        draws.note("shot", shot.exp().tolist())
        draws.note("read", read.sqrt().tolist())
        return shot.exp(), read


def _clamped(x: torch.Tensor) -> torch.Tensor:
    return straight_through(x, x.detach().clamp(0, 1))


def to_linear(x: torch.Tensor) -> torch.Tensor:
    """Light of sRGB values in [0, 1] (IEC 61966-2-1), any shape."""
    bright = ((x.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4
    return torch.where(x <= 0.04045, x / 12.92, bright)


def from_linear(x: torch.Tensor) -> torch.Tensor:
    """Values of sRGB for light in [0, 1], any shape."""
    bright = 1.055 * x.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(x <= 0.0031308, 12.92 * x, bright)
