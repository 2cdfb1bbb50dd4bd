"""Roots of a dataset wherever they are: a folder, tar shards, or an address of either.

The order of the images, their names below the root and their lengths are the same in all of them,
and so are the batches: `list_roots` sorts a shard's images by their names in it, as those of a
folder are.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from tmd.data.addresses import entries
from tmd.data.aside import Aside
from tmd.data.copies import smaller_copies
from tmd.data.index import Listing, list_folder
from tmd.data.paths import PackedStrings, may_be_stacks, with_stacks_images
from tmd.data.prepared import images_folder
from tmd.data.progress import progress
from tmd.errors import UnreachableError, UserError
from tmd.images import scan_images
from tmd.images.listing import HIDDEN, OTHER_FILES, is_hidden, is_image
from tmd.places import (
    ShardIndex,
    cache_size,
    check_address,
    expanded,
    in_shard,
    index_of,
    is_address,
    is_packed,
    is_shard,
    names_several,
    size_elsewhere,
)

NO_FILES = "links and devices in shards"
_THREADS = 16
# To see how many images each holds, files are opened, and so fetched.
_MOST_OPENED = 500


class Root(NamedTuple):
    """Root of a dataset, as its name tells of it.

    Attributes:
        path: absolute, or an address; of several shards, the folder that holds them.
        shards: the tars that it stands for; None: it is a folder, of which only a look tells.
    """

    path: str
    shards: tuple[str, ...] | None = None


def root_of(name: str, key: str = "dataset.root") -> Root:
    """The root of a name that a user gives.

    Raises:
        UserError: nothing on this machine is called so, or it is no address that can be asked.
    """
    far = is_address(name)
    if far:
        check_address(key, name)
        path = name.rstrip("/")
    else:
        path = os.path.abspath(name)
    if is_packed(path) and (far or os.path.isfile(path)):
        raise UserError(f"{key}={name}: a compressed tar has no random access; unpack it to .tar")
    if not far and os.path.isdir(path):
        return Root(images_folder(path, key))
    if is_shard(path):
        shards = tuple(expanded(path)) if names_several(path) else (path,)
        for shard in shards:
            if not far and not os.path.isfile(shard):
                raise UserError(f"{key}={name}: no such file: {shard}")
        return Root(_common([os.path.dirname(shard) for shard in shards]), shards)
    if far and not names_several(path):
        return Root(path)
    raise UserError(f"{key}={name}: no such folder")


def common_folder(roots: Sequence[Root]) -> str:
    """The path that all images of the roots lie below; empty where there is none."""
    return _common([root.path for root in roots])


def scan_root(root: Root) -> Iterator[str]:
    """The images of a root as they are found, in no order; nothing is told of what is no image."""
    if root.shards is None and not is_address(root.path):
        yield from scan_images(root.path, on_aside=lambda path, reason: None)
    elif root.shards is None:
        yield from entries(root.path).images
    for shard in _shards(root):
        yield from (f"{shard}/{name}" for name in _index(shard).names if _why_no_image(name) == "")


def in_folder(root: Root, path: str) -> str:
    """The name of one of a root's images below it, without the shard that it lies in."""
    if (inside := in_shard(path)) is not None:
        return inside[1].lstrip("/")
    return path[len(root.path) :].lstrip("/")


def finder(root: Root) -> Callable[[str], str | None]:
    """A function from the name of a file below a root to its path, None where there is no such."""
    if shards := _shards_or_none(root):
        listing = _list_shards(shards, root.path)
        start = len(os.fsencode(root.path)) + 1
        by_name = {
            os.fsdecode(path[start:].partition(b"/")[2]): number
            for number, path in enumerate(listing.paths.parts())
        }
        return lambda name: listing.paths[by_name[name]] if name in by_name else None

    def find(name: str) -> str | None:
        path = os.path.join(root.path, name)
        try:
            size_elsewhere(path)
        except FileNotFoundError:
            return None
        return path

    if is_address(root.path):
        return find
    return lambda name: path if os.path.isfile(path := os.path.join(root.path, name)) else None


def _shards_or_none(root: Root) -> Sequence[str]:
    try:
        return _shards(root)
    except UnreachableError:
        raise
    except UserError:  # a server whose folders have no page: each file is asked for
        return ()


def list_roots(roots: Sequence[Root], copies: bool = False) -> list[Listing]:
    """The images of several roots: of each folder, and of all shards together.

    Args:
        roots: of one set.
        copies: whether smaller copies of others are taken, too.

    Raises:
        UserError: a root can't be read, or is away; a shard is cut short.
    """
    listings = []
    shards: list[str] = []
    for root in roots:
        if found := _shards(root):
            shards += found
        elif is_address(root.path):
            found_there = entries(root.path)
            paths, sizes = found_there.images, found_there.sizes
            listings.append(_listing(paths, sizes, root.path, found_there.aside, copies))
        else:
            listings.append(list_folder(root.path, copies))
    if shards:
        listings.append(_list_shards(list(dict.fromkeys(shards)), common_folder(roots), copies))
    return listings


def _shards(root: Root) -> Sequence[str]:
    """The tars that a root stands for; those of a folder that holds no image."""
    if root.shards is not None:
        return root.shards
    if is_address(root.path):
        found = entries(root.path)
        return list(found.shards) if not len(found.images) else ()
    first = next(scan_images(root.path, on_aside=lambda path, reason: None), None)
    if first is not None:
        return ()
    names = (entry.path for entry in os.scandir(root.path) if not entry.name.startswith("."))
    return sorted(path for path in names if is_shard(path) and os.path.isfile(path))


def _list_shards(shards: Sequence[str], root: str, with_copies: bool = True) -> Listing:
    """The images of shards in the order of their names, in whatever shard they are."""
    aside = Aside()
    names: list[bytes] = []
    parts = []
    indexes = progress(_indexed(shards), len(shards), "Indexing shards", unit="shard")
    for number, index in enumerate(indexes):
        reasons = [_why_no_image(name) for name in index.names]
        images = np.flatnonzero([not reason for reason in reasons])
        for place, reason in enumerate(reasons):
            if reason:
                aside.add(f"{shards[number]}/{index.names[place]}", reason)
        if index.others:
            aside.add(shards[number], NO_FILES, index.others)
        names += index.names.take(images).parts()
        parts.append(np.stack([np.full(len(images), number), index.lengths[images]], axis=1))
    order = np.array(sorted(range(len(names)), key=names.__getitem__), dtype=np.int64)
    of_shard, sizes = np.concatenate(parts)[order].T
    repeated = any(names[one] == names[other] for one, other in itertools.pairwise(order))
    starts = [os.fsencode(shard) + b"/" for shard in shards]
    # A list of them would be the largest thing in memory.
    coded, limits = bytearray(), np.zeros(len(names) + 1, dtype=np.int64)
    for place, (number, i) in enumerate(zip(of_shard, order, strict=True), start=1):
        coded += starts[number] + names[i]
        limits[place] = len(coded)
    del names
    paths = PackedStrings(bytes(coded), limits)
    del coded
    return _listing(paths, sizes.copy(), root, aside, with_copies, in_shards=not repeated)


def _indexed(shards: Sequence[str]) -> Iterator[ShardIndex]:
    """The indexes of shards, those far away found by several threads."""
    far = [shard for shard in shards if is_address(shard)]
    if not far:
        yield from map(_index, shards)
        return
    with ThreadPoolExecutor(_THREADS) as pool:
        # Shards of which all fit the cache are fetched whole: it takes fewer requests.
        whole = sum(pool.map(_size, far)) <= cache_size() / 2
        yield from pool.map(lambda shard: _index(shard, whole), shards)


def _index(shard: str, whole: bool = False) -> ShardIndex:
    with _absence_told(shard):
        return index_of(shard, whole)


def _size(shard: str) -> int:
    with _absence_told(shard):
        return size_elsewhere(shard)


@contextmanager
def _absence_told(shard: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{shard}: no such file") from None


def _listing(
    paths: PackedStrings,
    sizes: np.ndarray,
    root: str,
    aside: Aside,
    with_copies: bool,
    in_shards: bool = False,
) -> Listing:
    if not with_copies and len(copies := smaller_copies(paths, root, aside)):
        kept = np.delete(np.arange(len(paths)), copies)
        paths, sizes = paths.take(kept), sizes[kept]
    if is_address(root) and len(may_be_stacks(paths)) > _MOST_OPENED:
        return Listing(paths, sizes, aside, in_shards)
    images = with_stacks_images(paths)
    return Listing(images, sizes if images is paths else None, aside, in_shards)


def _why_no_image(name: str) -> str:
    """Why a file below a root is left aside; empty for an image."""
    if any(map(is_hidden, name.split("/"))):
        return HIDDEN
    return "" if is_image(name) else OTHER_FILES


def _common(paths: Sequence[str]) -> str:
    """The folder that all the paths lead to or through; empty where there is none."""
    if not any(map(is_address, paths)):
        return os.path.commonpath(paths)
    split = [path.split("/") for path in dict.fromkeys(paths)]
    same = 0
    for level in zip(*split, strict=False):
        if len(set(level)) > 1:
            break
        same += 1
    # Of an address, less than its host says nothing.
    return "/".join(split[0][:same]) if same >= 3 else ""
