"""Objects from far away, kept on disk up to a size; the longest unused go first.

Each is a file of its own in the folder ``objects`` of `tmd.cache`, whole or absent, so that any
number of processes may share them. What is read is open, and stays readable when another process
deletes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, BinaryIO

from tmd.cache import cache_file
from tmd.errors import UserError
from tmd.files import FULL, PREFIX, replacing, sweep_leftovers

DEFAULT_GIGABYTES = 50.0
#: Of what is too large to be kept, this much is held in memory while it is read.
LARGEST_IN_MEMORY = 1 << 30
# Deleting somewhat more than must be saves most of the looks through the folder.
_SHARE_KEPT = 0.9
_SECONDS_BETWEEN_TOUCHES = 60
_LOCKS = 64

_log = logging.getLogger("tmd.places")
_limit = int(DEFAULT_GIGABYTES * 1e9)


def set_cache_size(gigabytes: float) -> None:
    """Set how much disk objects may take, in this process and its forks; 0 keeps none.

    What is kept already is not deleted before something is added.
    """
    global _limit
    _limit = int(gigabytes * 1e9)


def cache_size() -> int:
    """Bytes that objects may take on the disk."""
    return _limit


def key_of(address: str, version: str, start: int, length: int) -> str:
    """The name of a part of an object in one of its versions."""
    text = f"{address}\0{version}\0{start}\0{length}"
    return hashlib.blake2b(os.fsencode(text), digest_size=20).hexdigest()


def kept(key: str, length: int) -> BinaryIO | None:
    """The object's open file, if it is here; it has just been used then."""
    place = _place(key)
    if place is None:
        return None
    try:
        file = open(place, "rb")  # noqa: SIM115
    except OSError:
        return None
    stat = os.fstat(file.fileno())
    if length not in (-1, stat.st_size):  # cut by a loss of power
        file.close()
        return None
    if time.time() - stat.st_mtime > _SECONDS_BETWEEN_TOUCHES:
        with contextlib.suppress(OSError):
            os.utime(place)
    return file


def obtained(key: str, name: str, length: int, fetch: Callable[[IO[bytes]], object]) -> BinaryIO:
    """The object's open file, fetched unless it is here; in memory if the disk has no room.

    Args:
        key: by `key_of`.
        name: for messages.
        length: in bytes; -1 for unknown.
        fetch: writes the object into a file, from its start.

    Raises:
        UserError: it fits neither the cache nor the memory.
    """
    if (file := kept(key, length)) is not None:
        return file
    place = _place(key)
    if place is not None and max(length, 1) <= _limit:
        try:
            return _fetched(place, key, length, fetch)
        except OSError as problem:
            if problem.errno not in FULL and not isinstance(problem, PermissionError):
                raise
            _log.debug("%s: %s", place, problem)
    if length > LARGEST_IN_MEMORY:
        raise UserError(
            f"{name}: its {length / 1e9:.3g} GB must be kept on this disk, as its server sends no "
            f"parts of files, and do not fit; dataset.cache={_limit / 1e9:g} (GB)"
        )
    memory = io.BytesIO()
    fetch(memory)
    memory.seek(0)
    return memory


def _fetched(place: Path, key: str, length: int, fetch: Callable[[IO[bytes]], object]) -> BinaryIO:
    place.parent.mkdir(parents=True, exist_ok=True)
    with locked(key):
        if (file := kept(key, length)) is not None:  # another process was as quick
            return file
        with replacing(place, durable=False) as new:
            fetch(new)
        file = open(place, "rb")  # noqa: SIM115
    _account(os.fstat(file.fileno()).st_size)
    return file


@contextlib.contextmanager
def locked(key: str, kind: str = "object") -> Iterator[None]:
    """Keep other processes from the same work at the same time; where there is no home, nothing.

    Who holds a lock may take one of a kind that sorts after its own, so that none wait in a circle.
    """
    folder = _folder()
    if folder is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    number = int(hashlib.blake2b(key.encode(), digest_size=2).hexdigest(), 16) % _LOCKS
    with _lock(folder / f"lock-{kind}-{number:02}"):
        yield


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[IO[bytes]]:
    with open(path, "a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _account(added: int) -> None:
    """Count what was added, and delete the longest unused once there is too much."""
    folder = _folder()
    assert folder is not None
    with _lock(folder / "bytes") as file:
        file.seek(0)
        text = file.read()
        # An empty file is new, or its writer was killed: the folder itself tells.
        total = int(text) + added if text.isdigit() else _limit + 1
        if total > _limit:
            total = _delete_longest_unused(folder)
        file.truncate(0)
        file.write(b"%d" % total)


def _delete_longest_unused(folder: Path) -> int:
    """Delete until the limit is kept with some room; the bytes that are left."""
    found = []
    for below in os.scandir(folder):
        if not below.is_dir():
            continue
        sweep_leftovers(below.path)
        for entry in os.scandir(below.path):
            with contextlib.suppress(OSError):
                stat = entry.stat()
                if not entry.name.startswith(PREFIX):
                    found.append((stat.st_mtime_ns, stat.st_size, entry.path))
    total = sum(size for _, size, _ in found)
    if total <= _limit:
        return total
    for _, size, path in sorted(found):
        if total <= _limit * _SHARE_KEPT:
            break
        with contextlib.suppress(OSError):
            os.unlink(path)
            total -= size
    return total


def _folder() -> Path | None:
    place = cache_file("objects", "", "")
    return None if place is None else place.parent


def _place(key: str) -> Path | None:
    folder = _folder()
    return None if folder is None else folder / key[:2] / key[2:]
