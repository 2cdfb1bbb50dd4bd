"""A measurement: a list of operators from a config, applied one after the other."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import takewhile
from typing import Any

import torch

from tmd.distributed import ALONE, Share
from tmd.errors import UserError
from tmd.images import EIGHT_BITS, ImageKind
from tmd.measurements.building import build_chain, entry
from tmd.measurements.canvas import Canvas
from tmd.measurements.composition import Chain, applied, is_kept
from tmd.measurements.draws import Draws, Log
from tmd.measurements.operators.quantize import Quantize

#: The spec of LR images that nothing here makes: they are given.
GIVEN = ({"name": "given"},)

_KEY = "measurement.operators"


def is_given(operators: Sequence[str | Mapping[str, Any]]) -> bool:
    """Return whether a list of operators says that LR is given.

    >>> is_given(["given"]), is_given(["bicubic"])
    (True, False)
    """
    return list(operators) in (["given"], [*GIVEN])


class Measurement:
    """HR -> LR as a list of operators says; made by `create_measurement`.

    Attributes:
        chain: the operators.
        scale: the factor between HR and LR.
        spec: the list that makes the same measurement again, JSON-able.
        share: which rows of each batch it is given; see `of_share`.
    """

    def __init__(self, chain: Chain, spec: list[dict], scale: int, seed: int, stream: str) -> None:
        self.chain = chain
        self.spec = spec
        self.scale = scale
        self.seed = seed
        self.stream = stream
        self.share = ALONE
        self._head = len(list(takewhile(lambda child: child.of_target, chain.children)))

    @property
    def changes_target(self) -> bool:
        """True where `target` is not HR itself."""
        return self._head > 0

    def changes_nothing(self, kind: ImageKind) -> bool:
        """Return whether every image of that kind stays as it is."""
        return all(
            (child.levels or math.inf) >= (kind.levels or math.inf)
            if isinstance(child, Quantize)
            else is_kept(child)
            for child in self.chain.children
        )

    def __call__(self, hr: torch.Tensor, index: int = 0) -> torch.Tensor:
        """Make the LR images of a batch.

        Args:
            hr: (N, C, H, W) in [0, 1], H and W multiples of the scale.
            index: the batch's number; random parameters depend on it alone.

        Returns:
            (N, C, H / scale, W / scale) in [0, 1]. Rounding to 8 bits lets the gradient through.
        """
        return self.pair(hr, index)[0]

    def target(self, hr: torch.Tensor, index: int = 0) -> torch.Tensor:
        """HR to train towards: after the operators at the head of the list that act on HR.

        Args, and errors: as those of the call.
        """
        return self._applied(self._canvas(hr), index, 0, self._head, None).pixels

    def pair(
        self, hr: torch.Tensor, index: int = 0, log: Log | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """LR, as the call makes it, and HR, as `target` does, of a batch.

        Args:
            log: gets what is drawn for each image.
        """
        target = self._applied(self._canvas(hr), index, 0, self._head, log)
        lr = self._applied(target, index, self._head, len(self.chain.children), log)
        return lr.pixels, target.pixels

    def of_share(self, share: Share) -> Measurement:
        """The same, for batches of which only the rows of ``share`` are given."""
        other = copy.copy(self)
        other.share = share
        return other

    def _canvas(self, hr: torch.Tensor) -> Canvas:
        height, width = hr.shape[-2:]
        if height % self.scale or width % self.scale:
            raise ValueError(f"size {(height, width)} is no multiple of scale {self.scale}")
        return Canvas(hr, lr_size=(height // self.scale, width // self.scale))

    def _applied(
        self, canvas: Canvas, index: int, first: int, stop: int, log: Log | None
    ) -> Canvas:
        draws = Draws((self.seed, self.stream, index), self.share, log=log)
        for position in range(first, stop):
            canvas = applied(self.chain.children[position], canvas, draws.of(position))
        return canvas


def create_measurement(
    operators: Sequence[str | Mapping[str, Any]],
    scale: int,
    seed: int = 0,
    stream: str = "measurement",
    kind: ImageKind = EIGHT_BITS,
) -> Measurement:
    """Build a measurement from a config's list.

    Args:
        operators: names, or dicts with a ``name`` and options, in the order in which they act:
            ``["bicubic"]`` or ``[{"name": "blur", "sigma": [0.8, 1.6]}, "decimate",
            {"name": "noise", "sigma": 0.02}]``. Together they must reduce the size by ``scale``.
            Unless the list ends with a ``quantize`` of its own, rounding to the levels of
            ``kind`` is added.
        scale: factor between HR and LR.
        seed, stream: what the random parameters are drawn from, with the batch's index.
        kind: of the images.

    Raises:
        UserError: an operator or option that does not exist, a value out of range, a list that
            does not reduce by ``scale``, or an operator that such images can't be given to.

    Example:
        >>> measure = create_measurement(["bicubic", {"name": "noise", "sigma": 0.02}], scale=4)
        >>> measure(torch.rand(2, 3, 32, 32)).shape
        torch.Size([2, 3, 8, 8])
    """
    if isinstance(operators, (str, Mapping)) or not isinstance(operators, Sequence):
        raise UserError(f"{_KEY}={operators!r}: must be a list")
    spec = [entry(operator, f"{_KEY}[{i}]") for i, operator in enumerate(operators)]
    if not any(each["name"] == "quantize" for each in spec):
        spec.append(_quantize(kind))
    if spec[-1]["name"] != "quantize" or spec[-1].get("probability", 1) != 1:
        raise UserError(f"{_KEY}: quantize must be the last of the list, for all images")
    chain = build_chain(spec, scale, _KEY)
    chain.locate(_KEY)
    _check_kind(chain, kind)
    _check_target(chain)
    _check_size(chain.relative_size(Fraction(1), scale), scale)
    return Measurement(chain, spec, scale, seed, stream)


def _check_kind(chain: Chain, kind: ImageKind) -> None:
    if kind.is_eight_bit and kind.channels in (1, 3):
        return
    for operator in chain.walk():
        if operator.photos_only:
            raise UserError(
                f"{operator.key}: {operator.name} takes grey and RGB images of 8 bits; "
                f"these have {kind.channels} channels of {kind.dtype}"
            )


def _check_target(chain: Chain) -> None:
    inside = chain.children[sum(1 for _ in takewhile(lambda c: c.of_target, chain.children)) :]
    for operator in (each for child in inside for each in child.walk()):
        if operator.of_target:
            raise UserError(
                f"{operator.key}: {operator.name} changes HR, so that it must be the first of "
                "the list"
            )


def _check_size(relative: Fraction | None, scale: int) -> None:
    """Raise `UserError` unless images leave the list with HR's size divided by ``scale``."""
    if relative is None:
        raise UserError(
            f"{_KEY}: images leave the list with sizes that depend on what is drawn; "
            f'{{"name": "resize", "to": "lr"}} near its end gives all HR\'s size / scale={scale}'
        )
    if relative != Fraction(1, scale):
        raise UserError(
            f"{_KEY}: the list reduces the size by {1 / relative}, not by scale={scale}; it must "
            'hold exactly one of bicubic, decimate, {"name": "resize", "to": "lr"}'
        )


def _quantize(kind: ImageKind) -> dict[str, Any]:
    """Rounding to what a file of this kind can hold."""
    if kind.is_eight_bit:
        return {"name": "quantize"}
    if kind.levels == 65535:
        return {"name": "quantize", "bits": 16}
    if kind.levels is None:
        return {"name": "quantize", "bits": None}
    return {"name": "quantize", "levels": kind.levels}
