"""A space of configs, as people type it: ranges and choices, by the experiment's keys."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

from sacred.utils import get_by_dotted_path, iterate_flattened

from experiments.support.values import parse_updates
from tmd.errors import UserError

FORMS = "log(1e-4,1e-1), 4..16, 0.1..0.9, or values such as 8,16,32"
#: What no trial can choose: how its run begins is the sweep's.
RESERVED = ("resume",)

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_INTEGER = re.compile(r"[+-]?\d+")
_RANGE = re.compile(rf"({_NUMBER}?)\.\.({_NUMBER})(?:\.\.({_NUMBER}))?")
_CALL = re.compile(r"(\w+)\((.*)\)")


@dataclass(frozen=True)
class Dimension:
    """The values that one key may have: a range, or a choice.

    Attributes:
        key: of the experiment's config, with dots.
        choices: the values; empty: a range.
        low, high: of a range, both of which belong to it; both int where the values are.
        log: equal ratios are equally likely, not equal differences.
        step: between values of a range; None: 1 of integers, none of others.
        count: of values of a range that a grid takes.
    """

    key: str
    choices: tuple[Any, ...] = ()
    low: float = 0
    high: float = 0
    log: bool = False
    step: float | None = None
    count: int | None = None

    @property
    def is_integer(self) -> bool:
        """Are the values of this range whole numbers?"""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def extremes(self) -> tuple[Any, ...]:
        """Values that show, if all are allowed, that any is: each choice, or the range's ends."""
        return self.choices or (self.low, self.high)

    def grid(self) -> tuple[Any, ...]:
        """Every value, for a grid.

        Raises:
            UserError: there are infinitely many.
        """
        if self.choices:
            return self.choices
        if self.count is not None:
            return self._spread(self.count)
        if self.log or not (self.is_integer or self.step):
            raise UserError(
                f"space.{self.key}={self}: a grid has to know the values; give a number of them, "
                f"log({self.low},{self.high},4) say, a step, 0.1..0.9..0.2 say, or the values"
            )
        step = self.step or 1
        values = [self.low + i * step for i in range(_steps(self.low, self.high, step) + 1)]
        return tuple(values if self.is_integer else (float(f"{value:.12g}") for value in values))

    def _spread(self, count: int) -> tuple[Any, ...]:
        ends = math.log(self.low), math.log(self.high)
        exact = [math.exp(ends[0] + (ends[1] - ends[0]) * i / (count - 1)) for i in range(count)]
        if self.is_integer:
            return tuple(dict.fromkeys(round(value) for value in exact))
        return tuple(float(f"{value:.6g}") for value in exact)

    def __str__(self) -> str:
        """As it is typed."""
        if self.choices:
            return ",".join(map(str, self.choices))
        if self.log:
            count = "" if self.count is None else f",{self.count}"
            return f"log({self.low},{self.high}{count})"
        return f"{self.low}..{self.high}" + ("" if self.step is None else f"..{self.step}")


def parse_space(space: Mapping[str, Any]) -> tuple[Dimension, ...]:
    """Dimensions of what was typed as ``space.KEY=VALUES``.

    Raises:
        UserError: a space that can't be.

    Example:
        >>> [each.extremes() for each in parse_space({"adv_weight": "log(1e-4,1e-1)"})]
        [(0.0001, 0.1)]
    """
    found = tuple(_dimension(str(key), value) for key, value in iterate_flattened(space))
    if not found:
        raise UserError(f"space: is empty; give space.KEY=VALUES, values being {FORMS}")
    for each in found:
        if each.key in RESERVED:
            raise UserError(
                f"space.{each.key}: can't be chosen; a trial's run is begun by the sweep"
            )
    return found


def _dimension(key: str, value: Any) -> Dimension:
    if isinstance(value, str):
        return _parsed(key, value.strip())
    return _choice(key, list(value) if isinstance(value, (list, tuple)) else [value])


def _parsed(key: str, text: str) -> Dimension:
    said = f"space.{key}={text}"
    if found := _RANGE.fullmatch(text):
        if not found[1]:
            raise UserError(f"{said}: a range is {FORMS}")
        low, high, step = (None if part is None else _number(part) for part in found.groups())
        return _range(said, key, low, high, step=step)
    if found := _CALL.fullmatch(text):
        parts = [part.strip() for part in found[2].split(",")]
        numbers = all(re.fullmatch(_NUMBER, part) for part in parts)
        if found[1] != "log" or not numbers or len(parts) not in (2, 3):
            raise UserError(f"{said}: must be {FORMS}")
        count = parts[2] if len(parts) == 3 else None
        if count is not None and not (_INTEGER.fullmatch(count) and int(count) >= 2):
            raise UserError(f"{said}: the number of a grid's values must be an integer from 2 on")
        low, high = (_number(part) for part in parts[:2])
        return _range(said, key, low, high, log=True, count=None if count is None else int(count))
    if re.fullmatch(r"[\d.eE+-]*\.\.[\d.eE+-]*", text):
        raise UserError(f"{said}: a range is {FORMS}")
    words = _words(text[1:-1] if text.startswith("[") and text.endswith("]") else text)
    return _choice(key, [_typed(key, word) for word in words])


def _range(
    said: str,
    key: str,
    low: Any,
    high: Any,
    log: bool = False,
    step: Any = None,
    count: int | None = None,
) -> Dimension:
    if not (math.isfinite(low) and math.isfinite(high)):
        raise UserError(f"{said}: a range has finite ends")
    if low >= high:
        raise UserError(f"{said}: a range begins below its end")
    if log and low <= 0:
        raise UserError(f"{said}: a logarithmic range begins above 0")
    if step is not None and not 0 < step <= high - low:
        raise UserError(f"{said}: its step must be above 0 and at most {high - low}")
    whole = all(isinstance(each, int) for each in (low, high, 1 if step is None else step))
    low, high = (low, high) if whole else (float(low), float(high))
    return Dimension(key, (), low, high, log, step, count)


def _choice(key: str, values: list[Any]) -> Dimension:
    said = f"space.{key}={','.join(map(str, values))}"
    if not values or "" in values:
        raise UserError(f"{said}: has an empty value; must be {FORMS}")
    texts = [value_text(value) for value in values]
    if twice := [text for text in texts if texts.count(text) > 1]:
        raise UserError(f"{said}: {twice[0]} is there twice")
    return Dimension(key, tuple(values))


def value_text(value: Any) -> str:
    """JSON that tells values apart, 1 from True and 1.0 too."""
    return json.dumps(value, sort_keys=True)


def _number(text: str) -> float:
    return int(text) if _INTEGER.fullmatch(text) else float(text)


def _steps(low: float, high: float, step: float) -> int:
    return int((high - low) / step + 1e-9)


def _words(text: str) -> list[str]:
    """``text`` cut at its commas, those in brackets apart."""
    words, depth = [""], 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            words.append("")
        else:
            words[-1] += character
    return [word.strip() for word in words]


def _typed(key: str, word: str) -> Any:
    """The value that ``key=word`` stands for."""
    if not word:
        return ""
    return get_by_dotted_path(parse_updates([f"{key}={word}"])[0], key)


def grid_size(space: tuple[Dimension, ...]) -> int:
    """Number of points of the grid over ``space``."""
    return math.prod(len(each.grid()) for each in space)


def grid_point(space: tuple[Dimension, ...], number: int) -> dict[str, Any]:
    """Values of the grid's point ``number``, by key; the last key varies fastest."""
    points: Iterator[tuple[Any, ...]] = product(*(each.grid() for each in space))
    point = next(islice(points, number, None))
    return {each.key: value for each, value in zip(space, point, strict=True)}
