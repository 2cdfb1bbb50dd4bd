"""A million strings in little memory."""

from __future__ import annotations

import bisect
import itertools
import os
from collections.abc import Iterable, Iterator

import numpy as np

_BLOCK = 1 << 14


class PackedStrings:
    """Strings in one block of memory.

    A list would be copied into every worker process page by page, as each look at an element
    changes its reference count.

    Args:
        coded: the strings, one after the other, as `os.fsencode` codes them.
        limits: (n + 1,), int64, where each begins; the last ends where ``coded`` does.
    """

    def __init__(self, coded: bytes, limits: np.ndarray) -> None:
        self.coded = coded
        self.limits = limits

    @classmethod
    def of(cls, strings: Iterable[str]) -> PackedStrings:
        """Strings, packed."""
        return cls.of_coded([os.fsencode(string) for string in strings])

    @classmethod
    def of_coded(cls, parts: list[bytes]) -> PackedStrings:
        """Strings that `os.fsencode` has coded, packed."""
        lengths = np.fromiter(map(len, parts), dtype=np.int64, count=len(parts))
        return cls(b"".join(parts), np.concatenate([[0], np.cumsum(lengths)]))

    @classmethod
    def concatenated(cls, several: list[PackedStrings]) -> PackedStrings:
        """All strings of several, in order."""
        if len(several) == 1:
            return several[0]
        return cls.of_coded([part for each in several for part in each.parts()])

    def __len__(self) -> int:
        return len(self.limits) - 1

    def __getitem__(self, index: int) -> str:
        return os.fsdecode(self.coded[self.limits[index] : self.limits[index + 1]])

    def __iter__(self) -> Iterator[str]:
        return map(os.fsdecode, self.coded_each())

    def coded_each(self) -> Iterator[bytes]:
        """The coded strings, in order, without a list of them all."""
        for first in range(0, len(self), _BLOCK):
            yield from self.parts(first, first + _BLOCK)

    def parts(self, first: int = 0, last: int | None = None) -> list[bytes]:
        """The coded strings from number ``first`` up to, not including, ``last``."""
        stop = len(self) if last is None else min(last, len(self))
        limits = self.limits[first : stop + 1].tolist()
        return [self.coded[i:j] for i, j in itertools.pairwise(limits)]

    def take(self, indices: np.ndarray) -> PackedStrings:
        """The strings of these numbers."""
        numbers = np.asarray(indices, dtype=np.int64)
        lengths = self.limits[numbers + 1] - self.limits[numbers]
        # Block by block, as a million strings apart take three times the memory of one.
        blocks = []
        for first in range(0, len(numbers), _BLOCK):
            some = numbers[first : first + _BLOCK]
            places = zip(self.limits[some].tolist(), self.limits[some + 1].tolist(), strict=True)
            blocks.append(b"".join([self.coded[i:j] for i, j in places]))
        return type(self)(b"".join(blocks), np.concatenate([[0], np.cumsum(lengths)]))

    def find(self, coded: bytes) -> int:
        """The number of a string as `os.fsencode` codes it, or -1; these are sorted by bytes."""

        def at(index: int) -> bytes:
            return self.coded[self.limits[index] : self.limits[index + 1]]

        place = bisect.bisect_left(range(len(self)), coded, key=at)
        return place if place < len(self) and at(place) == coded else -1
