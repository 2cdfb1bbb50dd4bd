"""The images, crops and turns of batch ``i``: a pure function of (seed, i)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
import torch

from tmd.distributed import ALONE, Share
from tmd.errors import UserError
from tmd.seeding import generator

T = TypeVar("T")

# After so many random substitutes for an unusable image, the next usable one is taken.
_RANDOM_SUBSTITUTES = 64


@dataclass(frozen=True)
class Draw:
    """A batch's random numbers besides its images.

    Attributes:
        places: (N, 2) in [0, 1): where the crop lies, as a share of the way it can go.
        turns: (N,), bit 0: mirrored left-right; bit 1: upside down; bit 2: transposed.
    """

    places: np.ndarray
    turns: np.ndarray


class Sampler:
    """Draws batches from ``count`` images: each once in a pass, in an order of its own each pass.

    Args:
        count: how many images there are.
        batch_size: images in a batch; a batch may end one pass and begin the next.
        seed: everything is drawn from it and the batch's number.
        turns: how many of the eight flips and turns are used: 1 (none), 2 (mirrored), 8.
        share: which of the batch's images are wanted here; the others are other processes'.
    """

    def __init__(
        self, count: int, batch_size: int, seed: int, turns: int, share: Share = ALONE
    ) -> None:
        self.count = count
        self.batch_size = batch_size
        self.seed = seed
        self.turns = turns
        self.rows = share.rows(batch_size)

    def images(self, index: int) -> list[int]:
        """The images of batch ``index``."""
        first = index * self.batch_size
        return [
            int(_order(self.seed, position // self.count, self.count)[position % self.count])
            for position in range(first + self.rows.start, first + self.rows.stop)
        ]

    def draw(self, index: int) -> Draw:
        """Crops and turns of batch ``index``."""
        numbers = torch.rand(
            self.batch_size,
            3,
            generator=generator(self.seed, "batches", index),
            dtype=torch.float64,
        ).numpy()[self.rows]
        return Draw(numbers[:, :2], (numbers[:, 2] * self.turns).astype(np.int64))

    def load(self, index: int, load: Callable[[int], T | None]) -> list[T]:
        """Load the images of batch ``index``, with substitutes for those that can't be used.

        The substitutes, too, depend on (seed, index) alone, so it does not matter when, or by which
        worker, an image is found to be unusable.

        Args:
            load: gives an image, or None for one that can't be used.
        """
        loaded = []
        for slot, image in enumerate(self.images(index), start=self.rows.start):
            result = load(image)
            if result is None:
                candidates = map(load, self._substitutes(index, slot))
                result = next(candidate for candidate in candidates if candidate is not None)
            loaded.append(result)
        return loaded

    def _substitutes(self, index: int, slot: int) -> Iterator[int]:
        rng = generator(self.seed, "substitute", index, slot)
        tried = torch.randint(self.count, (_RANDOM_SUBSTITUTES,), generator=rng).tolist()
        yield from tried
        for step in range(1, self.count + 1):
            yield (tried[-1] + step) % self.count
        raise UserError("dataset: none of the images can be used")


@lru_cache(maxsize=4)
def _order(seed: int, pass_: int, count: int) -> np.ndarray:
    return torch.randperm(count, generator=generator(seed, "order", pass_)).numpy()
