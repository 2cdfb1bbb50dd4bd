"""TIFF as instruments write it: any number of bands, any numbers, and pixels without data."""

from __future__ import annotations

import math
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from tmd.errors import UserError
from tmd.images.encoding import Look
from tmd.images.formats import PathLike
from tmd.images.geo import Tag, read_geo
from tmd.images.tiff import (
    check_flat,
    check_segments,
    open_tiff,
    orientation_of,
    page_of,
    read_tiff,
    scaled,
    stored_bands,
)

_NODATA, _EXTRA_SAMPLES, _PROFILE, _DESCRIPTION = 42113, 338, 34675, 270
# Description, maker, model, program, date, artist, rights
_WORDS = (_DESCRIPTION, 271, 272, 305, 306, 315, 33432)
# Interpretations whose numbers are no colours yet, with how many colours they become.
_CONVERTED = {"PALETTE": 3, "YCBCR": 3, "SEPARATED": 3}
_AS_STORED = ("MINISBLACK", "MINISWHITE", "RGB")
_UNSIGNED, _COMPLEX = 1, {5, 6}
_ALPHA = {1, 2}


class Stored(NamedTuple):
    """Numbers of a page.

    Attributes:
        pixels: (H, W, bands), not turned; unsigned integers of up to 16 bits fill uint8 or uint16.
        orientation: by EXIF, 1 to 8.
        nodata: the number that stands for no data, as GDAL writes it.
        look: as it is written again: georeference, words, the bands' meaning.
        icc: the colour profile of what is RGB or grey.
    """

    pixels: np.ndarray
    orientation: int
    nodata: float | None
    look: Look
    icc: bytes | None


def probe_tiff(path: PathLike, file: BinaryIO) -> tuple[int, np.dtype[Any], tuple[int, int], int]:
    """Bands, type, (H, W) as stored, and orientation, by the page's tags.

    Raises:
        UserError: it can't be read as bands, as far as the tags tell.
    """
    with open_tiff(file) as tiff:
        page = page_of(path, tiff)
        _check(path, page)
        bands = page.samplesperpixel
        colours = _CONVERTED.get(_photometric(page))
        if colours is not None:
            stated = np.atleast_1d(page.tags.valueof(_EXTRA_SAMPLES, default=())).tolist()
            bands = colours + any(kind in _ALPHA for kind in stated)
        return bands, _type(page), (page.imagelength, page.imagewidth), orientation_of(page)


def read_tiff_bands(path: PathLike, file: BinaryIO) -> Stored:
    """Read all bands of the page that ``path`` names; palettes, CMYK and YCbCr become RGB.

    Raises:
        UserError: complex numbers, bands of different bits, or another interpretation.
    """
    with open_tiff(file) as tiff:
        page = page_of(path, tiff)
        _check(path, page)
        orientation, tags = orientation_of(page), (*read_geo(page), *_words(page))
        if _photometric(page) not in _CONVERTED:
            check_segments(page, file)
            icc = page.tags.valueof(_PROFILE)
            look = Look(_photometric(page) == "RGB", _extrasamples(page), tags)
            pixels = _stored(path, page)
            return Stored(pixels, orientation, _nodata(page), look, bytes(icc) if icc else None)
    raster = read_tiff(path, file)
    look = Look(True, (2,) if raster.has_alpha else (), tags)
    return Stored(raster.pixels, orientation, None, look, raster.icc)


def read_look(path: PathLike, file: BinaryIO) -> tuple[Look, float | None]:
    """Tags that are written again with a photo, and the number that stands for no data."""
    with open_tiff(file) as tiff:
        page = page_of(path, tiff)
        nodata = _nodata(page) if _photometric(page) in _AS_STORED else None
        return Look(tags=(*read_geo(page), *_words(page))), nodata


def _words(page: Any) -> tuple[Tag, ...]:
    """Tags that people wrote, of the camera, the date, the rights."""
    programs_own = page.is_shaped or page.is_imagej or page.is_ome
    found = []
    for code in _WORDS:
        value = page.tags.valueof(code)
        if isinstance(value, str) and value and not (code == _DESCRIPTION and programs_own):
            found.append(Tag(code, "s", value))
    return tuple(found)


def _extrasamples(page: Any) -> tuple[int, ...]:
    extra = page.samplesperpixel - (3 if _photometric(page) == "RGB" else 1)
    stated = np.atleast_1d(page.tags.valueof(_EXTRA_SAMPLES, default=())).tolist()
    return tuple([*map(int, stated), *[0] * extra][:extra])


def _photometric(page: Any) -> str:
    return str(getattr(page.photometric, "name", page.photometric))


def _check(path: PathLike, page: Any) -> None:
    check_flat(path, page)
    name = _photometric(page)
    if name not in _AS_STORED and name not in _CONVERTED:
        raise UserError(f"{path}: TIFF whose levels are {name} is not read; convert it to RGB")
    if _COMPLEX & set(_formats(page)):
        raise UserError(f"{path}: complex numbers are no image's; write their magnitude")
    if name == "MINISWHITE" and set(_formats(page)) != {_UNSIGNED}:
        raise UserError(f"{path}: numbers of which 0 is white, and nothing says which is black")


def _formats(page: Any) -> list[int]:
    return np.atleast_1d(page.sampleformat).tolist()


def _is_scaled(page: Any) -> bool:
    """Return whether the numbers are levels, which fill 8 or 16 bits."""
    return page.bitspersample <= 16 and set(_formats(page)) == {_UNSIGNED}


def _type(page: Any) -> np.dtype[Any]:
    if _is_scaled(page):
        return np.dtype(np.uint8 if page.bitspersample <= 8 else np.uint16)
    return np.dtype(page.dtype)


def _stored(path: PathLike, page: Any) -> np.ndarray:
    bands = stored_bands(path, page)
    if not _is_scaled(page):
        return bands
    levels = scaled(bands, page)
    if _photometric(page) == "MINISWHITE":
        levels = levels.copy()
        levels[..., 0] = ~levels[..., 0]
    return levels


def _nodata(page: Any) -> float | None:
    """GDAL's tag is text; what is no number, or beyond the type, is as if it were not there."""
    try:
        value = float(str(page.tags.valueof(_NODATA)).strip("\0 "))
    except ValueError:
        return None
    if page.dtype is not None and page.dtype.kind in "ui":
        limits = np.iinfo(page.dtype)
        if math.isnan(value) or not limits.min <= value <= limits.max or value != int(value):
            return None
        top = (1 << page.bitspersample) - 1
        if _is_scaled(page):
            highest = np.iinfo(_type(page)).max
            value = (int(value) * highest + top // 2) // top
            return float(highest - value if _photometric(page) == "MINISWHITE" else value)
        return value
    return float(np.array(value, page.dtype)) if page.dtype is not None else value
