"""The contract of operators, their table, and what several of them need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from tmd.errors import UserError, check_number
from tmd.measurements.draws import Draws
from tmd.registry import Registry


class Operator:
    """One step of a measurement: (N, C, H, W) in [0, 1] -> (N, C, H / reduction, W / reduction).

    Attributes:
        reduction: of the sides.
        is_identity: as it was built, it changes no image.
        photos_only: it takes grey and RGB images of 8 bits, and no others.
    """

    reduction = 1
    photos_only = False
    is_identity = False

    def __call__(self, x: torch.Tensor, draws: Draws) -> torch.Tensor:
        raise NotImplementedError

    def precede(self, following: Operator) -> None:
        """Adapt to the operator that takes this one's result; most need not."""


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
