"""Reading runs back, from files or MongoDB, by one small interface.

Used by resume, evaluation, comparison and the pages; must not know how runs are written.
"""

from __future__ import annotations

import json
import logging
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from observers.credentials import without_credentials
from observers.liveness import true_status
from observers.metrics import JOURNAL, Metric, MetricSummary, read_journal
from tmd.errors import UserError

logger = logging.getLogger("observers")
_NOT_A_NUMBER = float("nan")


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


class FileRecord(RunRecord):
    def __init__(self, folder: Path, run_id: int | str) -> None:
        self.folder = folder
        self.id = run_id
        self.spec = str(folder)
        self.entry = self._json("run.json", None)
        self._config: dict[str, Any] | None = None

    @property
    def config(self) -> dict[str, Any]:
        if self._config is None:
            self._config = self._json("config.json", {})
        return self._config

    @property
    def info(self) -> dict[str, Any]:
        return self._json("info.json", {})

    @property
    def captured_out(self) -> str:
        try:
            return (self.folder / "cout.txt").read_text("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def metrics(self) -> dict[str, Metric]:
        try:
            return self._journal()
        except FileNotFoundError:
            pass
        return {
            name: Metric(points["steps"], _floats(points["values"]), points["timestamps"])
            for name, points in self._json("metrics.json", {}).items()
        }

    def artifacts(self) -> list[str]:
        # The list a moment ago: the run may go on, and prune.
        entry = self._json("run.json", self.entry)
        return [name for name in entry.get("artifacts", []) if (self.folder / name).is_file()]

    def open(self, name: str) -> BinaryIO:
        return open(self.local_path(name), "rb")

    def local_path(self, name: str) -> Path:
        if name not in self.artifacts():
            raise self._absent(name)
        return self.folder / name

    def _journal(self) -> dict[str, Metric]:
        metrics: dict[str, Metric] = {}
        for line in read_journal(self.folder / JOURNAL):
            metric = metrics.setdefault(line.name, Metric([], [], []))
            metric.steps.extend(line.points["steps"])
            metric.values.extend(_floats(line.points["values"]))
            metric.timestamps.extend(line.points["timestamps"])
        return metrics

    def _json(self, name: str, default: Any) -> Any:
        path = self.folder / name
        try:
            return json.loads(path.read_bytes())
        except FileNotFoundError:
            if default is None:
                raise UserError(f"run {self.folder}: not a run (no {name})") from None
            return default
        except ValueError:
            raise UserError(f"{path}: not valid JSON") from None


class FileStore(Store):
    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self.spec = str(root)

    def records(self) -> list[RunRecord]:
        try:
            names = [name for name in os.listdir(self.root) if not name.startswith((".", "_"))]
        except NotADirectoryError:
            raise UserError(f"store={self.root}: not a folder") from None
        except FileNotFoundError:
            raise UserError(f"store={self.root}: no such folder") from None
        found: list[RunRecord] = []
        for name in names:
            # A run that is just starting has a folder before it has a record.
            if (self.root / name / "run.json").is_file():
                try:
                    found.append(self.open(name))
                except UserError as problem:  # of another writer, half written: no reason to stop
                    logger.warning("%s; left out", problem)
        return sorted(found, key=lambda record: (isinstance(record.id, str), record.id))

    def open(self, run_id: int | str) -> RunRecord:
        number = int(run_id) if str(run_id).isdigit() else run_id
        folder = self.root / str(number)
        if not folder.is_dir():
            raise UserError(f"run {folder}: no such run{self._known()}")
        return FileRecord(folder, number)

    def _known(self) -> str:
        if not self.root.is_dir():
            return f" (there is no folder {self.root})"
        numbers = sorted(int(name) for name in os.listdir(self.root) if name.isdigit())
        if not numbers:
            return f" ({self.root} holds none)"
        return f" ({self.root} holds {_ranges(numbers)})"


def open_store(spec: str | os.PathLike[str]) -> Store:
    """The store called ``spec``: a folder, or ``mongodb://[user:password@]host[:port]/database``.

    Raises:
        UserError: it can't be reached, or the address names no database.
    """
    if is_mongo(spec):
        from observers.mongo_records import MongoStore  # pymongo only where it is used

        return MongoStore(str(spec))
    return FileStore(spec)


def open_run(spec: int | str, store: str | os.PathLike[str] = "runs") -> RunRecord:
    """The run called ``spec``.

    Args:
        spec: a number in ``store`` (3 or "3"), a run's folder ("runs/3"), or
            "mongodb://host/database#3".

    Raises:
        UserError: there is no such run; one line says what was looked for and what there is.
    """
    text = str(spec).strip()
    if is_mongo(text):
        address, hash_sign, number = text.rpartition("#")
        if not hash_sign or not number.isdigit():
            raise UserError(
                f"run {without_credentials(text)}: which one? mongodb://host/database#3, say"
            )
        return open_store(address).open(int(number))
    if text.isdigit():
        return open_store(store).open(int(text))
    path = Path(text)
    return FileStore(path.parent).open(path.name)


def is_mongo(spec: str | os.PathLike[str]) -> bool:
    return re.match(r"mongodb(\+srv)?://", str(spec)) is not None


def _floats(values: list) -> list[float]:
    return [_NOT_A_NUMBER if value is None else value for value in values]


def _ranges(numbers: list[int]) -> str:
    """``[1, 2, 3, 7]`` as "1-3, 7"."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][-1] == number - 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return ", ".join("-".join(map(str, part)) for part in parts)
