"""TIFF (revision 6.0) as it is meant: bands, bits, photometric interpretation, kinds of alpha.

Pillow knows but some of the combinations, and of these it reads a few wrongly, without a word.
What is read here is right, or refused in one line that says why.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from tmd.errors import UserError
from tmd.images.cmyk import cmyk_to_srgb
from tmd.images.formats import PathLike
from tmd.images.geo import GEO_TAGS, is_placed
from tmd.images.opening import check_pixels
from tmd.images.raster import Raster
from tmd.images.stacks import split_name, tiff_pages

_DESCRIPTION, _ORIENTATION, _EXTRA_SAMPLES, _INK_SET = 270, 274, 338, 332
_COEFFICIENTS, _REFERENCE, _PROFILE = 529, 532, 34675
_SUB_IFDS = (34665, 34853)  # EXIF, GPS
# The tags that tell of the picture; all others tell how it lies in its file.
_DESCRIPTIVE = frozenset((269, _DESCRIPTION, 271, 272, 282, 283, 285, 296, 305, 306, 315, 316))
_DESCRIPTIVE |= frozenset((18246, 18249, 33432, *range(0x9C9B, 0x9CA0), *_SUB_IFDS))
_FIRST_PRIVATE = 32768
_FLOATING, _SIGNED = {3, 5, 6}, 2
_ASSOCIATED, _UNASSOCIATED = 1, 2
# Their decoders give RGB where the file says YCbCr.
_DECODED_TO_RGB = ("JPEG", "OJPEG", "JPEG_LOSSY", "ALT_JPEG", "WEBP", "JPEGXL", "JPEGXL_DNG")


def tiff_size(path: PathLike, file: BinaryIO) -> tuple[int, int, int]:
    """Return width, height and orientation by the page's tags.

    Raises:
        UserError: it has more pixels than `tmd.images.set_max_pixels` allows.
    """
    with open_tiff(file) as tiff:
        page = page_of(path, tiff)
        return page.imagewidth, page.imagelength, orientation_of(page)


def read_tiff(path: PathLike, file: BinaryIO) -> Raster:
    """Read the first page, or that which ``path`` names.

    Fewer than 8 bits become 8, and more become 16, each scaled to the whole range. Bands beyond
    colour and alpha are left out, and said.

    Raises:
        UserError: numbers without a range (float, signed, 32 bits), bands of which nothing says
            which are the colours, or another interpretation than grey, palette, RGB, CMYK, YCbCr.
    """
    with open_tiff(file) as tiff:
        page = page_of(path, tiff)
        check_integers(path, page)
        check_segments(page, file)
        meaning = _meaning(path, page)
        bands = stored_bands(path, page)
        icc = page.tags.valueof(_PROFILE)
        pixels, icc = meaning.convert(path, page, bands, bytes(icc) if icc else None)
        if meaning.alpha is None:
            return Raster(pixels, orientation_of(page), icc=icc, left_out=meaning.left_out)
        alpha = scaled(bands[..., meaning.alpha], page, pixels.dtype)
        return Raster(
            np.dstack([pixels, alpha]),
            orientation_of(page),
            meaning.associated,
            icc,
            meaning.left_out,
        )


class Beside(NamedTuple):
    """Content of a TIFF beside the first page's pixels.

    Attributes:
        exif: the camera's data, empty where there is none.
        frames: pages that are no previews.
        left_out: tags that are kept nowhere, in words.
    """

    exif: Image.Exif
    frames: int
    left_out: tuple[str, ...]


def read_beside(path: PathLike, file: BinaryIO) -> Beside:
    """Read the camera's data without the geometry of that file, and what else is in it."""
    with open_tiff(file) as tiff:
        page = page_of(path, tiff)
        frames = 1 if split_name(path)[1] is not None else len(tiff_pages(file))
        programs_own = page.is_shaped or page.is_imagej or page.is_ome
        private = [
            f"tag {tag.code} ({tag.valuebytecount} bytes)"
            for tag in page.tags
            if tag.code >= _FIRST_PRIVATE and tag.code not in {*_DESCRIPTIVE, *GEO_TAGS, _PROFILE}
        ]
    exif = _exif(file)
    for tag in list(exif):
        # Some programs describe the size of the pixels there.
        if tag not in _DESCRIPTIVE or (tag == _DESCRIPTION and programs_own):
            del exif[tag]
    return Beside(exif, max(1, frames), tuple(private))


def _exif(file: BinaryIO) -> Image.Exif:
    exif = Image.Exif()
    try:
        file.seek(0)
        exif.load_from_fp(file)
        for tag in _SUB_IFDS:  # else they are read when the file is closed
            if tag in exif:
                exif.get_ifd(tag)
        return exif
    except Exception:  # a BigTIFF, or a camera's broken notes: the picture matters more
        return Image.Exif()


def open_tiff(file: BinaryIO) -> Any:
    """Reader of tifffile, which is closed without closing the file."""
    import tifffile  # only who has TIFFs waits for it

    # It tells of every oddity that it gets over.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    file.seek(0)
    return tifffile.TiffFile(file)


def page_of(path: PathLike, tiff: Any) -> Any:
    """The page that ``path`` names, the first where it names the file.

    Raises:
        UserError: there are fewer, or it has more pixels than `tmd.images.set_max_pixels` allows.
    """
    number = split_name(path)[1] or 0
    try:
        page = tiff.pages[number]  # to count them all would take a look at each
    except IndexError:
        if not len(tiff.pages):
            raise ValueError("a TIFF without pages") from None
        raise UserError(f"{path}: has {len(tiff.pages)} pages, counted from 0") from None
    check_pixels(path, page.imagewidth, page.imagelength)
    return page


def orientation_of(page: Any) -> int:
    """EXIF's 1 to 8; 1 for what is no such number, and where the page says its place on Earth."""
    if is_placed(page):
        return 1
    value = page.tags.valueof(_ORIENTATION, default=1)
    return int(value) if value in range(1, 9) else 1


def check_flat(path: PathLike, page: Any) -> None:
    """Raise `UserError` for what is no image of bands of equal bits."""
    if page.imagedepth != 1 or page.axes not in ("YX", "YXS", "SYX"):
        raise UserError(f"{path}: a TIFF of volumes is not read")
    if not isinstance(page.bitspersample, int):
        bits = page.bitspersample
        raise UserError(f"{path}: bands of different bits, {bits}, are not read")


def check_integers(path: PathLike, page: Any) -> None:
    """Raise `UserError` for numbers that have no range."""
    check_flat(path, page)
    bits = page.bitspersample
    formats = np.atleast_1d(page.sampleformat).tolist()
    if _FLOATING & set(formats):
        raise UserError(f"{path}: floating-point images have no range")
    if _SIGNED in formats:
        raise UserError(f"{path}: signed integers have no range; convert them to 16 bits unsigned")
    if bits > 16:
        raise UserError(f"{path}: integers of {bits} bits have no range; convert them to 16 bits")


def check_segments(page: Any, file: BinaryIO) -> None:
    """Raise `ValueError` where strips or tiles are missing, which tifffile would take for black."""
    end = file.seek(0, 2)
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    if len(segments) < np.prod(page.chunked) or any(start + n > end for start, n in segments):
        raise ValueError("it is cut off")


def stored_bands(path: PathLike, page: Any) -> np.ndarray:
    """(H, W, bands) as they are stored, whatever they mean."""
    import tifffile

    if page.compression not in tifffile.TIFF.DECOMPRESSORS:
        name = getattr(page.compression, "name", page.compression)
        has_codecs = importlib.util.find_spec("imagecodecs") is not None
        remedy = "" if has_codecs else " without the package imagecodecs"
        raise UserError(f"{path}: TIFF compressed by {name} is not read{remedy}")
    try:
        stored = page.asarray(maxworkers=1)
    except NotImplementedError as problem:
        raise UserError(f"{path}: this kind of TIFF is not read ({problem})") from None
    if stored.ndim == 2:
        return stored[..., None]
    return np.moveaxis(stored, 0, -1) if page.axes == "SYX" else stored


def scaled(stored: np.ndarray, page: Any, dtype: Any = None) -> np.ndarray:
    """Levels of any bits up to 16 as uint8 or, of more than 8 bits, uint16: full range each."""
    bits = page.bitspersample
    top = (1 << bits) - 1
    wanted = np.dtype(dtype or (np.uint8 if bits <= 8 else np.uint16))
    highest = np.iinfo(wanted).max
    if top == highest:
        return stored.astype(wanted, copy=False)
    return ((stored.astype(np.uint64) * highest + top // 2) // top).astype(wanted)


# Photometric interpretations -------------------------------------------------------------------

Converted = tuple[np.ndarray, bytes | None]


def _black_is_zero(path: PathLike, page: Any, bands: np.ndarray, icc: bytes | None) -> Converted:
    return scaled(bands[..., :1], page), icc


def _white_is_zero(path: PathLike, page: Any, bands: np.ndarray, icc: bytes | None) -> Converted:
    return ~scaled(bands[..., :1], page), icc


def _rgb(path: PathLike, page: Any, bands: np.ndarray, icc: bytes | None) -> Converted:
    return scaled(bands[..., :3], page), icc


def _palette(path: PathLike, page: Any, bands: np.ndarray, icc: bytes | None) -> Converted:
    colours = np.asarray(page.colormap, np.uint16).T
    if colours.max() < 256 or not (colours & 255).any():
        # Many programs write 8 bits, or 8 bits with 8 zeros, where 16 are meant.
        narrow = (colours if colours.max() < 256 else colours >> 8).astype(np.uint8)
    else:
        narrow = ((colours.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return narrow[bands[..., 0].astype(np.intp)], icc


def _cmyk(path: PathLike, page: Any, bands: np.ndarray, icc: bytes | None) -> Converted:
    if page.tags.valueof(_INK_SET, default=1) != 1:
        raise UserError(f"{path}: inks other than CMYK are not read; convert it to RGB")
    return cmyk_to_srgb(scaled(bands[..., :4], page), icc)


def _ycbcr(path: PathLike, page: Any, bands: np.ndarray, icc: bytes | None) -> Converted:
    """Section 21 of the specification; already RGB where the decoder has made it so."""
    levels = scaled(bands[..., :3], page)
    compression = getattr(page.compression, "name", "")
    if compression in _DECODED_TO_RGB and page.planarconfig == 1 and bands.shape[-1] == 3:
        return levels, icc
    top = float(np.iinfo(levels.dtype).max)
    half = (top + 1) / 2
    red, green, blue = _rationals(page, _COEFFICIENTS, (0.299, 0.587, 0.114))
    stated = _rationals(page, _REFERENCE, (0, top, half, top, half, top))
    black, white = stated[0::2], stated[1::2]
    y, cb, cr = (
        (levels[..., i] - black[i]) * (reach / (white[i] - black[i]))
        for i, reach in enumerate((top, half - 1, half - 1))
    )
    r = y + (2 - 2 * red) * cr
    b = y + (2 - 2 * blue) * cb
    g = (y - red * r - blue * b) / green
    return np.rint(np.dstack([r, g, b])).clip(0, top).astype(levels.dtype), icc


def _rationals(page: Any, tag: int, default: tuple[float, ...]) -> list[float]:
    stored = page.tags.valueof(tag)
    if stored is None:
        return list(default)
    return [n / d for n, d in zip(stored[0::2], stored[1::2], strict=True)]


class Meaning(NamedTuple):
    """Roles of a page's bands: how the colours are made, which is alpha, what is left out."""

    convert: Callable[[PathLike, Any, np.ndarray, bytes | None], Converted]
    alpha: int | None
    associated: bool
    left_out: tuple[str, ...]


_INTERPRETATIONS: dict[str, tuple[int, Any]] = {
    "MINISBLACK": (1, _black_is_zero),
    "MINISWHITE": (1, _white_is_zero),
    "PALETTE": (1, _palette),
    "RGB": (3, _rgb),
    "YCBCR": (3, _ycbcr),
    "SEPARATED": (4, _cmyk),
}


def _meaning(path: PathLike, page: Any) -> Meaning:
    name = getattr(page.photometric, "name", str(page.photometric))
    if name not in _INTERPRETATIONS:
        raise UserError(f"{path}: TIFF whose levels are {name} is not read; convert it to RGB")
    colours, convert = _INTERPRETATIONS[name]
    extra = page.samplesperpixel - colours
    if extra < 0:
        raise UserError(f"{path}: {page.samplesperpixel} bands are too few for {name}")
    stated = np.atleast_1d(page.tags.valueof(_EXTRA_SAMPLES, default=())).tolist()
    kinds = [*stated, *[0] * extra][:extra]
    alphas = [i for i, kind in enumerate(kinds) if kind in (_ASSOCIATED, _UNASSOCIATED)]
    others = extra - len(alphas[:1])
    if colours == 1 and others > 1:
        raise UserError(
            f"{path}: nothing says which of its {page.samplesperpixel} bands are the colours; "
            "bands=[1, 2, 3], say, does"
        )
    left_out = (_counted(others),) if others else ()
    if not alphas:
        return Meaning(convert, None, False, left_out)
    associated = kinds[alphas[0]] == _ASSOCIATED
    if associated and name not in ("MINISBLACK", "RGB"):
        raise UserError(f"{path}: associated alpha beside {name} is not read; convert it to RGB")
    return Meaning(convert, colours + alphas[0], associated, left_out)


class Traits(NamedTuple):
    """Nature of a page.

    Attributes:
        photo: grey or colours of up to 16 bits, perhaps with alpha.
        more: it has bands beside these.
        placed: it says where on Earth its pixels lie.
    """

    photo: bool
    more: bool = False
    placed: bool = False


def read_traits(path: PathLike, file: BinaryIO) -> Traits:
    """Return the nature of a page by its tags."""
    with open_tiff(file) as tiff:
        page = page_of(path, tiff)
        try:
            check_integers(path, page)
            return Traits(True, bool(_meaning(path, page).left_out), is_placed(page))
        except UserError:
            return Traits(False, True, is_placed(page))


def _counted(bands: int) -> str:
    return "1 band that is no colour" if bands == 1 else f"{bands} bands that are no colours"
