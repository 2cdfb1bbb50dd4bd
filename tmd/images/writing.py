"""Image files that are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image

from tmd.errors import UserError
from tmd.files import replacing
from tmd.images.formats import BY_SUFFIX, PathLike, check_size
from tmd.images.levels import to_uint8


def write_image(path: PathLike, image: torch.Tensor) -> None:
    """Write (C, H, W), uint8 or float in [0, 1], so that ``path`` holds all of it or is untouched.

    Raises:
        UserError: the suffix names no format that can be written, or the image is too large for it.
    """
    path = Path(path)
    format = BY_SUFFIX.get(path.suffix.lower())
    if format is None:
        raise UserError(f"{path}: {path.suffix or 'no suffix'} names no image format; use .png")
    check_size(path, *image.shape)
    pixels = (image if image.dtype == torch.uint8 else to_uint8(image)).detach().cpu()
    picture = Image.fromarray((pixels[0] if len(pixels) == 1 else pixels.permute(1, 2, 0)).numpy())
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, durable=False) as file:
        picture.save(file, format=format.name)
