"""A user's choices about tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tmd.data.preparing.encoding import FORMATS
from tmd.errors import UserError, check_choice, check_flag, check_number

DUPLICATES = ("keep", "exact", "near")


@dataclass(frozen=True)
class PrepareOptions:
    """Tiles as their user chooses them.

    Attributes:
        tile: side of a tile in pixels; what is smaller is one tile.
        overlap: pixels that a tile shares with the next one. With the side of a training's patch,
            every patch of a photo lies in a tile.
        format: one of `FORMATS`.
        shards: whether tiles are written into tars.
        shard_size: of a tar, in megabytes.
        min_side: photos with a shorter side are left out.
        min_sharpness: photos whose luma's Laplacian, in levels of 255, has a smaller variance are
            left out as blurred.
        min_detail: tiles whose luma, in levels of 255, has a smaller standard deviation are left
            out as flat.
        duplicates: ``exact`` leaves out equal files, ``near`` also what looks the same in another
            size or compression; of several, the largest is kept.
        channels: 3 or 1 for photos of 8 bits; None for 3.
        bands: the bands of each file to take, from 1; None for all.
        scale: between the HR and LR of pairs; tiles and overlaps of HR are multiples of it.
    """

    tile: int = 512
    overlap: int = 96
    format: str = "npy"
    shards: bool = False
    shard_size: float = 500
    min_side: int = 96
    min_sharpness: float = 0
    min_detail: float = 0
    duplicates: str = "keep"
    channels: int | None = None
    bands: Sequence[int] | None = None
    scale: int = 1

    def check(self) -> None:
        """Raise `UserError` for a value that can't be."""
        check_number("tile", self.tile, 16, 1 << 14, integer=True)
        check_number("overlap", self.overlap, 0, integer=True)
        if self.overlap >= self.tile:
            raise UserError(f"overlap={self.overlap}: must be less than tile={self.tile}")
        check_choice("format", self.format, FORMATS)
        check_flag("shards", self.shards)
        check_number("shard_size", self.shard_size, 1)
        check_number("min_side", self.min_side, 1, integer=True)
        check_number("min_sharpness", self.min_sharpness, 0)
        check_number("min_detail", self.min_detail, 0)
        check_choice("duplicates", self.duplicates, DUPLICATES)
        check_number("scale", self.scale, 1, integer=True)
        for key in ("tile", "overlap"):
            if getattr(self, key) % self.scale:
                raise UserError(
                    f"{key}={getattr(self, key)}: must be a multiple of scale={self.scale}"
                )
        if self.channels is not None:
            check_choice("channels", self.channels, (1, 3))
        if self.bands is not None:
            self._check_bands(self.bands)

    def _check_bands(self, bands: Any) -> None:
        if self.channels is not None:
            raise UserError(f"channels={self.channels}, bands={bands}: give one of them")
        if not isinstance(bands, (list, tuple)) or not bands:
            raise UserError(f"bands={bands!r}: must be a list of bands, from 1: [3, 2, 1] say")
        for band in bands:
            check_number("bands", band, 1, integer=True)
