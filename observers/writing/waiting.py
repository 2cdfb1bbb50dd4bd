"""Artifacts that a store has no room for, until it has."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from observers.scratch import Scratch
from tmd.files import replacing_path

_MOST_UNWRITTEN = 8  # artifacts that wait in memory

#: Writes the whole of a file at the path it is given; may be called more than once.
Writer = Callable[[Path], None]
Source = str | os.PathLike[str] | Writer


@dataclass(frozen=True)
class Pending:
    """An artifact that is not in its store.

    Attributes:
        name: of the artifact.
        source: the file that holds it, or what writes one where no disk had room.
        ours: whether the file is ours to delete.
    """

    name: str
    source: Path | Writer
    ours: bool = False

    @property
    def place(self) -> str:
        """The path of the file; the name where there is none."""
        return str(self.source) if self.in_file else f"{self.name} (in no file)"

    @property
    def in_file(self) -> bool:
        """Return whether it outlives this process."""
        return isinstance(self.source, Path)

    def discard(self) -> None:
        """Delete the file, if it is ours."""
        if self.ours and isinstance(self.source, Path):
            self.source.unlink(missing_ok=True)


class Waiting:
    """The newest of each series of artifacts that is not in its store yet.

    A series are names that differ in the eight digits of an iteration only. What no disk had room
    for stays in memory, beside the one before it that is in a file.

    Attributes:
        lost: names of the artifacts for which there was no room in memory either.
    """

    def __init__(self) -> None:
        self._scratch = Scratch(keep=True)
        self._lock = threading.RLock()
        self.lost: list[str] = []
        self._files: dict[str, Pending] = {}
        self._unwritten: dict[str, Pending] = {}

    def __bool__(self) -> bool:
        return bool(self._files or self._unwritten or self.lost)

    def places(self) -> list[str]:
        """Paths of those in files; of the others the name, and that it is in no file."""
        return [*(each.place for each in self), *(f"{name} (in no file)" for name in self.lost)]

    def __iter__(self) -> Iterator[Pending]:
        """Those that wait, newest of a series first."""
        with self._lock:
            return iter([*self._unwritten.values(), *self._files.values()])

    def put(self, name: str, source: Source) -> Pending:
        """Keep the artifact in place of an older one of its series."""
        with self._lock:
            if not callable(source):
                return self._keep(Pending(name, Path(source)))
            try:
                path = self._scratch.path / name
                with replacing_path(path) as temporary:
                    source(temporary)
            except Exception:  # the other disk is full too
                return self._keep_in_memory(Pending(name, source))
            return self._keep(Pending(name, path, ours=True))

    def drop(self, name: str) -> None:
        """Forget the artifact, and older ones of its series."""
        with self._lock:
            self._unwritten.pop(_series(name), None)
            self._forget_file(name)

    def delivered(self, pending: Pending) -> None:
        """Forget ``pending``; a newer one of its series goes on waiting."""
        with self._lock:
            if self._unwritten.get(_series(pending.name)) is pending:
                self.drop(pending.name)
            elif self._files.get(_series(pending.name)) is pending:
                self._forget_file(pending.name)

    def close(self) -> None:
        """Remove the folder of those that waited, unless some still do."""
        self._scratch.close()

    def _keep(self, pending: Pending) -> Pending:
        series = _series(pending.name)
        self._unwritten.pop(series, None)
        older = self._files.get(series)
        self._files[series] = pending
        if older is not None and older.source != pending.source:
            older.discard()
        return pending

    def _keep_in_memory(self, pending: Pending) -> Pending:
        self._unwritten.pop(_series(pending.name), None)
        self._unwritten[_series(pending.name)] = pending
        if len(self._unwritten) > _MOST_UNWRITTEN:
            self.lost.append(self._unwritten.pop(next(iter(self._unwritten))).name)
        return pending

    def _forget_file(self, name: str) -> None:
        older = self._files.pop(_series(name), None)
        if older is not None:
            older.discard()


def _series(name: str) -> str:
    return re.sub(r"\d{8}", "0", name)
