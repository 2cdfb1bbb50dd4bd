"""Which images are learnt from and which are held out: never one that was learnt from before."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tmd.data.files import file_ending, find_files, without
from tmd.data.options import DatasetOptions, folders
from tmd.data.sources import ArraySource, FileSource, ImageSource
from tmd.data.storage import in_threads
from tmd.errors import UserError
from tmd.seeding import generator

# Of more images than this no byte is read at the start: they are known by name and length.
_READ_AT_START = 20_000

_log = logging.getLogger("tmd.data")


@dataclass(frozen=True)
class TrainedOn:
    """The images that a run and those before it learnt from, and those that it held out.

    Eight bytes an image, so that a checkpoint can hold it.

    Attributes:
        by_content: whether images are known by their content, else by name and length.
        images: (n,), int64, ascending: an identity of each that was learnt from.
        held_out: (m,), int64: the same of those held out.
        pool: digest of the set that they were taken from.
        places: (m,), int64: which of ``pool`` were held out, ascending.
    """

    by_content: bool
    images: Tensor
    held_out: Tensor
    pool: str
    places: Tensor

    def state_dict(self) -> dict[str, Any]:
        """Flags, text and tensors."""
        return dict(vars(self))

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> TrainedOn:
        """What `state_dict` was made of."""
        return cls(**state)

    def with_others(self, other: TrainedOn) -> TrainedOn:
        """This, and the images that ``other`` learnt from."""
        return TrainedOn(
            self.by_content,
            torch.unique(torch.cat([self.images, other.images])),
            self.held_out,
            self.pool,
            self.places,
        )


class Split:
    """Images to learn from and images to validate on, which share none.

    Args:
        train, validation: the two.
        pool: what ``validation`` was taken from.
        places: (m,): which of ``pool`` they are, ascending.
        before: what the resumed run and those before it learnt from.
    """

    def __init__(
        self,
        train: ImageSource,
        validation: ImageSource,
        pool: ImageSource,
        places: np.ndarray,
        before: TrainedOn | None,
    ) -> None:
        self.train = train
        self.validation = validation
        self._pool = pool
        self._places = places
        self._before = before

    @cached_property
    def trained_on(self) -> TrainedOn:
        """For a run that goes on from this one; it takes a look at each image."""
        before = self._before
        by_content = len(self.train) <= _READ_AT_START if before is None else before.by_content
        images = np.unique(identities(self.train, by_content))
        record = TrainedOn(
            by_content,
            torch.from_numpy(images),
            torch.from_numpy(identities(self.validation, by_content)),
            self._pool.digest(),
            torch.from_numpy(self._places.astype(np.int64)),
        )
        return record if before is None else record.with_others(before)


def split(chosen: DatasetOptions, seed: int, before: TrainedOn | None = None) -> Split:
    """The images of a dataset, apart.

    Args:
        chosen: the dataset.
        seed: what the images to validate on are drawn by.
        before: what was learnt from already, none of which is held out. Those held out then stay
            so, as many as are asked for.

    Raises:
        UserError: none are left to learn from, or to validate on where some were asked for.
    """
    pools = chosen.kind.pools(chosen.request)
    train, held_out, count = pools.train, pools.validation, pools.validation_count
    if chosen.val_root is not None:
        files = find_files(folders(chosen.val_root), train.channels, key="dataset.val_root")
        train = _without(train, files)
        if not len(train):
            raise UserError("dataset: nothing to learn from: all is in dataset.val_root too")
        held_out, count = files, None
    pool = train if held_out is None else held_out
    count = _validation_count(chosen, len(pool), count, splits=held_out is None)
    if not count and chosen.validation is None:
        _log.warning("A set of one image leaves none to validate on")
    order = torch.randperm(len(pool), generator=generator(seed, "split")).numpy()
    if before is not None and count:
        order, count = _never_trained_on(chosen, pool, order, count, before)
    places = np.sort(order[:count])
    picked = pool.subset(places) if count < len(pool) else pool
    if held_out is None:
        train = train.subset(np.sort(order[count:]))
    # Where all images are equal, there is nothing to keep apart.
    return Split(_without(train, picked) or train, picked, pool, places, before)


def identities(source: ImageSource, by_content: bool) -> np.ndarray:
    """(n,), int64: what tells the images of a set apart, and knows them again in another folder.

    Args:
        source: the images.
        by_content: by the length and ending of a file, so that it may be renamed; else by its
            length and its name below the set's folder, without opening it.
    """
    if isinstance(source, ArraySource):
        return np.array([_hash(source.read(i).numpy().tobytes()) for i in range(len(source))], "i8")
    if not isinstance(source, FileSource):
        return np.array([_hash(source.name(i).encode()) for i in range(len(source))], dtype="i8")
    lengths = source.bytes_each().tolist()

    def identity(index: int) -> int:
        told = file_ending(source.name(index)) if by_content else os.fsencode(source.label(index))
        return _hash(b"%d\0%b" % (lengths[index], told))

    if by_content:
        return np.fromiter(in_threads(identity, range(len(source)), "Images before"), "i8")
    return np.fromiter(map(identity, range(len(source))), "i8", len(source))


def _never_trained_on(
    chosen: DatasetOptions, pool: ImageSource, order: np.ndarray, count: int, before: TrainedOn
) -> tuple[np.ndarray, int]:
    """``order`` with those first that may be held out, and how many of the ``count`` there are."""
    is_same = pool.digest() == before.pool
    if is_same:
        # An unchanged set is split as it was, whatever else looks like its images.
        kept = np.isin(order, before.places.numpy())
        if kept.sum() >= count:
            return np.concatenate([order[kept], order[~kept]]), count
    known = identities(pool, before.by_content)[order]
    trained = np.isin(known, before.images.numpy())
    if is_same:
        trained &= ~kept
    else:
        kept = np.isin(known, before.held_out.numpy()) & ~trained
    new = ~kept & ~trained
    allowed = int(kept.sum() + new.sum())
    if not allowed and chosen.validation is not None:
        raise UserError(
            f"dataset.validation={chosen.validation}: the resumed run learnt from each image that "
            "could be held out; dataset.val_root=FOLDER gives others"
        )
    if allowed < count:
        _log.warning(
            "%d images are held out, not %d: the resumed run learnt from the others", allowed, count
        )
    return np.concatenate([order[kept], order[new], order[trained]]), min(count, allowed)


def _without(train: ImageSource, held_out: ImageSource) -> ImageSource:
    if not isinstance(train, FileSource) or not isinstance(held_out, FileSource):
        return train
    return without(train, held_out)


def _validation_count(
    chosen: DatasetOptions, available: int, recommended: int | None, splits: bool
) -> int:
    most = available - 1 if splits else available
    if chosen.validation is None:
        recommended = available if recommended is None else recommended
        return min(most, recommended, max(1, available // 5) if splits else available)
    if isinstance(chosen.validation, float):
        return min(most, max(1, round(chosen.validation * available)))
    if chosen.validation > most:
        left = " and leave one to learn from" if splits else ""
        raise UserError(
            f"dataset.validation={chosen.validation}: there are {available} images to take "
            f"them from{left}"
        )
    return chosen.validation


def _hash(content: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big", signed=True)
