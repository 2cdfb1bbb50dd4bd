"""Random parameters of an operator, a pure function of (seed, stream, batch, place in the list)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from tmd.distributed import Share
from tmd.seeding import generator


@dataclass(frozen=True)
class Some:
    """Images of a batch that an operator is applied to.

    Attributes:
        total: images in the whole batch, those of all processes.
        every: numbers of the images, of all processes, in that batch.
        places: in ``every``, of this process's own.
    """

    total: int
    every: tuple[int, ...]
    places: tuple[int, ...]


@dataclass
class Log:
    """Draws for each image, in the order in which operators are applied."""

    entries: list[tuple[str, Sequence[int] | None, dict[str, Any]]] = field(default_factory=list)

    def of_images(self, n: int) -> list[list[tuple[str, dict[str, Any]]]]:
        """For each of ``n`` images the operators that it met, and the parameters of each."""
        images: list[list[tuple[str, dict[str, Any]]]] = [[] for _ in range(n)]
        for name, rows, notes in self.entries:
            for place, row in enumerate(range(n) if rows is None else rows):
                values = {key: value[place] for key, value in notes.items()}
                images[row].append((name, {k: v for k, v in values.items() if v is not None}))
        return images


class Draws:
    """Draws of an operator for one batch: for each purpose the same whenever it is asked.

    Where several processes share a batch, each gets the rows of its own images; where an operator
    is applied to some images only, they get the values that they would have got among all.

    Args:
        path: (seed, stream, index, ...) that everything is drawn from.
        share: which rows of the batch the operator has.
        some: the images that it is applied to; None: all.
        log: gets what is drawn.
        notes: of the operator, in ``log``.
    """

    def __init__(
        self,
        path: tuple[Any, ...],
        share: Share,
        some: Some | None = None,
        log: Log | None = None,
        notes: dict[str, Any] | None = None,
    ) -> None:
        self.path = path
        self.share = share
        self.some = some
        self.log = log
        self.notes = notes

    def uniform(self, purpose: str, ends: tuple[float, float], n: int) -> torch.Tensor:
        """One value for each of ``n`` images, between the ends: (N,), float64."""
        lowest, highest = ends
        values = lowest + (highest - lowest) * self._numbers(purpose, n)
        if self.notes is not None:
            self.notes[purpose] = values.tolist()
        return values

    def choice(self, purpose: str, weights: Sequence[float], n: int) -> list[int]:
        """For each of ``n`` images the place of a weight, drawn as often as its share of the sum.

        On the CPU, as what is done depends on it.
        """
        ends = torch.tensor(weights, dtype=torch.float64).cumsum(0)
        numbers = self._numbers(purpose, n) * ends[-1]
        # A number that rounding lifts to the sum is of the last weight that is not 0.
        last = max(place for place, weight in enumerate(weights) if weight)
        return torch.searchsorted(ends, numbers, right=True).clamp(max=last).tolist()

    def normal(self, purpose: str, like: torch.Tensor) -> torch.Tensor:
        """Standard normal numbers of the shape, device and type of ``like`` (N, ...)."""
        total = self._total(len(like))
        numbers = torch.randn(
            (total, *like.shape[1:]),
            generator=self.generator(purpose, like.device),
            device=like.device,
            dtype=like.dtype,
        )
        return numbers[self._rows(total, like.device)]

    def generator(self, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
        """Generator of a purpose, for the images of all processes."""
        return generator(*self.path, purpose, device=device)

    def note(self, parameter: str, values: Sequence[Any] | None) -> None:
        """Tell the log what was drawn, one value for each image; None where it plays no part.

        Instead of what `uniform` says by itself under the name of its purpose.
        """
        if self.notes is not None:
            self.notes.pop(parameter, None)
            if values is not None:
                self.notes[parameter] = list(values)

    def of(self, key: int | str) -> Draws:
        """Draws of a part, which is called ``key`` in this operator."""
        return Draws((*self.path, key), self.share, self.some, self.log)

    def named(self, name: str) -> Draws:
        """The same, noted as an operator's that is called ``name``."""
        if self.log is None:
            return self
        rows = None
        if self.some is not None:
            start = self.share.rows(self.some.total).start
            rows = [self.some.every[place] - start for place in self.some.places]
        notes: dict[str, Any] = {}
        self.log.entries.append((name, rows, notes))
        return Draws(self.path, self.share, self.some, self.log, notes)

    def places(self, n: int) -> Sequence[int]:
        """Places of the ``n`` images among those of all processes, which `whole` is of."""
        return (
            range(n * self.share.count)[self.share.rows(n * self.share.count)]
            if (self.some is None)
            else self.some.places
        )

    def whole(self, n: int) -> tuple[Draws, int]:
        """Draws for the images of all processes, of which ``n`` are given here; and their number.

        For what must be the same whichever images are given, as the size of a canvas.
        """
        if self.some is None:
            return Draws(self.path, _WHOLE), n * self.share.count
        every = self.some.every
        some = Some(self.some.total, every, tuple(range(len(every))))
        return Draws(self.path, _WHOLE, some), len(every)

    def only(self, chosen: Sequence[bool], n: int) -> Draws:
        """Draws for some of the images.

        Args:
            chosen: for each of the images of all processes.
            n: the images given here, of which some are chosen.
        """
        every = range(n * self.share.count) if self.some is None else self.some.every
        own = set(self.places(n))
        kept = [place for place, is_chosen in enumerate(chosen) if is_chosen]
        some = Some(
            self._total(n),
            tuple(every[place] for place in kept),
            tuple(new for new, place in enumerate(kept) if place in own),
        )
        return Draws(self.path, self.share, some, self.log, self.notes)

    def _numbers(self, purpose: str, n: int) -> torch.Tensor:
        total = self._total(n)
        numbers = torch.rand(total, generator=self.generator(purpose), dtype=torch.float64)
        return numbers[self._rows(total)]

    def _total(self, n: int) -> int:
        return n * self.share.count if self.some is None else self.some.total

    def _rows(self, total: int, device: torch.device | None = None) -> Any:
        """Index of the images given here in a batch of ``total``."""
        if self.some is None:
            return self.share.rows(total)
        rows = [self.some.every[place] for place in self.some.places]
        return torch.tensor(rows, dtype=torch.long).to(device, non_blocking=True)


_WHOLE = Share()
