"""Ranges in a list of operators, as the space in which narrower ones are searched."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tmd.errors import UserError
from tmd.measurements import MEASUREMENTS

#: Options that are whole numbers, of those that may be ranges.
WHOLE = ("quality", "bits")
#: The narrowest range, as a share of the one that is searched in.
_NARROWEST = 0.02


@dataclass(frozen=True)
class Range:
    """A range [lowest, highest] of a list, and its place: keys and numbers that lead there."""

    path: tuple[Any, ...]
    lowest: float
    highest: float

    @property
    def name(self) -> str:
        """The place in words, ``0.sigma``."""
        return ".".join(map(str, self.path))

    def within(self, place: float, width: float) -> list[float]:
        """The narrower range at ``place`` of ``width``, each a share of what there is."""
        span = self.highest - self.lowest
        start = self.lowest + place * (1 - width) * span
        ends = (start, start + width * span)
        if self.path[-1] in WHOLE:
            return [round(end) for end in ends]
        return [min(max(float(f"{end:.3g}"), self.lowest), self.highest) for end in ends]


class Space:
    """Lists of operators with the same form as ``spec`` and ranges inside of its own.

    A point has two numbers in [0, 1] for each range: its place, then its width.

    Args:
        spec: the list; numbers in it that are no ranges stay as they are.

    Raises:
        UserError: there is no range in it.

    Example:
        >>> space = Space([{"name": "noise", "sigma": [0, 0.1]}, "bicubic"])
        >>> space.spec_at(np.array([0.5, 0.2]))
        [{'name': 'noise', 'sigma': [0.04, 0.06]}, 'bicubic']
    """

    def __init__(self, spec: Sequence[Any]) -> None:
        self.spec = list(spec)
        self.ranges = list(_ranges(self.spec, ()))
        if not self.ranges:
            raise UserError(
                f"measurement.fit: measurement.operators={self.spec} hold no range in which to "
                'search; {"name":"noise","sigma":[0,0.1]} is one'
            )

    def spec_at(self, point: np.ndarray) -> list[Any]:
        """The list of a point."""
        spec = copy.deepcopy(self.spec)
        for number, each in enumerate(self.ranges):
            place, width = point[2 * number : 2 * number + 2]
            *way, last = each.path
            entry: Any = spec
            for key in way:
                entry = entry[key]
            entry[last] = each.within(float(place), max(float(width), _NARROWEST))
        return spec


def _ranges(entry: Any, path: tuple[Any, ...]) -> Iterator[Range]:
    if isinstance(entry, (list, tuple)):
        for number, each in enumerate(entry):
            yield from _ranges(each, (*path, number))
    elif isinstance(entry, Mapping):
        ranged = _ranged_options(entry.get("name"))
        for key, value in entry.items():
            if key in ranged and _is_range(value):
                yield Range((*path, key), *value)
            elif isinstance(value, (list, tuple)) and key not in ranged:
                yield from _ranges(value, (*path, key))


def _ranged_options(name: Any) -> list[str]:
    """The options of an operator that may be a range, as its signature says."""
    if name not in list(MEASUREMENTS):
        return []
    parameters = inspect.signature(MEASUREMENTS[name]).parameters.values()
    return [each.name for each in parameters if "Range" in str(each.annotation)]


def _is_range(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) == 2
        and all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in value)
        and value[0] < value[1]
    )
