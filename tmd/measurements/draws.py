"""Random parameters of an operator, a pure function of (seed, stream, batch, place in the list)."""

from __future__ import annotations

from typing import Any

import torch

from tmd.distributed import Share
from tmd.seeding import generator


class Draws:
    """Draws of an operator for one batch: for each purpose the same whenever it is asked.

    Where several processes share a batch, each gets the rows of its own images.

    Args:
        path: (seed, stream, index, ...) that everything is drawn from.
        share: which rows of the batch the operator has.
    """

    def __init__(self, path: tuple[Any, ...], share: Share) -> None:
        self.path = path
        self.share = share

    def uniform(self, purpose: str, ends: tuple[float, float], n: int) -> torch.Tensor:
        """One value for each of ``n`` images, between the ends: (N,), float64."""
        lowest, highest = ends
        total = n * self.share.count
        numbers = torch.rand(total, generator=self._generator(purpose), dtype=torch.float64)
        return lowest + (highest - lowest) * numbers[self.share.rows(total)]

    def normal(self, purpose: str, like: torch.Tensor) -> torch.Tensor:
        """Standard normal numbers of the shape, device and type of ``like`` (N, ...)."""
        total = len(like) * self.share.count
        numbers = torch.randn(
            (total, *like.shape[1:]),
            generator=self._generator(purpose, like.device),
            device=like.device,
            dtype=like.dtype,
        )
        return numbers[self.share.rows(total)]

    def _generator(self, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
        return generator(*self.path, purpose, device=device)
