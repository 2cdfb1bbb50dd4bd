"""Images as a page has them: 8 bits, lossless, as text."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping

import numpy as np
from PIL import Image
from torch import Tensor

from tmd.figures import brightness, views
from tmd.images import ImageKind, to_uint8

#: Pixels of a side of the small picture in the list.
SMALL = (112, 84)
#: Pixels of a side that WebP can have.
_WEBP_SIDE = 16383


def as_pictures(
    kind: ImageKind, reference: Tensor, images: Mapping[str, Tensor]
) -> dict[str, Image.Image]:
    """The images as they are shown, by the rule of the sheets: `tmd.figures.views`.

    Args:
        kind: of the images.
        reference: (C, H, W), numbers of the kind, what the brightness is taken from.
        images: (C, h, w) each, numbers of the kind.
    """
    if kind.is_photo and kind.is_eight_bit:
        shown = list(images.values())
    else:
        floats = [kind.to_float(image) for image in images.values()]
        shown = [to_uint8(view) for view in views(kind, kind.to_float(reference), floats)]
    return {name: _image(view) for name, view in zip(images, shown, strict=True)}


def _image(levels: Tensor) -> Image.Image:
    pixels = np.ascontiguousarray(levels.cpu().permute(1, 2, 0).numpy())
    return Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0])


def shown_as(kind: ImageKind, reference: Tensor) -> tuple[str, float | None]:
    """Words on the bands and numbers that are shown, and the span from black to white.

    Returns:
        An empty text and None for photos of 8 bits, which are shown as they are.
    """
    if kind.is_photo and kind.is_eight_bit:
        return "", None
    low, span = brightness(kind, kind.to_float(reference))
    start, end = kind.value_range
    black, white = (start + value * (end - start) for value in (low, low + span))
    numbers = kind.bands or range(1, kind.channels + 1)
    bands = [numbers[place] for place in kind.shown_channels]
    which = "" if kind.channels == 1 else f"band{'s' * (len(bands) > 1)} {bands} of "
    text = f"{which}{kind.described()}; shown: {black:.4g} as black, {white:.4g} as white"
    return text, span * (end - start)


def lossless(picture: Image.Image) -> str:
    """The picture as a data address, every pixel as it is."""
    if max(picture.size) > _WEBP_SIDE:
        return _address(picture, "png")
    # The least effort: a tenth of the time of PNG, and four fifths of its size.
    return _address(picture, "webp", lossless=True, method=0, quality=0)


def small(picture: Image.Image) -> str:
    """A small picture for the list as a data address."""
    reduced = picture.convert("RGB")
    reduced.thumbnail(SMALL, Image.Resampling.BOX)
    return _address(reduced, "webp", quality=70)


def _address(picture: Image.Image, name: str, **options: object) -> str:
    file = io.BytesIO()
    picture.save(file, name, **options)  # type: ignore[arg-type]
    return f"data:image/{name};base64,{base64.b64encode(file.getvalue()).decode()}"
