"""Leases on a folder that machines share: each name is had by one living process at a time.

All that is asked of the file system is that a file is created exclusively (`O_EXCL`), as NFS and
the file systems of clusters have it. A lease is a folder of numbered files, one for each time that
it was taken; the highest number has it, and the next one is created by exactly one. How long its
holder gave no sign of life is told by the file system's clock; those of machines are not compared.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import secrets
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from tmd.errors import check_number
from tmd.files import PathLike
from tmd.processes import is_alive, this_process

RELEASED = b"released"
#: Share of the time after which a lease counts as left that its holder itself trusts in it, so that
#: it gives up first.
TRUSTED = 0.75
#: Signs of life within that time.
BEATS = 5
#: Numbers that stay when higher ones are there: one that is created late meets a higher one.
KEPT = 8

_NAME = re.compile(r"[\w-][\w.-]*")
_log = logging.getLogger(__name__)


class LostLease(Exception):
    """A lease that its holder was too late to renew, so that another may have it."""


class Leases:
    """The leases in a folder.

    Args:
        folder: is made when the first lease is taken.
        stale_after: seconds without a sign of life after which a lease is taken over. At once, if
            its holder was on this machine and has ended.

    Example:
        >>> with Leases("/shared/study/leases").take("trial-7") as lease:
        ...     lease.check()
    """

    def __init__(self, folder: PathLike, stale_after: float = 60.0) -> None:
        check_number("stale_after", stale_after, above=0)
        self.folder = Path(folder)
        self.stale_after = stale_after

    def take(self, name: str) -> Lease | None:
        """The lease, or `None` where somebody alive has it.

        Args:
            name: letters, digits, ``_``, ``-`` and, but at its beginning, ``.``.

        Raises:
            ValueError: the name has other characters.
            OSError: the folder can't be written.
        """
        folder = self._of(name)
        folder.mkdir(parents=True, exist_ok=True)
        number = _highest(folder)
        if number and not self._is_free(folder / str(number)):
            return None
        began = _clock()
        mine = folder / str(number + 1)
        entry = json.dumps({**this_process(), "stale_after": self.stale_after}).encode()
        try:
            _create(mine, entry)
        except FileExistsError:
            return None
        # Whoever stood still since it looked may have created a number that was there and is gone.
        if _highest(folder) != number + 1:
            mine.unlink(missing_ok=True)
            return None
        for old in _numbers(folder):
            if old <= number - KEPT:
                (folder / str(old)).unlink(missing_ok=True)
        return Lease(name, mine, self.stale_after, began)

    def holder(self, name: str) -> dict[str, Any] | None:
        """Description of the process that has the lease now (``host``, ``pid``); else `None`.

        It is empty where the holder has not said yet who it is.
        """
        folder = self._of(name)
        if not folder.is_dir() or not (number := _highest(folder)):
            return None
        entry = folder / str(number)
        return None if self._is_free(entry) else dict(_read(entry)[0] or {})

    def _of(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r}: a lease's name is of letters, digits, _, - and .")
        return self.folder / name

    def _is_free(self, path: Path) -> bool:
        try:
            holder, touched = _read(path)
        except FileNotFoundError:  # far higher ones are there
            return False
        if holder is None:
            return True
        if is_alive(holder) is False:
            return True
        patience = holder.get("stale_after", self.stale_after)
        return _now(path.parent) - touched > patience


class Lease:
    """The right to be the only one, as long as this process gives signs of life.

    A thread gives them. A process that stands still too long finds out that it lost the lease; what
    it was writing at that moment it finishes, so results are to be replaced as a whole
    (`tmd.files`), and to be the same whoever writes them.

    Attributes:
        name: of the lease.
        number: how often it was taken, this time included.
    """

    def __init__(self, name: str, path: Path, stale_after: float, began: float) -> None:
        self.name = name
        self.number = int(path.name)
        self._path = path
        self._next = path.with_name(str(self.number + 1))
        self._trusted = TRUSTED * stale_after
        self._renewed = began
        self._ended = threading.Event()
        self._thread = threading.Thread(
            target=self._beat, args=(stale_after / BEATS,), name=f"lease {name}", daemon=True
        )
        self._thread.start()

    @property
    def held(self) -> bool:
        """True as long as nobody else can have it."""
        if not self._ended.is_set() and (self._late() or self._next.exists()):
            self._ended.set()
        return not self._ended.is_set()

    def check(self) -> None:
        """Raise `LostLease` unless it is `held`."""
        if not self.held:
            raise LostLease(f"{self.name}: another process may have taken it over")

    def release(self) -> None:
        """Let others have it at once; nothing happens if it is lost already."""
        if self.held:
            self._ended.set()
            with contextlib.suppress(FileNotFoundError), open(self._path, "r+b") as file:
                file.write(RELEASED)
                file.truncate()
        self._ended.set()
        self._thread.join()

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def _late(self) -> bool:
        return _clock() - self._renewed > self._trusted

    def _beat(self, interval: float) -> None:
        while not self._ended.wait(interval):
            began = _clock()
            if not self.held:
                return
            try:
                os.utime(self._path)  # without a time: the file system's own
            except FileNotFoundError:
                self._ended.set()
            except OSError as problem:  # it may come back in time
                _log.warning("%s: %s", self._path, problem.strerror)
            else:
                self._renewed = began


def _clock() -> float:
    """Seconds that go on while the process or the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _now(folder: Path) -> float:
    """The time of the folder's file system, in seconds."""
    probe = folder / f".clock-{secrets.token_hex(8)}"
    try:
        return _create(probe, b"").st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _create(path: Path, content: bytes) -> os.stat_result:
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        os.write(handle, content)
        return os.fstat(handle)
    finally:
        os.close(handle)


def _read(path: Path) -> tuple[Mapping[str, Any] | None, float]:
    """The holder, `None` if it released the lease, and when it gave its last sign of life.

    A file is opened even for its time: NFS asks the server only then.
    """
    with open(path, "rb") as file:
        content, touched = file.read(), os.fstat(file.fileno()).st_mtime
    if content.startswith(RELEASED):
        return None, touched
    try:
        return dict(json.loads(content)), touched
    except (ValueError, TypeError):  # being written, or never to be finished
        return {}, touched


def _numbers(folder: Path) -> list[int]:
    return [int(name) for name in os.listdir(folder) if name.isdigit()]


def _highest(folder: Path) -> int:
    return max(_numbers(folder), default=0)
