"""Files that hold several images, and the names of these: ``cells.tif[3]``, counted from 0.

Only what is needed to count is read, so that a folder of a million files is listed in seconds.
"""

from __future__ import annotations

import os
import re
import struct
from typing import BinaryIO

from tmd.errors import UnreachableError
from tmd.images.arrays import NPY_MAGIC, count_arrays
from tmd.images.formats import PathLike
from tmd.images.regular import open_file

STACK_SUFFIXES = frozenset((".tif", ".tiff", ".npy", ".npz"))
_NAME = re.compile(r"(?P<file>.+\.(?:tiff?|npy|npz))\[(?P<number>\d+)\]", re.IGNORECASE | re.DOTALL)
_NEW_SUBFILE_TYPE, _SUBFILE_TYPE = 254, 255
# A preview or a mask of another page, by either tag.
_REDUCED_OR_MASK, _OLD_REDUCED = 0b101, 2
_MOST_PAGES = 1_000_000


def split_name(path: PathLike) -> tuple[str, int | None]:
    """The file of an image, and its number where it is one of a stack.

    Example:
        >>> split_name("cells.tif[3]"), split_name("cells.tif")
        (('cells.tif', 3), ('cells.tif', None))
    """
    path = os.fspath(path)
    if not path.endswith("]") or (named := _NAME.fullmatch(path)) is None:
        return path, None
    return named["file"], int(named["number"])


def images_in(path: PathLike) -> list[str]:
    """The names of a file's images: itself where it holds one, or can't be read.

    A TIFF's pages are numbered in the file's order; previews and masks of others are no images.
    The images of an NPZ are numbered through its arrays.
    """
    path = os.fspath(path)
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in STACK_SUFFIXES:
        return [path]
    try:
        with open_file(path) as file:
            if suffix == ".npy" and _is_one_array(file.read(128)):
                return [path]
            numbers = tiff_pages(file) if suffix[1] == "t" else range(count_arrays(path, file))
    except UnreachableError:
        raise
    except Exception:  # whatever is broken: reading it says so in one line
        return [path]
    return [path] if len(numbers) <= 1 else [f"{path}[{number}]" for number in numbers]


def _is_one_array(start: bytes) -> bool:
    """Return whether an NPY of this beginning has fewer axes than a stack; a look, no parsing."""
    shape = start.partition(b"'shape': (")[2].partition(b")")[0]
    return start.startswith(NPY_MAGIC) and bool(shape) and shape.count(b",") < 3


def tiff_pages(file: BinaryIO) -> list[int]:
    """Numbers of a TIFF's pages that are images on their own.

    Raises:
        ValueError, struct.error: it is no TIFF, or cut off.
    """
    file.seek(0)
    start = file.read(16)
    order = {b"II": "<", b"MM": ">"}[start[:2]]
    if struct.unpack(order + "H", start[2:4])[0] == 43:
        (place,) = struct.unpack(order + "Q", start[8:16])
        count_type, entry, offset_type, inline = "Q", "HHQ", "Q", 8
    else:
        (place,) = struct.unpack(order + "I", start[4:8])
        count_type, entry, offset_type, inline = "H", "HHI", "I", 4
    counted, offset = struct.Struct(order + count_type), struct.Struct(order + offset_type)
    head = struct.Struct(order + entry)
    pages: list[int] = []
    seen: set[int] = set()
    while place and place not in seen and len(seen) < _MOST_PAGES:
        file.seek(place)
        (entries,) = counted.unpack(file.read(counted.size))
        size = head.size + inline
        block = file.read(entries * size + offset.size)
        if not _is_part_of_another(block[: entries * size], size, head, order):
            pages.append(len(seen))
        seen.add(place)
        (place,) = offset.unpack(block[entries * size :])
    return pages


def _is_part_of_another(block: bytes, size: int, head: struct.Struct, order: str) -> bool:
    """Return whether a page's tags, of which the lowest come first, make it a preview or a mask."""
    for at in range(0, min(len(block), 2 * size), size):
        tag, type, _ = head.unpack_from(block, at)
        value = struct.unpack_from(order + ("H" if type == 3 else "I"), block, at + head.size)[0]
        if tag == _NEW_SUBFILE_TYPE:
            return bool(value & _REDUCED_OR_MASK)
        if tag == _SUBFILE_TYPE:
            return value == _OLD_REDUCED
    return False
