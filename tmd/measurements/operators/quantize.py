"""Rounding to the levels that a file can hold."""

from __future__ import annotations

import torch

from tmd.errors import check_number
from tmd.images import rounded_to
from tmd.measurements.draws import Draws
from tmd.measurements.operator import MEASUREMENTS, Operator, straight_through


@MEASUREMENTS.register("quantize")
class Quantize(Operator):
    """Clamps to [0, 1] and rounds to the levels of a file; the gradient passes as if it did not.

    A generator whose results are measured again would get no gradient where they are out of range,
    and could not come back.

    Args:
        bits: 1 to 16; None only clamps.
        levels: the number of steps from 0 to 1, instead of ``bits``.
    """

    def __init__(self, scale: int, bits: int | None = 8, levels: float | None = None) -> None:
        if bits is not None:
            check_number("measurement quantize bits", bits, 1, 16, integer=True)
        if levels is not None:
            check_number("measurement quantize levels", levels, 1)
        self.levels = levels or (None if bits is None else 2**bits - 1)

    def __call__(self, x: torch.Tensor, draws: Draws) -> torch.Tensor:
        value = x.detach()
        value = value.clamp(0, 1) if self.levels is None else rounded_to(value, self.levels)
        return straight_through(x, value)
