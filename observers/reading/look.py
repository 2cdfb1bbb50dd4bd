"""A record as far as it can be read: the one place where lists and pages meet odd records."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, TypeVar

from observers.journal import Metric
from observers.liveness import parse_time, true_status, utc_now
from observers.names import printable
from observers.plain import plain
from observers.reading import shapes
from observers.reading.records import RunRecord
from tmd.errors import UserError
from tmd.metrics.registry import INFO_KEY, metric

T = TypeVar("T")
UNREADABLE = "UNREADABLE"
_MOST_WARNINGS = 10


class Look:
    """The parts of one run, each as far as it can be read; none of them raises.

    The large ones, output and metrics, are read anew each time.

    Attributes:
        record: the run.
        warnings: what of the parts read so far is not as it should be.
    """

    def __init__(self, record: RunRecord) -> None:
        self.record = record
        self.warnings: list[str] = []

    def part(self, what: str, read: Callable[[], T], default: T) -> T:
        """Return ``read()``, or ``default``, with a warning, if that raises."""
        try:
            return read()
        except UserError as problem:
            self.warn(str(problem))
        except Exception as problem:  # of a record that nobody foresaw
            self.warn(f"{what} can't be read ({type(problem).__name__}: {problem})")
        return default

    def warn(self, problem: str) -> None:
        """Note a problem, once."""
        problem = printable(problem)[:300]
        if problem not in self.warnings and len(self.warnings) < _MOST_WARNINGS:
            self.warnings.append(problem)

    @cached_property
    def entry(self) -> dict[str, Any]:
        """The record itself; empty if it can't be read."""
        return self.part("its record", lambda: self.record.entry, {})

    @cached_property
    def status(self) -> str:
        """The status, or `UNREADABLE`."""
        if not self.entry:
            return UNREADABLE
        return self.part("its status", lambda: true_status(self.entry), UNREADABLE)

    @cached_property
    def experiment(self) -> str:
        """The experiment's name; "" if it has none."""
        value = self.entry.get("experiment")
        if isinstance(value, str):
            return value
        return str(shapes.mapping(value, "its experiment", self.warn).get("name") or "")

    @cached_property
    def config(self) -> dict[str, Any]:
        """The config; empty if it can't be read."""
        return self.part("its config", lambda: self.record.config, {})

    @cached_property
    def info(self) -> dict[str, Any]:
        """The info; empty if it can't be read."""
        return self.part("its info", lambda: self.record.info, {})

    @cached_property
    def study(self) -> dict[str, Any] | None:
        """Name, trial, repeat and params of a run that is a trial of a study; else `None`."""
        kept = shapes.mapping(self.info.get("study"), "its study", self.warn)
        if not kept:
            return None
        params = shapes.mapping(kept.get("params"), "its study's params", self.warn)
        known = {key: kept.get(key) for key in ("name", "trial", "repeat")}
        return self.part("its study", lambda: plain({**known, "params": params}), None)

    @cached_property
    def given(self) -> tuple[str, ...] | None:
        """Keys of the config that somebody set, by path; `None` where the record doesn't tell."""
        return self.part("its meta", self._given, None)

    def _given(self) -> tuple[str, ...] | None:
        meta = shapes.mapping(self.entry.get("meta"), "its meta", self.warn)
        paths = meta.get("given")
        if isinstance(paths, list) and all(isinstance(path, str) for path in paths):
            return tuple(paths)
        # Of earlier runs, and Sacred's own: what was typed or resolved, not named configs' entries.
        updates = meta.get("config_updates")
        return tuple(_paths(updates)) if isinstance(updates, Mapping) else None

    @property
    def output(self) -> str:
        """The captured output."""
        return self.part("its output", lambda: self.record.captured_out, "")

    @cached_property
    def artifacts(self) -> list[str]:
        """Names of the artifacts, each one path component."""
        return self.part("its artifacts", lambda: self.record.artifacts(self.warn), [])

    @property
    def metrics(self) -> dict[str, Metric]:
        """The points of those metrics that can be read, by name."""
        return self.part("its metrics", lambda: self.record.metrics(self.warn), {})

    @cached_property
    def summary(self) -> dict[str, dict[str, Any]]:
        """Last, least and greatest of those metrics that can be read, by name."""
        if not self.entry:
            return {}
        return self.part("its metrics", lambda: self.record.summary(self.warn), {})

    @cached_property
    def result(self) -> Any:
        """The result, as JSON can say it."""
        return self.part("its result", lambda: plain(self.entry.get("result")), None)

    @cached_property
    def begin(self) -> datetime.datetime | None:
        """The start of the run, in UTC."""
        return self._time("start_time")

    @cached_property
    def seconds(self) -> float | None:
        """Duration of the run, or what of it is over by now."""
        end = self._time("stop_time")
        if end is None:
            end = utc_now() if self.status == "RUNNING" else self._time("heartbeat")
        if self.begin is None or end is None:
            return None
        return (end - self.begin) / datetime.timedelta(seconds=1)

    @cached_property
    def about(self) -> dict[str, Any]:
        """Host, command, result and failures while recording, as far as they are known."""
        host, meta, failures = (
            shapes.mapping(self.entry.get(key), f"its {key}", self.warn)
            for key in ("host", "meta", "observer_failures")
        )
        found = {
            "result": self.result,
            "host": host.get("hostname"),
            "command": meta.get("command_line") or self.entry.get("command"),
            "failures while recording": failures if failures.get("count") else None,
        }
        return self.part("its host", lambda: plain(found), {})

    @cached_property
    def trace(self) -> str:
        """The traceback of a run that failed; else ""."""
        return shapes.lines(self.entry.get("fail_trace"))

    def higher_is_better(self, name: str) -> bool | None:
        """Direction of a metric by the run's record, else by the registry of metrics."""
        summary = self.summary.get(name, {})
        if "higher_is_better" in summary:
            direction = summary["higher_is_better"]
            return direction if isinstance(direction, bool) else None
        recorded = self.info.get(INFO_KEY)
        return metric(name, recorded).higher_is_better if recorded else _known_direction(name)

    def _time(self, key: str) -> datetime.datetime | None:
        value = self.entry.get(key)
        found = parse_time(value)
        if value is not None and found is None:
            self.warn(f"its {key} is no time: {value!r:.40}")
        return found


@functools.cache
def _known_direction(name: str) -> bool | None:
    return metric(name).higher_is_better


def _paths(entries: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in entries.items():
        if isinstance(value, Mapping) and value:
            yield from _paths(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"
