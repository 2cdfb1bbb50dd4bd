"""Photos with all that their files hold: 16 bits, transparency, colour profile, camera's data."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tmd.images import png
from tmd.images.opening import is_png, opened
from tmd.images.raster import unassociated, upright
from tmd.images.reading import decode
from tmd.images.tiff import Beside, read_beside

_EXIF_IFD = 0x8769
_PIXEL_DIMENSIONS = (0xA002, 0xA003)
# Orientation, and what a JPEG's tags may say of the size and the place of its pixels.
_GEOMETRY = (0x0112, 0x0100, 0x0101, 0x0111, 0x0115, 0x0116, 0x0117, 0x011C, 0x0201, 0x0202)


@dataclass(frozen=True)
class Photo:
    """An image file's content, upright.

    Attributes:
        pixels: (C, H, W), uint8 or uint16; C = 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha.
        icc: the colour profile of the pixels.
        exif: the camera's data without the orientation, which the pixels now have, and without
            anything else of the old file's geometry.
        frames: how many the file has; the pixels are the first.
        chunks: (kind, data) of a PNG's chunks that say how the levels are meant and how large the
            pixels are, see `tmd.images.png.COLOUR`.
        left_out: what else is in the file, in words.
    """

    pixels: Tensor
    icc: bytes | None = None
    exif: bytes | None = None
    frames: int = 1
    chunks: tuple[tuple[bytes, bytes], ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def has_alpha(self) -> bool:
        """True where the last channel is transparency."""
        return len(self.pixels) in (2, 4)


def read_photo(path: str | os.PathLike[str]) -> Photo:
    """Read the first image of a file without losing anything that `Photo` can hold.

    CMYK goes to sRGB by the file's own profile; palettes become RGB, or grey if they are.

    Raises:
        UserError: as `tmd.images.read_image`; or numbers without a range (float, 32 bits).
    """
    with opened(path) as file:
        raster, image = decode(path, file)
        beside = read_beside(path, file) if image is None else _beside(image)
        chunks = png.colour_chunks(file) if is_png(file) else ()
        exif = _exif_without_geometry(beside.exif)
    pixels = unassociated(raster)
    if raster.has_alpha:
        pixels = _with_colour_under_transparency(pixels)
    kind = b"RGB " if pixels.shape[-1] >= 3 else b"GRAY"
    icc = raster.icc if raster.icc and raster.icc[16:20] == kind else None
    pixels = np.ascontiguousarray(upright(pixels, raster.orientation))
    return Photo(
        torch.from_numpy(pixels).permute(2, 0, 1),
        icc,
        exif,
        beside.frames,
        chunks,
        raster.left_out + beside.left_out,
    )


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
