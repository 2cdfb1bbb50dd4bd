"""Image files as a person would see them, in the 8 bits that networks train on."""

from __future__ import annotations

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps

from tmd.errors import UserError
from tmd.images.opening import PathLike, named_errors, open_image


def read_image(path: PathLike, channels: int = 3) -> torch.Tensor:
    """Read an image file as a person would see it.

    EXIF rotation is applied, transparency is laid on white, 16-bit grey is scaled to 8 bits, CMYK
    and palettes become RGB; of an animation, the first frame is taken.

    Args:
        path: any format that Pillow reads.
        channels: 3 for RGB, 1 for grey (BT.601 luma, full range).

    Returns:
        (C, H, W), uint8.

    Raises:
        UserError: the file is absent, truncated, not an image, or too large to be one (more pixels
            than ``PIL.Image.MAX_IMAGE_PIXELS``).
    """
    # numpy lays it out anew sixteen times as fast as torch does.
    return torch.from_numpy(np.ascontiguousarray(read_pixels(path, channels).numpy()))


def read_pixels(path: PathLike, channels: int = 3) -> torch.Tensor:
    """What `read_image` reads, in the order of the file: a view with the channels innermost.

    To cut a patch of it costs a fraction of laying out the whole image anew.
    """
    mode = "L" if channels == 1 else "RGB"
    with named_errors(path), open_image(path) as file:
        ImageOps.exif_transpose(file, in_place=True)  # else all that need no turn are copied
        image = _as_8_bits(file, path)
        pixels = np.array(image if image.mode == mode else image.convert(mode))
    return torch.from_numpy(pixels.reshape(image.height, image.width, channels)).permute(2, 0, 1)


def read_size(path: PathLike) -> tuple[int, int]:
    """(H, W) of an image file as `read_image` will return it, from its header alone.

    Raises:
        UserError: as `read_image`, as far as the header tells.
    """
    with named_errors(path), open_image(path) as file:
        width, height = file.size
        turned = file.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    return (width, height) if turned else (height, width)


def _as_8_bits(image: Image.Image, path: PathLike) -> Image.Image:
    """The image in a mode that `Image.convert` takes to RGB or grey without loss of meaning."""
    if image.mode.startswith("I"):
        # Pillow's own conversion clips 16 bits to 8 instead of scaling.
        levels = np.asarray(image).astype(np.float64) / 257
        return Image.fromarray(np.rint(levels).clip(0, 255).astype(np.uint8))
    if image.mode == "F":
        raise UserError(f"{path}: floating-point images, whose range nothing says, are not read")
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, "white")
        opaque.alpha_composite(image.convert("RGBA"))
        return opaque
    return image
