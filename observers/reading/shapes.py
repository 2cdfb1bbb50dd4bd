"""The shapes that the parts of a record have, whoever wrote it.

A record may be cut, edited, of another writer or of a stranger. Nothing here raises for that:
what has another shape is left out and noted.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping
from typing import Any

from observers.journal import Metric
from observers.names import is_artifact_name, printable

#: Takes what is odd about a record, in a line.
Note = Callable[[str], None]

_SUMMARY = ("last", "last_step", "min", "min_step", "max", "max_step")
_GAP = float("nan")


def mapping(value: Any, what: str, note: Note) -> dict[str, Any]:
    """``value`` if it is a mapping, with text as keys; otherwise an empty one."""
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    if value is not None:
        note(f"{what} is no mapping but {_kind(value)}")
    return {}


def artifact_names(value: Any, note: Note) -> list[str]:
    """The entries of ``value`` that can name a file within the run's folder."""
    if value is not None and not isinstance(value, list):
        note(f"its list of artifacts is no list but {_kind(value)}")
    names = value if isinstance(value, list) else []
    for name in names:
        if not is_artifact_name(name):
            note(f"artifact {name!r:.80}: refused, as it is no name of a file in the run's folder")
    return [name for name in names if is_artifact_name(name)]


def curve(name: str, points: Any, note: Note) -> Metric | None:
    """The points of one metric, in the form of ``metrics.json``; `None` if there are none."""
    points = mapping(points, f"metric {name}", note)
    steps, values, times = (points.get(key) for key in ("steps", "values", "timestamps"))
    if not isinstance(steps, list) or not isinstance(values, list):
        note(f"metric {name} is without its steps or its values")
        return None
    times = times if isinstance(times, list) else []
    if len(steps) != len(values):
        note(f"metric {name} has {len(steps)} steps and {len(values)} values")
    count = min(len(steps), len(values))
    times = [*times[:count], *[""] * (count - len(times))]
    found = Metric([], [], [])
    for step, value, when in zip(steps, values, times, strict=False):
        measured = _GAP if value is None else number(value, finite=False)
        at = number(step)
        if measured is None or at is None:
            continue
        found.steps.append(at)
        found.values.append(float(measured))
        found.timestamps.append(when.isoformat() if _is_time(when) else str(when))
    if len(found.steps) < count:
        note(f"metric {name} has {count - len(found.steps)} points that are no numbers")
    return found


def summaries(value: Any, note: Note) -> dict[str, dict[str, Any]] | None:
    """The entries of ``metric_summary`` by name; `None` where the record has none."""
    if not isinstance(value, list):
        if value is not None:
            note(f"its summary of metrics is no list but {_kind(value)}")
        return None
    found = {}
    for entry in value:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
            note("its summary of metrics has an entry without a name")
            continue
        odd = [key for key in _SUMMARY if not _is_number_or_none(entry.get(key))]
        for key in odd:
            note(f"metric {entry['name']}: {key} is {entry[key]!r:.40}")
        found[entry["name"]] = {**entry, **dict.fromkeys(odd)} if odd else dict(entry)
    return found


def number(value: Any, finite: bool = True) -> int | float | None:
    """``value`` if it is a number that a float can hold, else `None`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        known = math.isfinite(value)
    except OverflowError:
        return None
    return value if known or not finite else None


def lines(value: Any) -> str:
    """Text, or a list of texts, as one text."""
    return "".join(map(str, value)) if isinstance(value, list) else str(value or "")


def _is_number_or_none(value: Any) -> bool:
    # Most are floats, and there are many: the short way for them.
    return (
        value is None
        or (type(value) is float and value - value == 0)
        or (number(value) is not None)
    )


def _is_time(value: Any) -> bool:
    return isinstance(value, datetime.datetime)


def _kind(value: Any) -> str:
    return printable(f"{type(value).__name__} {value!r:.40}")
