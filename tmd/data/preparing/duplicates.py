"""Photos that are there twice: equal files, and what looks the same in another size or compression.

A hash of 64 bits finds what may look the same, and a look at both decides.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import interpolate

from tmd.data.preparing.cutting import luma
from tmd.data.progress import progress
from tmd.data.sources import FileSource, ImageSource
from tmd.data.storage import in_threads
from tmd.errors import UserError
from tmd.images import split_name
from tmd.images.opening import opened

_SIDE = 32
# Of two hashes that differ in 3 bits, one of four parts is equal.
_BITS = 3
_PARTS = 4
# Levels of an icon: what varies less has nothing to be known by; what differs more is another.
_LEAST_CONTRAST = 4.0
_MOST_DIFFERENCE = 4.0
_AT_ONCE = 1024


def equal_files(source: FileSource) -> dict[int, int]:
    """Numbers of files that are equal to an earlier one -> that one's number."""
    lengths = source.bytes_each()
    counted = dict(zip(*np.unique(lengths, return_counts=True), strict=True))
    suspects = [
        index
        for index, length in enumerate(lengths.tolist())
        if counted[length] > 1 and length >= 0 and split_name(source.name(index))[1] is None
    ]
    first: dict[tuple[int, bytes], int] = {}
    twins = {}
    digests = in_threads(lambda index: _digest(source.name(index)), suspects, "Comparing files")
    for index, digest in zip(suspects, digests, strict=True):
        other = first.setdefault((int(lengths[index]), digest), index)
        if other != index:
            twins[index] = other
    return twins


def _digest(path: str) -> bytes:
    sum_ = hashlib.blake2b(digest_size=16)
    try:
        with opened(path) as file:
            while block := file.read(1 << 20):
                sum_.update(block)
    except UserError:
        return path.encode("utf-8", "surrogateescape")  # reading it will say what is wrong
    return sum_.digest()


def look_alikes(
    source: ImageSource, sizes: Sequence[tuple[int, int]], remembered: Path
) -> dict[int, int]:
    """Numbers of photos that look like a larger one -> that one's number.

    Args:
        source: the photos.
        sizes: (H, W) of each, (0, 0) for those that can't be used.
        remembered: a file that the hashes are kept in on the way, for who goes on.
    """
    hashes = _hashes(source, remembered)
    areas = np.array([height * width for height, width in sizes])
    usable = (hashes != 0) & (areas > 0)
    kept: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    twins = {}
    order = np.argsort(-areas, kind="stable")
    order = order[usable[order]]
    for index in progress(order.tolist(), len(order), "Looking for duplicates"):
        hash_ = int(hashes[index])
        parts = [(part, hash_ >> 16 * part & 0xFFFF) for part in range(_PARTS)]
        candidates = dict.fromkeys(other for part in parts for other in kept[part])
        near = (o for o in candidates if (hash_ ^ int(hashes[o])).bit_count() <= _BITS)
        twin = next((other for other in near if _show_the_same(source, index, other)), None)
        if twin is not None:
            twins[index] = twin
            continue
        for part in parts:
            kept[part].append(index)
    return twins


def _hashes(source: ImageSource, remembered: Path) -> np.ndarray:
    """(n,), uint64: differences of neighbouring pixels of each photo's icon; 0 of what has none."""
    known = remembered.read_bytes() if remembered.is_file() else b""
    first = len(known) // 8
    found = np.zeros(len(source), dtype="<u8")
    found[:first] = np.frombuffer(known[: 8 * first], dtype="<u8")
    with open(remembered, "r+b" if known else "wb") as file:
        file.seek(8 * first)
        numbers = range(first, len(source))
        hashes = in_threads(lambda index: _hash(source, index), numbers, "Hashing photos")
        for index, hash_ in zip(numbers, hashes, strict=True):
            found[index] = hash_
            if (index + 1) % _AT_ONCE == 0 or index + 1 == len(source):
                file.write(found[file.tell() // 8 : index + 1].tobytes())
                file.flush()
    return found


def _hash(source: ImageSource, index: int) -> int:
    icon = _icon(source, index, 9, 8)
    if icon is None:
        return 0
    bits = (icon[:, 1:] > icon[:, :-1]).flatten()
    return int.from_bytes(np.packbits(bits).tobytes(), "little")


def _show_the_same(source: ImageSource, index: int, other: int) -> bool:
    """Return whether two photos look alike at the size of an icon."""
    icons = [_icon(source, each, _SIDE, _SIDE) for each in (index, other)]
    if icons[0] is None or icons[1] is None or icons[0].std() < _LEAST_CONTRAST:
        return False
    return float(np.abs(icons[0] - icons[1]).mean()) < _MOST_DIFFERENCE


def _icon(source: ImageSource, index: int, width: int, height: int) -> np.ndarray | None:
    """Luma at the size of an icon, in levels of 255; None of what can't be read."""
    try:
        grey = luma(source.read(index), source.kind)
    except UserError:
        return None
    image = torch.from_numpy(np.ascontiguousarray(grey))[None, None]
    return interpolate(image, (height, width), mode="area")[0, 0].numpy()
