"""Image files with all that they hold: bits, bands, transparency, profile, camera's data, place."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tmd.images import png
from tmd.images.arrays import is_array
from tmd.images.encoding import PLAIN, Look
from tmd.images.geo import enlarged, of_bands, with_nodata
from tmd.images.native import check_finite, chosen_bands, decode_native
from tmd.images.nodata import nodata_mask, without_nodata
from tmd.images.opening import is_png, is_tiff, opened
from tmd.images.raster import unassociated, upright
from tmd.images.reading import decode
from tmd.images.tiff import Beside, read_beside
from tmd.images.tiff_bands import read_look
from tmd.photos.photo import Photo

_EXIF_IFD = 0x8769
_PIXEL_DIMENSIONS = (0xA002, 0xA003)
# Orientation, and what a JPEG's tags may say of the size and the place of its pixels.
_GEOMETRY = (0x0112, 0x0100, 0x0101, 0x0111, 0x0115, 0x0116, 0x0117, 0x011C, 0x0201, 0x0202)


def read_photo(path: str | os.PathLike[str], scale: int = 1, visible: bool = True) -> Photo:
    """Read the first image of a file without losing anything that `Photo` can hold.

    CMYK goes to sRGB by the file's own profile; palettes become RGB, or grey if they are.

    Args:
        path: of a file, or of an image in a stack, ``cells.tif[3]``.
        scale: the factor by which the pixels are going to be divided: what a GeoTIFF says of its
            pixels' places is true of the result.
        visible: whether the colours of what can't be seen are those beside it, so that upscaling
            mixes nothing else into the edges.

    Raises:
        UserError: as `tmd.images.read_image`; or numbers without a range (float, 32 bits).
    """
    look, nodata = PLAIN, None
    with opened(path) as file:
        raster, image = decode(path, file)
        if is_tiff(file):
            look, nodata = read_look(path, file)
        beside = read_beside(path, file) if image is None else _beside(image)
        chunks = png.colour_chunks(file) if is_png(file) else ()
        exif = _exif_without_geometry(beside.exif)
    pixels = unassociated(raster)
    if raster.has_alpha and visible:
        pixels = _with_colour_under_transparency(pixels)
    kind = b"RGB " if pixels.shape[-1] >= 3 else b"GRAY"
    icc = raster.icc if raster.icc and raster.icc[16:20] == kind else None
    pixels, empty = _with_data(path, upright(pixels, raster.orientation), nodata)
    alpha = (2,) if raster.has_alpha else ()
    return Photo(
        torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1),
        icc,
        exif,
        beside.frames,
        chunks,
        raster.left_out + beside.left_out,
        look=Look(pixels.shape[-1] >= 3, alpha, enlarged(with_nodata(look.tags, nodata), scale)),
        nodata=nodata,
        empty=empty,
    )


def read_bands(
    path: str | os.PathLike[str], bands: Sequence[int] | None = None, scale: int = 1
) -> Photo:
    """Read an image file's numbers band by band, whatever they mean.

    Args:
        path: of a file, or of an image in a stack, ``cells.tif[3]``.
        bands: which of them, from 1, in this order; None: all.
        scale: as for `read_photo`.

    Raises:
        UserError: the file is absent, broken or too large; it has fewer bands; it holds NaN or
            infinite numbers, or no data at all.
    """
    with opened(path) as file:
        if not (is_tiff(file) or is_array(file)):
            return _bands_of_photo(path, bands)
        native = decode_native(path, file)
        beside = read_beside(path, file) if is_tiff(file) else None
    pixels = chosen_bands(path, native.pixels, bands)
    look = native.look or Look(3 <= pixels.shape[-1] <= 4 and native.axes == "", ())
    if bands is not None:
        look = Look(tags=of_bands(look.tags, bands))
    pixels, empty = _with_data(path, pixels, native.nodata)
    check_finite(path, pixels)
    return Photo(
        torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1),
        native.icc if bands is None else None,
        frames=beside.frames if beside else native.images or 1,
        left_out=beside.left_out if beside else (),
        bands=True,
        look=look._replace(tags=enlarged(with_nodata(look.tags, native.nodata), scale)),
        nodata=native.nodata,
        empty=empty,
        axes="HWC" if native.axes == "HW" and pixels.shape[-1] > 1 else native.axes,
        stack=native.images is not None,
        type="" if native.type == pixels.dtype.name else native.type,
    )


def _bands_of_photo(path: str | os.PathLike[str], bands: Sequence[int] | None) -> Photo:
    photo = read_photo(path, visible=False)
    if bands is None:
        return photo
    levels = chosen_bands(path, photo.pixels.permute(1, 2, 0).numpy(), bands)
    pixels = torch.from_numpy(np.ascontiguousarray(levels)).permute(2, 0, 1)
    return replace(photo, pixels=pixels, icc=None, bands=True, look=PLAIN)


def _with_data(
    path: str | os.PathLike[str], pixels: np.ndarray, nodata: float | None
) -> tuple[np.ndarray, Tensor | None]:
    """(H, W, C) with data everywhere, and (C, H, W), where there was none."""
    if (mask := nodata_mask(pixels, nodata)) is None:
        return pixels, None
    return without_nodata(path, pixels, mask), torch.from_numpy(mask).permute(2, 0, 1)


def _beside(image: Image.Image) -> Beside:
    frames = getattr(image, "n_frames", 1) if getattr(image, "is_animated", False) else 1
    # An MPO is a photo with previews of itself.
    return Beside(Image.Image.getexif(image), 1 if image.format == "MPO" else frames, ())


def _exif_without_geometry(exif: Image.Exif) -> bytes | None:
    """EXIF without what is no longer true of upright and larger pixels."""
    try:
        for tag in _GEOMETRY:
            exif.pop(tag, None)
        if _EXIF_IFD in exif:
            for tag in _PIXEL_DIMENSIONS:
                exif.get_ifd(_EXIF_IFD).pop(tag, None)
        if not len(exif):
            return None
        return exif.tobytes().removeprefix(b"Exif\0\0")
    except Exception:  # the photo matters more than a camera's broken notes
        return None


def _with_colour_under_transparency(pixels: np.ndarray) -> np.ndarray:
    """The same picture; where nothing is seen, the colour of the nearest pixel that is.

    What a file holds there is arbitrary, and upscaling would mix it into the edges.
    """
    clear = pixels[..., -1] == 0
    if not clear.any() or clear.all():
        return pixels
    from scipy.ndimage import distance_transform_edt  # of all photos only these need it

    rows, columns = distance_transform_edt(clear, return_distances=False, return_indices=True)
    levels = pixels.copy()
    levels[..., :-1] = levels[rows, columns, :-1]
    return levels
