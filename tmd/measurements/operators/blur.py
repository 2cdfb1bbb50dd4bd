"""Blur."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from tmd.errors import UserError, check_choice, check_number
from tmd.measurements.draws import Draws
from tmd.measurements.operator import MEASUREMENTS, Operator, Range, checked_range
from tmd.measurements.operators.resizing import Decimate


@MEASUREMENTS.register("blur")
class Blur(Operator):
    """Gaussian or box blur with replicated borders.

    Args:
        kernel: ``gaussian`` or ``box``.
        sigma: Gaussian's standard deviation in HR pixels, or [lowest, highest] to draw it for each
            image.
        size: the box's side in HR pixels; by default the scale, which with ``decimate`` gives the
            mean of each block.
    """

    def __init__(
        self, scale: int, kernel: str = "gaussian", sigma: Range = 1.6, size: int | None = None
    ) -> None:
        check_choice("measurement blur kernel", kernel, ("gaussian", "box"))
        self.kernel = kernel
        self.sigma = checked_range("measurement blur sigma", sigma, above=0, maximum=50)
        if kernel == "box" and size is None and scale == 1:
            raise UserError("measurement blur size=None: a box needs its size at scale=1, 3 say")
        self.size = scale if size is None else size
        check_number("measurement blur size", self.size, 1, 201, integer=True)
        self.is_identity = kernel == "box" and self.size == 1
        self.centre = 0.0

    def precede(self, following: Operator) -> None:
        if isinstance(following, Decimate):
            # Between two pixels, at the middle of a block with an even side.
            self.centre = (following.reduction - 1) / 2 % 1

    def __call__(self, x: torch.Tensor, draws: Draws) -> torch.Tensor:
        taps, first = self._taps(len(x), draws)
        n, channels, height, width = x.shape
        size = taps.shape[1]
        before, after = -first, size - 1 + first
        weight = taps.to(x.device, x.dtype, non_blocking=True).repeat_interleave(channels, 0)
        planes = x.reshape(1, n * channels, height, width)
        planes = F.pad(planes, (before, after, before, after), mode="replicate")
        with torch.autocast(x.device.type, enabled=False):
            planes = F.conv2d(planes, weight[:, None, :, None], groups=n * channels)
            planes = F.conv2d(planes, weight[:, None, None, :], groups=n * channels)
        return planes.reshape(n, channels, height, width)

    def _taps(self, n: int, draws: Draws) -> tuple[torch.Tensor, int]:
        """One-dimensional kernels (N, K), and the place of their first tap from the pixel."""
        if self.kernel == "box":
            return torch.full((n, self.size), 1 / self.size), -((self.size - 1) // 2)
        sigma = draws.uniform("sigma", self.sigma, n)
        radius = int(np.ceil(3 * self.sigma[1]))
        place = torch.arange(-radius, radius + 2 * self.centre + 1, dtype=torch.float64)
        taps = torch.exp(-((place - self.centre) ** 2) / (2 * sigma[:, None] ** 2))
        return taps / taps.sum(1, keepdim=True), -radius
