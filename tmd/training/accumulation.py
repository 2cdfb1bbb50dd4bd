"""An update of several batches that never are on the device's memory together: that of one batch.

Its parts are batches of equal size, and a loss is the mean over images. What a network changes in
itself by being used (`standing`) changes once an update, and a loss that compares images with each
other is taken of all parts (`linearised`): so the update is that of a batch that holds all images,
to rounding. Batch normalisation is the exception: its statistics are each part's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tmd.acceleration.recompute import standing

__all__ = ["standing"]

#: (LR, HR): (N, C, h, w) and (N, C, scale·h, scale·w), float in [0, 1], on the networks' device.
Batch = tuple[Tensor, Tensor]
#: What an update is of: a batch, or several of equal size that stand for one.
Group = Batch | Sequence[Batch]


def parts_of(group: Group) -> list[Batch]:
    """Batches that an update is of."""
    return [group] if isinstance(group[0], Tensor) else list(group)  # type: ignore[list-item, arg-type]


def joined(function: Callable[[Tensor], Tensor], images: Sequence[Tensor]) -> Sequence[Tensor]:
    """A function of a whole batch (N, C, H, W), of its parts and cut as they are."""
    if len(images) == 1:
        return [function(images[0])]
    return function(torch.cat(list(images))).split([len(each) for each in images])


def linearised(
    function: Callable[..., Tensor], logits: Sequence[tuple[Tensor, ...]]
) -> list[Callable[..., Tensor]]:
    """Shares of each part in a loss that compares all images with each other.

    Args:
        function: logits, of as many kinds as a part has, of all images -> scalar.
        logits: each part's, without their graph.

    Returns:
        By part, the same logits with their graph -> a scalar. Its value is that of ``function`` of
        all, and so is, of the mean over the parts, the gradient.
    """
    columns = [torch.cat(kind).requires_grad_() for kind in zip(*logits, strict=True)]
    with torch.enable_grad():
        value = function(*columns)
    slopes = torch.autograd.grad(value, columns, allow_unused=True)
    by_kind = [
        [None] * len(logits) if slope is None else slope.split([len(part[kind]) for part in logits])
        for kind, slope in enumerate(slopes)
    ]

    def share(part: int) -> Callable[..., Tensor]:
        def of(*given: Tensor) -> Tensor:
            total = value.detach()
            for kind, each in enumerate(given):
                slope = by_kind[kind][part]
                if slope is not None:
                    total = total + len(logits) * (slope * (each - each.detach())).sum()
            return total

        return of

    return [share(part) for part in range(len(logits))]


class Averages:
    """Means, over the parts of an update, of the scalars that it logs."""

    def __init__(self) -> None:
        self.rows: list[Mapping[str, Tensor]] = []

    def add(self, row: Mapping[str, Tensor]) -> None:
        """Take in the scalars of a part."""
        self.rows.append(row)

    def means(self) -> dict[str, Tensor]:
        """By name; of a single part, its own."""
        if len(self.rows) < 2:
            return dict(self.rows[0]) if self.rows else {}
        return {
            name: torch.stack([row[name] for row in self.rows]).mean(0) for name in self.rows[0]
        }


class OfPart:
    """An adversarial loss as one part of a batch has it; see `linearised`."""

    def __init__(self, whole: Any, **functions: Callable[..., Tensor]) -> None:
        self.generator_needs_real = whole.generator_needs_real
        self.penalty = whole.penalty
        self.discriminator = functions.get("discriminator", whole.discriminator)
        self.generator = functions.get("generator", whole.generator)
