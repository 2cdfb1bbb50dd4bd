"""A bar for preparations that take longer than a second."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def progress(
    items: Iterable[T], total: int | None, description: str, unit: str = "img"
) -> Iterable[T]:
    """``items``, counted on standard error after the first second; seldom where that is a file."""
    return tqdm(
        items,
        total=total,
        desc=description,
        unit=unit,
        leave=False,
        delay=1,
        mininterval=0.2 if sys.stderr.isatty() else 10,
    )
