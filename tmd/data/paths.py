"""A million paths in little memory, and how long the files are that they lead to."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from tmd.data.progress import progress
from tmd.images import images_in, split_name
from tmd.images.stacks import STACK_SUFFIXES

# Files are looked at in blocks, so that what is done once a block costs nothing.
BLOCK = 256
_BLOCKS_TIMED = 8
# A local disk answers in a few microseconds, and threads would only wait for one another.
_FAR_AWAY = 50e-6
_THREADS = 16
_STACK_SUFFIXES = frozenset(map(str.encode, STACK_SUFFIXES))

Result = TypeVar("Result")


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
        return cls._joined([os.fsencode(string) for string in strings])

    @classmethod
    def _joined(cls, parts: list[bytes]) -> PackedStrings:
        lengths = np.fromiter(map(len, parts), dtype=np.int64, count=len(parts))
        return cls(b"".join(parts), np.concatenate([[0], np.cumsum(lengths)]))

    @classmethod
    def concatenated(cls, several: list[PackedStrings]) -> PackedStrings:
        """All strings of several, in order."""
        if len(several) == 1:
            return several[0]
        return cls._joined([part for each in several for part in each.parts()])

    def __len__(self) -> int:
        return len(self.limits) - 1

    def __getitem__(self, index: int) -> str:
        return os.fsdecode(self.coded[self.limits[index] : self.limits[index + 1]])

    def __iter__(self) -> Iterator[str]:
        return map(os.fsdecode, self.parts())

    def parts(self, first: int = 0, last: int | None = None) -> list[bytes]:
        """The coded strings from number ``first`` up to, not including, ``last``."""
        stop = len(self) if last is None else min(last, len(self))
        limits = self.limits[first : stop + 1].tolist()
        return [self.coded[i:j] for i, j in itertools.pairwise(limits)]

    def take(self, indices: np.ndarray) -> PackedStrings:
        """The strings of these numbers."""
        starts, stops = self.limits[indices].tolist(), self.limits[indices + 1].tolist()
        return self._joined([self.coded[i:j] for i, j in zip(starts, stops, strict=True)])


def all_sizes(paths: PackedStrings) -> np.ndarray:
    """(n,), int64: how long each file is in bytes, -1 where a path leads to none."""
    blocks = file_sizes(paths, range(-(-len(paths) // BLOCK)))
    sizes = np.empty(len(paths), dtype=np.int64)
    for first, some in progress(blocks, -(-len(paths) // BLOCK), "File sizes", unit="block"):
        sizes[first : first + len(some)] = some
    return sizes


def file_sizes(paths: PackedStrings, blocks: Iterable[int]) -> Iterator[tuple[int, list[int]]]:
    """Lengths of files in bytes, -1 where a path leads to none.

    Args:
        paths: of the files; those of images in a stack lead to its file.
        blocks: which of them: block ``i`` is the `BLOCK` files from number ``i * BLOCK`` on.

    Yields:
        (number of the first file, sizes) of each block.
    """
    return _looked_at(paths, blocks, _size)


def with_stacks_images(paths: PackedStrings) -> PackedStrings:
    """The paths, and for a file of several images the names of these, in order.

    Only the files that may be stacks are opened.
    """
    may_be = [i for i, part in enumerate(paths.parts()) if _suffix(part) in _STACK_SUFFIXES]
    if not may_be:
        return paths
    files = paths.take(np.array(may_be))
    blocks = -(-len(files) // BLOCK)
    looked_at = _looked_at(files, range(blocks), lambda path: images_in(os.fsdecode(path)))
    found: list[list[str]] = []
    for _, some in progress(looked_at, blocks, "Counting pages", unit="block"):
        found += some
    several = {i: names for i, names in zip(may_be, found, strict=True) if len(names) > 1}
    if not several:
        return paths
    return PackedStrings.of(
        name for i, path in enumerate(paths) for name in several.get(i, (path,))
    )


def _suffix(path: bytes) -> bytes:
    return os.path.splitext(path)[1].lower()


def _looked_at(
    paths: PackedStrings, blocks: Iterable[int], look: Callable[[bytes], Result]
) -> Iterator[tuple[int, list[Result]]]:
    """``look`` at each file of each block, by several threads where files are far away."""

    def block(index: int) -> tuple[int, list[Result]]:
        first = index * BLOCK
        return first, [look(path) for path in paths.parts(first, first + BLOCK)]

    blocks = iter(blocks)
    began = time.perf_counter()
    files = 0
    for index in itertools.islice(blocks, _BLOCKS_TIMED):
        first, results = block(index)
        files += len(results)
        yield first, results
    if time.perf_counter() - began < files * _FAR_AWAY:
        yield from map(block, blocks)
        return
    with ThreadPoolExecutor(_THREADS) as pool:
        yield from pool.map(block, blocks)


def _size(path: bytes) -> int:
    try:
        if path.endswith(b"]"):
            path = os.fsencode(split_name(os.fsdecode(path))[0])
        return os.stat(path).st_size
    except OSError:
        return -1  # a link that leads nowhere: reading it will say so
