"""The formats of image files: which are read, and what each has room for when it is written."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tmd.errors import UserError

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Format:
    """A kind of image file.

    Attributes:
        name: Pillow's.
        suffixes: of its files, in lower case.
        side: the longest that is written, in pixels; None: no limit that an image meets.
        bits: per channel that are written.
        alpha: it has transparency.
        exif: the most bytes of camera's data.
        icc: the most bytes of a colour profile.
        size: the most bytes of pixels.
    """

    name: str
    suffixes: tuple[str, ...]
    side: int | None = None
    bits: int = 8
    alpha: bool = True
    exif: int | None = None
    icc: int | None = None
    size: int | None = None


FORMATS = (
    Format("PNG", (".png",), side=2**31 - 1, bits=16),
    # libjpeg stops a little before the format does. A segment has 65533 bytes; one holds the
    # camera's data and its name, up to 255 hold a profile and theirs.
    Format(
        "JPEG",
        (".jpg", ".jpeg", ".jpe", ".jfif"),
        side=65_500,
        alpha=False,
        exif=65_533 - 6,
        icc=255 * (65_533 - 14),
    ),
    Format("WEBP", (".webp",), side=16_383),
    Format("TIFF", (".tif", ".tiff"), size=2**32 - 2**16),
    Format("BMP", (".bmp",), size=2**32 - 2**16),
    Format("GIF", (".gif",), side=65_535),
    Format("PPM", (".ppm", ".pgm", ".pnm")),
    Format("JPEG2000", (".jp2",)),
    Format("AVIF", (".avif",), side=65_536),
    Format("TGA", (".tga",), side=65_535),
    Format("NPY", (".npy",), bits=32),
    Format("NPZ", (".npz",), bits=32),
)
BY_SUFFIX = {suffix: format for format in FORMATS for suffix in format.suffixes}
IMAGE_SUFFIXES = frozenset(BY_SUFFIX)
_NOT_PILLOWS = ("TIFF", "NPY", "NPZ", "TGA")


def pillows_formats(path: PathLike) -> list[str]:
    """Names of the formats that Pillow may take a file for, whatever its name says.

    TIFF is read by `tmd.images.tiff`, numpy's arrays by `tmd.images.arrays`. TGA has no mark of its
    own: any bytes might be one.
    """
    names = [format.name for format in FORMATS if format.name not in _NOT_PILLOWS]
    if os.path.splitext(path)[1].lower() == ".tga":
        names.append("TGA")
    return names


def check_size(path: PathLike, channels: int, height: int, width: int) -> None:
    """Raise `UserError` where the format of ``path`` can't hold so large an image of 8 bits."""
    format = BY_SUFFIX[Path(path).suffix.lower()]
    if format.side is not None and max(height, width) > format.side:
        raise UserError(
            f"{path}: {width}×{height} pixels do not fit into {format.name}, whose sides end at "
            f"{format.side}; use .png"
        )
    if format.size is not None and channels * height * width > format.size:
        raise UserError(f"{path}: {format.name} ends at {format.size} bytes; use .png")
