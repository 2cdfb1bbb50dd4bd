"""The journal of a run's metrics, as its writer leaves it and its readers and senders find it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

JOURNAL = ".metrics.jsonl"
FIELDS = ("steps", "timestamps", "values")


class Metric(NamedTuple):
    """Points recorded under one name; a value that was not finite is NaN."""

    steps: list[int | float]
    values: list[float]
    timestamps: list[str]


class JournalLine(NamedTuple):
    """The points of one metric in one beat; ``end`` is where its line ends in the journal."""

    name: str
    points: dict[str, list]
    end: int


def read_journal(path: Path, offset: int = 0) -> Iterator[JournalLine]:
    """The complete lines from ``offset`` on; a last one still being written is not among them."""
    with open(path, "rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n") or line.startswith(b"\0"):
                return  # zeros are what a loss of power leaves of lines not yet on the disk
            offset += len(line)
            entry = json.loads(line)
            yield JournalLine(entry.pop("name"), entry, offset)


class MetricSummary:
    """Count, last, least and greatest of one metric, for lists that read no curve."""

    def __init__(self, name: str) -> None:
        self.entry: dict[str, Any] = {"name": name, "count": 0, "not_finite": 0}

    def add(self, steps: list, values: list[float | None]) -> None:
        """Take in further points; a value of `None` is not finite."""
        entry = self.entry
        for at, value in zip(steps, values, strict=True):
            entry["count"] += 1
            entry["last_step"] = at
            entry["last"] = value
            if value is None:
                entry["not_finite"] += 1
                continue
            if value < entry.get("min", float("inf")):
                entry["min"], entry["min_step"] = value, at
            if value > entry.get("max", float("-inf")):
                entry["max"], entry["max_step"] = value, at
