"""Regular files opened without waiting for anything, on this machine or elsewhere."""

from __future__ import annotations

import os
import stat
from typing import BinaryIO

from tmd.errors import UserError
from tmd.images.formats import PathLike
from tmd.places import is_elsewhere, open_elsewhere


def open_file(path: PathLike) -> BinaryIO:
    """A regular file, or one in a shard or at an address (`tmd.places`), open for reading.

    Raises:
        UserError: it is no regular file (a pipe would never answer), or out of reach.
        OSError: it is absent, or can't be read.
    """
    if is_elsewhere(os.fspath(path)):
        return open_elsewhere(os.fspath(path))
    file = open(path, "rb", opener=_open_at_once)  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise UserError(f"{path}: not a file")
    return file


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting for a pipe's other end."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
