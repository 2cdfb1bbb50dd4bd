"""Image files as a person would see them, in the 8 bits that networks train on."""

from __future__ import annotations

from dataclasses import replace
from typing import BinaryIO

import numpy as np
import torch
from PIL import ExifTags, Image

from tmd.errors import UserError
from tmd.images import png
from tmd.images.arrays import is_array, probe_array, read_array
from tmd.images.cmyk import cmyk_to_srgb
from tmd.images.formats import PathLike
from tmd.images.opening import check_pixels, is_png, is_tiff, opened, pillow_image
from tmd.images.raster import Raster, on_white, upright
from tmd.images.stacks import split_name
from tmd.images.tiff import read_tiff, tiff_size

_GREY = ("1", "L", "LA", "La")
_PALETTES = ("P", "PA")
_COLOURS = ("RGB", "RGBA", "RGBX", "RGBa")


def read_image(path: PathLike, channels: int = 3) -> torch.Tensor:
    """Read an image file as a person would see it.

    EXIF rotation is applied, transparency is laid on white, 16 bits become 8 by rounding to the
    nearest level, CMYK and palettes become RGB; of an animation, the first frame is taken; of a
    TIFF with bands beyond colour and alpha, those are left out.

    Args:
        path: one of `tmd.images.formats.FORMATS`.
        channels: 3 for RGB, 1 for grey (BT.601 luma, full range).

    Returns:
        (C, H, W), uint8.

    Raises:
        UserError: the file is absent, truncated, not an image, of numbers without a range, or too
            large (see `set_max_pixels`).
    """
    # numpy lays it out anew sixteen times as fast as torch does.
    return torch.from_numpy(np.ascontiguousarray(read_pixels(path, channels).numpy()))


def read_pixels(path: PathLike, channels: int = 3) -> torch.Tensor:
    """Return what `read_image` reads, in the order of the file: a view with the channels innermost.

    To cut a patch of it costs a fraction of laying out the whole image anew.
    """
    with opened(path) as file:
        return decode_pixels(path, file, channels)


def decode_pixels(path: PathLike, file: BinaryIO, channels: int) -> torch.Tensor:
    """`read_pixels` for a file that is open, for reading and seeking; ``path`` is for messages."""
    raster, _ = decode(path, file)
    pixels = upright(on_white(raster), raster.orientation)
    if pixels.shape[-1] != channels:
        grey = pixels.shape[-1] == 1
        image = Image.fromarray(pixels[..., 0] if grey else np.ascontiguousarray(pixels))
        pixels = np.array(image.convert("RGB" if channels == 3 else "L"))
    levels = np.ascontiguousarray(pixels).reshape(*pixels.shape[:2], channels)
    return torch.from_numpy(levels).permute(2, 0, 1)


def read_size(path: PathLike) -> tuple[int, int]:
    """(H, W) of an image file as `read_image` will return it, from its header alone.

    Raises:
        UserError: as `read_image`, as far as the header tells.
    """
    with opened(path) as file:
        if is_tiff(file):
            width, height, orientation = tiff_size(path, file)
        elif is_array(file):
            (height, width), orientation = array_size(path, file), 1
        else:
            if is_png(file):
                png.check_complete(file)
            with pillow_image(path, file) as image:
                width, height = image.size
                orientation = orientation_of(image)
    return (width, height) if orientation in (5, 6, 7, 8) else (height, width)


def decode(path: PathLike, file: BinaryIO) -> tuple[Raster, Image.Image | None]:
    """Read what a file holds with all its bits, and Pillow's image of it, which a TIFF has not.

    Raises:
        UserError: numbers without a range (float, 32 bits), or too many pixels.
    """
    if is_tiff(file):
        return read_tiff(path, file), None
    if is_array(file):
        return read_photo_array(path, file), None
    if is_png(file):
        return _decode_png(path, file)
    image = pillow_image(path, file)
    icc = image.info.get("icc_profile")
    # What Pillow does not say is to be seen before it decodes.
    cut = ("bits beyond 8 a colour",) if _is_deeper_than_read(image, file) else ()
    return replace(_converted(path, image, icc), left_out=cut), image


def array_size(path: PathLike, file: BinaryIO) -> tuple[int, int]:
    """(H, W) of an image in numpy's arrays; raises for too many pixels."""
    (height, width) = probe_array(path, file, split_name(path)[1])[0].size
    check_pixels(path, width, height)
    return height, width


def read_photo_array(path: PathLike, file: BinaryIO) -> Raster:
    """Numpy's array as a photo.

    Raises:
        UserError: it has other numbers than 8 or 16 bits, or no one or three bands.
    """
    array_size(path, file)  # before memory is taken
    pixels = read_array(path, file, split_name(path)[1])
    if pixels.dtype not in (np.uint8, np.uint16):
        raise UserError(f"{path}: numbers of type {pixels.dtype} have no range")
    if pixels.shape[-1] not in (1, 3):
        raise UserError(
            f"{path}: nothing says which of its {pixels.shape[-1]} bands are the colours; "
            "bands=[1, 2, 3], say, does"
        )
    return Raster(pixels)


def _is_deeper_than_read(image: Image.Image, file: BinaryIO) -> bool:
    """Return whether colours of more bits are read as 8; the place in the file stays."""
    if image.mode.startswith(("I", "F")):
        return False
    if image.format == "PPM":
        levels = image.tile[0].args  # type: ignore[attr-defined]
        return isinstance(levels, tuple) and isinstance(levels[-1], int) and levels[-1] > 255
    if image.format not in ("JPEG2000", "AVIF"):
        return False
    place = file.tell()
    file.seek(0)
    start = file.read(1 << 16)
    file.seek(place)
    if image.format == "JPEG2000":
        # Component sizes of the codestream (ISO 15444-1, A.5.1): bits less one.
        bits = start[(at := start.find(b"\xff\x51")) + 40 : at + 41]
        return at >= 0 and bool(bits) and (bits[0] & 127) > 7
    at = start.find(b"av1C")
    return at >= 0 and len(start) > at + 6 and bool(start[at + 6] & 0x40)


def _decode_png(path: PathLike, file: BinaryIO) -> tuple[Raster, Image.Image]:
    icc, header = png.profile(file), png.read_header(file)
    image = pillow_image(path, file)
    # Of grey of 2 or 4 bits Pillow looks for the transparent level among levels of 8 bits.
    if header.bits < 16 and not (header.colour == 0 and header.bits in (2, 4)):
        return _converted(path, image, icc), image
    import imagecodecs  # Pillow cuts colours to 8 bits

    levels = imagecodecs.png_decode(png.essential(file).read())
    return Raster(levels.reshape(*levels.shape[:2], -1), orientation_of(image), icc=icc), image


def _converted(path: PathLike, image: Image.Image, icc: bytes | None) -> Raster:
    """Pillow's image, whose colours have 8 bits and grey up to 16."""
    if image.mode == "F":
        raise UserError(f"{path}: floating-point images have no range")
    orientation = orientation_of(image)
    if image.mode.startswith("I"):
        return Raster(_sixteen_bits(path, image)[..., None], orientation, icc=icc)
    if image.mode == "CMYK":
        pixels, icc = cmyk_to_srgb(np.asarray(image), icc)
        return Raster(pixels, orientation, icc=icc)
    if image.mode not in _GREY + _PALETTES + _COLOURS:
        icc = None  # it was YCbCr's or HSV's
    pixels = _eight_bits(image)
    return Raster(pixels.reshape(*pixels.shape[:2], -1), orientation, icc=icc)


def orientation_of(image: Image.Image) -> int:
    """EXIF's number, 1 where there is none."""
    # A PNG's own `getexif` decodes the pixels to look behind them; `pillow_image` has done so.
    return Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)


def _eight_bits(image: Image.Image) -> np.ndarray:
    transparent = image.has_transparency_data
    if image.mode in _GREY:
        mode = "LA" if transparent else "L"
        return np.array(image if image.mode == mode else image.convert(mode))
    mode = "RGBA" if transparent else "RGB"
    pixels = np.array(image if image.mode == mode else image.convert(mode))
    if image.mode in _PALETTES and _is_grey(pixels):
        return pixels[..., 2:] if transparent else pixels[..., :1]
    return pixels


def _is_grey(pixels: np.ndarray) -> bool:
    first = pixels[..., 0]
    return np.array_equal(first, pixels[..., 1]) and np.array_equal(first, pixels[..., 2])


def _sixteen_bits(path: PathLike, image: Image.Image) -> np.ndarray:
    levels = np.array(image)
    if levels.min() < 0 or levels.max() > 65535:
        raise UserError(f"{path}: more than 16 bits have no range")
    return levels.astype(np.uint16)
