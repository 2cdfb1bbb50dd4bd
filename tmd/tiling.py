"""Tiles of an image, and the context that each needs to be what the whole image would have given.

Where a network's reach is finite the rule is exact: a tile's window is larger by the reach and
begins and ends on the network's grid of windows, or where the image does. Where every pixel may
count, the windows overlap by as much as leaves neighbours less than a level of 8 bits apart where
they meet, found on the image itself, and their results fade into each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tmd.models.contract import contract_of

LEVEL = 1 / 255
OVERLAPS = (16, 32, 64, 128)  # tried in turn where the reach is not finite


def least_tile(multiple: int) -> int:
    """Side in LR pixels of the smallest tile of a network that sees the whole image."""
    return 4 * (OVERLAPS[0] + multiple)


#: SR of a window of LR.
Forward = Callable[[Tensor], Tensor]


class Window(NamedTuple):
    """One axis of a tile, in LR pixels: ``start:stop`` is kept of what ``first:last`` gives."""

    start: int
    stop: int
    first: int
    last: int


class Tile(NamedTuple):
    """A finished piece of the result: its place in SR pixels and its values (N, C, h, w)."""

    top: int
    left: int
    sr: Tensor


class TileRule(NamedTuple):
    """Context of a tile.

    Attributes:
        overlap: LR pixels that a window has more than its tile, to each side.
        multiple: side in LR pixels of the grid on which windows begin and end.
        seam: largest difference of neighbouring tiles where they meet, in levels of 8 bits, on the
            image that was looked at; 0: exact, no pixel differs from the whole image's.
    """

    overlap: int
    multiple: int = 1
    seam: float = 0.0

    @property
    def said(self) -> str:
        """The rule for people."""
        if not self.seam:
            return f"tiles see {self.overlap} pixels beyond their sides: as the whole image"
        return (
            f"this network sees the whole image at once: tiles overlap by {2 * self.overlap} "
            f"pixels, over which they fade into each other; where they meet they differ by "
            f"{self.seam:.2f} levels of 255 at most"
        )


def windows(length: int, tile: int, overlap: int, multiple: int = 1) -> list[Window]:
    """Cut ``length`` pixels into near-equal parts of at most ``tile``, each with its context.

    Args:
        overlap: pixels of context to each side.
        multiple: windows are extended so that they begin and end at a multiple of it, or with the
            image.

    Example:
        >>> windows(10, 5, 2)
        [Window(start=0, stop=5, first=0, last=7), Window(start=5, stop=10, first=3, last=10)]
        >>> windows(32, 16, 2, multiple=8)[1]
        Window(start=16, stop=32, first=8, last=32)
    """
    count = math.ceil(length / tile)
    edges = [length * i // count for i in range(count + 1)]
    return [
        Window(
            start,
            stop,
            max((start - overlap) // multiple * multiple, 0),
            min(-(-(stop + overlap) // multiple) * multiple, length),
        )
        for start, stop in pairwise(edges)
    ]


def grid_of(generator: nn.Module) -> int:
    """Side in LR pixels of the grid that the generator works on."""
    return contract_of(generator).multiple


def kept_tiles(
    lr: Tensor, forward: Forward, scale: int, rows: Sequence[Window], columns: Sequence[Window]
) -> Iterator[Tile]:
    """The tiles of an image, each cut from its window's SR."""
    for down in rows:
        for across in columns:
            sr = forward(lr[..., down.first : down.last, across.first : across.last])
            top, left = scale * (down.start - down.first), scale * (across.start - across.first)
            kept = sr[
                ...,
                top : top + scale * (down.stop - down.start),
                left : left + scale * (across.stop - across.start),
            ]
            yield Tile(scale * down.start, scale * across.start, kept)


class Seams:
    """Largest difference of neighbouring windows where their tiles meet, as they come."""

    def __init__(self) -> None:
        self.levels = 0.0
        self._before: Tensor | None = None
        self._above: dict[int, Tensor] = {}

    def see(self, sr: Tensor, down: Window, across: Window, scale: int) -> None:
        """Compare a window's SR with the one before and the one above, seen earlier."""
        top, left = scale * (down.start - down.first), scale * (across.start - across.first)
        bottom, right = scale * (down.stop - down.first), scale * (across.stop - across.first)
        if across.start and self._before is not None:
            self._compare(self._before, sr[..., top:bottom, left - 1 : left + 1])
        if down.start and across.start in self._above:
            self._compare(self._above[across.start], sr[..., top - 1 : top + 1, left:right])
        self._before = sr[..., top:bottom, right - 1 : right + 1].clone()
        self._above[across.start] = sr[..., bottom - 1 : bottom + 1, left:right].clone()

    def _compare(self, one: Tensor, other: Tensor) -> None:
        self.levels = max(self.levels, float((one - other).abs().max()) / LEVEL)


def blended_tiles(
    lr: Tensor,
    forward: Forward,
    scale: int,
    rows: Sequence[Window],
    columns: Sequence[Window],
    seams: Seams,
) -> Iterator[Tile]:
    """Tiles that fade into each other where their windows overlap, a row of them at a time.

    Args:
        seams: sees every window.
    """
    width = scale * columns[-1].last
    carried: Tensor | None = None  # rows that the next row of windows adds to
    for number, down in enumerate(rows):
        band: Tensor | None = None
        for place, across in enumerate(columns):
            sr = forward(lr[..., down.first : down.last, across.first : across.last]).float()
            seams.see(sr, down, across, scale)
            if band is None:
                band = sr.new_zeros((*sr.shape[:-1], width))
            sr = sr * _fading(rows, number, scale).to(sr)[:, None]
            sr = sr * _fading(columns, place, scale).to(sr)
            band[..., scale * across.first : scale * across.last] += sr
        assert band is not None
        if carried is not None:
            band[..., : carried.shape[-2], :] += carried
        last = number + 1 == len(rows)
        finished = scale * ((down.last if last else rows[number + 1].first) - down.first)
        carried = band[..., finished:, :].clone()
        edges = [*(scale * each.start for each in columns), width]
        for left, right in pairwise(edges):
            yield Tile(scale * down.first, left, band[..., :finished, left:right])


def _fading(axis: Sequence[Window], number: int, scale: int) -> Tensor:
    """Weight of each SR position of a window along an axis; over all windows they sum to one."""
    first, last = axis[number].first, axis[number].last
    weights = torch.ones(scale * (last - first))
    if number and (shared := scale * (axis[number - 1].last - first)) > 0:
        weights[:shared] = _ramp(shared)
    if number + 1 < len(axis) and (shared := scale * (last - axis[number + 1].first)) > 0:
        weights[-shared:] *= 1 - _ramp(shared)
    return weights


def _ramp(length: int) -> Tensor:
    """From 0 to 1 over the middle half: beside them, windows know their neighbourhood least."""
    return (2 * (torch.arange(length) + 0.5) / length - 0.5).clamp(0, 1)


def chosen_rule(lr: Tensor, forward: Forward, scale: int, tile: int, multiple: int) -> TileRule:
    """The least overlap of `OVERLAPS` that leaves less than a level of 8 bits between neighbours.

    Looks at the two tiles that meet in the middle of the image's longer side. Where none does, the
    largest that the image has room for.

    Args:
        lr: (N, C, H, W), of which one side at least is longer than ``tile``.
        tile: side of the tiles in LR pixels.
    """
    along = -1 if lr.shape[-1] >= lr.shape[-2] else -2
    length, breadth = lr.shape[along], lr.shape[-3 - along]
    top = max((breadth - tile) // 2, 0) // multiple * multiple
    strip = lr.narrow(-3 - along, top, min(tile, breadth))
    least = min(each // math.ceil(each / tile) for each in (length, breadth) if each > tile)
    # Three windows never overlap, so that two weights sum to one.
    fitting = [each for each in OVERLAPS if 2 * (each + multiple) <= least]
    rule = TileRule(OVERLAPS[0], multiple, math.inf)
    for overlap in fitting or OVERLAPS[:1]:
        axis = windows(length, tile, overlap, multiple)
        number = len(axis) // 2
        one, other = axis[number - 1], axis[number]
        meeting = scale * other.start
        beside = []
        for window in (one, other):
            sr = forward(strip.narrow(along, window.first, window.last - window.first))
            beside.append(sr.narrow(along, meeting - scale * window.first - 1, 2))
        seam = float((beside[0] - beside[1]).abs().max()) / LEVEL
        rule = TileRule(overlap, multiple, seam)
        if seam < 1 or (one.first == 0 and other.last == length):
            break
    return rule
