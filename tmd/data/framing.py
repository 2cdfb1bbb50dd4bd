"""The part of an image that is used: an optional centre crop, then patches of it or all of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from tmd.data.windows import Window

Size = tuple[int, int]
Image = TypeVar("Image", np.ndarray, Window)


class Unusable(Exception):
    """An image that can't be part of a batch; its message says why."""


@dataclass(frozen=True)
class Framing:
    """The way of each image between reading and cutting.

    Attributes:
        shape: (height, width) of what a batch is made of.
        crop: (height, width) of a centre crop that is taken of every image first, or None.
        whole: whether images are used whole, and so must all have the same size.
        multiple: whole images lose the rows and columns beyond a multiple of it.
        grid: crops begin at its multiples; of pairs, that is where LR pixels begin.
    """

    shape: Size
    crop: Size | None = None
    whole: bool = False
    multiple: int = 1
    grid: int = 1

    @classmethod
    def whole_images(cls, size: Size, crop: Size | None, multiple: int) -> Framing:
        """Framing for images of this size, after the crop."""
        height, width = (n // multiple * multiple for n in size)
        if not height or not width:
            raise Unusable(f"{size[1]}×{size[0]} is smaller than the scale")
        return cls((height, width), crop, True, multiple)

    def framed_size(self, height: int, width: int) -> Size:
        """The size that `apply` makes of (height, width); raises `Unusable` where it would."""
        given = f"{width}×{height}"
        if self.crop is not None:
            if self.whole and (height < self.crop[0] or width < self.crop[1]):
                raise Unusable(f"{given} is smaller than the crop, {self.crop[1]}×{self.crop[0]}")
            height, width = min(height, self.crop[0]), min(width, self.crop[1])
        if self.whole:
            height, width = (n // self.multiple * self.multiple for n in (height, width))
            if (height, width) != self.shape:
                raise Unusable(
                    f"{given} is not the size of the others (dataset.crop makes them equal)"
                )
        if height < self.shape[0] or width < self.shape[1]:
            raise Unusable(f"{given} is smaller than a patch, {self.shape[1]}×{self.shape[0]}")
        return height, width

    def apply(self, image: Image) -> Image:
        """Frame (C, H, W); a view. Raises `Unusable`."""
        height, width = self.framed_size(*image.shape[1:])
        if self.crop is not None:
            image = centre(image, self.crop)
        return image[:, :height, :width]


def centre(image: Image, size: Size) -> Image:
    """The central (C, h, w) of (C, H, W), or all of an axis that is shorter."""
    top, left = (max(0, n - m) // 2 for n, m in zip(image.shape[1:], size, strict=True))
    return image[:, top : top + size[0], left : left + size[1]]
