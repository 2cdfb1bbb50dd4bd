"""Bayer's pattern, and the colours between its pixels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

#: Colours of the upper left, upper right, lower left and lower right pixel.
PATTERNS = ("RGGB", "BGGR", "GRBG", "GBRG")

_CHANNELS = "RGB"

# Of 5 × 5 neighbours, times 8: green at red and blue; a colour of the row's neighbours at green; of
# the column's; red at blue and blue at red. Malvar, He and Cutler 2004, figure 2.
_MALVAR_GREEN = (
    (0, 0, -1, 0, 0),
    (0, 0, 2, 0, 0),
    (-1, 2, 4, 2, -1),
    (0, 0, 2, 0, 0),
    (0, 0, -1, 0, 0),
)
_MALVAR_ROW = (
    (0, 0, 0.5, 0, 0),
    (0, -1, 0, -1, 0),
    (-1, 4, 5, 4, -1),
    (0, -1, 0, -1, 0),
    (0, 0, 0.5, 0, 0),
)
_MALVAR_OTHER = (
    (0, 0, -1.5, 0, 0),
    (0, 2, 0, 2, 0),
    (-1.5, 0, 6, 0, -1.5),
    (0, 2, 0, 2, 0),
    (0, 0, -1.5, 0, 0),
)
_NONE = (0, 0, 0, 0, 0)
_BILINEAR_GREEN = (_NONE, (0, 0, 2, 0, 0), (0, 2, 0, 2, 0), (0, 0, 2, 0, 0), _NONE)
_BILINEAR_ROW = (_NONE, _NONE, (0, 4, 0, 4, 0), _NONE, _NONE)
_BILINEAR_OTHER = (_NONE, (0, 2, 0, 2, 0), _NONE, (0, 2, 0, 2, 0), _NONE)
_ITSELF = (_NONE, _NONE, (0, 0, 8, 0, 0), _NONE, _NONE)

Filters = tuple[tuple[tuple[float, ...], ...], ...]


def _filters(green: tuple, row: tuple, other: tuple) -> Filters:
    return (_ITSELF, green, row, tuple(zip(*row, strict=True)), other)


#: Filters by name: the pixel itself, green, of the row, of the column, of the other colour.
DEMOSAICINGS: dict[str, Filters] = {
    "malvar": _filters(_MALVAR_GREEN, _MALVAR_ROW, _MALVAR_OTHER),
    "bilinear": _filters(_BILINEAR_GREEN, _BILINEAR_ROW, _BILINEAR_OTHER),
}


def mosaic(x: Tensor, pattern: str) -> Tensor:
    """The one colour of each pixel, (N, 1, H, W) of (N, 3, H, W)."""
    single = torch.empty_like(x[:, :1])
    for place, colour in enumerate(pattern):
        top, left = divmod(place, 2)
        channel = _CHANNELS.index(colour)
        single[:, 0, top::2, left::2] = x[:, channel, top::2, left::2]
    return single


def demosaiced(single: Tensor, pattern: str, filters: Filters) -> Tensor:
    """All colours of all pixels but two at each border, (N, 3, H - 4, W - 4) of (N, 1, H, W).

    Args:
        filters: of `DEMOSAICINGS`.
    """
    weights = single.new_tensor(filters)[:, None] / 8
    with torch.autocast(single.device.type, enabled=False):
        found = F.conv2d(single, weights)
    colours = torch.empty_like(found[:, :3])
    for place, own in enumerate(pattern):
        # Two pixels are left out, a whole period.
        top, left = divmod(place, 2)
        row = pattern[2 * top + 1 - left]
        for channel, colour in enumerate(_CHANNELS):
            if colour == own:
                kind = 0
            elif colour == "G":
                kind = 1
            elif own != "G":
                kind = 4
            else:
                kind = 2 if row == colour else 3
            colours[:, channel, top::2, left::2] = found[:, kind, top::2, left::2]
    return colours
