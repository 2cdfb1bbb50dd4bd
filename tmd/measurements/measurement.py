"""A measurement: a list of operators from a config, applied one after the other."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from tmd.distributed import ALONE, Share
from tmd.errors import UserError
from tmd.images import EIGHT_BITS, ImageKind
from tmd.measurements.draws import Draws
from tmd.measurements.operator import MEASUREMENTS, Operator
from tmd.measurements.operators.quantize import Quantize

#: The spec of LR images that nothing here makes: they are given.
GIVEN = ({"name": "given"},)


def is_given(operators: Sequence[str | Mapping[str, Any]]) -> bool:
    """Return whether a list of operators says that LR is given.

    >>> is_given(["given"]), is_given(["bicubic"])
    (True, False)
    """
    return [_entry(operator) for operator in operators] == [*GIVEN]


class Measurement:
    """HR -> LR as a list of operators says; made by `create_measurement`.

    Attributes:
        scale: the factor between HR and LR.
        spec: the list that makes the same measurement again, JSON-able.
        share: which rows of each batch it is given; see `of_share`.
    """

    def __init__(
        self, operators: Sequence[Operator], spec: list[dict], scale: int, seed: int, stream: str
    ) -> None:
        self.operators = list(operators)
        self.spec = spec
        self.scale = scale
        self.seed = seed
        self.stream = stream
        self.share = ALONE
        for operator, following in zip(self.operators, self.operators[1:], strict=False):
            operator.precede(following)

    def changes_nothing(self, kind: ImageKind) -> bool:
        """Return whether every image of that kind stays as it is."""

        def is_kept(operator: Operator) -> bool:
            if isinstance(operator, Quantize):
                return (operator.levels or math.inf) >= (kind.levels or math.inf)
            return operator.is_identity

        return all(map(is_kept, self.operators))

    def __call__(self, hr: torch.Tensor, index: int = 0) -> torch.Tensor:
        """Make the LR images of a batch.

        Args:
            hr: (N, C, H, W) in [0, 1], H and W multiples of the scale.
            index: the batch's number; random parameters depend on it alone.

        Returns:
            (N, C, H / scale, W / scale) in [0, 1]. Rounding to 8 bits lets the gradient through.
        """
        if hr.shape[-2] % self.scale or hr.shape[-1] % self.scale:
            raise ValueError(f"size {tuple(hr.shape[-2:])} is no multiple of scale {self.scale}")
        x = hr
        for position, operator in enumerate(self.operators):
            x = operator(x, Draws((self.seed, self.stream, index, position), self.share))
        return x

    def of_share(self, share: Share) -> Measurement:
        """The same, for batches of which only the rows of ``share`` are given."""
        other = copy.copy(self)
        other.share = share
        return other


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
        raise UserError(f"measurement.operators={operators!r}: must be a list")
    spec = [_entry(operator) for operator in operators]
    if not any(entry["name"] == "quantize" for entry in spec):
        spec.append(_quantize(kind))
    if spec[-1]["name"] != "quantize":
        raise UserError("measurement.operators: quantize must be the last of the list")
    built = [_build(entry, scale) for entry in spec]
    for entry, operator in zip(spec, built, strict=True):
        if operator.photos_only and not (kind.is_eight_bit and kind.channels in (1, 3)):
            raise UserError(
                f"measurement.operators: {entry['name']} takes grey and RGB images of 8 bits; "
                f"these have {kind.channels} channels of {kind.dtype}"
            )
    reduction = int(np.prod([operator.reduction for operator in built]))
    if reduction != scale:
        raise UserError(
            f"measurement.operators: the list reduces the size by {reduction}, not by "
            f"scale={scale}; it must hold exactly one of bicubic, decimate"
        )
    return Measurement(built, spec, scale, seed, stream)


def _quantize(kind: ImageKind) -> dict[str, Any]:
    """Rounding to what a file of this kind can hold."""
    if kind.is_eight_bit:
        return {"name": "quantize"}
    if kind.levels == 65535:
        return {"name": "quantize", "bits": 16}
    if kind.levels is None:
        return {"name": "quantize", "bits": None}
    return {"name": "quantize", "levels": kind.levels}


def _entry(operator: str | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(operator, str):
        return {"name": operator}
    if not isinstance(operator, Mapping) or not isinstance(operator.get("name"), str):
        raise UserError(f"measurement.operators: {operator!r} is neither a name nor has one")
    return {
        key: list(value) if isinstance(value, (list, tuple)) else value
        for key, value in operator.items()
    }


def _build(entry: dict[str, Any], scale: int) -> Operator:
    name, options = entry["name"], {k: v for k, v in entry.items() if k != "name"}
    builder = MEASUREMENTS[name]
    allowed = [option for option in inspect.signature(builder).parameters if option != "scale"]
    for option in options:
        if option not in allowed:
            listed = ", ".join(allowed) or "nothing"
            raise UserError(f"measurement.operators: {name} takes {listed}, not {option!r}")
    return builder(scale=scale, **options)
