"""Photos written row by row, with all that they had, whole or not at all."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tmd.errors import UserError
from tmd.files import replacing
from tmd.images.formats import BY_SUFFIX, check_size
from tmd.images.png import MAGIC
from tmd.photos.reading import Photo

OUTPUT_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
JPEG_QUALITY = 95
ROWS_AT_ONCE = 64


def write_photo(
    path: str | os.PathLike[str],
    bands: Iterable[Tensor],
    size: tuple[int, int, int],
    photo: Photo,
    overwrite: bool = False,
) -> None:
    """Write rows as they come, with the profile and camera's data of ``photo``; all or nothing.

    Args:
        path: ``.png`` is written band by band; ``.jpg`` and ``.webp`` are collected first.
        bands: (1, C, rows, W) or (C, rows, W) from top to bottom, uint8 or uint16.
        size: (C, H, W) of the whole.
        overwrite: replace an existing file instead of refusing.

    Raises:
        UserError: the file exists, or its format can't hold what is to be written.
    """
    path = Path(path)
    check_output(path, photo, size, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with replacing(path, overwrite=overwrite) as file:
            if path.suffix.lower() == ".png":
                _write_png(file, bands, size, photo)
            else:
                _write_collected(file, path.suffix.lower(), bands, photo)
    except FileExistsError:
        raise exists(path) from None


def check_output(
    path: Path, photo: Photo, size: tuple[int, int, int], overwrite: bool = False
) -> None:
    """Raise `UserError` now for what `write_photo` could not write later.

    Args:
        size: (C, H, W) of what is to be written.
    """
    suffix = path.suffix.lower()
    check_suffix(path)
    if path.exists() and not overwrite:
        raise exists(path)
    format = BY_SUFFIX[suffix]
    check_size(path, *size)
    if photo.has_alpha and not format.alpha:
        raise UserError(f"{path}: {format.name} holds no transparency; use .png or .webp")
    if photo.pixels.dtype == torch.uint16 and format.bits < 16:
        raise UserError(f"{path}: {suffix} holds 8 bits only, the input has 16; use .png")
    for data, limit, name in (
        (photo.exif, format.exif, "camera's data (EXIF)"),
        (photo.icc, format.icc, "colour profile"),
    ):
        if data and limit is not None and len(data) > limit:
            raise UserError(
                f"{path}: the input's {name} of {len(data)} bytes do not fit into {format.name}, "
                f"which ends at {limit}; use .png"
            )


def check_suffix(path: Path) -> None:
    """Raise `UserError` for a file of another format than `OUTPUT_SUFFIXES`."""
    suffix = path.suffix.lower()
    if suffix not in OUTPUT_SUFFIXES:
        raise UserError(f"{path}: {suffix or 'no suffix'}; must be {', '.join(OUTPUT_SUFFIXES)}")


def exists(path: Path) -> UserError:
    """The error of a result that is there already."""
    return UserError(f"{path}: exists; overwrite=True replaces it, existing=skip leaves it")


def lost_in(path: Path, photo: Photo) -> list[str]:
    """Parts of a photo for which the format of ``path`` has no place, in words."""
    if path.suffix.lower() == ".png" or not photo.chunks:
        return []
    kinds = ", ".join(kind.decode() for kind, _ in photo.chunks)
    return [f"{kinds}, which only PNG holds"]


def _rows(bands: Iterable[Tensor]) -> Iterator[np.ndarray]:
    """(rows, W, C) arrays of few rows each."""
    for band in bands:
        for piece in band.reshape(band.shape[-3:]).split(ROWS_AT_ONCE, dim=1):
            yield piece.permute(1, 2, 0).contiguous().numpy()


def _write_collected(file: BinaryIO, suffix: str, bands: Iterable[Tensor], photo: Photo) -> None:
    levels = np.concatenate(list(_rows(bands)))
    image = Image.fromarray(levels[..., 0] if levels.shape[-1] == 1 else levels)
    options: dict[str, Any] = {"quality": JPEG_QUALITY}
    if photo.icc:
        options["icc_profile"] = photo.icc
    if photo.exif:
        options["exif"] = b"Exif\0\0" + photo.exif
    if suffix == ".webp":
        options |= {"lossless": True, "quality": 50}
        if image.mode in ("L", "LA"):
            image = image.convert("RGBA" if image.mode == "LA" else "RGB")
    try:
        image.save(file, BY_SUFFIX[suffix].name, **options)
    except (ValueError, struct.error) as problem:  # a limit that `check_output` does not know
        raise OSError(f"{BY_SUFFIX[suffix].name} can't hold it ({problem})") from None


def _write_png(
    file: BinaryIO, bands: Iterable[Tensor], size: tuple[int, int, int], photo: Photo
) -> None:
    """PNG (ISO 15948) row by row; Pillow's writer wants the whole image first."""
    channels, height, width = size
    depth = 16 if photo.pixels.dtype == torch.uint16 else 8
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]

    def chunk(kind: bytes, data: bytes) -> None:
        file.write(struct.pack(">I", len(data)) + kind + data)
        file.write(struct.pack(">I", zlib.crc32(kind + data)))

    file.write(MAGIC)
    chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    if photo.icc:
        chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(photo.icc))
    for kind, data in photo.chunks:
        if not (kind == b"sRGB" and photo.icc):  # it is one of them that may be there
            chunk(kind, data)
    if photo.exif:
        chunk(b"eXIf", photo.exif)
    compressor = zlib.compressobj(6)
    step = channels * depth // 8
    above = np.zeros(width * step, np.uint8)
    for rows in _rows(bands):
        levels = rows.astype(">u2") if depth == 16 else rows
        raw = levels.reshape(len(levels), -1).view(np.uint8)
        if data := compressor.compress(_filtered(raw, above, step).tobytes()):
            chunk(b"IDAT", data)
        above = raw[-1]
    chunk(b"IDAT", compressor.flush())
    chunk(b"IEND", b"")


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
