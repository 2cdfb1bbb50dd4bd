"""Listings of large folders, kept so that the next start need not search them again.

A folder of a million images takes seconds to search on a local disk and minutes over a network.
What was found is kept in the folder ``listings`` of `tmd.cache`, one file a root. It is used only
while

* no folder below the root has changed: identity and times of the last change, which the system
  sets itself whenever a file is added, removed, renamed or replaced by another; and
* no file has another length: all files are looked at for `_SECONDS`, in an order that differs from
  start to start. On a local disk that is enough for a million.

What is not noticed: over a slow network, when the time does not suffice for all, a few files that
were overwritten where they are (a warning tells how many were not looked at); everywhere, a file
overwritten by one of the same length, which no fingerprint by length could tell either.
Mounts by FUSE are searched every time: many of them, such as object stores, don't keep the time at
which a folder changed.
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from tmd.cache import cache_file, keep
from tmd.data.aside import Aside
from tmd.data.copies import smaller_copies
from tmd.data.paths import BLOCK, PackedStrings, all_sizes, file_sizes, with_stacks_images
from tmd.data.progress import progress
from tmd.images import scan_images

# Fewer images are searched faster than a person notices.
_WORTHWHILE = 20_000
_SECONDS = 5.0
# Clocks of file systems tick: what changes right after the search may bear the time of before it.
_COARSEST_TICK = 3_000_000_000
_FORMAT = 3
_MOUNTS = Path("/proc/self/mountinfo")

_log = logging.getLogger("tmd.data")


class Listing(NamedTuple):
    """Images in order, how long each is in bytes if that is known already, and what is no image.

    Attributes:
        paths, sizes, aside: these.
        in_shards: the images lie in tar shards, under names of which none is repeated.
    """

    paths: PackedStrings
    sizes: np.ndarray | None
    aside: Aside
    in_shards: bool = False


def list_folder(root: str, copies: bool = False) -> Listing:
    """The images below ``root``, sorted by their paths, from the index if it is still true.

    Each image of a stack is one, by a name such as ``cells.tif[3]``.

    Args:
        root: an absolute path.
        copies: whether smaller copies of others (`tmd.data.copies`) are no reason to leave aside.

    Raises:
        UserError: ``root`` can't be read.
    """
    place = cache_file("listings_with_copies" if copies else "listings", root, ".npz")
    if place is not None and (listing := _remembered(root, place)):
        return listing
    began = time.time_ns()
    folders: list[str] = []
    stamps: list[list[int]] = []

    def before_search(folder: str) -> None:
        # Later, it might bear the time of a change that the search did not see.
        folders.append(folder)
        stamps.append(_stamp(os.fsencode(folder)))

    aside = Aside()
    scan = scan_images(root, on_folder=before_search, on_aside=aside.add)
    paths = PackedStrings.of(sorted(progress(scan, None, "Finding images")))
    if not copies and len(smaller := smaller_copies(paths, root, aside)):
        paths = paths.take(np.delete(np.arange(len(paths)), smaller))
    paths = with_stacks_images(paths)
    if place is None or len(paths) < _WORTHWHILE or _is_fuse(root):
        return Listing(paths, None, aside)
    sizes = all_sizes(paths)
    if began - max(max(times) for _, *times in stamps) > _COARSEST_TICK:
        _keep(place, Listing(paths, sizes, aside), PackedStrings.of(folders), np.array(stamps))
    return Listing(paths, sizes, aside)


def _remembered(root: str, place: Path) -> Listing | None:
    """The index's listing, if it is still true."""
    try:
        with np.load(place, allow_pickle=False) as stored:
            if int(stored["format"]) != _FORMAT:
                return None
            folders = PackedStrings(stored["folders"].tobytes(), stored["folder_limits"])
            # Changed folders are the common reason to search again: they are compared first.
            if [_stamp(folder) for folder in folders.parts()] != stored["stamps"].tolist():
                return None
            paths = PackedStrings(stored["paths"].tobytes(), stored["path_limits"])
            sizes = stored["sizes"]
            aside = Aside.decoded(str(stored["aside"]))
    except FileNotFoundError:
        return None
    except Exception as problem:  # a broken archive raises whatever its reader trips over
        _log.debug("%s: %r", place, problem)
        return None
    unseen = _files_not_looked_at(paths, sizes)
    if unseen is None:
        return None
    if unseen:
        _log.warning(
            "%s: listed from %s; the lengths of %d of its %d images were not compared",
            root,
            place,
            unseen,
            len(paths),
        )
    return Listing(paths, sizes, aside)


def _files_not_looked_at(paths: PackedStrings, sizes: np.ndarray) -> int | None:
    """The number of files that time did not suffice for; None if another has another length."""
    blocks = np.random.default_rng().permutation(-(-len(paths) // BLOCK)).tolist()
    began = time.monotonic()
    looked_at = 0
    for first, some in file_sizes(paths, blocks):
        if sizes[first : first + len(some)].tolist() != some:
            return None
        looked_at += len(some)
        if time.monotonic() - began > _SECONDS:
            break
    return len(paths) - looked_at


def _keep(place: Path, listing: Listing, folders: PackedStrings, stamps: np.ndarray) -> None:
    assert listing.sizes is not None
    sizes = listing.sizes

    def write(file: IO[bytes]) -> None:
        np.savez(
            file,
            format=np.array(_FORMAT),
            paths=np.frombuffer(listing.paths.coded, dtype=np.uint8),
            path_limits=listing.paths.limits,
            sizes=sizes,
            aside=np.array(listing.aside.coded()),
            folders=np.frombuffer(folders.coded, dtype=np.uint8),
            folder_limits=folders.limits,
            stamps=stamps,
        )

    keep(place, write)


def _stamp(folder: bytes) -> list[int]:
    """Numbers that change with a folder's entries; where a link leads elsewhere, too."""
    try:
        stat = os.stat(folder)
    except OSError:
        return [-1, -1, -1]
    # Only the system sets the last one; the other is the one that counts on Windows. Some network
    # file systems use all 64 bits of the first.
    return [stat.st_ino & (2**63 - 1), stat.st_mtime_ns, stat.st_ctime_ns]


def _is_fuse(root: str) -> bool:
    """Return whether the folder is on a file system that a program provides."""
    device = os.stat(root).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = _MOUNTS.read_text().splitlines()
    except OSError:
        return False
    mounts = (line.partition(" - ") for line in lines)
    return any(
        described.startswith("fuse") and mount.split()[2] == number
        for mount, _, described in mounts
    )
