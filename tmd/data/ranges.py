"""Bands and ranges of values as a config says them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tmd.errors import UserError, check_number
from tmd.images import DTYPES

#: Ranges of photos of 8 bits.
FULL = (None, [0, 255], (0, 255))


def check_bands(key: str, bands: Any) -> None:
    """Raise `UserError` unless ``bands`` are different numbers from 1, or None."""
    if bands is None:
        return
    if not isinstance(bands, (list, tuple)) or not bands or len(set(map(str, bands))) < len(bands):
        raise UserError(f"{key}={bands!r}: must be a list of different bands, like [3, 2, 1]")
    for band in bands:
        check_number(key, band, 1, integer=True)


def check_value_range(value: Any, dtype: str | None) -> None:
    """Raise `UserError` unless ``value`` is a range that images of ``dtype`` can have."""
    key = "dataset.value_range"
    if value is None:
        return
    ends = value.get("percentiles") if isinstance(value, Mapping) and len(value) == 1 else value
    if not isinstance(ends, (list, tuple)) or len(ends) != 2:
        raise UserError(
            f"{key}={value!r}: must be [low, high], or {{percentiles: [0.1, 99.9]}} of the images"
        )
    of_percentiles = isinstance(value, Mapping)
    highest = 100 if of_percentiles else DTYPES[dtype] if dtype else None
    for end in ends:
        if highest is None:
            check_number(key, end)
        else:
            check_number(key, end, 0, highest, integer=not of_percentiles)
    if not (all(math.isfinite(end) for end in ends) and ends[0] < ends[1]):
        raise UserError(f"{key}={value!r}: the first must be below the second")
