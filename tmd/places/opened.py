"""Open files that are a part of another: of one on this disk, or of an object far away."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any, BinaryIO


class FilePart(io.RawIOBase):
    """Some bytes of an open file, as a file of their own.

    Reading moves no place in the file itself, so that threads and forked processes may share it.

    Args:
        file: open for reading.
        offset, length: which bytes.

    Attributes:
        file, offset, length: as given.
    """

    def __init__(self, file: BinaryIO, offset: int, length: int) -> None:
        self.file = file
        self.offset = offset
        self.length = length
        self._place = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a place in the part, and return it."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self.length}[whence]
        self._place = max(0, start + offset)
        return self._place

    def tell(self) -> int:
        """The place in the part."""
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer`` from the place on, as far as the part goes."""
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self.length - self._place))
        count = self._read(view[:count], self.offset + self._place) if count else 0
        self._place += count
        return count

    def _read(self, view: memoryview, start: int) -> int:
        return os.preadv(self.file.fileno(), [view], start)


class RangeReader(FilePart):
    """An object far away, read in parts of some size, for a reader that goes forward.

    Args:
        read: (start, length) -> bytes of the object.
        length: of the object.
        ahead: how many bytes are asked for at once.
    """

    def __init__(self, read: Callable[[int, int], bytes], length: int, ahead: int) -> None:
        super().__init__(io.BytesIO(), 0, length)
        self._fetch = read
        self._ahead = ahead
        self._start, self._held = 0, b""

    def _read(self, view: memoryview, start: int) -> int:
        if not self._start <= start < self._start + len(self._held):
            self._start = start
            self._held = self._fetch(start, min(self._ahead, self.length - start))
        some = self._held[start - self._start :][: len(view)]
        view[: len(some)] = some
        return len(some)
