"""Lengths of a million files."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from tmd.data.progress import progress
from tmd.data.tiles import is_tile
from tmd.images import images_in, split_name
from tmd.images.stacks import STACK_SUFFIXES
from tmd.packed import PackedStrings as PackedStrings
from tmd.places import is_elsewhere, size_elsewhere

# Files are looked at in blocks, so that what is done once a block costs nothing.
BLOCK = 256
_BLOCKS_TIMED = 8
# A local disk answers in a few microseconds, and threads would only wait for one another.
_FAR_AWAY = 50e-6
_THREADS = 16
_STACK_SUFFIXES = frozenset(map(str.encode, STACK_SUFFIXES))

Result = TypeVar("Result")


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
    may_be = may_be_stacks(paths)
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


def may_be_stacks(paths: PackedStrings) -> list[int]:
    """Numbers of the files that hold several images, as far as their names tell."""
    return [
        i
        for i, part in enumerate(paths.coded_each())
        if _suffix(part) in _STACK_SUFFIXES and not is_tile(part)
    ]


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
        if is_elsewhere(os.fsdecode(path)):
            return size_elsewhere(os.fsdecode(path))
        return os.stat(path).st_size
    except OSError:
        return -1  # a link that leads nowhere: reading it will say so
