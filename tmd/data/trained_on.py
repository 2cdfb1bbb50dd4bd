"""The images that a run has learnt from, in eight bytes each, to be known again later."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tmd.data.files import file_ending
from tmd.data.sources import ArraySource, FileSource, ImageSource
from tmd.data.storage import in_threads, is_far


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
        """The record that `state_dict` was made of."""
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
        return np.fromiter(
            in_threads(identity, range(len(source)), "Images before", is_far(source)), "i8"
        )
    return np.fromiter(map(identity, range(len(source))), "i8", len(source))


def _hash(content: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big", signed=True)
