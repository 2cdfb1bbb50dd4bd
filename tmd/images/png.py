"""PNG (ISO 15948) chunk by chunk: what is beside the pixels must not keep anyone from them."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

MAGIC = b"\x89PNG\r\n\x1a\n"
COLOUR = (b"cICP", b"mDCV", b"cLLI", b"gAMA", b"cHRM", b"sRGB", b"pHYs")
"""Kinds of chunks that say how the levels are meant and how large the pixels are."""

# Pillow reads texts into memory and refuses the file where one of them is large.
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
# In these some programs keep the orientation.
_WANTED_TEXTS = (b"Raw profile type exif\0", b"exif\0", b"XML:com.adobe.xmp\0")
_LARGEST_TEXT = 1 << 20
_LARGEST_PROFILE = 1 << 26


class Chunk(NamedTuple):
    """Place of a chunk's data."""

    kind: bytes
    start: int
    length: int


class Header(NamedTuple):
    """The first chunk."""

    width: int
    height: int
    bits: int
    colour: int


def read_header(file: BinaryIO) -> Header:
    """Return the header of the PNG that begins at the file's start.

    Raises:
        ValueError: there is none.
    """
    file.seek(0)
    start = file.read(33)
    if len(start) < 33 or start[12:16] != b"IHDR":
        raise ValueError("no PNG header")
    return Header(*struct.unpack(">IIBB", start[16:26]))


def chunks(file: BinaryIO) -> Iterator[Chunk]:
    """The chunks in order, up to the last that is complete."""
    end = file.seek(0, io.SEEK_END)
    place = len(MAGIC)
    while place + 12 <= end:
        file.seek(place)
        length, kind = struct.unpack(">I4s", file.read(8))
        if place + 12 + length > end:
            return
        yield Chunk(kind, place + 8, length)
        if kind == b"IEND":
            return
        place += 12 + length


def check_complete(file: BinaryIO) -> None:
    """Raise `ValueError` where the file ends within its pixels, without decoding them."""
    *_, last = [Chunk(b"", len(MAGIC), -4), *chunks(file)]
    file.seek(last.start + last.length + 4)
    if last.kind != b"IEND" and file.read(8)[4:] in (b"IDAT", b"IHDR"):
        raise ValueError("image file is truncated")


def data(file: BinaryIO, chunk: Chunk) -> bytes:
    """Return what a chunk holds."""
    file.seek(chunk.start)
    return file.read(chunk.length)


def essential(file: BinaryIO) -> BinaryIO:
    """The PNG without its texts and profile: the file itself where it has none.

    Texts in which the orientation may lie stay where they are small.
    """
    left_out = [c for c in chunks(file) if c.kind == b"iCCP" or _is_idle_text(file, c)]
    file.seek(0)
    if not left_out:
        return file
    return io.BufferedReader(_Without(file, left_out))  # type: ignore[type-var]


def profile(file: BinaryIO) -> bytes | None:
    """Return the colour profile, None where there is none or it is broken."""
    chunk = next((c for c in chunks(file) if c.kind == b"iCCP"), None)
    if chunk is None:
        return None
    _, _, packed = data(file, chunk).partition(b"\0")
    return _unpacked(packed[1:], _LARGEST_PROFILE)


def exif(file: BinaryIO) -> bytes | None:
    """Return the camera's data, which may lie before or behind the pixels."""
    chunk = next((c for c in chunks(file) if c.kind == b"eXIf"), None)
    return None if chunk is None else data(file, chunk)


def colour_chunks(file: BinaryIO) -> tuple[tuple[bytes, bytes], ...]:
    """(kind, data) of the chunks of `COLOUR`, in their order."""
    found = []
    for chunk in chunks(file):
        if chunk.kind == b"IDAT":  # they come before
            break
        if chunk.kind in COLOUR:
            found.append((chunk.kind, data(file, chunk)))
    return tuple(found)


def _is_idle_text(file: BinaryIO, chunk: Chunk) -> bool:
    if chunk.kind not in _TEXTS:
        return False
    if chunk.length > _LARGEST_TEXT:
        return True
    text = data(file, chunk)
    if not text.startswith(_WANTED_TEXTS):
        return True
    _, _, rest = text.partition(b"\0")
    if chunk.kind == b"zTXt":
        return _unpacked(rest[1:], _LARGEST_TEXT) is None
    if chunk.kind == b"iTXt" and rest[:1] == b"\1":
        *_, packed = rest[2:].split(b"\0", 2)
        return _unpacked(packed, _LARGEST_TEXT) is None
    return False


def _unpacked(packed: bytes, limit: int) -> bytes | None:
    """None for what is broken, or larger than ``limit``."""
    decoder = zlib.decompressobj()
    try:
        unpacked = decoder.decompress(packed, limit)
    except zlib.error:
        return None
    return None if decoder.unconsumed_tail else unpacked


class _Without(io.RawIOBase):
    """A file as if some of its chunks were not there."""

    def __init__(self, file: BinaryIO, left_out: list[Chunk]) -> None:
        self._file = file
        # (where a piece begins in what is seen, where in the file, its length)
        self._pieces: list[tuple[int, int, int]] = []
        end = file.seek(0, io.SEEK_END)
        seen = begin = 0
        for chunk in [*left_out, Chunk(b"", end + 8, 0)]:
            length = chunk.start - 8 - begin
            self._pieces.append((seen, begin, length))
            seen += length
            begin = chunk.start + chunk.length + 4
        self._length = seen
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._length}[whence]
        self._place = max(0, base + offset)
        return self._place

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        for seen, begin, length in self._pieces:
            if seen <= self._place < seen + length:
                offset = self._place - seen
                self._file.seek(begin + offset)
                found = self._file.read(min(len(buffer), length - offset))
                buffer[: len(found)] = found
                self._place += len(found)
                return len(found)
        return 0
