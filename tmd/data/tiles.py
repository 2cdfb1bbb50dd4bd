"""Names of tiles, which say of which photo and which place in it they are.

``beach@y00416x00832.npy`` is what lies 416 rows and 832 columns from the corner of ``beach``.
As the name alone says so, tiles of one photo are known in a folder, a tar or a bucket alike.
"""

from __future__ import annotations

import os
import re

import numpy as np

from tmd.packed import PackedStrings

_MARK = b"@y"
_TILE = re.compile(rb"(?P<photo>.+)@y\d{5,}x\d{5,}\.(?:npy|png)", re.DOTALL)


def tile_name(photo: str, top: int, left: int, suffix: str) -> str:
    """The name of a tile; five digits, as ``x4`` at an end would look like an LR image's.

    Example:
        >>> tile_name("beach", 416, 832, ".npy")
        'beach@y00416x00832.npy'
    """
    return f"{photo}@y{top:05d}x{left:05d}{suffix}"


def photo_of(path: str) -> str | None:
    """The photo that a tile is of, by its path; None for what is no tile.

    Example:
        >>> photo_of("set/beach@y00416x00832.npy"), photo_of("set/beach.npy")
        ('set/beach', None)
    """
    found = _TILE.fullmatch(os.fsencode(path))
    return None if found is None else os.fsdecode(found["photo"])


def is_tile(path: bytes) -> bool:
    """Return whether a coded path is that of a tile."""
    return _MARK in path and _TILE.fullmatch(path) is not None


def photos_of(paths: PackedStrings) -> np.ndarray | None:
    """(n,), int64: numbers that tiles of one photo share; None where no path is a tile's.

    What is no tile is a photo of its own.
    """
    if _MARK not in paths.coded:
        return None
    numbers: dict[bytes, int] = {}
    found = np.empty(len(paths), dtype=np.int64)
    tiles = 0
    for index, path in enumerate(paths.coded_each()):
        tile = _TILE.fullmatch(path) if _MARK in path else None
        tiles += tile is not None
        found[index] = numbers.setdefault(path if tile is None else tile["photo"], len(numbers))
    return found if tiles else None
