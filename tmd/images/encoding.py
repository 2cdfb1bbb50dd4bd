"""Image files row by row, so that no memory need hold the whole: PNG, TIFF, NPY.

Rows come as arrays (rows, W, C) from top to bottom, in any number at a time.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from tmd.images.geo import Tag
from tmd.images.png import MAGIC

ROWS_AT_ONCE = 64
#: Of 1 to 9. Photos' differences have few repeats: 6 takes four times as long for 3 to 11 % less.
DEFLATE_LEVEL = 4
TILE = 256
# Offsets of the classic format have 32 bits; some room is for what is no pixel.
LARGEST_CLASSIC_TIFF = 2**32 - 2**25


class Look(NamedTuple):
    """Meaning of a TIFF's bands, and what else its page says.

    Attributes:
        rgb: the first three bands are colours.
        extrasamples: kinds of the bands beyond grey or RGB: 0 unspecified, 1 alpha that the colours
            were multiplied by, 2 alpha.
        tags: of georeference and words, as they are written.
    """

    rgb: bool = False
    extrasamples: tuple[int, ...] = ()
    tags: tuple[Tag, ...] = ()


PLAIN = Look()


def write_png(
    file: BinaryIO,
    rows: Iterable[np.ndarray],
    size: tuple[int, int, int],
    dtype: Any,
    icc: bytes | None = None,
    chunks: Sequence[tuple[bytes, bytes]] = (),
    exif: bytes | None = None,
) -> None:
    """PNG (ISO 15948) of uint8 or uint16; Pillow's writer wants the whole image first.

    Args:
        size: (C, H, W); 1 to 4 channels, the last of 2 and 4 alpha.
        chunks: (kind, data) that come before the pixels.
    """
    channels, height, width = size
    depth = 8 * np.dtype(dtype).itemsize
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]

    def chunk(kind: bytes, data: bytes) -> None:
        file.write(struct.pack(">I", len(data)) + kind + data)
        file.write(struct.pack(">I", zlib.crc32(kind + data)))

    file.write(MAGIC)
    chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    if icc:
        chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc))
    for kind, data in chunks:
        if not (kind == b"sRGB" and icc):  # it is one of them that may be there
            chunk(kind, data)
    if exif:
        chunk(b"eXIf", exif)
    compressor = zlib.compressobj(DEFLATE_LEVEL)
    step = channels * depth // 8
    above = np.zeros(width * step, np.uint8)
    for some in few_at_once(rows):
        levels = some.astype(">u2") if depth == 16 else some
        raw = np.ascontiguousarray(levels).reshape(len(levels), -1).view(np.uint8)
        if data := compressor.compress(_filtered(raw, above, step).tobytes()):
            chunk(b"IDAT", data)
        above = raw[-1]
    chunk(b"IDAT", compressor.flush())
    chunk(b"IEND", b"")


def few_at_once(rows: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The same rows, at most `ROWS_AT_ONCE` at a time."""
    for some in rows:
        for first in range(0, len(some), ROWS_AT_ONCE):
            yield some[first : first + ROWS_AT_ONCE]


def _filtered(raw: np.ndarray, above: np.ndarray, step: int) -> np.ndarray:
    """Rows of bytes as differences, by the filter that leaves the least, its number first."""
    up = np.vstack([above[None], raw[:-1]])
    left, corner = (np.pad(rows, ((0, 0), (step, 0)))[:, :-step] for rows in (raw, up))
    candidates = {1: left, 2: up, 4: _paeth(left, up, corner)}
    differences = np.stack([raw - prediction for prediction in candidates.values()])
    # Bytes are differences modulo 256: 255 is as near to 0 as 1 is.
    cost = np.abs(differences.view(np.int8).astype(np.int16)).sum(-1, dtype=np.int64)
    best = cost.argmin(0)
    result = np.empty((len(raw), raw.shape[1] + 1), np.uint8)
    result[:, 0] = np.array(list(candidates))[best]
    result[:, 1:] = differences[best, np.arange(len(raw))]
    return result


def _paeth(left: np.ndarray, up: np.ndarray, corner: np.ndarray) -> np.ndarray:
    a, b, c = (rows.astype(np.int16) for rows in (left, up, corner))
    to_a, to_b, to_c = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
    nearest_b = np.where(to_b <= to_c, up, corner)
    return np.where((to_a <= to_b) & (to_a <= to_c), left, nearest_b)


def tiff_writer(file: BinaryIO, size: int) -> Any:
    """Writer of pages, tifffile's, of ``size`` bytes together, uncompressed."""
    import tifffile  # only who writes TIFFs waits for it

    return tifffile.TiffWriter(file, bigtiff=size > LARGEST_CLASSIC_TIFF)


def write_page(
    writer: Any,
    rows: Iterable[np.ndarray],
    size: tuple[int, int, int],
    dtype: Any,
    look: Look = PLAIN,
    icc: bytes | None = None,
) -> None:
    """Write a page of a TIFF, in deflated tiles with differences, which loses nothing.

    Args:
        writer: of `tiff_writer`.
        size: (C, H, W).
    """
    channels, height, width = size
    # Sides of tiles are multiples of 16.
    side = min(TILE, -(-max(height, width) // 16) * 16)
    several = channels > 1
    writer.write(
        _tiles(rows, side, several),
        shape=(height, width, channels) if several else (height, width),
        dtype=np.dtype(dtype),
        photometric="rgb" if look.rgb else "minisblack",
        planarconfig="contig" if several else None,
        extrasamples=look.extrasamples or None,
        tile=(side, side),
        compression="deflate",
        predictor=True,
        iccprofile=icc,
        extratags=[tag.extra for tag in look.tags],
        metadata=None,
        software=False,
        maxworkers=1,
    )


def _tiles(rows: Iterable[np.ndarray], side: int, several: bool) -> Iterator[np.ndarray]:
    """Tiles (≤ side, ≤ side, C), or without channels, from left to right and top to bottom."""
    for band in _regrouped(rows, side):
        for left in range(0, band.shape[1], side):
            tile = band[:, left : left + side]
            yield np.ascontiguousarray(tile if several else tile[..., 0])


def _regrouped(rows: Iterable[np.ndarray], number: int) -> Iterator[np.ndarray]:
    """The same rows, ``number`` at a time, and last what is left."""
    waiting: list[np.ndarray] = []
    there = 0
    for some in rows:
        while len(some):
            taken, some = some[: number - there], some[number - there :]
            waiting.append(taken)
            there += len(taken)
            if there == number:
                yield np.concatenate(waiting)
                waiting, there = [], 0
    if there:
        yield np.concatenate(waiting)


def write_npy_header(file: BinaryIO, shape: tuple[int, ...], dtype: Any) -> None:
    """The header of an array whose numbers follow in C's order."""
    descr = np.lib.format.dtype_to_descr(np.dtype(dtype))
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def write_npy_rows(
    file: BinaryIO, rows: Iterable[np.ndarray], size: tuple[int, int, int], axes: str
) -> None:
    """The numbers of one image, at the file's place.

    Args:
        size: (C, H, W).
        axes: their order in the file, "HW", "HWC" or "CHW".
    """
    if axes != "CHW":
        for some in rows:
            file.write(np.ascontiguousarray(some).tobytes())
        return
    channels, height, width = size
    start, above = file.tell(), 0
    line = 0
    for some in rows:
        line = width * some.dtype.itemsize
        for channel in range(channels):
            file.seek(start + (channel * height + above) * line)
            file.write(np.ascontiguousarray(some[..., channel]).tobytes())
        above += len(some)
    file.seek(start + channels * height * line)
