"""Pixels of a file with what must be known to understand them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Raster:
    """An image as its file has it.

    Attributes:
        pixels: (H, W, C), uint8 or uint16, not turned; C = 1 grey, 2 grey and alpha, 3 RGB, 4 RGB
            and alpha.
        orientation: by EXIF, 1 to 8.
        associated: the colours have been multiplied by alpha.
        icc: the colour profile of the pixels.
        left_out: what else the file has, in words.
    """

    pixels: np.ndarray
    orientation: int = 1
    associated: bool = False
    icc: bytes | None = None
    left_out: tuple[str, ...] = ()

    @property
    def has_alpha(self) -> bool:
        """True where the last channel is transparency."""
        return self.pixels.shape[-1] in (2, 4)


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """(H, W, C) turned as the EXIF orientation 1 to 8 tells; other values change nothing."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def in_8_bits(levels: np.ndarray) -> np.ndarray:
    """uint8 as it is; uint16 divided by 257 and rounded to the nearest level."""
    if levels.dtype == np.uint8:
        return levels
    return ((levels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def on_white(raster: Raster) -> np.ndarray:
    """(H, W, 1) or (H, W, 3) of 8 bits: transparency laid on white, then rounded."""
    pixels = raster.pixels
    if not raster.has_alpha:
        return in_8_bits(pixels)
    top = np.iinfo(pixels.dtype).max
    colours, alpha = pixels[..., :-1].astype(np.uint64), pixels[..., -1:].astype(np.uint64)
    if raster.associated:
        laid = np.minimum(colours + (top - alpha), top)
    else:
        laid = (colours * alpha + top * (top - alpha) + top // 2) // top
    return in_8_bits(laid.astype(pixels.dtype))


def unassociated(raster: Raster) -> np.ndarray:
    """The pixels with the colours as they are before alpha is applied, as in PNG."""
    pixels = raster.pixels
    if not raster.associated:
        return pixels
    top = np.iinfo(pixels.dtype).max
    colours, alpha = pixels[..., :-1].astype(np.uint64), pixels[..., -1:].astype(np.uint64)
    divisor = np.maximum(alpha, 1)
    whole = np.minimum((colours * top + divisor // 2) // divisor, top).astype(pixels.dtype)
    return np.concatenate([whole, pixels[..., -1:]], axis=-1)
