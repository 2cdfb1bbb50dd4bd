"""Files that are whole or absent, whatever ends the process that writes them."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, BinaryIO

PathLike = str | os.PathLike[str]

PREFIX = ".writing-"
#: Seconds after which what nobody touched is a leftover, where its writer can't be asked for.
STALE = 600.0
#: Errors of a disk that takes no more.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_NAME = re.compile(re.escape(PREFIX) + r"(?P<machine>[0-9a-f]{8})-(?P<pid>\d+)-[0-9a-f]+")


@contextlib.contextmanager
def replacing(path: PathLike, durable: bool = True, overwrite: bool = True) -> Iterator[BinaryIO]:
    """A binary file that becomes ``path`` when the block ends well, and vanishes otherwise.

    It has the rights that the umask gives, and can be read and moved about in.

    Args:
        path: its folder must exist.
        durable: wait for the disk, so that it is whole after a loss of power too.
        overwrite: replace an existing file.

    Raises:
        FileExistsError: ``path`` exists and is not to be replaced.
        OSError: it can't be written; ``path`` is untouched.

    Example:
        >>> with replacing("result.txt") as file:
        ...     file.write(b"all of it")
        9
    """
    path = Path(path)
    temporary = _temporary(path)
    try:
        # Opened by name: the files of `tempfile` are private, and colleagues read these.
        with _naming(path), open(temporary, "x+b") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        _publish(temporary, path, overwrite)
    finally:
        temporary.unlink(missing_ok=True)
    if durable:
        sync_folder(path.parent)


@contextlib.contextmanager
def replacing_path(
    path: PathLike,
    durable: bool = True,
    overwrite: bool = True,
    companions: Collection[str] = (),
) -> Iterator[Path]:
    """As `replacing`, for writers that open a file by its name: a path with the name of ``path``.

    Args:
        companions: suffixes of files that belong to it, which the block writes beside it; they are
            there before it is.

    Raises:
        FileNotFoundError: the block wrote no file there.
    """
    path = Path(path)
    folder = _temporary(path)
    with _naming(path):
        folder.mkdir()
    try:
        temporary = folder / path.name
        with _naming(path):
            yield temporary
        names = [path.with_suffix(suffix).name for suffix in companions] + [path.name]
        for name in names if durable else ():
            with open(folder / name, "rb") as file:
                os.fsync(file.fileno())
        for name in names:
            _publish(folder / name, path.with_name(name), overwrite)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if durable:
        sync_folder(path.parent)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors of a full disk, which tell of no file or of a temporary one, tell of ``path``."""
    try:
        yield
    except OSError as problem:
        if problem.errno not in FULL:
            raise
        raise OSError(problem.errno, problem.strerror, str(path)) from None


def write_bytes(path: PathLike, content: bytes, durable: bool = True) -> None:
    """Write ``content`` as `replacing` does."""
    with replacing(path, durable) as file:
        file.write(content)


def write_json(path: PathLike, value: Any, durable: bool = True) -> None:
    """Write ``value`` as JSON, indented and sorted by key.

    Raises:
        ValueError: it holds NaN or an infinity, which JSON has not.
    """
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    write_bytes(path, text.encode("utf-8", "backslashreplace"), durable)


def copy_file(source: PathLike, target: PathLike) -> None:
    """Copy; when it returns, the bytes and the name survive a loss of power."""
    with open(source, "rb") as original, replacing(target) as copy:
        shutil.copyfileobj(original, copy, 1 << 20)


def sha256(path: PathLike) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sync_folder(folder: PathLike) -> None:
    """Have the names in ``folder`` reach the disk, where its file system can be asked for that."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as problem:
        if problem.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def sweep_leftovers(folder: PathLike) -> list[Path]:
    """Delete what writers that were killed left half written in ``folder``.

    A file is left over if its writer's process, on this machine, has ended. Of files from other
    machines, and those named by versions that did not say who writes, it is believed once nobody
    touched them for `STALE` seconds.

    Returns:
        What was deleted.
    """
    swept = []
    for path in Path(folder).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # another process sweeps too, or we may not
            if _left_over(path):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
                swept.append(path)
    return swept


def _left_over(path: Path) -> bool:
    named = _NAME.fullmatch(path.name)
    if named and named["machine"] == _machine():
        return not _runs(int(named["pid"]))
    # A folder's own time is that of the last name in it; what is in it is being written.
    touched = max(each.stat().st_mtime for each in (path, *path.glob("*")))
    return time.time() - touched > STALE


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # another user's
        return True
    return True


def _machine() -> str:
    """Eight hexadecimal digits for those among whom a process id means one process."""
    try:
        processes = os.readlink("/proc/self/ns/pid")  # a container has its own
    except OSError:
        processes = ""
    name = f"{socket.gethostname()} {processes}"
    return hashlib.blake2b(name.encode(), digest_size=4).hexdigest()


def _temporary(path: Path) -> Path:
    return path.parent / f"{PREFIX}{_machine()}-{os.getpid()}-{secrets.token_hex(4)}"


def _publish(temporary: Path, path: Path, overwrite: bool) -> None:
    if not overwrite:
        try:
            os.link(temporary, path)
            return
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            if path.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
    os.replace(temporary, path)
