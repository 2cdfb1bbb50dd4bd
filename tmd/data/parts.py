"""Rectangles of the images of several sources, in any order, as one source."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from tmd.data.sources import FileSource, ImageSource
from tmd.data.windows import Window
from tmd.errors import UserError
from tmd.images import ImageKind


class PartsSource:
    """A rectangle of each image that is taken, an image once or several times.

    Args:
        sources: of one kind of image.
        places: (n, 2), int: a source's number, and an image's number in it.
        windows: (n, 4), int: top, left, height and width of the rectangle.
        problems: the rows that can't be used, with the reasons.
    """

    def __init__(
        self,
        sources: Sequence[ImageSource],
        places: np.ndarray,
        windows: np.ndarray,
        problems: Mapping[int, str],
    ) -> None:
        self.kind: ImageKind = sources[0].kind
        self._sources = list(sources)
        self._places = places
        self._windows = windows
        self._problems = dict(problems)

    @property
    def channels(self) -> int:
        """Channels of every image."""
        return self.kind.channels

    def __len__(self) -> int:
        return len(self._places)

    def name(self, index: int) -> str:
        """The name that the image has in its own source."""
        source, number = self._at(index)
        return source.name(number)

    def label(self, index: int) -> str:
        """A short name for people."""
        source, number = self._at(index)
        return source.label(number)

    def size(self, index: int) -> tuple[int, int]:
        """(H, W) of the rectangle; raises `UserError` for a row that can't be used."""
        if index in self._problems:
            raise UserError(self._problems[index])
        height, width = self._windows[index, 2:].tolist()
        return height, width

    def read(self, index: int) -> torch.Tensor:
        """(C, H, W) of the rectangle; raises `UserError` for a bad file."""
        height, width = self.size(index)
        top, left = self._windows[index, :2].tolist()
        source, number = self._at(index)
        image = source.read(number)
        if image.shape[-2] < top + height or image.shape[-1] < left + width:
            raise UserError(
                f"{source.name(number)}: {image.shape[-1]}×{image.shape[-2]} is not what its "
                "header says"
            )
        return image[:, top : top + height, left : left + width]

    def window(self, index: int) -> Window | None:
        """The rectangle as a window, of which parts are read alone; None where that can't be."""
        height, width = self.size(index)
        top, left = self._windows[index, :2].tolist()
        source, number = self._at(index)
        window = source.window(number) if isinstance(source, FileSource) else None
        if window is None or window.shape[1] < top + height or window.shape[2] < left + width:
            return None
        return window[:, top : top + height, left : left + width]

    def subset(self, indices: Sequence[int] | np.ndarray) -> PartsSource:
        """The rows of these numbers, in this order."""
        numbers = np.asarray(indices, dtype=np.int64)
        kept = {row: self._problems[i] for row, i in enumerate(numbers) if i in self._problems}
        return PartsSource(self._sources, self._places[numbers], self._windows[numbers], kept)

    def within(self, windows: np.ndarray) -> PartsSource:
        """The same images, with (n, 4) rectangles of the rectangles that were taken."""
        moved = np.asarray(windows).copy()
        moved[:, :2] += self._windows[:, :2]
        return PartsSource(self._sources, self._places, moved, self._problems)

    def centred(self, size: Sequence[int], grid: int = 1) -> PartsSource:
        """The central rectangles of at most this size, which begin at multiples of ``grid``."""
        sides = np.minimum(self._windows[:, 2:], np.asarray(size))
        corners = (self._windows[:, 2:] - sides) // (2 * grid) * grid
        return self.within(np.concatenate([corners, sides], axis=1))

    def digest(self) -> str:
        """Of the sources, and of what is taken of them."""
        sum_ = hashlib.blake2b(digest_size=8)
        for source in self._sources:
            sum_.update(source.digest().encode())
        for numbers in (self._places, self._windows):
            sum_.update(numbers.astype("<i8").tobytes())
        return sum_.hexdigest()

    def _at(self, index: int) -> tuple[ImageSource, int]:
        source, number = self._places[index].tolist()
        return self._sources[source], number
