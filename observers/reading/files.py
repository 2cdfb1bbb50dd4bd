"""Reading the runs of a file store: ours, and those of Sacred's own observer."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from observers.journal import JOURNAL, read_journal
from observers.names import printable
from observers.reading import shapes
from observers.reading.records import RunRecord, Store, as_id, by_number
from observers.reading.shapes import Note
from tmd.errors import UserError

_STARTING = 60.0  # seconds that a folder may be without its run.json


class FileRecord(RunRecord):
    """A run in the folder ``folder``.

    Args:
        folder: the run's.
        run_id: its number.
    """

    def __init__(self, folder: Path, run_id: int | str) -> None:
        super().__init__(run_id, str(folder))
        self.folder = folder
        self._read: dict[str, Any] = {}

    @property
    def entry(self) -> dict[str, Any]:
        """The content of ``run.json``, read once."""
        return self._once("run.json", None)

    @property
    def config(self) -> dict[str, Any]:
        """The content of ``config.json``, read once."""
        return self._once("config.json", None)

    @property
    def info(self) -> dict[str, Any]:
        """The content of ``info.json``; empty if there is none."""
        return self._json("info.json", {})

    @property
    def captured_out(self) -> str:
        """The content of ``cout.txt``; "" if there is none."""
        return (self._bytes("cout.txt") or b"").decode("utf-8", "replace")

    def open(self, name: str) -> BinaryIO:
        """The artifact, opened."""
        return open(self.local_path(name), "rb")

    def local_path(self, name: str) -> Path:
        """The artifact itself."""
        if name not in self.artifacts():
            raise self._absent(name)
        return self.folder / name

    def _listed_artifacts(self, note: Note) -> list[str]:
        # The list a moment ago: the run may go on, and prune.
        names = shapes.artifact_names(self._json("run.json", None).get("artifacts"), note)
        return [name for name in names if (self.folder / name).is_file()]

    def _points(self) -> Iterable[tuple[str, Any]]:
        journal = self.folder / JOURNAL
        try:
            if journal.is_file() and not _newer(self.folder / "metrics.json", journal):
                return [(line.name, line.points) for line in read_journal(journal)]
        except FileNotFoundError:
            pass  # the run has just ended
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as problem:
            raise self._odd(JOURNAL, f"can't be read ({type(problem).__name__})") from None
        return list(self._json("metrics.json", {}).items())

    def _once(self, name: str, default: Any) -> dict[str, Any]:
        if name not in self._read:
            self._read[name] = self._json(name, default)
        return self._read[name]

    def _json(self, name: str, default: Any) -> dict[str, Any]:
        content = self._bytes(name)
        if content is None:
            if default is None:
                raise UserError(f"run {printable(self.folder)}: not a run (no {name})")
            return default
        try:
            value = json.loads(content)
        except RecursionError:
            raise self._odd(name, "nested too deeply") from None
        except ValueError:
            raise self._odd(name, "not valid JSON") from None
        if not isinstance(value, dict):
            raise self._odd(name, "holds no JSON object")
        return value

    def _bytes(self, name: str) -> bytes | None:
        try:
            # What a pipe is opened for would otherwise be waited for.
            handle = os.open(f"{self.spec}/{name}", os.O_RDONLY | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError as problem:
            raise self._odd(name, str(problem.strerror)) from None
        with open(handle, "rb") as file:
            state = os.fstat(handle)
            if not stat.S_ISREG(state.st_mode):
                raise self._odd(name, "not a file")
            return file.read()

    def _odd(self, name: str, problem: str) -> UserError:
        return UserError(f"{printable(self.folder / name)}: {problem}")


class FileStore(Store):
    """The runs in the folder ``root``."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self.spec = str(root)

    def records(self) -> list[RunRecord]:
        """The runs in the folder, by number."""
        try:
            names = [name for name in os.listdir(self.root) if not name.startswith((".", "_"))]
        except OSError as problem:
            said = {FileNotFoundError: "no such folder", NotADirectoryError: "not a folder"}
            reason = said.get(type(problem), problem.strerror)
            raise UserError(f"store={printable(self.root)}: {reason}") from None
        found = [FileRecord(self.root / name, as_id(name)) for name in names if self._has(name)]
        return sorted(found, key=by_number)

    def open(self, run_id: int | str) -> RunRecord:
        """The run in the subfolder ``run_id``."""
        number = as_id(run_id)
        folder = self.root / str(number)
        if not folder.is_dir():
            raise UserError(f"run {printable(folder)}: no such run{self._known()}")
        record = FileRecord(folder, number)
        assert record.entry is not None  # raises where there is none
        return record

    def _has(self, name: str) -> bool:
        """Return whether the entry ``name`` of the store is a run."""
        folder = os.path.join(self.root, name)
        if os.path.lexists(os.path.join(folder, "run.json")):
            return True
        # A run that is just starting has a folder, and other files, before it has a record.
        if not isinstance(as_id(name), int):
            return False
        try:
            left = {"config.json", "metrics.json"} & set(os.listdir(folder))
            return bool(left) and time.time() - os.stat(folder).st_mtime > _STARTING
        except OSError:
            return False

    def _known(self) -> str:
        if not self.root.is_dir():
            return f" (there is no folder {printable(self.root)})"
        ids = map(as_id, os.listdir(self.root))
        numbers = sorted(number for number in ids if isinstance(number, int))
        if not numbers:
            return f" ({printable(self.root)} holds none)"
        return f" ({printable(self.root)} holds {_ranges(numbers)})"


def _newer(path: Path, other: Path) -> bool:
    try:
        return path.stat().st_mtime_ns > other.stat().st_mtime_ns
    except FileNotFoundError:
        return False


def _ranges(numbers: list[int]) -> str:
    """``[1, 2, 3, 7]`` as "1-3, 7"."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][-1] == number - 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return ", ".join("-".join(map(str, part)) for part in parts)
