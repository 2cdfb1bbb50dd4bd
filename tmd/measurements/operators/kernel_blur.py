"""Blur by two-dimensional kernels of many shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from tmd.errors import UserError, check_choice, check_flag, check_number
from tmd.measurements.canvas import Canvas
from tmd.measurements.draws import Draws
from tmd.measurements.kernels import DIRECT, KERNELS, Shapes, filtered, kernels
from tmd.measurements.operator import Operator, Range, checked_range, checked_weights
from tmd.measurements.operators.resizing import Decimate

_NAME = "measurement blur"


class KernelBlur(Operator):
    """Blur by a two-dimensional kernel, for each image its own, with replicated borders.

    Args, and errors: see `tmd.measurements.operators.blur.create_blur`.
    """

    def __init__(
        self,
        kernel: Sequence[str],
        weights: Sequence[float] | None = None,
        sigma: Range = 1.6,
        sigma_y: Range | None = None,
        size: int | Sequence[int] = 21,
        rotation: Range = (-180, 180),
        beta: Range = (0.5, 4),
        plateau_beta: Range = (1, 2),
        cutoff: Range | None = None,
        length: Range = (3, 7),
        variance: bool = False,
    ) -> None:
        if not isinstance(kernel, (list, tuple)) or not kernel:
            raise UserError(f"{_NAME} kernel={kernel!r}: must be a name or a list of names")
        for each in kernel:
            check_choice(f"{_NAME} kernel", each, tuple(KERNELS))
        self.kernels = kernel
        self.weights = checked_weights(f"{_NAME} weights", weights, len(kernel))
        width = {"above": 0, "maximum": 50}
        self.sigma = checked_range(f"{_NAME} sigma", sigma, **width)
        self.sigma_y = self.sigma
        if sigma_y is not None:
            self.sigma_y = checked_range(f"{_NAME} sigma_y", sigma_y, **width)
        check_flag(f"{_NAME} variance", variance)
        self.variance = variance
        self.size = _checked_size(size)
        self.rotation = checked_range(f"{_NAME} rotation", rotation, minimum=-360, maximum=360)
        exponent = {"above": 0, "maximum": 16}
        self.beta = checked_range(f"{_NAME} beta", beta, **exponent)
        self.plateau_beta = checked_range(f"{_NAME} plateau_beta", plateau_beta, **exponent)
        self.cutoff = None
        if cutoff is not None:
            self.cutoff = checked_range(f"{_NAME} cutoff", cutoff, above=0, maximum=3.1416)
        self.length = checked_range(f"{_NAME} length", length, minimum=1, maximum=201)
        if "motion" in kernel and self.length[1] > self.size[0]:
            raise UserError(
                f"{_NAME} length={length!r}: must be at most size={self.size[0]}, which "
                "holds the line"
            )
        self.centre = 0.0

    def precede(self, following: Operator) -> None:
        if isinstance(following, Decimate):
            self.centre = (following.reduction - 1) / 2 % 1

    def __call__(self, x: torch.Tensor, draws: Draws) -> torch.Tensor:
        return self.on_canvas(Canvas(x), draws).pixels

    def on_canvas(self, canvas: Canvas, draws: Draws) -> Canvas:
        shapes = self.shapes(draws, len(canvas))
        self._note(draws, shapes)
        largest, x = self.size[1], canvas.pixels
        each = kernels(shapes, largest, self.centre).to(x.dtype).to(x.device, non_blocking=True)
        return filtered(canvas, each, largest // 2, largest <= DIRECT)

    def shapes(self, draws: Draws, n: int) -> Shapes:
        """Parameters drawn for the kernels of ``n`` images."""
        names = [self.kernels[place] for place in draws.choice("kernel", self.weights, n)]
        size = self._size(draws, n)
        sigma = sigma_y = rotation = cutoff = length = torch.zeros(n, dtype=torch.float64)
        if self._has("iso", "aniso", "generalized", "plateau"):
            sigma = sigma_y = self._width("sigma", self.sigma, draws, n)
        if any(KERNELS[name] for name in self.kernels):
            is_wide = torch.tensor([KERNELS[name] for name in names])
            sigma_y = torch.where(is_wide, self._width("sigma_y", self.sigma_y, draws, n), sigma)
        if self._has("aniso", "generalized_aniso", "plateau_aniso", "motion"):
            rotation = torch.deg2rad(draws.uniform("rotation", self.rotation, n))
        if self._has("sinc"):
            cutoff = self._cutoff(draws, size)
        if self._has("motion"):
            length = draws.uniform("length", self.length, n)
        beta = self._beta(draws, names)
        return Shapes(names, size, sigma, sigma_y, rotation, beta, cutoff, length)

    def _has(self, *starts: str) -> bool:
        """Return whether a kernel whose name begins with one of ``starts`` can be drawn."""
        return any(name.startswith(starts) for name in self.kernels)

    def _width(self, key: str, ends: tuple[float, float], draws: Draws, n: int) -> torch.Tensor:
        if not self.variance:
            return draws.uniform(key, ends, n)
        lowest, highest = ends
        return draws.uniform(key, (lowest**2, highest**2), n).sqrt()

    def _size(self, draws: Draws, n: int) -> torch.Tensor:
        """Odd numbers, each as often."""
        smallest, largest = self.size
        count = (largest - smallest) // 2 + 1
        steps = draws.uniform("size", (0, count), n).floor().clamp(max=count - 1)
        return smallest + 2 * steps

    def _beta(self, draws: Draws, names: Sequence[str]) -> torch.Tensor:
        if not self._has("generalized", "plateau"):
            return torch.ones(len(names), dtype=torch.float64)
        share, side = (draws.uniform(key, (0, 1), len(names)) for key in ("beta", "side"))
        values = torch.ones(len(names), dtype=torch.float64)
        for start, ends in (("generalized", self.beta), ("plateau", self.plateau_beta)):
            of_kind = torch.tensor([name.startswith(start) for name in names])
            values = torch.where(of_kind, _exponents(ends, share, side), values)
        return values

    def _cutoff(self, draws: Draws, size: torch.Tensor) -> torch.Tensor:
        if self.cutoff is not None:
            return draws.uniform("cutoff", self.cutoff, len(size))
        lowest = torch.where(size < 13, math.pi / 3, math.pi / 5)
        return lowest + (math.pi - lowest) * draws.uniform("cutoff", (0, 1), len(size))

    def _note(self, draws: Draws, shapes: Shapes) -> None:
        """Tell the log of what plays a part in each image's kernel."""
        if draws.notes is None:
            return
        draws.note("side", None)
        draws.note("kernel", shapes.names)
        draws.note("size", [int(size) for size in shapes.size])
        rotation = torch.rad2deg(shapes.rotation)
        for key, values, of in (
            ("sigma", shapes.sigma, ("iso", "aniso", "generalized", "plateau")),
            ("sigma_y", shapes.sigma_y, ("aniso", "generalized_aniso", "plateau_aniso")),
            ("rotation", rotation, ("aniso", "generalized_aniso", "plateau_aniso", "motion")),
            ("beta", shapes.beta, ("generalized", "plateau")),
            ("cutoff", shapes.cutoff, ("sinc",)),
            ("length", shapes.length, ("motion",)),
        ):
            noted = zip(shapes.names, values.tolist(), strict=True)
            draws.note(key, [value if name.startswith(of) else None for name, value in noted])


def _checked_size(value: Any) -> tuple[int, int]:
    """Both ends of an odd number of taps, or of [lowest, highest]."""
    ends = tuple(value) if isinstance(value, (list, tuple)) else (value, value)
    if len(ends) != 2:
        raise UserError(f"{_NAME} size={value!r}: must be an odd number or [lowest, highest]")
    for end in ends:
        check_number(f"{_NAME} size", end, 1, 201, integer=True)
        if end % 2 == 0:
            raise UserError(f"{_NAME} size={value!r}: must be odd, so that it has a middle")
    if ends[0] > ends[1]:
        raise UserError(f"{_NAME} size={value!r}: the first end must not be above the second")
    return ends


def _exponents(ends: tuple[float, float], share: torch.Tensor, side: torch.Tensor) -> torch.Tensor:
    """As often below 1, which is the Gaussian's, as above, where both are in the range."""
    lowest, highest = ends
    if not lowest <= 1 <= highest:
        return lowest + (highest - lowest) * share
    return torch.where(side < 0.5, lowest + (1 - lowest) * share, 1 + (highest - 1) * share)
