"""A space of configs, as people type it: ranges and choices, by the experiment's keys."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any

from sacred.utils import get_by_dotted_path, iterate_flattened

from experiments.support.values import parse_updates
from tmd.errors import UserError

FORMS = "log(1e-4,1e-1), 4..16, 0.1..0.9, or values such as 8,16,32"
#: Key of a choice of named configs and config files of the experiment itself.
NAMED = "named"
#: A choice among a part's named configs that stands for none of them.
NONE = "none"
#: What no trial can choose: how its run begins is the sweep's.
RESERVED = ("resume",)

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_INTEGER = re.compile(r"[+-]?\d+")
_RANGE = re.compile(rf"({_NUMBER}?)\.\.({_NUMBER})(?:\.\.({_NUMBER}))?")
_CALL = re.compile(r"(\w+)\((.*)\)")
_CONDITION = re.compile(r"(.+?)\s+if\s+([\w.]+)\s*=\s*(.+)")


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
        is_named: the choices are named configs: of the part that the key names, or, where it is
            `NAMED`, of the experiment.
        parent, parent_values: the key is given only where that of another dimension has one of
            these values; "": always.
    """

    key: str
    choices: tuple[Any, ...] = ()
    low: float = 0
    high: float = 0
    log: bool = False
    step: float | None = None
    count: int | None = None
    is_named: bool = False
    parent: str = ""
    parent_values: tuple[Any, ...] = ()

    def applies(self, values: Mapping[str, Any]) -> bool:
        """Is the key given, beside these values of the dimensions before?"""
        if not self.parent:
            return True
        found = [value_text(values[key]) for key in (self.parent,) if key in values]
        return any(value_text(value) in found for value in self.parent_values)

    def plain(self) -> dict[str, Any]:
        """As JSON can say it, without what studies of earlier builds did not have."""
        later = ("is_named", "parent", "parent_values")
        return {k: v for k, v in asdict(self).items() if v or k not in later}

    @classmethod
    def from_plain(cls, content: Mapping[str, Any]) -> Dimension:
        """The dimension that `plain` described."""
        values: dict[str, Any] = dict(content)
        for key in ("choices", "parent_values"):
            values[key] = tuple(values.get(key, ()))
        return cls(**values)

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
        if self.parent:
            bare = replace(self, parent="", parent_values=())
            return f"{bare} if {self.parent}={','.join(map(str, self.parent_values))}"
        if self.choices:
            return ",".join(map(str, self.choices))
        if self.log:
            count = "" if self.count is None else f",{self.count}"
            return f"log({self.low},{self.high}{count})"
        return f"{self.low}..{self.high}" + ("" if self.step is None else f"..{self.step}")


def parse_space(
    space: Mapping[str, Any], parts: Mapping[str, Collection[str]] | None = None
) -> tuple[Dimension, ...]:
    """Dimensions of what was typed as ``space.KEY=VALUES``, each behind the one it hangs on.

    Args:
        parts: names of the named configs of the experiment's parts, by the parts' names.

    Raises:
        UserError: a space that can't be.

    Example:
        >>> [each.extremes() for each in parse_space({"adv_weight": "log(1e-4,1e-1)"})]
        [(0.0001, 0.1)]
    """
    found = [_dimension(str(key), value) for key, value in iterate_flattened(space)]
    if not found:
        raise UserError(f"space: is empty; give space.KEY=VALUES, values being {FORMS}")
    for each in found:
        if each.key in RESERVED:
            raise UserError(
                f"space.{each.key}: can't be chosen; a trial's run is begun by the sweep"
            )
    return _ordered([_with_names(each, parts or {}) for each in found])


def _with_names(each: Dimension, parts: Mapping[str, Collection[str]]) -> Dimension:
    """The dimension, which chooses among named configs where its key names what has them."""
    if each.key == NAMED:
        if not all(isinstance(value, str) for value in each.choices) or not each.choices:
            raise UserError(f"space.{NAMED}={each}: must be named configs or config files")
        return replace(each, is_named=True)
    if each.key not in parts:
        return each
    known = [*parts[each.key], NONE]
    for value in each.choices or (str(each),):
        if value not in known:
            close = difflib.get_close_matches(str(value), known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(known)}"
            raise UserError(
                f"space.{each.key}={each}: {value} is no named config of {each.key}; {hint}"
            )
    return replace(each, is_named=True)


def _ordered(dimensions: list[Dimension]) -> tuple[Dimension, ...]:
    """The dimensions, each behind the one that it hangs on."""
    known = {each.key: each for each in dimensions}
    for each in dimensions:
        if not each.parent:
            continue
        said = f"space.{each.key}={each}"
        if each.parent not in known:
            raise UserError(f"{said}: space.{each.parent} is not given, on which it hangs")
        choices = known[each.parent].choices
        if not choices:
            raise UserError(f"{said}: space.{each.parent} must be a choice of values for that")
        if strange := [v for v in each.parent_values if value_text(v) not in _texts(choices)]:
            listed = ",".join(map(str, choices))
            raise UserError(f"{said}: space.{each.parent}={listed} has no {strange[0]}")
    done: dict[str, Dimension] = {}
    while left := [each for each in dimensions if each.key not in done]:
        ready = [each for each in left if not each.parent or each.parent in done]
        if not ready:
            raise UserError(f"space.{left[0].key}={left[0]}: hangs on itself")
        # One at a time, so that the order is the typed one wherever it can be.
        done[ready[0].key] = ready[0]
    return tuple(done.values())


def _texts(values: Iterable[Any]) -> list[str]:
    return [value_text(value) for value in values]


def with_words(
    space: tuple[Dimension, ...], values: Mapping[str, Any]
) -> tuple[list[str], dict[str, Any]]:
    """Named configs, and config entries, that stand for ``values``."""
    named = {each.key for each in space if each.is_named}
    names = [
        str(value) if key == NAMED else f"{key}.{value}"
        for key, value in values.items()
        if key in named and (value != NONE or key == NAMED)
    ]
    return names, {key: value for key, value in values.items() if key not in named}


def _dimension(key: str, value: Any) -> Dimension:
    if not isinstance(value, str):
        return _choice(key, list(value) if isinstance(value, (list, tuple)) else [value])
    text = value.strip()
    if not (found := _CONDITION.fullmatch(text)):
        if re.search(r"\sif(\s|$)", text):
            raise UserError(f"space.{key}={text}: a condition is VALUES if KEY=VALUE")
        return _parsed(key, text)
    values = tuple(_typed(found[2], word) for word in _words(found[3].strip()))
    if "" in values:
        raise UserError(f"space.{key}={text}: the condition has an empty value")
    return replace(_parsed(key, found[1].strip()), parent=found[2], parent_values=values)


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
    if any(each.parent for each in space):
        return sum(1 for _ in grid_points(space))
    return math.prod(len(each.grid()) for each in space)


def grid_point(space: tuple[Dimension, ...], number: int) -> dict[str, Any]:
    """Values of the grid's point ``number``, by key; the last key varies fastest."""
    return next(islice(grid_points(space), number, None))


def grid_points(space: tuple[Dimension, ...]) -> Iterator[dict[str, Any]]:
    """All points of the grid; those that differ only in keys that are not given are one."""
    yield from _completed({}, space)


def _completed(values: dict[str, Any], left: tuple[Dimension, ...]) -> Iterator[dict[str, Any]]:
    if not left:
        yield values
    elif not left[0].applies(values):
        yield from _completed(values, left[1:])
    else:
        for value in left[0].grid():
            yield from _completed({**values, left[0].key: value}, left[1:])
