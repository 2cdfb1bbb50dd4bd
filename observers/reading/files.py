"""Reading the runs of a file store: ours, and those of Sacred's own observer."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any, BinaryIO

from observers.journal import JOURNAL, Metric, read_journal
from observers.reading.records import RunRecord, Store
from tmd.errors import UserError

logger = logging.getLogger("observers")
_NOT_A_NUMBER = float("nan")


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
