"""Runs that are still to be sent to a database: whither, and who is sending them.

A run that is (also) recorded in a database is first a folder on disk: in the file store if there
is one, else in ``runs/_spool``. The folder holds a marker until all of it has been sent.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from observers.journal import JOURNAL
from tmd.files import write_json

SPOOL = "_spool"
_MARKER = ".mongo.json"
_LOCK = ".mongo.lock"


class Outbox:
    """The marker of one run's folder.

    Args:
        folder: the run's.
        keep: whether the folder stays when all is sent (it is a run of the file store).
    """

    def __init__(self, folder: Path, keep: bool) -> None:
        self.folder = folder
        self.keep = keep
        self._lock: int | None = None

    def mark(self, url: str, run_id: int | None) -> None:
        """Note that the run goes to the database ``url`` (without credentials) as ``run_id``."""
        write_json(self.folder / _MARKER, {"url": url, "id": run_id, "keep": self.keep})

    def marker(self) -> dict[str, Any] | None:
        """The note of `mark`; empty if it can't be read, `None` if there is nothing."""
        try:
            found = json.loads((self.folder / _MARKER).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def run_id(self) -> int | None:
        """The number that the run is to have in the database, as far as it is known."""
        number = (self.marker() or {}).get("id")
        if isinstance(number, int):
            return number
        return int(self.folder.name) if self.keep and self.folder.name.isdecimal() else None

    def lock(self) -> bool:
        """Be the one who sends this run; the lock goes with the process."""
        handle = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            # Not flock: a forked loader worker would hold it after its parent was killed.
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            return False
        self._lock = handle
        return True

    def unlock(self) -> None:
        """Let others send this run."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def clear(self) -> None:
        """All is sent: the file store keeps its run, the spool does not."""
        if not self.keep:
            shutil.rmtree(self.folder)
            with contextlib.suppress(OSError):  # others are still in it
                self.folder.parent.rmdir()
            return
        (self.folder / _MARKER).unlink(missing_ok=True)
        (self.folder / _LOCK).unlink(missing_ok=True)
        metrics, journal = self.folder / "metrics.json", self.folder / JOURNAL
        with contextlib.suppress(FileNotFoundError):
            if metrics.stat().st_mtime_ns >= journal.stat().st_mtime_ns:
                journal.unlink()


def outboxes(store: Path) -> Iterator[Outbox]:
    """The runs in and under the file store ``store`` that a database does not have in full."""
    for folder in sorted([*store.glob("*"), *(store / SPOOL).glob("*")]):
        outbox = Outbox(folder, keep=folder.parent.name != SPOOL)
        if folder.is_dir() and outbox.marker() is not None:
            yield outbox


def next_provisional_id(spool: Path) -> int:
    """A number for a run whose database can't be asked for one."""
    ids = [Outbox(folder, keep=False).run_id() or 0 for folder in spool.glob("*")]
    return max(ids, default=0) + 1
