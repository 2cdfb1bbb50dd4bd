"""Writing files that readers, and a process killed at any moment, leave whole or absent."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

PREFIX = ".writing-"


@contextlib.contextmanager
def replacing(path: Path, durable: bool = True) -> Iterator[BinaryIO]:
    """A file to write to that becomes ``path`` when the block ends well, and vanishes otherwise.

    Args:
        durable: wait for the disk, so that it is whole after a loss of power too.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=PREFIX)
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), 0o666 & ~_umask())
            if durable:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_bytes(path: Path, content: bytes, durable: bool = True) -> None:
    with replacing(path, durable) as file:
        file.write(content)


def write_json(path: Path, value: Any) -> None:
    """``value`` must be what `observers.plain.plain` returns: JSON has no NaN."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def copy_file(source: str | os.PathLike[str], target: Path) -> None:
    """Copy; when it returns, the bytes and the name survive a loss of power."""
    with open(source, "rb") as original, replacing(target) as copy:
        shutil.copyfileobj(original, copy, 1 << 20)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_leftovers(folder: Path) -> None:
    """Delete what writers that were killed left half written in ``folder``."""
    for path in folder.glob(f"{PREFIX}*"):
        path.unlink(missing_ok=True)


def _umask() -> int:
    # mkstemp makes private files; a store is read by colleagues. os.umask can only be read by
    # setting it, which another thread would notice.
    return _UMASK


_UMASK = os.umask(0)
os.umask(_UMASK)
