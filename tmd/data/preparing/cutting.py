"""Tiles of a photo, and what is seen of a photo or a tile that is of no use."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from tmd.images import ImageKind

#: BT.601, of the full range.
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def starts(length: int, tile: int, overlap: int) -> list[int]:
    """First pixels of the tiles along a side; the last ends where the side does.

    Example:
        >>> starts(1000, 512, 96), starts(300, 512, 96)
        ([0, 416, 488], [0])
    """
    last = max(0, length - tile)
    return [*range(0, last, tile - overlap), last]


def places(size: tuple[int, int], tile: int, overlap: int) -> Iterator[tuple[int, int]]:
    """(top, left) of the tiles of a photo of (H, W), row by row."""
    height, width = size
    for top in starts(height, tile, overlap):
        for left in starts(width, tile, overlap):
            yield top, left


def luma(pixels: torch.Tensor, kind: ImageKind) -> np.ndarray:
    """Brightness of (C, H, W) in levels of 255: (H, W), float32."""
    shown = 255 * kind.to_float(kind.visible(pixels)).numpy()
    return np.tensordot(LUMA, shown, 1) if len(shown) == 3 else shown[0]


def sharpness(grey: np.ndarray) -> float:
    """Variance of the Laplacian of (H, W), which blur takes away.

    Pech-Pacheco et al., ICPR 2000. A blurred photo of 8 bits has less than 100.
    """
    inner = grey[1:-1, 1:-1]
    if not inner.size:
        return 0.0
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float((around - 4 * inner).var())
