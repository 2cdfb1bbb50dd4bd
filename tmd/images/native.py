"""Image files with all their bands and bits, as a set of images or an instrument has them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tmd.errors import UserError
from tmd.images import png
from tmd.images.arrays import is_array, probe_array, read_array
from tmd.images.encoding import Look
from tmd.images.formats import PathLike
from tmd.images.kind import ImageKind
from tmd.images.nodata import nodata_mask, without_nodata
from tmd.images.opening import check_pixels, is_png, is_tiff, opened, pillow_image
from tmd.images.raster import unassociated, upright
from tmd.images.reading import decode, decode_pixels, orientation_of
from tmd.images.stacks import split_name
from tmd.images.tiff_bands import probe_tiff, read_tiff_bands

_BANDS_BY_COLOUR = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # of PNG
_BANDS_BY_MODE = {"1": 1, "L": 1, "I": 1, "F": 1, "LA": 2, "La": 2, "PA": 4, "RGBA": 4, "RGBa": 4}
_PALETTES = ("P", "PA")
_HIGHEST = float(np.finfo(np.float32).max)


class Probe(NamedTuple):
    """Content of an image file by its header alone.

    Attributes:
        bands: of the file; a palette's, CMYK's and YCbCr's are RGB's.
        dtype: the `ImageKind.dtype` that holds its numbers.
        size: (H, W), upright.
    """

    bands: int
    dtype: str
    size: tuple[int, int]


class Native(NamedTuple):
    """Numbers of an image file.

    Attributes:
        pixels: (H, W, bands), upright, of one of the types of `ImageKind.dtype`.
        nodata: the number that stands for no data, None where the file names none.
        look: of a TIFF, what else is written again.
        icc: of a TIFF, the colour profile.
        axes, images: of an array, as in `tmd.images.arrays.Layout`.
        type: of the file's numbers, as numpy calls it.
    """

    pixels: np.ndarray
    nodata: float | None = None
    look: Look | None = None
    icc: bytes | None = None
    axes: str = ""
    images: int | None = None
    type: str = ""


def probe(path: PathLike) -> Probe:
    """Bands, type and size of an image file, or of an image in a stack, from its header alone.

    Raises:
        UserError: as `read_native`, as far as the header tells.
    """
    with opened(path) as file:
        return probe_file(path, file)


def probe_file(path: PathLike, file: BinaryIO) -> Probe:
    """`probe` for a file that is open, for reading and seeking; ``path`` is for messages."""
    if is_array(file):
        layout, type = probe_array(path, file, split_name(path)[1])
        check_pixels(path, layout.size[1], layout.size[0])
        return Probe(layout.bands, native_dtype(type), layout.size)
    if is_tiff(file):
        bands, type, size, orientation = probe_tiff(path, file)
        return Probe(bands, native_dtype(type), _turned(size, orientation))
    header = png.read_header(file) if is_png(file) else None
    if header is not None:
        png.check_complete(file)
    with pillow_image(path, file) as image:
        size = _turned((image.height, image.width), orientation_of(image))
        if header is not None:
            bands = _BANDS_BY_COLOUR[header.colour]
            bands += bands % 2 and "transparency" in image.info
            return Probe(bands, "uint16" if header.bits == 16 else "uint8", size)
        deep = image.mode.startswith(("I", "F"))
        bands = 1 if image.mode.startswith("I") else _BANDS_BY_MODE.get(image.mode, 3)
        bands += bands % 2 and not deep and image.has_transparency_data
        return Probe(bands, "uint16" if deep else "uint8", size)


def native_dtype(type: np.dtype[Any]) -> str:
    """The `ImageKind.dtype` that holds numbers of a file's type."""
    kept = type.kind == "u" and type.itemsize <= 2
    return type.newbyteorder("=").name if kept else "float32"


def read_native(path: PathLike, kind: ImageKind) -> Tensor:
    """Read an image file, or an image of a stack, as numbers of the kind's type.

    For 8 bits, one or three channels and no choice of bands, it is what
    `tmd.images.read_pixels` returns: a photo as a person sees it. Otherwise the file must have that
    type and those bands, alpha is a band like any other, and the numbers come as they are stored;
    where a band holds no data, it gets that band's nearest data.

    Returns:
        (C, H, W) of the kind's dtype, of any memory layout.

    Raises:
        UserError: the file is absent, broken or too large; has another type or other bands; holds
            NaN or infinite numbers, or no data at all.
    """
    with opened(path) as file:
        return read_native_file(path, file, kind)


def read_native_file(path: PathLike, file: BinaryIO, kind: ImageKind) -> Tensor:
    """`read_native` for a file that is open, for reading and seeking; ``path`` is for messages."""
    if kind.dtype == "uint8" and kind.channels in (1, 3) and kind.bands is None:
        return decode_pixels(path, file, kind.channels)
    native = decode_native(path, file)
    check_dtype(path, native.pixels.dtype.name, kind.dtype)
    pixels = chosen_bands(path, native.pixels, kind.bands)
    check_bands(path, pixels.shape[-1], kind.channels)
    if (mask := nodata_mask(pixels, native.nodata)) is not None:
        pixels = without_nodata(path, pixels, mask)
    check_finite(path, pixels)
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)


def decode_native(path: PathLike, file: BinaryIO) -> Native:
    """All bands of an open file as they are stored.

    float64 becomes the nearest float32; float16 and integers become float32, exactly.

    Raises:
        UserError: the numbers are no image's, or float32 can't hold them.
    """
    if is_array(file):
        layout, type = probe_array(path, file, split_name(path)[1])
        check_pixels(path, layout.size[1], layout.size[0])  # before memory is taken
        pixels = read_array(path, file, split_name(path)[1])
        pixels = as_native(path, pixels, native_dtype(type))
        return Native(pixels, axes=layout.axes, images=layout.images, type=type.name)
    if is_tiff(file):
        pixels, orientation, nodata, look, icc = read_tiff_bands(path, file)
        type, pixels = pixels.dtype, upright(pixels, orientation)
        if nodata is not None and abs(nodata) > _HIGHEST:
            # GDAL's own choice for float64, of which float32 holds all else.
            pixels, nodata = np.where(pixels == nodata, np.nan, pixels), math.nan
        pixels = as_native(path, pixels, native_dtype(pixels.dtype))
        return Native(pixels, nodata, look, icc, type=type.name)
    raster, image = decode(path, file)
    pixels = unassociated(raster)
    if image is not None and image.mode in _PALETTES and pixels.shape[-1] < 3:
        pixels = np.concatenate([pixels[..., :1]] * 2 + [pixels], -1)  # `probe` can't know
    return Native(upright(pixels, raster.orientation), type=pixels.dtype.name)


def as_native(path: PathLike, pixels: np.ndarray, dtype: str) -> np.ndarray:
    """Numbers as ``dtype``, which `native_dtype` gave.

    Raises:
        UserError: they don't fit.
    """
    if pixels.dtype.name == dtype:
        return pixels
    with np.errstate(over="ignore"):
        converted = pixels.astype(dtype)
    if pixels.dtype.kind in "ui":
        # 2**63 in float32 has no int64 to go back to.
        if pixels.dtype.itemsize > 2 and (np.abs(converted) > 1 << 24).any():
            raise UserError(
                f"{path}: {pixels.dtype} beyond ±{1 << 24}, which float32 can't hold exactly; "
                "scale them to 16 bits"
            )
    elif pixels.dtype.itemsize > 4 and (np.isinf(converted) & ~np.isinf(pixels)).any():
        raise UserError(f"{path}: {pixels.dtype} beyond the range of float32")
    return converted


def chosen_bands(path: PathLike, pixels: np.ndarray, bands: Sequence[int] | None) -> np.ndarray:
    """(H, W, C) of the bands of these numbers, from 1, in this order; None: all.

    Raises:
        UserError: there are not so many.
    """
    if bands is None:
        return pixels
    if max(bands) > pixels.shape[-1]:
        raise UserError(
            f"{path}: has {counted(pixels.shape[-1])}, where bands={list(bands)} are asked for"
        )
    return pixels[..., [band - 1 for band in bands]]


def check_bands(path: PathLike, found: int, wanted: int) -> None:
    """Raise `UserError` for another number of bands than the other images have."""
    if found != wanted:
        choice = f"; bands={list(range(1, wanted + 1))}, say, chooses"
        raise UserError(
            f"{path}: has {counted(found)}, where {wanted} {'are' if wanted > 1 else 'is'} wanted"
            f"{choice if found > wanted else ''}"
        )


def check_dtype(path: PathLike, found: str, wanted: str) -> None:
    """Raise `UserError` for numbers of another type than the other images have."""
    if found != wanted:
        raise UserError(f"{path}: holds {found}, where {wanted} is wanted")


def check_finite(path: PathLike, pixels: np.ndarray) -> None:
    """Raise `UserError` where (H, W, C) holds NaN or an infinity."""
    if pixels.dtype.kind != "f":
        return
    finite = np.isfinite(pixels)
    if not finite.all():
        row, column, band = np.argwhere(~finite)[0]
        raise UserError(
            f"{path}: holds NaN or infinite numbers ({finite.size - np.count_nonzero(finite)} of "
            f"{finite.size}), the first in row {row}, column {column} of band {band + 1}"
        )


def counted(bands: int) -> str:
    """A number of bands in words."""
    return "1 band" if bands == 1 else f"{bands} bands"


def _turned(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    return size[::-1] if orientation in (5, 6, 7, 8) else size
