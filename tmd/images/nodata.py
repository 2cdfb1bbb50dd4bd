"""Pixels of which a file says that they hold no data."""

from __future__ import annotations

import numpy as np

from tmd.errors import UserError
from tmd.images.formats import PathLike


def nodata_mask(pixels: np.ndarray, nodata: float | None) -> np.ndarray | None:
    """Places without data of each band, (H, W, C), bool; None where there are none.

    Args:
        pixels: (H, W, C).
        nodata: the number that stands for no data, NaN too; None: there is none.
    """
    if nodata is None:
        return None
    mask = np.isnan(pixels) if np.isnan(nodata) else pixels == nodata
    return mask if mask.any() else None


def without_nodata(path: PathLike, pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The pixels with, where a band holds no data, that band's nearest data.

    Upscaling would mix the number that stands for no data into what lies beside it.

    Args:
        path: for the message.
        pixels: (H, W, C).
        mask: as `nodata_mask` gives it.

    Raises:
        UserError: no band holds data anywhere.
    """
    from scipy.ndimage import distance_transform_edt  # of all images only these need it

    if mask.all():
        raise UserError(f"{path}: holds no data, in all of its pixels")
    filled = pixels.copy()
    for band in range(pixels.shape[-1]):
        empty = mask[..., band]
        if empty.all():
            filled[..., band] = 0
        elif empty.any():
            rows, columns = distance_transform_edt(
                empty, return_distances=False, return_indices=True
            )
            filled[..., band] = pixels[rows, columns, band]
    return filled
