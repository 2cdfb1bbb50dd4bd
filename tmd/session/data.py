"""The images that a session trains and validates on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Protocol

from tmd.data.measured import Pair
from tmd.images import ImageKind


class Data(Protocol):
    """Images to train on: endless batches of (LR, HR) on the device, and held-out pairs."""

    @property
    def kind(self) -> ImageKind:
        """Kind of every image, LR and HR."""

    @property
    def batch_size(self) -> int:
        """Images in a batch, of all processes together."""

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Identity of the images, for a run that goes on."""

    @property
    def skipped(self) -> list[list[str]]:
        """Images that are left out, each with the reason."""

    @property
    def trained_on(self) -> dict[str, Any]:
        """Images that were learnt from, which are never held out later."""

    def batches(self, first: int = 0) -> Iterator[Any]:
        """Endless batches from number ``first`` on."""

    def held_out(self) -> list[Pair]:
        """Pairs to validate on."""

    def close(self) -> None:
        """Let go of workers, files and memory."""


def grouped(batches: Iterator[Any], size: int) -> Iterator[tuple[Any, ...]]:
    """Tuples of ``size`` batches, one after the other.

    Example:
        >>> list(grouped(iter("abcd"), 2))
        [('a', 'b'), ('c', 'd')]
    """
    while group := tuple(itertools.islice(batches, size)):
        yield group
