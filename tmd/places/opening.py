"""Opening files by their names, wherever they are."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, NamedTuple, cast

import numpy as np

from tmd.errors import UserError
from tmd.packed import PackedStrings
from tmd.places import objects
from tmd.places.kinds import store_of
from tmd.places.names import in_shard, is_address
from tmd.places.opened import FilePart
from tmd.places.reaching import NoPartsError
from tmd.places.shards import open_member

_THREADS = 16
_BUFFER = 64 << 10


class Listed(NamedTuple):
    """The objects below an address.

    Attributes:
        names: below the address, sorted by bytes.
        sizes: (n,), int64.
        versions: (n,), uint64: another number whenever the object is another.
    """

    names: PackedStrings
    sizes: np.ndarray
    versions: np.ndarray


_listed: dict[str, Listed] = {}
_pools: dict[int, ThreadPoolExecutor] = {}


def remember(folder: str, listed: Listed) -> None:
    """Have the sizes and versions of objects known, so that they are not asked for one by one."""
    _listed[folder] = listed


def is_elsewhere(path: str) -> bool:
    """Return whether a path leads into a shard or away from this machine."""
    return is_address(path) or in_shard(path) is not None


def open_part(path: str) -> BinaryIO | FilePart:
    """The file at a path that leads elsewhere; a `FilePart` where it is a part of another.

    Raises:
        FileNotFoundError: nothing is there.
        UnreachableError: it is out of reach.
    """
    if (inside := in_shard(path)) is not None:
        return open_member(*inside)
    size, version = _size_and_version(path)
    store = store_of(path)
    return objects.obtained(
        objects.key_of(path, version, 0, size),
        path,
        size,
        lambda file: store.download(path, size, file),
    )


def open_elsewhere(path: str) -> BinaryIO:
    """The file at a path that leads elsewhere, as any other file.

    Raises:
        FileNotFoundError: nothing is there.
        UnreachableError: it is out of reach.
    """
    part = open_part(path)
    if isinstance(part, FilePart):
        return cast(BinaryIO, io.BufferedReader(part, _BUFFER))
    return part


def size_elsewhere(path: str) -> int:
    """The length in bytes of the file at a path that leads elsewhere, without reading it."""
    if (inside := in_shard(path)) is None:
        return _size_and_version(path)[0]
    part = open_member(*inside)
    return part.length if isinstance(part, FilePart) else os.fstat(part.fileno()).st_size


def ending_elsewhere(path: str, count: int) -> bytes:
    """The last ``count`` bytes of the file at a path that leads elsewhere, or all of a shorter."""
    if is_address(path) and in_shard(path) is None:
        size, version = _size_and_version(path)
        key = objects.key_of(path, version, 0, size)
        if size >= 0 and objects.kept(key, size) is None:
            start = max(0, size - count)
            try:
                return store_of(path).read(path, start, size - start) if size else b""
            except NoPartsError:
                pass
    with open_elsewhere(path) as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - count))
        return file.read(count)


def fetch(paths: Iterable[str]) -> None:
    """Have files that are far away fetched at once, for who is about to read one after the other.

    What can't be had is left to the reading, which says so.
    """
    far = [path for path in paths if is_address(path)]
    if len(far) > 1 and objects.cache_size():
        for _ in _pool().map(_fetched, far):
            pass


def _fetched(path: str) -> None:
    try:
        open_part(path).close()
    except (OSError, UserError):
        return


def _pool() -> ThreadPoolExecutor:
    """Threads of this process; those of the process that it was forked from are not here."""
    if (process := os.getpid()) not in _pools:
        _pools.clear()
        _pools[process] = ThreadPoolExecutor(_THREADS)
    return _pools[process]


def _size_and_version(address: str) -> tuple[int, str]:
    for folder, listed in _listed.items():
        if address.startswith(f"{folder}/"):
            number = listed.names.find(os.fsencode(address[len(folder) + 1 :]))
            if number >= 0:
                return int(listed.sizes[number]), f"{int(listed.versions[number]):016x}"
    found = store_of(address).info(address)
    return found.size, found.version
