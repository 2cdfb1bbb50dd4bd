"""Parts of uncompressed images, read without the rest of the file.

A crop of 72 pixels needs a hundredth of what a tile of 512 holds, and no decoder.
"""

from __future__ import annotations

import io
import math
import os
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from tmd.data.tiles import photo_of
from tmd.errors import UserError
from tmd.images import ImageKind, open_file
from tmd.images.arrays import NPY_MAGIC, layout
from tmd.images.opening import check_pixels
from tmd.places import FilePart, is_elsewhere, open_part

_HEADER = 128  # bytes of an NPY's header as numpy writes it


class _Header(NamedTuple):
    """Content of an NPY: (H, W, C) or (H, W) of the type from byte ``start`` on."""

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    start: int


class Window:
    """A part of an image in a file that is open: read when it is made an array.

    Slices of rows and columns are windows too, and nothing is read for them.

    Args:
        path: for messages.
        file: holds the descriptor open.
        start: byte of the file at which the pixels begin.
        header: of the image.
        area: (top, left, height, width).

    Attributes:
        shape: (C, H, W) of the part.
    """

    def __init__(
        self,
        path: str,
        file: Any,
        start: int,
        header: _Header,
        area: tuple[int, int, int, int],
    ) -> None:
        self.path = path
        self.shape = (header.shape[2], *area[2:])
        self.dtype = header.dtype
        self._file = file
        self._start = start
        self._header = header
        self._area = area

    def __getitem__(self, slices: tuple[slice, slice, slice]) -> Window:
        """Part of rows and columns, of all channels."""
        every, rows, columns = slices
        if every != slice(None):
            raise IndexError("a window has all channels")
        top, left, height, width = self._area
        first, last, _ = rows.indices(height)
        begin, end, _ = columns.indices(width)
        area = top + first, left + begin, max(0, last - first), max(0, end - begin)
        return Window(self.path, self._file, self._start, self._header, area)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """(C, h, w): rows are read whole, as they lie one after the other."""
        top, left, height, width = self._area
        _, across, channels = self._header.shape
        rows = np.empty((height, across, channels), self._header.dtype)
        line = across * channels * rows.itemsize
        _read(self.path, self._file.fileno(), rows, self._start + top * line)
        if rows.dtype.kind == "f" and not np.isfinite(rows[:, left : left + width]).all():
            raise UserError(f"{self.path}: holds NaN or infinite numbers")
        return rows[:, left : left + width].transpose(2, 0, 1)


def open_window(path: str, kind: ImageKind) -> Window | None:
    """All of an image as a window; None for one that is to be read as any other.

    That is each that is no uncompressed NPY of exactly the kind's numbers, or broken. Floats are
    searched for NaN before they can be used, which `tmd prepare` did for its tiles.

    Raises:
        UserError: it has too many pixels, or is out of reach.
    """
    if not path.endswith(".npy") or (kind.dtype == "float32" and photo_of(path) is None):
        return None
    if kind.bands is not None:
        return None
    try:
        file, offset, length = _opened(path)
    except OSError:
        return None
    start = os.pread(file.fileno(), min(_HEADER, length), offset)
    header = _header(start)
    if header is None or header.shape[2] != kind.channels or header.dtype != kind.dtype:
        return None
    if header.start + math.prod(header.shape) * header.dtype.itemsize > length:
        return None
    height, width, _ = header.shape
    check_pixels(path, width, height)
    return Window(path, file, offset + header.start, header, (0, 0, height, width))


def _opened(path: str) -> tuple[Any, int, int]:
    """An object that holds a file open, and the place and length of the image's bytes in it."""
    file: Any = open_part(path) if is_elsewhere(path) else open_file(path)
    if isinstance(file, FilePart):
        return file.file, file.offset, file.length
    return file, 0, os.fstat(file.fileno()).st_size


@lru_cache(maxsize=256)
def _header(start: bytes) -> _Header | None:
    """The header that the first bytes of a file are; images of one size have the same."""
    if start[:6] != NPY_MAGIC or start[6:8] != b"\1\0":
        return None
    end = 10 + int.from_bytes(start[8:10], "little")
    if end > len(start):
        return None
    try:
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(io.BytesIO(start[8:end]))
        found = layout("", shape)
    except (ValueError, UserError):
        return None
    if fortran_order or found.images is not None or found.axes == "CHW" or not dtype.isnative:
        return None
    return _Header((*found.size, found.bands), dtype, end)


def _read(path: str, descriptor: int, into: np.ndarray, start: int) -> None:
    view = into.data.cast("B")
    filled = 0
    while filled < len(view):
        try:
            got = os.preadv(descriptor, [view[filled:]], start + filled)
        except OSError as problem:
            raise UserError(f"{path}: {problem.strerror}") from None
        if not got:
            raise UserError(f"{path}: is cut off")
        filled += got
