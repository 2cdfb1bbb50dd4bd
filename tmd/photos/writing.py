"""Images written row by row with all that their files had, whole or not at all."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tmd.errors import UserError
from tmd.files import replacing
from tmd.images.encoding import (
    few_at_once,
    tiff_writer,
    write_npy_header,
    write_npy_rows,
    write_page,
    write_png,
)
from tmd.images.formats import BY_SUFFIX, check_size
from tmd.photos.photo import Photo

OUTPUT_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".npy", ".npz")
#: Formats that hold any bands and numbers, and several images.
STACKS = (".tif", ".tiff", ".npy", ".npz")
JPEG_QUALITY = 95


class Picture(NamedTuple):
    """An image to be written.

    Attributes:
        photo: its profile, camera's data, georeference and type.
        size: (C, H, W).
        bands: (1, C, rows, W) or (C, rows, W) from top to bottom, of the photo's type.
    """

    photo: Photo
    size: tuple[int, int, int]
    bands: Iterable[Tensor]


def write_photo(
    path: str | os.PathLike[str],
    bands: Iterable[Tensor],
    size: tuple[int, int, int],
    photo: Photo,
    overwrite: bool = False,
) -> None:
    """Write rows as they come, with all that ``photo`` has beside its pixels; all or nothing.

    Args:
        path: ``.jpg`` and ``.webp`` are collected first; other formats are written as rows come.
        bands, size: see `Picture`.
        overwrite: replace an existing file instead of refusing.

    Raises:
        UserError: the file exists, or its format can't hold what is to be written.
    """
    check_output(Path(path), photo, size, overwrite)
    write_photos(path, [Picture(photo, size, bands)], [size], overwrite)


def write_photos(
    path: str | os.PathLike[str],
    pictures: Iterable[Picture],
    sizes: list[tuple[int, int, int]],
    overwrite: bool = False,
) -> None:
    """Write one image, or several into a stack, as they come; all or nothing.

    Args:
        pictures: each is asked for when the one before has been written.
        sizes: of all of them.

    Raises:
        UserError: the file exists.
    """
    path = Path(path)
    pictures = iter(pictures)
    first = next(pictures)  # what can't be read leaves no folder behind
    pictures = chain([first], pictures)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with replacing(path, overwrite=overwrite) as file:
            _WRITERS[path.suffix.lower()](file, pictures, sizes)
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
    if suffix in STACKS:
        return
    format = BY_SUFFIX[suffix]
    if photo.pixels.dtype == torch.float32:
        raise UserError(f"{path}: {format.name} holds no float32; use .tif or .npy")
    if len(photo.pixels) > 4 or (photo.bands and len(photo.pixels) not in (1, 3)):
        raise UserError(
            f"{path}: {format.name} holds no image of {len(photo.pixels)} bands; use .tif or .npy"
        )
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
    return UserError(f"{path}: exists; existing=replace replaces it, existing=skip leaves it")


def lost_in(path: Path, photo: Photo) -> list[str]:
    """Parts of a photo for which the format of ``path`` has no place, in words."""
    suffix = path.suffix.lower()
    lost = []
    if suffix != ".png" and photo.chunks:
        kinds = ", ".join(kind.decode() for kind, _ in photo.chunks)
        lost.append(f"{kinds}, which only PNG holds")
    if suffix not in (".tif", ".tiff") and photo.is_placed:
        lost.append("its place on Earth (CRS, transform), which only TIFF holds")
    if suffix in STACKS and photo.exif:
        lost.append("the camera's data (EXIF), which photos' formats hold")
    if suffix in (".npy", ".npz") and photo.icc:
        lost.append("the colour profile, which arrays have not")
    return lost


# Formats -----------------------------------------------------------------------------------------


def _rows(bands: Iterable[Tensor]) -> Iterator[np.ndarray]:
    """(rows, W, C) arrays."""
    for band in bands:
        yield band.reshape(band.shape[-3:]).permute(1, 2, 0).numpy()


def _write_png(file: BinaryIO, pictures: Iterable[Picture], sizes: Any) -> None:
    for photo, size, bands in pictures:
        dtype = np.dtype(photo.dtype)
        write_png(file, _rows(bands), size, dtype, photo.icc, photo.chunks, photo.exif)


def _write_jpeg(file: BinaryIO, pictures: Iterable[Picture], sizes: Any) -> None:
    for photo, _, bands in pictures:
        _save(file, _collected(bands), "JPEG", photo, {"quality": JPEG_QUALITY})


def _write_webp(file: BinaryIO, pictures: Iterable[Picture], sizes: Any) -> None:
    for photo, _, bands in pictures:
        image = _collected(bands)
        if image.mode in ("L", "LA"):
            image = image.convert("RGBA" if image.mode == "LA" else "RGB")
        _save(file, image, "WEBP", photo, {"lossless": True, "quality": 50})


def _collected(bands: Iterable[Tensor]) -> Image.Image:
    levels = np.concatenate(list(few_at_once(_rows(bands))))
    return Image.fromarray(levels[..., 0] if levels.shape[-1] == 1 else levels)


def _save(
    file: BinaryIO, image: Image.Image, format: str, photo: Photo, options: dict[str, Any]
) -> None:
    if photo.icc:
        options["icc_profile"] = photo.icc
    if photo.exif:
        options["exif"] = b"Exif\0\0" + photo.exif
    try:
        image.save(file, format, **options)
    except (ValueError, struct.error) as problem:  # a limit that `check_output` does not know
        raise OSError(f"{format} can't hold it ({problem})") from None


def _write_tiff(
    file: BinaryIO, pictures: Iterable[Picture], sizes: list[tuple[int, int, int]]
) -> None:
    numbers = sum(channels * height * width for channels, height, width in sizes)
    with tiff_writer(file, 4 * numbers) as writer:
        for photo, size, bands in pictures:
            write_page(writer, _rows(bands), size, photo.dtype, photo.look, photo.icc)


def _write_npy(
    file: BinaryIO, pictures: Iterable[Picture], sizes: list[tuple[int, int, int]]
) -> None:
    for number, (photo, size, bands) in enumerate(pictures):
        axes = photo.axes or ("HW" if size[0] == 1 else "HWC")
        if number == 0:
            shape = tuple(size["CHW".index(axis)] for axis in axes)
            write_npy_header(file, (len(sizes), *shape) if photo.stack else shape, photo.dtype)
        write_npy_rows(file, _rows(bands), size, axes)


def _write_npz(
    file: BinaryIO, pictures: Iterable[Picture], sizes: list[tuple[int, int, int]]
) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        for number, (photo, size, bands) in enumerate(pictures):
            whole = io.BytesIO()  # an archive's files are written without going back
            alone = Picture(replace(photo, stack=False), size, bands)
            _write_npy(whole, [alone], [size])
            archive.writestr(f"arr_{number}.npy", whole.getbuffer())


_WRITERS = {
    ".png": _write_png,
    ".jpg": _write_jpeg,
    ".jpeg": _write_jpeg,
    ".webp": _write_webp,
    ".tif": _write_tiff,
    ".tiff": _write_tiff,
    ".npy": _write_npy,
    ".npz": _write_npz,
}
