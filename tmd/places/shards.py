"""Tar shards: each member's place, found once and kept, so that any image is one read away.

A shard is searched again when its size or the time of its last change is another.
"""

from __future__ import annotations

import io
import logging
import os
import tarfile
import threading
from collections import OrderedDict
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple, cast

import numpy as np

from tmd.cache import cache_file, keep
from tmd.errors import UnreachableError, UserError
from tmd.packed import PackedStrings
from tmd.places import objects
from tmd.places.kinds import store_of
from tmd.places.names import is_address, is_packed
from tmd.places.opened import FilePart, RangeReader
from tmd.places.reaching import NoPartsError

_FORMAT = 1
_BLOCK = tarfile.BLOCKSIZE
# Read at once from far away: many headers of small members, or one of a large one.
_AHEAD = 256 << 10
_MOST_OPEN = 64

_log = logging.getLogger("tmd.places")
_indexes: dict[str, ShardIndex] = {}
_open: OrderedDict[str, BinaryIO] = OrderedDict()
_opening = threading.Lock()
_sends_no_parts: set[str] = set()


class ShardIndex(NamedTuple):
    """The places of a shard's files.

    Attributes:
        names: of the files, sorted by bytes.
        offsets, lengths: (n,), int64, of their content.
        size: of the shard, in bytes.
        version: text that changes when the shard does.
        others: how many members are no files: links, devices.
    """

    names: PackedStrings
    offsets: np.ndarray
    lengths: np.ndarray
    size: int
    version: str
    others: int

    def place(self, shard: str, name: str) -> tuple[int, int]:
        """Offset and length of a file's content.

        Raises:
            FileNotFoundError: the shard holds no such file.
        """
        number = self.names.find(os.fsencode(name))
        if number < 0:
            raise FileNotFoundError(f"{shard}/{name}")
        return int(self.offsets[number]), int(self.lengths[number])


def index_of(shard: str, whole: bool = False) -> ShardIndex:
    """The index of a shard; in a process, a shard is looked at once.

    Args:
        shard: an absolute path, or an address.
        whole: whether to fetch the whole shard, if it is far away, to find what is in it.

    Raises:
        FileNotFoundError: there is no such shard.
        UserError: it is cut short, or no tar.
        UnreachableError: its address does not answer.
    """
    if shard in _indexes:
        return _indexes[shard]
    with objects.locked(shard, "index"):
        size, version = _state(shard)
        place = cache_file("shards", shard, ".npz")
        index = None if place is None else _remembered(place, size, version)
        if index is None:
            index = _searched(shard, size, version, whole)
            if place is not None:
                _keep(place, index)
    _indexes[shard] = index
    return index


def open_member(shard: str, name: str) -> FilePart | BinaryIO:
    """A shard's file, open for reading.

    Raises:
        FileNotFoundError: there is no such file.
        UnreachableError: the shard is not what it was when it was indexed, or out of reach.
    """
    index = index_of(shard)
    offset, length = index.place(shard, name)
    if not is_address(shard):
        return FilePart(_opened(shard, index), offset, length)
    key = objects.key_of(shard, index.version, 0, index.size)
    file = objects.kept(key, index.size)
    if file is None and shard not in _sends_no_parts:
        store = store_of(shard)
        try:
            return objects.obtained(
                objects.key_of(shard, index.version, offset, length),
                f"{shard}/{name}",
                length,
                lambda file: file.write(store.read(shard, offset, length)),
            )
        except NoPartsError:
            _sends_no_parts.add(shard)
    return FilePart(file or _whole(shard, index.size, index.version), offset, length)


def _state(shard: str) -> tuple[int, str]:
    """Size and version."""
    if is_address(shard):
        found = store_of(shard).info(shard)
        return found.size, found.version
    stat = os.stat(shard)
    return stat.st_size, str(stat.st_mtime_ns)


def _opened(shard: str, index: ShardIndex) -> BinaryIO:
    """The open file of a shard on this machine, one for all its readers."""
    with _opening:
        if (file := _open.get(shard)) is not None:
            _open.move_to_end(shard)
            return file
        file = open(shard, "rb")  # noqa: SIM115
        stat = os.fstat(file.fileno())
        if (stat.st_size, str(stat.st_mtime_ns)) != (index.size, index.version):
            raise UnreachableError(f"{shard}: was changed after this run had begun to read it")
        _open[shard] = file
        if len(_open) > _MOST_OPEN:
            _open.popitem(last=False)  # closed when its last reader lets it go
        return file


def _whole(shard: str, size: int, version: str) -> BinaryIO:
    """A shard from far away on this disk."""
    store = store_of(shard)
    return objects.obtained(
        objects.key_of(shard, version, 0, size),
        shard,
        size,
        lambda file: store.download(shard, size, file),
    )


def _searched(shard: str, size: int, version: str, whole: bool) -> ShardIndex:
    if is_packed(shard):
        raise UserError(
            f"{shard}: a compressed tar can't be read here and there; unpack it to .tar"
        )
    if not is_address(shard):
        with open(shard, "rb") as file:
            return _members(shard, file, size, version)
    if not whole:
        store = store_of(shard)
        parts = RangeReader(lambda *part: store.read(shard, *part), size, _AHEAD)
        far = io.BufferedReader(parts)  # which asks again where a part ends
        try:
            return _members(shard, cast(BinaryIO, far), size, version)
        except NoPartsError:
            pass
    with _whole(shard, size, version) as file:
        return _members(shard, file, size, version)


def _members(shard: str, file: BinaryIO, size: int, version: str) -> ShardIndex:
    """Search a tar from its start to its end."""
    found: dict[bytes, tuple[int, int]] = {}
    others = 0
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # of each it would keep a kilobyte
                if not member.isreg() or member.issparse():
                    others += not member.isdir()
                    continue
                if member.offset_data + member.size > size:
                    raise UserError(f"{shard}: cut short, in {member.name}")
                # Of several of one name a tar means the last.
                name = os.fsencode(member.name.removeprefix("./"))
                found[name] = member.offset_data, member.size
            end = tar.offset
    except tarfile.TarError as problem:
        if any(word in str(problem) for word in ("end of data", "truncated", "empty")):
            raise UserError(f"{shard}: cut short") from None
        raise UserError(f"{shard}: no tar, or a broken one ({problem})") from None
    # What it can't read, and the end of the file, both look to it like the end of the tar.
    file.seek(end)
    if (mark := file.read(_BLOCK)) != bytes(_BLOCK):
        why = "broken" if len(mark) == _BLOCK else "cut short: its end is missing"
        raise UserError(f"{shard}: {why}, after {len(found)} files")
    names = sorted(found)
    places = np.array([found[name] for name in names], dtype=np.int64).reshape(-1, 2)
    packed = PackedStrings.of_coded(names)
    return ShardIndex(packed, places[:, 0].copy(), places[:, 1].copy(), size, version, others)


def _remembered(place: Path, size: int, version: str) -> ShardIndex | None:
    """The index that is kept, if it is of this shard as it is now."""
    try:
        with np.load(place, allow_pickle=False) as stored:
            told = int(stored["format"]), int(stored["size"]), str(stored["version"])
            if told != (_FORMAT, size, version):
                return None
            names = PackedStrings(stored["names"].tobytes(), stored["limits"])
            others = int(stored["others"])
            return ShardIndex(names, stored["offsets"], stored["lengths"], size, version, others)
    except FileNotFoundError:
        return None
    except Exception as problem:  # a broken archive raises whatever its reader trips over
        _log.debug("%s: %r", place, problem)
        return None


def _keep(place: Path, index: ShardIndex) -> None:
    def write(file: IO[bytes]) -> None:
        np.savez(
            file,
            format=np.array(_FORMAT),
            size=np.array(index.size),
            version=np.array(index.version),
            names=np.frombuffer(index.names.coded, dtype=np.uint8),
            limits=index.names.limits,
            offsets=index.offsets,
            lengths=index.lengths,
            others=np.array(index.others),
        )

    keep(place, write)
