"""Resizing by a random factor and a random filter, anywhere in the list."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import torch

from tmd.errors import UserError, check_choice, check_flag
from tmd.measurements.canvas import Canvas, Size
from tmd.measurements.draws import Draws
from tmd.measurements.operator import MEASUREMENTS, Operator, Range, checked_range, checked_weights
from tmd.measurements.resampling import FILTERS, resampled


@MEASUREMENTS.register("resize")
class Resize(Operator):
    """Resizing to a random size by a random filter, for each image its own.

    Sizes are rounded down, to at least one pixel. LR and HR stay aligned, whatever the sizes.

    Args:
        factor: of the sides, or [lowest, highest] to draw it for each image; by default 1, where
            ``to`` is given.
        filter: ``bicubic``, ``bilinear``, ``area``, ``nearest`` or ``lanczos``, or a list to draw
            it from; as torch's ``interpolate`` has them, Lanczos as Pillow has it.
        weights: how often an image is enlarged, reduced and kept: the factor is then between 1 and
            its highest, between its lowest and 1, or 1.
        to: ``lr``: the factor is of the size that LR has in the end, instead of the image's own.
        antialias: whether bicubic, bilinear and lanczos are stretched when reducing, as Pillow and
            MATLAB have it, and OpenCV and Real-ESRGAN have not.
        inverse: whether 1 / factor is drawn uniformly, instead of the factor; without weights.
    """

    def __init__(
        self,
        scale: int,
        factor: Range | None = None,
        filter: str | Sequence[str] = "bicubic",
        weights: Sequence[float] | None = None,
        to: str | None = None,
        antialias: bool = False,
        inverse: bool = False,
    ) -> None:
        name = "measurement resize"
        self.scale = scale
        self.to = to
        if to is not None:
            check_choice(f"{name} to", to, ("lr",))
        elif factor is None:
            raise UserError(f'{name} factor=None: must be given unless "to" is "lr"')
        bounds = {"minimum": 1 / 64, "maximum": 64}
        self.factor = checked_range(f"{name} factor", 1 if factor is None else factor, **bounds)
        self.filters = [filter] if isinstance(filter, str) else list(filter)
        if not self.filters:
            raise UserError(f"{name} filter=[]: must be one of {', '.join(FILTERS)}")
        for each in self.filters:
            check_choice(f"{name} filter", each, FILTERS)
        check_flag(f"{name} antialias", antialias)
        self.antialias = antialias
        check_flag(f"{name} inverse", inverse)
        self.inverse = inverse
        self.weights = None
        if weights is not None:
            if inverse:
                raise UserError(f"{name} inverse=True: does not go with weights of up, down, keep")
            self.weights = checked_weights(f"{name} weights", weights, 3)
            if not self.factor[0] <= 1 <= self.factor[1]:
                raise UserError(
                    f"{name} factor={list(self.factor)}: with weights of up, down and keep, 1 must "
                    "be between its ends"
                )

    @property
    def keeps_sizes(self) -> bool:
        return self.to is None and self.factor == (1, 1)

    @property
    def is_identity(self) -> bool:  # type: ignore[override]
        return self.factor == (1, 1) and (self.to is None or self.scale == 1)

    def relative_size(self, before: Fraction | None, scale: int) -> Fraction | None:
        if self.keeps_sizes:
            return before
        start = before
        if self.to == "lr":
            start = Fraction(1, scale)
        if before is not None and scale % before.denominator:
            raise UserError(
                f"{self.key}: what is before it reduces the size by {1 / before}, by which HR's "
                f"sides, multiples of scale={scale}, need not divide"
            )
        if start is None or self.factor[0] != self.factor[1] or self.weights is not None:
            return start if self.factor == (1, 1) else None
        after = start * Fraction(self.factor[0]).limit_denominator(10_000)
        return after if scale % after.denominator == 0 else None

    def sizes(self, before: Sequence[Size], draws: Draws, lr_size: Size | None) -> Sequence[Size]:
        factors = self._factors(draws, len(before))
        start = before if self.to is None else [self._lr_size(before[0], lr_size)] * len(before)
        return [
            (_rounded(height * factor), _rounded(width * factor))
            for (height, width), factor in zip(start, factors, strict=True)
        ]

    def __call__(self, x: torch.Tensor, draws: Draws) -> torch.Tensor:
        return self.on_canvas(Canvas(x), draws).pixels

    def on_canvas(self, canvas: Canvas, draws: Draws) -> Canvas:
        n = len(canvas)
        whole, total = draws.whole(n)
        before = canvas.every_size(total)
        every = self.sizes(before, whole, canvas.lr_size)
        places = draws.places(n)
        chosen = draws.choice("filter", [1.0] * len(self.filters), n)
        filters = [self.filters[place] for place in chosen]
        factors = self._factors(whole, total)
        draws.note("factor", [factors[place] for place in places])
        draws.note("filter", filters)
        if list(every) == list(before):
            return canvas
        sizes = [every[place] for place in places]
        return resampled(canvas, sizes, every, filters, self.antialias)

    def _factors(self, draws: Draws, n: int) -> list[float]:
        lowest, highest = self.factor
        if self.inverse:
            return (1 / draws.uniform("factor", (1 / highest, 1 / lowest), n)).tolist()
        if self.weights is None:
            return draws.uniform("factor", self.factor, n).tolist()
        ways = [(1.0, highest), (lowest, 1.0), (1.0, 1.0)]
        shares = draws.uniform("factor", (0, 1), n).tolist()
        chosen = draws.choice("way", self.weights, n)
        return [
            ways[way][0] + (ways[way][1] - ways[way][0]) * share
            for way, share in zip(chosen, shares, strict=True)
        ]

    def _lr_size(self, room: Size, lr_size: Size | None) -> Size:
        return lr_size or (room[0] // self.scale, room[1] // self.scale)


def _rounded(side: float) -> int:
    # 0.29 * 100 is a hair below 29 in floating point.
    return max(1, math.floor(round(side, 6)))
