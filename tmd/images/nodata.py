"""Pixels of which a file says that they hold no data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

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


def with_nodata_again(
    bands: Iterable[Tensor], empty: Tensor | None, nodata: float, scale: int
) -> Iterator[Tensor]:
    """An upscaled image's rows, without data where the image had none and nowhere else.

    A pixel without data becomes ``scale`` × ``scale`` without; a result that happens to be the
    number that stands for no data becomes the next number.

    Args:
        bands: (1, C, rows, scale·W) from top to bottom; overwritten.
        empty: (C, H, W), bool, places without data before; None: there were none.
        nodata: the number that stands for no data.
    """
    row = 0
    for band in bands:
        numbers = band[0].numpy()
        if not np.isnan(nodata):
            numbers[numbers == nodata] = _next_to(nodata, numbers.dtype)
        if empty is not None:
            rows = torch.arange(row, row + numbers.shape[1]) // scale
            numbers[empty[:, rows].repeat_interleave(scale, 2).numpy()] = nodata
        row += numbers.shape[1]
        yield band


def _next_to(nodata: float, dtype: np.dtype) -> np.number:
    if dtype.kind == "f":
        return np.nextafter(dtype.type(nodata), dtype.type(0 if nodata else 1))
    return dtype.type(nodata + 1 if nodata < np.iinfo(dtype).max else nodata - 1)


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
