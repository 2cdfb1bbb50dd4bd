"""Listings of addresses: asked for once in a while, and kept where asking takes long.

No store says cheaply whether something below an address has changed. So a listing of many images
is used for a day, and a line tells its age.
"""

from __future__ import annotations

import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from tmd.cache import cache_file, keep
from tmd.data.aside import Aside
from tmd.data.paths import PackedStrings
from tmd.data.progress import progress
from tmd.errors import UserError
from tmd.images.listing import HIDDEN, OTHER_FILES, is_hidden, is_image
from tmd.places import Listed, is_shard, remember, store_of

SHARDS = "tar shards beside images"
# Fewer are listed in seconds.
_WORTHWHILE = 20_000
_SECONDS_KEPT = 24 * 3600
# The check before a run and the run itself look at one listing.
_SECONDS_SAME = 60
_FORMAT = 1
_THREADS = 16

_log = logging.getLogger("tmd.data")
_recent: dict[str, tuple[float, Entries]] = {}


class Entries(NamedTuple):
    """Images and shards below an address.

    Attributes:
        images: their paths, sorted.
        sizes: (n,), int64, in bytes.
        versions: (n,), uint64: another number when the image is another.
        shards: paths of tars, sorted.
        aside: what is neither.
    """

    images: PackedStrings
    sizes: np.ndarray
    versions: np.ndarray
    shards: PackedStrings
    aside: Aside


def entries(folder: str) -> Entries:
    """Images and shards below an address, from the listing that is kept if it is new enough.

    Raises:
        UserError: there is no such bucket or folder.
        UnreachableError: the address does not answer, or refuses.
    """
    began, found = _recent.get(folder, (0.0, None))
    if found is None or time.monotonic() - began > _SECONDS_SAME:
        place = cache_file("listings", folder, ".address.npz")
        found = None if place is None else _kept(folder, place)
        if found is None:
            found = _asked(folder)
            if place is not None and len(found.images) >= _WORTHWHILE:
                _keep(place, found)
        _recent[folder] = time.monotonic(), found
    start = len(os.fsencode(folder)) + 1
    below = PackedStrings.of_coded([path[start:] for path in found.images.parts()])
    remember(folder, Listed(below, found.sizes, found.versions))
    return found


def _asked(folder: str) -> Entries:
    """The listing that the address itself gives."""
    aside, images, shards = Aside(), [], []
    store = store_of(folder)
    try:
        for one in progress(store.objects(folder), None, "Listing images"):
            below = one.path[len(folder) + 1 :]
            if any(map(is_hidden, below.split("/"))):
                aside.add(one.path, HIDDEN)
            elif is_image(below):
                images.append((os.fsencode(one.path), one.size, int(one.version or "0", 16)))
            elif is_shard(below):
                shards.append(one.path)
            else:
                aside.add(one.path, OTHER_FILES)
    except FileNotFoundError:
        raise UserError(f"{folder}: no such bucket or folder") from None
    if images and shards:
        aside.add(min(shards), SHARDS, len(shards))
    images.sort()
    paths = PackedStrings.of_coded([path for path, _, _ in images])
    if not store.tells_sizes:
        with ThreadPoolExecutor(_THREADS) as pool:
            asked = progress(pool.map(store.info, paths), len(paths), "Asking for sizes")
            told = [(one.size, int(one.version or "0", 16)) for one in asked]
    else:
        told = [(size, version) for _, size, version in images]
    sizes = np.array([size for size, _ in told], dtype=np.int64)
    versions = np.array([version for _, version in told], dtype=np.uint64)
    return Entries(paths, sizes, versions, PackedStrings.of(sorted(shards)), aside)


def _kept(folder: str, place: Path) -> Entries | None:
    try:
        age = time.time() - place.stat().st_mtime
        with np.load(place, allow_pickle=False) as stored:
            if age > _SECONDS_KEPT or int(stored["format"]) != _FORMAT:
                return None
            found = Entries(
                PackedStrings(stored["images"].tobytes(), stored["image_limits"]),
                stored["sizes"],
                stored["versions"],
                PackedStrings(stored["shards"].tobytes(), stored["shard_limits"]),
                Aside.decoded(str(stored["aside"])),
            )
    except FileNotFoundError:
        return None
    except Exception as problem:  # a broken archive raises whatever its reader trips over
        _log.debug("%s: %r", place, problem)
        return None
    _log.info(
        "%s: %d images by the listing of %.1f hours ago; without %s it is listed anew",
        folder,
        len(found.images),
        age / 3600,
        place,
    )
    return found


def _keep(place: Path, found: Entries) -> None:
    def write(file: IO[bytes]) -> None:
        np.savez(
            file,
            format=np.array(_FORMAT),
            images=np.frombuffer(found.images.coded, dtype=np.uint8),
            image_limits=found.images.limits,
            sizes=found.sizes,
            versions=found.versions,
            shards=np.frombuffer(found.shards.coded, dtype=np.uint8),
            shard_limits=found.shards.limits,
            aside=np.array(found.aside.coded()),
        )

    keep(place, write)
