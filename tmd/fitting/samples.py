"""Patches by which a set's degradation is told: of each image some that are flat, some textured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tmd.data.sources import ImageSource
from tmd.errors import UnreachableError, UserError
from tmd.fitting.statistics import grid, patch_statistics

#: Sides of a patch in LR pixels: at most, and at least.
SIDE, LEAST_SIDE = 96, 32
#: Which patches of an image are taken, by their place in the order of contrast: flat ones, others.
PLACES = ((0.08, 0.25), (0.6, 0.8, 0.95))
#: Images that are looked at, of those whose degradation is sought and of HR.
MOST_IMAGES, MOST_HR = 48, 32
#: The fewest whose degradation can be told, as they are cut in halves.
FEWEST = 4
# The side of JPEG's units where colours are at half the size, and of the cells of noise.
_CELL = 16
# Of [0, 1]: where it is darker or brighter, noise is cut off.
_DARKEST, _BRIGHTEST = 0.04, 0.96

#: Of each kind of patch, flat and textured, statistics by group, (images, patches of one, K).
Statistics = list[dict[str, Tensor]]


@dataclass(frozen=True)
class Sample:
    """Statistics of images whose degradation is sought, and patches of HR.

    Attributes:
        target: statistics of the images.
        hr: patches (N, C, scale · side, scale · side) in [0, 1] of HR, of each kind.
        side: of a patch, in LR pixels.
        images, hr_images: how many of each were taken.
    """

    target: Statistics
    hr: list[Tensor]
    side: int
    images: int
    hr_images: int


def take_sample(images: ImageSource, hr: ImageSource, scale: int, key: str) -> Sample:
    """Look at images, evenly spread over each set.

    Args:
        images: their degradation is sought.
        hr: of the same kind; at most an image a patch of which is too small is left out.
        key: of the config with its value, which error messages name.

    Raises:
        UserError: too few of a set can be used.
    """
    chosen = _spread(images, MOST_IMAGES, 1)
    chosen_hr = _spread(hr, MOST_HR, scale)
    side = _common_side([*chosen.values(), *chosen_hr.values()])
    if len(chosen) < FEWEST or side < LEAST_SIDE:
        raise UserError(
            f"{key}: {len(chosen)} of its images have sides of {LEAST_SIDE} pixels and more; "
            f"must be at least {FEWEST}"
        )
    if not chosen_hr:
        raise UserError(
            f"{key}: no HR image has sides of {LEAST_SIDE * scale} pixels and more at scale={scale}"
        )
    patches = [each for each in _each(images, chosen, side, 1, on_grid=True) if each is not None]
    degraded_from = [each for each in _each(hr, chosen_hr, side, scale) if each is not None]
    for found, what in ((patches, "images"), (degraded_from, "HR images")):
        if len(found) < (FEWEST if what == "images" else 1):
            raise UserError(f"{key}: {len(found)} {what} can be used, of which parts are lit")
    target = [
        {group: values.unflatten(0, (len(patches), -1)) for group, values in measured.items()}
        for measured in (patch_statistics(torch.cat([p[kind] for p in patches])) for kind in (0, 1))
    ]
    hr_patches = [torch.cat([p[kind] for p in degraded_from]) for kind in (0, 1)]
    return Sample(target, hr_patches, side, len(patches), len(degraded_from))


def _spread(source: ImageSource, most: int, scale: int) -> dict[int, int]:
    """Numbers of images spread over a set, with the LR side of the smaller one of each."""
    found: dict[int, int] = {}
    for index in np.linspace(0, len(source) - 1, min(most, len(source))).astype(int).tolist():
        try:
            side = min(source.size(index)) // scale
        except UnreachableError:
            raise
        except UserError:  # whoever trains on it is told
            continue
        if side >= LEAST_SIDE:
            found[index] = side
    return found


def _common_side(sides: Sequence[int]) -> int:
    """A side that leaves most images some room for a choice of patches."""
    if not sides:
        return 0
    side = int(0.6 * np.quantile(sides, 0.1))
    return min(max(side // _CELL * _CELL, LEAST_SIDE), SIDE)


def _each(
    source: ImageSource, chosen: dict[int, int], side: int, scale: int, on_grid: bool = False
) -> Iterator[list[Tensor] | None]:
    for index, smaller in chosen.items():
        if smaller < side:
            continue
        try:
            image = source.read(index)
        except UnreachableError:
            raise
        except UserError:
            continue
        image = source.kind.to_float(image)
        if on_grid:
            top, left = grid(image)
            image = image[:, top:, left:]
        yield chosen_patches(image, side, scale)


def chosen_patches(image: Tensor, side: int, scale: int = 1) -> list[Tensor] | None:
    """Flat patches and textured ones of an image, in an order that degrading hardly changes.

    Args:
        image: (C, H, W) in [0, 1].
        side: of a patch, of which ``scale`` times as many pixels are cut.

    Returns:
        (n, C, scale · side, scale · side) for each of `PLACES`; None of an image that is too small,
        or black or white all over.
    """
    cell, across = _CELL * scale, side // _CELL
    cells = F.avg_pool2d(image.mean(0)[None, None].float(), cell)
    if min(cells.shape[-2:]) < across:
        return None
    step = max(1, across // 4)
    mean = F.avg_pool2d(cells, across, step)
    contrast = (F.avg_pool2d(cells.square(), across, step) - mean.square()).flatten()
    usable = ((mean > _DARKEST) & (mean < _BRIGHTEST)).flatten() & (contrast > 1e-8)
    order = [number for number in contrast.argsort().tolist() if usable[number]]
    if not order:
        return None

    def patch(place: float) -> Tensor:
        number = order[round(place * (len(order) - 1))]
        top, left = (cell * step * each for each in divmod(number, mean.shape[-1]))
        return image[:, top : top + scale * side, left : left + scale * side]

    return [torch.stack([patch(place) for place in places]) for places in PLACES]
