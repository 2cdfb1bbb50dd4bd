"""A run and a store as they are read, from files or MongoDB."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from observers.journal import Metric, MetricSummary
from observers.liveness import true_status
from observers.names import printable
from observers.reading import shapes
from observers.reading.shapes import Note
from tmd.errors import UserError


class RunRecord(ABC):
    """One run as its observer left it; each part is read when it is asked for.

    A part that is not what it should be raises `UserError`, in one line. Lists and pages, which
    show what can be read of a run, read it by `observers.reading.look.Look`.

    Args:
        id: its number in its store.
        spec: what `open_run` finds it by, without credentials.
    """

    def __init__(self, id: Any, spec: str) -> None:
        self.id = id
        self.spec = spec

    @property
    @abstractmethod
    def entry(self) -> dict[str, Any]:
        """All of Sacred's ``run.json``, config and info apart."""

    @property
    @abstractmethod
    def config(self) -> dict[str, Any]:
        """The config the run was started with, as its checks left it."""

    @property
    @abstractmethod
    def info(self) -> dict[str, Any]:
        """Facts that the run found out while it ran."""

    @property
    @abstractmethod
    def captured_out(self) -> str:
        """Text that the run printed."""

    @property
    def stamp(self) -> str:
        """Text that is another when the record is; of a folder's runs their files' times are."""
        raise NotImplementedError

    @abstractmethod
    def open(self, name: str) -> BinaryIO:
        """An artifact's bytes.

        Raises:
            UserError: there is none of that name; the message lists those there are.
        """

    @abstractmethod
    def local_path(self, name: str) -> Path:
        """A file on this machine with the artifact's bytes, to be read only; raises as `open`."""

    @abstractmethod
    def _points(self) -> Iterable[tuple[str, Any]]:
        """Names of metrics and their points as they lie there; a name's points in order."""

    @abstractmethod
    def _listed_artifacts(self, note: Note) -> list[str]:
        """The names of the artifacts that are there now, oldest first."""

    @property
    def status(self) -> str:
        """COMPLETED, RUNNING, INTERRUPTED, FAILED, …, or DEAD: killed, nobody runs it."""
        return true_status(self.entry)

    @property
    def result(self) -> Any:
        """Value that the run returned."""
        return self.entry.get("result")

    def artifacts(self, note: Note | None = None) -> list[str]:
        """Names of the run's artifacts, oldest first, each one path component.

        Args:
            note: called with those that are refused.
        """
        return self._listed_artifacts(note or _ignore)

    def metrics(self, note: Note | None = None) -> dict[str, Metric]:
        """Every point measured, by the metric's name.

        Args:
            note: called with what can't be read and is left out; by default that raises.

        Raises:
            UserError: see ``note``.
        """
        metrics: dict[str, Metric] = {}
        for name, points in self._points():
            found = shapes.curve(name, points, note or self._refuse)
            if found is not None:
                metric = metrics.setdefault(name, Metric([], [], []))
                metric.steps.extend(found.steps)
                metric.values.extend(found.values)
                metric.timestamps.extend(found.timestamps)
        return metrics

    def summary(self, note: Note | None = None) -> dict[str, dict[str, Any]]:
        """Per metric: ``count``, ``last``, ``last_step``, ``min``, ``min_step``, ``max``, ….

        Without reading the curves where the run's writer kept them (ours do).

        Args:
            note: as in `metrics`.
        """
        kept = shapes.summaries(self.entry.get("metric_summary"), note or self._refuse)
        if kept is not None:
            return kept
        summaries = {}
        for name, metric in self.metrics(note).items():
            summary = MetricSummary(name)
            # A number is finite or not equal to itself; Sacred's own stores may hold infinity.
            values = [v if v - v == 0 else None for v in metric.values]
            summary.add(metric.steps, values)
            summaries[name] = summary.entry
        return summaries

    def _refuse(self, problem: str) -> None:
        raise UserError(f"run {printable(self.spec)}: {printable(problem)}")

    def _absent(self, name: str) -> UserError:
        names = ", ".join(map(printable, self.artifacts())) or "none"
        return UserError(f"run {printable(self.spec)}: no artifact {name!r}; it has {names}")


class Store(ABC):
    """A folder or a database with runs."""

    spec: str

    @abstractmethod
    def records(self) -> list[RunRecord]:
        """All runs, by number; those whose record is damaged are among them."""

    def light_records(self, ids: Sequence[Any] | None = None) -> list[RunRecord]:
        """As `records`, of which nothing may be asked but what a list of runs shows.

        Args:
            ids: of the runs that are wanted; None: of all.
        """
        found = self.records()
        return found if ids is None else [record for record in found if record.id in ids]

    def stamps(self) -> list[tuple[Any, str]]:
        """(id, `RunRecord.stamp`) of each run, by number, for less than the records cost."""
        return [(record.id, record.stamp) for record in self.light_records()]

    @abstractmethod
    def open(self, run_id: int | str) -> RunRecord:
        """One run.

        Raises:
            UserError: it is not there, or its record can't be read.
        """

    def check(self) -> None:  # noqa: B027  # of folders, there is nothing to ask
        """Raise `UserError` where the store can't be asked, without reading any run."""

    def __iter__(self) -> Iterator[RunRecord]:
        return iter(self.records())


def by_number(record: RunRecord) -> tuple[bool, Any]:
    """The place of a run in a list: numbers first, then names of other writers."""
    return place_of(record.id)


def place_of(id: Any) -> tuple[bool, Any]:
    """The place of an id in a list, as `by_number`."""
    if isinstance(id, (int, float)) and id == id:
        return (False, id)
    return (True, str(id))


def as_id(text: object) -> int | str:
    """A run's number where ``text`` is one, else its name.

    Example:
        >>> as_id("3"), as_id("trial"), as_id("²")
        (3, 'trial', '²')
    """
    name = str(text)
    return int(name) if name.isascii() and name.isdigit() else name


def _ignore(problem: str) -> None:
    pass
