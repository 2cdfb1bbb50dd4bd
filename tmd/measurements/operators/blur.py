"""Blur."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from tmd.errors import UserError, check_choice, check_number
from tmd.measurements.canvas import Canvas
from tmd.measurements.draws import Draws
from tmd.measurements.kernels import KERNELS
from tmd.measurements.operator import MEASUREMENTS, Operator, Range, checked_range
from tmd.measurements.operators.kernel_blur import KernelBlur
from tmd.measurements.operators.resizing import Decimate

_NAME = "measurement blur"


class SeparableBlur(Operator):
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
        self.kernel = kernel
        self.sigma = checked_range(f"{_NAME} sigma", sigma, above=0, maximum=50)
        if kernel == "box" and size is None and scale == 1:
            raise UserError(f"{_NAME} size=None: a box needs its size at scale=1, 3 say")
        self.size = scale if size is None else size
        check_number(f"{_NAME} size", self.size, 1, 201, integer=True)
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

    def on_canvas(self, canvas: Canvas, draws: Draws) -> Canvas:
        return super().on_canvas(canvas.replicated(), draws)

    def _taps(self, n: int, draws: Draws) -> tuple[torch.Tensor, int]:
        """One-dimensional kernels (N, K), and the place of their first tap from the pixel."""
        if self.kernel == "box":
            return torch.full((n, self.size), 1 / self.size), -((self.size - 1) // 2)
        sigma = draws.uniform("sigma", self.sigma, n)
        radius = int(np.ceil(3 * self.sigma[1]))
        place = torch.arange(-radius, radius + 2 * self.centre + 1, dtype=torch.float64)
        taps = torch.exp(-((place - self.centre) ** 2) / (2 * sigma[:, None] ** 2))
        return taps / taps.sum(1, keepdim=True), -radius


@MEASUREMENTS.register("blur")
def create_blur(
    scale: int,
    kernel: str | Sequence[str] = "gaussian",
    sigma: Range = 1.6,
    size: int | Sequence[int] | None = None,
    weights: Sequence[float] | None = None,
    sigma_y: Range | None = None,
    rotation: Range | None = None,
    beta: Range | None = None,
    plateau_beta: Range | None = None,
    cutoff: Range | None = None,
    length: Range | None = None,
    variance: bool | None = None,
) -> Operator:
    """Blur with replicated borders, its width in pixels of what it gets.

    Every range is a number or [lowest, highest], to draw it for each image.

    Args:
        kernel: ``gaussian`` or ``box``, of any width and fast; or one of `KERNELS`, or a list of
            these to draw it from.
        sigma: standard deviation of the Gaussian, the plateau's likewise; of the anisotropic ones
            along the first axis.
        size: taps a side of the kernel, odd, or [lowest, highest], each odd number as often; 21 by
            default. The box's side: by default the scale, which with ``decimate`` gives the mean of
            each block.
        weights: how often each of the kernels is chosen; by default all as often.
        sigma_y: of anisotropic kernels along the second axis; by default as ``sigma``, drawn anew.
        rotation: of their axes, and of motion, in degrees; by default any.
        beta: exponent of the generalised Gaussian, 1 for the Gaussian; [0.5, 4] by default. In a
            range that holds 1, as often below it as above.
        plateau_beta: exponent of the plateau; [1, 2] by default, likewise.
        cutoff: of the sinc, in radians a pixel, at most pi; by default from pi/5 on, for kernels of
            less than 13 taps from pi/3 on.
        length: of motion, in pixels; [3, 7] by default.
        variance: whether the squares of ``sigma`` and ``sigma_y`` are drawn uniformly, instead of
            themselves.

    Raises:
        UserError: a value that can't be, or that the kernel does not have.
    """
    own: dict[str, Any] = {
        "weights": weights,
        "sigma_y": sigma_y,
        "rotation": rotation,
        "beta": beta,
        "plateau_beta": plateau_beta,
        "cutoff": cutoff,
        "length": length,
        "variance": variance,
    }
    given = {key: value for key, value in own.items() if value is not None}
    if isinstance(kernel, str):
        check_choice(f"{_NAME} kernel", kernel, ("gaussian", "box", *KERNELS))
        if kernel not in KERNELS:
            for key, value in given.items():
                raise UserError(f"{_NAME} {key}={value!r}: {kernel} has none")
            return SeparableBlur(scale, kernel, sigma, size)  # type: ignore[arg-type]
        kernel = [kernel]
    return KernelBlur(kernel, sigma=sigma, size=21 if size is None else size, **given)
