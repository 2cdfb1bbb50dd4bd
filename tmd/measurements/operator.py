"""The contract of operators, their table, and what several of them need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import torch

from tmd.errors import UserError, check_number
from tmd.measurements.canvas import Canvas, Size
from tmd.measurements.draws import Draws
from tmd.registry import Registry


class Operator:
    """One step of a measurement: (N, C, H, W) in [0, 1] -> (N, C, H / reduction, W / reduction).

    Attributes:
        name: in `MEASUREMENTS`.
        key: of the config, by which errors name it.
        probability: with which it is applied to an image.
        children: operators that it is composed of.
        reduction: of the sides.
        is_identity: as it was built, it changes no image.
        photos_only: it takes grey and RGB images of 8 bits, and no others.
        of_target: it acts on HR, so that what is trained towards changes too; such operators are
            the first ones of the list.
    """

    name = ""
    key = "measurement.operators"
    probability = 1.0
    children: Sequence[Operator] = ()
    reduction = 1
    is_identity = False
    photos_only = False
    of_target = False

    def __call__(self, x: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Images that all fill their canvas."""
        raise NotImplementedError

    def on_canvas(self, canvas: Canvas, draws: Draws) -> Canvas:
        """Images of any sizes.

        By default for operators that treat each pixel by itself, whose canvas is theirs, and for
        those with a `reduction`; others that look at neighbours begin with `Canvas.replicated`.
        """
        if self.reduction == 1 or canvas.sizes is None or canvas.every is None:
            return canvas.with_pixels(self(canvas.pixels, draws))
        # All of one size, on a canvas of others that were larger.
        height, width = canvas.sizes[0]
        pixels = self(canvas.pixels[..., :height, :width], draws)
        after = [self.sizes(each, draws, None) for each in (canvas.sizes, canvas.every)]
        return canvas.resized(pixels, *after)

    def sizes(self, before: Sequence[Size], draws: Draws, lr_size: Size | None) -> Sequence[Size]:
        """Sizes (h, w) of the images of all processes after it.

        Args:
            before: before it.
            draws: of the images of all processes, `Draws.whole`.
            lr_size: see `Canvas`.
        """
        return [(height // self.reduction, width // self.reduction) for height, width in before]

    @property
    def keeps_sizes(self) -> bool:
        """True where no image changes its size."""
        return self.reduction == 1

    def relative_size(self, before: Fraction | None, scale: int) -> Fraction | None:
        """Sides of the images after it, by those of HR; None where it depends on what is drawn.

        Args:
            before: before it, likewise.

        Raises:
            UserError: it takes no images of random sizes.
        """
        if self.reduction == 1:
            return before
        if before is None:
            raise UserError(
                f"{self.key}: {self.name} takes images of one size; after a random resize, "
                'a resize with "to": "lr" gives them theirs'
            )
        return before / self.reduction

    def precede(self, following: Operator) -> None:
        """Adapt to the operator that takes this one's result; most need not."""

    def locate(self, key: str) -> None:
        """Let errors call it, and what it is composed of, by the place in the config."""
        self.key = key
        for position, child in enumerate(self.children):
            child.locate(f"{key}.operators[{position}]")

    def walk(self) -> Iterator[Operator]:
        """It, and all that it is composed of."""
        yield self
        for child in self.children:
            yield from child.walk()


MEASUREMENTS: Registry[Callable[..., Operator]] = Registry("measurement.operators")

Range = float | Sequence[float]


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        return value

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:  # type: ignore[override]
        return gradients[0], None


def straight_through(x: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """``value`` exactly, with the gradient of ``x``."""
    return _StraightThrough.apply(x, value) if x.requires_grad else value


def checked_range(key: str, value: Any, **bounds: Any) -> tuple[float, float]:
    """Both ends of a number or [lowest, highest] from a config.

    Raises:
        UserError: it is neither, or an end is out of ``bounds``; see `check_number`.
    """
    ends = tuple(value) if isinstance(value, (list, tuple)) else (value, value)
    if len(ends) != 2:
        raise UserError(f"{key}={value!r}: must be a number or [lowest, highest]")
    for end in ends:
        check_number(key, end, **bounds)
    if ends[0] > ends[1]:
        raise UserError(f"{key}={value!r}: the first end must not be above the second")
    return ends


def checked_weights(key: str, value: Any, count: int) -> list[float]:
    """Weights of ``count`` things to choose from, from a config; None: all the same.

    Raises:
        UserError: they are not as many, one is negative, or all are 0.
    """
    if value is None:
        return [1.0] * count
    if not isinstance(value, (list, tuple)) or len(value) != count:
        raise UserError(f"{key}={value!r}: must be a list of {count} numbers")
    for weight in value:
        check_number(key, weight, 0)
    if not any(value):
        raise UserError(f"{key}={value!r}: one must be above 0")
    return [float(weight) for weight in value]
