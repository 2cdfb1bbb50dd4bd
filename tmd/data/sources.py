"""Where images come from: something with a length that reads image ``i`` on demand.

A source knows nothing of patches, storage or splits, and is cheap to copy into worker processes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
import torch

from tmd.data.progress import progress
from tmd.images import read_pixels, read_size


class ImageSource(Protocol):
    """A numbered set of images."""

    channels: int

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """What a person finds the image by: its path, or its number in a file."""

    def label(self, index: int) -> str:
        """A short name, for a picture's caption or a table's row."""

    def size(self, index: int) -> tuple[int, int]:
        """(H, W), without decoding; raises `tmd.errors.UserError` for a bad file."""

    def read(self, index: int) -> torch.Tensor:
        """(C, H, W), uint8, of any memory layout; raises `tmd.errors.UserError` for a bad file."""

    def subset(self, indices: Sequence[int] | np.ndarray) -> ImageSource:
        """The images of these numbers, in this order."""

    def digest(self) -> str:
        """A short fingerprint: another one whenever images were added, removed or replaced."""


class PackedStrings:
    """A million strings in one block of memory.

    A list would be copied into every worker process page by page, as each look at an element
    changes its reference count.
    """

    def __init__(self, strings: Iterable[str]) -> None:
        coded = [os.fsencode(string) for string in strings]
        self._limits = np.cumsum([0, *map(len, coded)], dtype=np.int64)
        self._bytes = b"".join(coded)

    def __len__(self) -> int:
        return len(self._limits) - 1

    def __getitem__(self, index: int) -> str:
        return os.fsdecode(self._bytes[self._limits[index] : self._limits[index + 1]])

    def __iter__(self) -> Iterator[str]:
        return iter(self.take(np.arange(len(self))))

    def take(self, indices: np.ndarray) -> list[str]:
        """The strings of these numbers."""
        starts, stops = self._limits[indices].tolist(), self._limits[indices + 1].tolist()
        return [os.fsdecode(self._bytes[i:j]) for i, j in zip(starts, stops, strict=True)]


class FileSource:
    """Image files.

    Args:
        paths: the files.
        channels: 1 or 3; each file is converted.
        root: a folder that labels and the digest leave out of the paths, so that a set that moved
            to another folder is still the same set.
    """

    def __init__(self, paths: Sequence[str], channels: int, root: str = "") -> None:
        self._paths = PackedStrings(paths)
        self._root = root
        self.channels = channels

    def __len__(self) -> int:
        return len(self._paths)

    def name(self, index: int) -> str:
        return self._paths[index]

    def names(self) -> list[str]:
        """All names, faster than one by one."""
        return list(self._paths)

    def label(self, index: int) -> str:
        return self._below_root(self._paths[index])

    def size(self, index: int) -> tuple[int, int]:
        return read_size(self._paths[index])

    def read(self, index: int) -> torch.Tensor:
        return read_pixels(self._paths[index], self.channels)

    def subset(self, indices: Sequence[int] | np.ndarray) -> FileSource:
        chosen = self._paths.take(np.asarray(indices, dtype=np.int64))
        return type(self)(chosen, self.channels, self._root)

    def digest(self) -> str:
        """Of the names below the root and the files' sizes in bytes."""
        sum_ = hashlib.blake2b(digest_size=8)
        for path in progress(self._paths, len(self), "Fingerprint"):
            try:
                size = os.stat(path).st_size
            except OSError:
                size = -1
            sum_.update(os.fsencode(f"{self._below_root(path)}\0{size}\n"))
        return sum_.hexdigest()

    def _below_root(self, path: str) -> str:
        return path.removeprefix(self._root).lstrip(os.sep)


class ArraySource:
    """Images of one size that are in memory already.

    Args:
        images: (N, H, W), uint8, grey.
        channels: 1, or 3 to repeat the grey one.
        label: what the images' names begin with.
    """

    def __init__(self, images: torch.Tensor, channels: int, label: str) -> None:
        self._images = images
        self.channels = channels
        self._label = label

    def __len__(self) -> int:
        return len(self._images)

    def name(self, index: int) -> str:
        return f"{self._label}-{index:05d}"

    def label(self, index: int) -> str:
        return self.name(index)

    def size(self, index: int) -> tuple[int, int]:
        height, width = self._images.shape[1:]
        return height, width

    def read(self, index: int) -> torch.Tensor:
        return self._images[index].expand(self.channels, -1, -1).contiguous()

    def subset(self, indices: Sequence[int] | np.ndarray) -> ArraySource:
        chosen = torch.as_tensor(np.asarray(indices, dtype=np.int64))
        return ArraySource(self._images[chosen], self.channels, self._label)

    def digest(self) -> str:
        return hashlib.blake2b(self._images.contiguous().numpy().data, digest_size=8).hexdigest()
