"""Images of different sizes in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

Size = tuple[int, int]


@dataclass(frozen=True)
class Canvas:
    """A batch whose images may have different sizes.

    Image i lies at the top left of ``pixels[i]``; beyond it are its last row and column, repeated,
    as far as `replicated` was the last to touch them.

    Attributes:
        pixels: (N, C, H, W) in [0, 1].
        sizes: (h, w) of each image; None: all fill the canvas.
        every: (h, w) of each image of all processes, where ``sizes`` are given.
        lr_size: (h, w) that the whole measurement ends at.

    Example:
        >>> canvas = Canvas(torch.rand(2, 3, 8, 8), ((8, 6), (5, 8)), ((8, 6), (5, 8)))
        >>> [image.shape[-2:] for image in canvas.images()]
        [torch.Size([8, 6]), torch.Size([5, 8])]
    """

    pixels: Tensor
    sizes: tuple[Size, ...] | None = None
    every: tuple[Size, ...] | None = None
    lr_size: Size | None = None

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def room(self) -> Size:
        """(H, W) of the canvas."""
        height, width = self.pixels.shape[-2:]
        return height, width

    def own_sizes(self) -> tuple[Size, ...]:
        """(h, w) of each image."""
        return self.sizes if self.sizes is not None else (self.room,) * len(self)

    def every_size(self, total: int) -> tuple[Size, ...]:
        """(h, w) of each image of all processes, ``total`` in number."""
        return self.every if self.every is not None else (self.room,) * total

    def images(self) -> list[Tensor]:
        """Each image (1, C, h, w) by itself."""
        return [
            image[None, :, :height, :width]
            for image, (height, width) in zip(self.pixels, self.own_sizes(), strict=True)
        ]

    def with_pixels(self, pixels: Tensor) -> Canvas:
        """Other pixels of the same sizes."""
        return replace(self, pixels=pixels)

    def replicated(self) -> Canvas:
        """The same images, beyond which their last rows and columns are repeated."""
        if self.sizes is None:
            return self
        pixels = self.pixels.clone()
        for row, (height, width) in enumerate(self.sizes):
            # What iterating gives can't be written to where a gradient is needed.
            image = pixels[row]
            if width < pixels.shape[-1]:
                image[:, :height, width:] = image[:, :height, width - 1 : width]
            if height < pixels.shape[-2]:
                image[:, height:] = image[:, height - 1 : height]
        return self.with_pixels(pixels)

    def only(self, rows: Sequence[int], places: Sequence[int]) -> Canvas:
        """Some of the images, on a canvas as large.

        Args:
            rows: the images, of those given here.
            places: the images of all processes, likewise.
        """
        pixels = self.pixels[_index(rows, self.pixels.device)]
        if self.sizes is None or self.every is None:
            return self.with_pixels(pixels)
        return replace(
            self,
            pixels=pixels,
            sizes=tuple(self.sizes[row] for row in rows),
            every=tuple(self.every[place] for place in places),
        )

    def replaced(self, parts: Sequence[tuple[Sequence[int], Canvas]]) -> Canvas:
        """The same with other pixels of some images, each part with their rows here."""
        pixels = self.pixels
        for rows, canvas in parts:
            pixels = pixels.index_copy(0, _index(rows, pixels.device), canvas.pixels)
        return self.with_pixels(pixels)

    def resized(self, pixels: Tensor, sizes: Sequence[Size], every: Sequence[Size]) -> Canvas:
        """Other pixels of other sizes.

        Args:
            every: of the images of all processes; the canvas is as large as the largest.
        """
        uniform = len(set(every)) == 1
        return replace(
            self,
            pixels=pixels,
            sizes=None if uniform else tuple(sizes),
            every=None if uniform else tuple(every),
        )


def room_for(every: Sequence[Size]) -> Size:
    """The smallest canvas that holds images of all these sizes."""
    return max(height for height, _ in every), max(width for _, width in every)


def joined(parts: Sequence[tuple[Sequence[int], Canvas]], every: Sequence[Size]) -> Canvas:
    """One canvas of the images of several.

    Args:
        parts: each with the rows of its images in the result.
        every: (h, w) of each image of all processes in the result.
    """
    height, width = room_for(every)
    order = [row for rows, _ in parts for row in rows]
    sizes = [size for _, canvas in parts for size in canvas.own_sizes()]
    places = sorted(range(len(order)), key=order.__getitem__)
    pieces = []
    for _, canvas in parts:
        pixels = canvas.pixels[..., :height, :width]
        beyond = (0, width - pixels.shape[-1], 0, height - pixels.shape[-2])
        pieces.append(F.pad(pixels, beyond, mode="replicate") if any(beyond) else pixels)
    together = torch.cat(pieces)[_index(places, pieces[0].device)]
    return parts[0][1].resized(together, [sizes[place] for place in places], every)


def _index(rows: Sequence[int], device: torch.device) -> Tensor:
    return torch.tensor(list(rows), dtype=torch.long).to(device, non_blocking=True)
