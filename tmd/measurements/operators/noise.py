"""Noise."""

from __future__ import annotations

import torch

from tmd.measurements.draws import Draws
from tmd.measurements.operator import MEASUREMENTS, Operator, Range, checked_range


@MEASUREMENTS.register("noise")
class Noise(Operator):
    """Additive white Gaussian noise.

    Args:
        sigma: standard deviation in [0, 1] units (0.02 is 5 levels of 255), or [lowest, highest] to
            draw it for each image.
    """

    def __init__(self, scale: int, sigma: Range = 0.02) -> None:
        self.sigma = checked_range("measurement noise sigma", sigma, minimum=0, maximum=1)
        self.is_identity = self.sigma[1] == 0

    def __call__(self, x: torch.Tensor, draws: Draws) -> torch.Tensor:
        sigma = draws.uniform("sigma", self.sigma, len(x))[:, None, None, None]
        noise = draws.normal("noise", x)
        return x + noise * sigma.to(x.device, x.dtype, non_blocking=True)
