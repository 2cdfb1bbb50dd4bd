"""Images to learn from and images held out: never one that was learnt from before."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from tmd.data.aside import Aside
from tmd.data.files import copies_among, find_files
from tmd.data.options import DatasetOptions
from tmd.data.roots import folders
from tmd.data.sources import FileSource, ImageSource
from tmd.data.storage import is_far
from tmd.data.trained_on import TrainedOn, identities
from tmd.errors import UserError
from tmd.seeding import generator

# Of more images than this no byte is read at the start: they are known by name and length.
_READ_AT_START = 20_000
# The same of images at an address.
_ASKED_AT_START = 2_000
_FOLDERS_NAMED = 4

_log = logging.getLogger("tmd.data")


@dataclass
class Split:
    """Images to learn from and images to validate on, which share none.

    Attributes:
        train, validation: the two.
        pool: what ``validation`` was taken from.
        places: (m,): which of ``pool`` they are, ascending.
        before: what the resumed run and those before it learnt from.
        chosen_by: what decided on the images to validate on.
        aside: what the search for the images left aside.
    """

    train: ImageSource
    validation: ImageSource
    pool: ImageSource
    places: np.ndarray
    before: TrainedOn | None
    chosen_by: str
    aside: Aside

    @property
    def summary(self) -> str:
        """One line on what was found where, what is held out and what was left aside."""
        count = len(self.train)
        line = f"{count} image{'' if count == 1 else 's'} to learn from"
        root = ""
        if isinstance(self.train, FileSource):
            if (photos := self.train.photos()) is not None:
                line = f"{count} tiles of {len(np.unique(photos))} photos to learn from"
            root = self.train.root
            line += f", in {_named(root, self.train.folders())}"
        line += f"; {len(self.validation)} held out"
        if len(self.validation):
            line += f", {self.chosen_by}"
        if self.aside.reasons:
            line += f"; left aside: {self.aside.text(root)}"
        return line

    @cached_property
    def trained_on(self) -> TrainedOn:
        """For a run that goes on from this one; it takes a look at each image."""
        before = self.before
        most = _ASKED_AT_START if is_far(self.train) else _READ_AT_START
        by_content = len(self.train) <= most if before is None else before.by_content
        images = np.unique(identities(self.train, by_content))
        record = TrainedOn(
            by_content,
            torch.from_numpy(images),
            torch.from_numpy(identities(self.validation, by_content)),
            self.pool.digest(),
            torch.from_numpy(self.places.astype(np.int64)),
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
    splits = held_out is None
    chosen_by = "drawn by the seed" if splits else "of the dataset's own"
    aside = [train.aside] if isinstance(train, FileSource) else []
    if chosen.val_root is not None:
        files = find_files(folders(chosen.val_root), train.kind, key="dataset.val_root")
        train, again = _without(train, files)
        if not len(train):
            raise UserError("dataset: nothing to learn from: all is in dataset.val_root too")
        held_out, count, splits = files, None, False
        chosen_by = "of dataset.val_root"
        aside += [files.aside, again]
    pool = train if held_out is None else held_out
    photos = train.photos() if isinstance(train, FileSource) else None
    if splits and photos is not None:
        tiles = _middles(photos)
        pool = train.subset(tiles)
    count = _validation_count(chosen, len(pool), count, splits)
    if not count and chosen.validation is None:
        _log.warning("A set of one image leaves none to validate on")
    order = torch.randperm(len(pool), generator=generator(seed, "split")).numpy()
    if before is not None and count:
        order, count = _never_trained_on(chosen, pool, order, count, before)
    places = np.sort(order[:count])
    picked = pool.subset(places) if count < len(pool) else pool
    if splits and photos is not None:
        train = train.subset(np.flatnonzero(~np.isin(photos, photos[tiles[places]])))
    elif splits:
        train = train.subset(np.sort(order[count:]))
    # Of a photo that is there twice, the one tile that is held out says nothing of the others.
    by_photo = splits and photos is not None
    others, again = (train, Aside()) if by_photo else _without(train, picked)
    if len(others):  # else all images are equal, and there is nothing to keep apart
        train = others
        aside.append(again)
    return Split(train, picked, pool, places, before, chosen_by, Aside.joined(aside))


def _middles(photos: np.ndarray) -> np.ndarray:
    """(m,), ascending: of each photo, the number of the tile that stands for it when held out.

    Args:
        photos: (n,): of which photo each tile is.
    """
    order = np.argsort(photos, kind="stable")
    _, first, count = np.unique(photos[order], return_index=True, return_counts=True)
    return np.sort(order[first + count // 2])


def _named(root: str, folders: Mapping[str, int]) -> str:
    """The place of images, with the folders that have the most of them."""
    most = sorted(folders, key=lambda folder: -folders[folder])
    if len(most) == 1:
        return root if most[0] == "." else os.path.join(root, most[0])
    listed = [f"{folders[folder]} in {folder}" for folder in most[:_FOLDERS_NAMED]]
    if rest := most[_FOLDERS_NAMED:]:
        listed.append(f"{sum(folders[folder] for folder in rest)} in {len(rest)} more")
    return f"{root} ({', '.join(listed)})"


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


def _without(train: ImageSource, held_out: ImageSource) -> tuple[ImageSource, Aside]:
    """``train`` without copies of what is held out, and what they were."""
    aside = Aside()
    if not isinstance(train, FileSource) or not isinstance(held_out, FileSource):
        return train, aside
    copies = copies_among(train, held_out)
    if not copies:
        return train, aside
    aside.add(min(map(train.name, copies)), "copies of held-out images", len(copies))
    return train.subset(np.delete(np.arange(len(train)), copies)), aside


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
