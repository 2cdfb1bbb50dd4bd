"""Sources of images: something with a length that reads image ``i`` on demand.

A source knows nothing of patches, storage or splits, and is cheap to copy into worker processes.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections import Counter
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from tmd.data.aside import Aside
from tmd.data.paths import PackedStrings, all_sizes
from tmd.data.tiles import photo_of, photos_of
from tmd.data.windows import Window, open_window
from tmd.images import ImageKind, Probe, nearest_levels, probe, read_native, read_size
from tmd.places import fetch, is_address
from tmd.resize import imresize

_SHARD = re.compile(rb".*?\.tar(?:\?[^/]*)?/")


class ImageSource(Protocol):
    """A numbered set of images."""

    kind: ImageKind

    @property
    def channels(self) -> int:
        """Channels of every image."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """The path of an image, or its number in a file: what a person finds it by."""

    def label(self, index: int) -> str:
        """A short name, for a picture's caption or a table's row."""

    def size(self, index: int) -> tuple[int, int]:
        """(H, W), without decoding; raises `tmd.errors.UserError` for a bad file."""

    def read(self, index: int) -> torch.Tensor:
        """(C, H, W) in the kind's dtype, of any memory layout.

        Raises:
            UserError: for a bad file.
        """

    def subset(self, indices: Sequence[int] | np.ndarray) -> ImageSource:
        """The images of these numbers, in this order."""

    def digest(self) -> str:
        """A short fingerprint: another one whenever images were added, removed or replaced."""


@runtime_checkable
class ProbedSource(ImageSource, Protocol):
    """Images whose files may have other bands and bits than they are to be read with."""

    def probe(self, index: int) -> Probe:
        """Bands, type and size of a file as it is, without decoding."""

    def of_kind(self, kind: ImageKind) -> ProbedSource:
        """The same files as images of another kind."""


class FileSource:
    """Image files.

    Args:
        paths: the files.
        kind: of the images; a number of channels means 8 bits, to which each file is converted.
        root: a folder that labels and the digest leave out of the paths, so that a set that moved
            to another folder is still the same set.
        sizes: the files' lengths in bytes if they are known already.
        aside: what the search for them left aside.
        in_shards: they lie in tar shards, whose names the labels and the digest leave out too.

    Attributes:
        kind, root, aside, in_shards: as given.
        is_far: some of them are at an address, where each look takes a while.
    """

    def __init__(
        self,
        paths: Sequence[str] | PackedStrings,
        kind: ImageKind | int,
        root: str = "",
        sizes: np.ndarray | None = None,
        aside: Aside | None = None,
        in_shards: bool = False,
    ) -> None:
        self.aside = aside or Aside()
        self._paths = paths if isinstance(paths, PackedStrings) else PackedStrings.of(paths)
        self.root = root
        self._sizes = sizes
        self.kind = ImageKind.of(kind)
        self.in_shards = in_shards
        self.is_far = is_address(root) or (not root and b"://" in self._paths.coded)

    @property
    def channels(self) -> int:
        """Channels of every image."""
        return self.kind.channels

    def __len__(self) -> int:
        return len(self._paths)

    def name(self, index: int) -> str:
        """The path, or the number in the set."""
        return self._paths[index]

    def names(self) -> list[str]:
        """All names, faster than one by one."""
        return list(self._paths)

    def label(self, index: int) -> str:
        """A short name for people."""
        return os.fsdecode(self._below_root(os.fsencode(self._paths[index])))

    def _below_root(self, path: bytes) -> bytes:
        below = path.removeprefix(os.fsencode(self.root)).lstrip(os.fsencode(os.sep))
        return _SHARD.sub(b"", below, 1) if self.in_shards else below

    def folders(self) -> Counter[str]:
        """Numbers of images in each folder below the root, through its levels; "." is itself."""
        start = len(os.fsencode(self.root)) + 1
        separator = os.fsencode(os.sep)
        below = (path[start:].partition(separator) for path in self._paths.coded_each())
        counts = Counter(folder if inside else b"." for folder, inside, _ in below)
        return Counter({os.fsdecode(folder): count for folder, count in counts.items()})

    def size(self, index: int) -> tuple[int, int]:
        """(H, W), without decoding."""
        return read_size(self._paths[index])

    def read(self, index: int) -> torch.Tensor:
        """(C, H, W) in the kind's dtype."""
        return read_native(self._paths[index], self.kind)

    def probe(self, index: int) -> Probe:
        """Bands, type and size of a file as it is, without decoding."""
        return probe(self._paths[index])

    def of_kind(self, kind: ImageKind) -> FileSource:
        """The same files as images of another kind."""
        return type(self)(self._paths, kind, self.root, self._sizes, self.aside)

    def subset(self, indices: Sequence[int] | np.ndarray) -> FileSource:
        """The images of these numbers, in this order."""
        numbers = np.asarray(indices, dtype=np.int64)
        sizes = None if self._sizes is None else self._sizes[numbers]
        paths = self._paths.take(numbers)
        return type(self)(paths, self.kind, self.root, sizes, self.aside, self.in_shards)

    def window(self, index: int) -> Window | None:
        """The image as a window, of which parts are read alone; None where that can't be."""
        return open_window(self._paths[index], self.kind)

    def read_window(self, index: int, top: int, left: int, height: int, width: int) -> torch.Tensor:
        """A part of an image, (C, height, width) in the kind's dtype.

        Raises:
            UserError: for a bad file.
        """
        area = slice(None), slice(top, top + height), slice(left, left + width)
        window = self.window(index)
        return (
            self.read(index)[area] if window is None else torch.from_numpy(np.array(window[area]))
        )

    def scene(self, index: int) -> str:
        """The photo that an image is a tile of, or its own name."""
        name = self._paths[index]
        return photo_of(name) or name

    def photos(self) -> np.ndarray | None:
        """(n,), int64: numbers that tiles of one photo share; None where no image is a tile."""
        return photos_of(self._paths)

    def fetch(self, indices: Sequence[int]) -> None:
        """Have images that are far away fetched at once, before they are read one by one."""
        if self.is_far:
            fetch(self._paths[index] for index in indices)

    def bytes_each(self) -> np.ndarray:
        """(n,), int64: the files' lengths, looked up once; -1 for what is no file."""
        if self._sizes is None:
            self._sizes = all_sizes(self._paths)
        return self._sizes

    def digest(self) -> str:
        """Of the names below the root and the files' lengths in bytes."""
        paths, sizes = self._paths.coded_each(), self.bytes_each().tolist()
        sum_ = hashlib.blake2b(digest_size=8)
        for path, size in zip(paths, sizes, strict=True):
            sum_.update(b"%b\0%d\n" % (self._below_root(path), size))
        return sum_.hexdigest()


class ArraySource:
    """Images of one size that are in memory already.

    Args:
        images: (N, H, W), uint8, grey.
        kind: of 8 bits, or its number of channels, each of which repeats the grey one.
        label: what the images' names begin with.
    """

    def __init__(self, images: torch.Tensor, kind: ImageKind | int, label: str) -> None:
        self._images = images
        self.kind = ImageKind.of(kind)
        self._label = label

    @property
    def channels(self) -> int:
        """Channels of every image."""
        return self.kind.channels

    def __len__(self) -> int:
        return len(self._images)

    def name(self, index: int) -> str:
        """The path, or the number in the set."""
        return f"{self._label}-{index:05d}"

    def label(self, index: int) -> str:
        """A short name for people."""
        return self.name(index)

    def size(self, index: int) -> tuple[int, int]:
        """(H, W), without decoding."""
        height, width = self._images.shape[1:]
        return height, width

    def read(self, index: int) -> torch.Tensor:
        """(C, H, W), uint8."""
        return self._images[index].expand(self.channels, -1, -1).contiguous()

    def subset(self, indices: Sequence[int] | np.ndarray) -> ArraySource:
        """The images of these numbers, in this order."""
        chosen = torch.as_tensor(np.asarray(indices, dtype=np.int64))
        return ArraySource(self._images[chosen], self.kind, self._label)

    def digest(self) -> str:
        """A short fingerprint of the set."""
        return hashlib.blake2b(self._images.contiguous().numpy().data, digest_size=8).hexdigest()


class ShrunkSource:
    """The images of another source, once for each of ``factors`` that their sides are divided by.

    Shrinking is MATLAB's bicubic. All images shrunk by the first factor come first.

    Args:
        source: the images.
        factors: each 1 or more.
    """

    def __init__(self, source: ImageSource, factors: Sequence[float]) -> None:
        self._source = source
        self._factors = tuple(factors)
        self.kind = source.kind

    @property
    def channels(self) -> int:
        """Channels of every image."""
        return self.kind.channels

    def __len__(self) -> int:
        return len(self._source) * len(self._factors)

    def name(self, index: int) -> str:
        """An image that is too small at one of the factors must not pass for unusable."""
        image, factor = self._which(index)
        name = self._source.name(image)
        return name if factor == 1 else f"{name} shrunk by {factor:g}"

    def label(self, index: int) -> str:
        """A short name for people."""
        return self._source.label(self._which(index)[0])

    def size(self, index: int) -> tuple[int, int]:
        """(H, W), without decoding."""
        image, factor = self._which(index)
        return shrunk_size(self._source.size(image), factor)

    def read(self, index: int) -> torch.Tensor:
        """(C, H, W) in the kind's dtype."""
        number, factor = self._which(index)
        image = self._source.read(number)
        if factor == 1:
            return image
        size = shrunk_size(image.shape[-2:], factor)
        shrunk = imresize(image.to(torch.float32)[None], size)[0]
        if not image.dtype.is_floating_point:
            return nearest_levels(shrunk, image.dtype)
        return shrunk

    def subset(self, indices: Sequence[int] | np.ndarray) -> ShrunkSource:
        """The images of these numbers, in this order."""
        raise TypeError("choose among the images before they are shrunk")

    def digest(self) -> str:
        """A short fingerprint of the set."""
        content = f"{self._source.digest()} / {self._factors}".encode()
        return hashlib.blake2b(content, digest_size=8).hexdigest()

    def _which(self, index: int) -> tuple[int, float]:
        """The image and the factor of what has this number here."""
        factor, image = divmod(index, len(self._source))
        return image, self._factors[factor]


def shrunk_size(size: Sequence[int], factor: float) -> tuple[int, int]:
    """(H, W) divided by ``factor`` and rounded, at least 1.

    >>> shrunk_size((300, 451), 2)
    (150, 226)
    """
    height, width = (max(1, math.floor(side / factor + 0.5)) for side in size)
    return height, width
