"""Operators that make images smaller."""

from __future__ import annotations

import torch

from tmd.measurements.draws import Draws
from tmd.measurements.operator import MEASUREMENTS, Operator
from tmd.resize import imresize


@MEASUREMENTS.register("bicubic")
class Bicubic(Operator):
    """MATLAB's antialiased bicubic, the field's standard measurement."""

    def __init__(self, scale: int) -> None:
        self.reduction = scale
        self.is_identity = scale == 1

    def __call__(self, x: torch.Tensor, draws: Draws) -> torch.Tensor:
        height, width = x.shape[-2:]
        return imresize(x, (height // self.reduction, width // self.reduction))


@MEASUREMENTS.register("decimate")
class Decimate(Operator):
    """One pixel of each scale × scale block.

    The central one, or the one above left of the centre where the scale is even. A blur right
    before it is centred on the block, so that LR and HR stay aligned as they are for `Bicubic`.
    """

    def __init__(self, scale: int) -> None:
        self.reduction = scale
        self.is_identity = scale == 1

    def __call__(self, x: torch.Tensor, draws: Draws) -> torch.Tensor:
        first = (self.reduction - 1) // 2
        return x[..., first :: self.reduction, first :: self.reduction]
