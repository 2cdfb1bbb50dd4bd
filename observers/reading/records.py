"""A run and a store as they are read, from files or MongoDB."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from observers.journal import Metric, MetricSummary
from observers.liveness import true_status
from tmd.errors import UserError


class RunRecord(ABC):
    """One run as its observer left it; each attribute is read when it is asked for, once.

    Attributes:
        id: its number in its store.
        spec: what `open_run` finds it by, without credentials.
        entry: all of Sacred's ``run.json``, config and info apart.
    """

    id: int | str
    spec: str
    entry: dict[str, Any]

    @property
    def status(self) -> str:
        """COMPLETED, RUNNING, INTERRUPTED, FAILED, …, or DEAD: killed, nobody runs it."""
        return true_status(self.entry)

    @property
    def result(self) -> Any:
        return self.entry.get("result")

    @property
    @abstractmethod
    def config(self) -> dict[str, Any]: ...

    @property
    @abstractmethod
    def info(self) -> dict[str, Any]: ...

    @property
    @abstractmethod
    def captured_out(self) -> str: ...

    @abstractmethod
    def metrics(self) -> dict[str, Metric]:
        """Every point measured, by the metric's name."""

    @abstractmethod
    def artifacts(self) -> list[str]:
        """The names of the run's artifacts, oldest first."""

    @abstractmethod
    def open(self, name: str) -> BinaryIO:
        """An artifact's bytes.

        Raises:
            UserError: there is none of that name; the message lists those there are.
        """

    @abstractmethod
    def local_path(self, name: str) -> Path:
        """A file on this machine with the artifact's bytes, to be read only; raises as `open`."""

    def summary(self) -> dict[str, dict[str, Any]]:
        """Per metric: ``count``, ``last``, ``last_step``, ``min``, ``min_step``, ``max``, ….

        Without reading the curves where the run's writer kept them (ours do).
        """
        entries = self.entry.get("metric_summary")
        if isinstance(entries, list):
            return {entry["name"]: entry for entry in entries}
        summaries = {}
        for name, metric in self.metrics().items():
            summary = MetricSummary(name)
            # A number is finite or not equal to itself; Sacred's own stores may hold infinity.
            values = [v if v - v == 0 else None for v in metric.values]
            summary.add(metric.steps, values)
            summaries[name] = summary.entry
        return summaries

    def _absent(self, name: str) -> UserError:
        names = ", ".join(self.artifacts()) or "none"
        return UserError(f"run {self.spec}: no artifact {name!r}; it has {names}")


class Store(ABC):
    """Where runs are: a folder or a database."""

    spec: str

    @abstractmethod
    def records(self) -> list[RunRecord]:
        """All runs, by number."""

    @abstractmethod
    def open(self, run_id: int | str) -> RunRecord:
        """One run.

        Raises:
            UserError: it is not there.
        """

    def __iter__(self) -> Iterator[RunRecord]:
        return iter(self.records())
