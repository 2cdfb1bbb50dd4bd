"""Tiles as bytes of a file."""

from __future__ import annotations

import io

import numpy as np

from tmd.errors import UserError
from tmd.images import ImageKind

#: npy: uncompressed, so that a part can be read alone; png: for other programs.
FORMATS = ("npy", "png")


def encoded(tile: np.ndarray, format: str) -> bytes:
    """A tile (H, W, C) as a file; NPY of one channel is (H, W)."""
    if format == "npy":
        file = io.BytesIO()
        pixels = tile[..., 0] if tile.shape[-1] == 1 else tile
        np.lib.format.write_array(file, np.ascontiguousarray(pixels), allow_pickle=False)
        return file.getvalue()
    import imagecodecs  # only who asks for PNG waits for it

    return bytes(imagecodecs.png_encode(np.ascontiguousarray(tile), level=6))


def check_format(format: str, kind: ImageKind) -> None:
    """Raise `UserError` for images that files of that format can't hold."""
    if format == "png" and (kind.dtype == "float32" or kind.channels > 4):
        raise UserError(
            f"format=png: holds no {kind.dtype} of {kind.channels} bands; format=npy does"
        )
