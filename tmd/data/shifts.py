"""LR images that lie beside their HR images: told, and moved where that is by whole HR pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from tmd.data.framing import centre
from tmd.data.parts import PartsSource
from tmd.data.storage import in_threads
from tmd.errors import UnreachableError, UserError
from tmd.images import ImageKind
from tmd.resize import imresize, imresize_uint8

#: Pairs that are looked at before training.
LOOKED_AT = 8
#: A shift above it, in LR pixels, is told.
MUCH = 0.5
#: dB from MATLAB's bicubic above which LR is some library's bicubic (Pillow's 53, torch's 54).
OTHER_THAN_BICUBIC = 50.0
#: dB by which LR must be nearer to another reduction for that to be named.
CLEARLY = 6.0

#: Way out of shifts in training.
ALIGN = "; dataset.align=True moves those that lie whole HR pixels beside each other"

# A larger square shows the same shift, and takes longer.
_SIDE = 256
_LEAST_SIDE = 16
_STEPS = 20
# Of a flat image, or of two scenes, no shift is told.
_LEAST_DEVIATION = 0.5 / 255
_LEAST_CORRELATION = 0.5


@dataclass(frozen=True)
class Look:
    """A look at some pairs.

    Attributes:
        names: of the pairs.
        shifts: (n, 2): how far LR lies below and right of HR, in LR pixels; NaN where none is told.
        bicubic: dB between LR and MATLAB's bicubic reduction of HR, the mean over pairs; infinite
            where they are equal.
        others: the same of other reductions, by their names; empty where LR is near MATLAB's.
    """

    names: list[str]
    shifts: np.ndarray
    bicubic: float
    others: dict[str, float] = field(default_factory=dict)

    @property
    def lengths(self) -> np.ndarray:
        """(n,): shifts in whatever direction, in LR pixels."""
        return np.hypot(*self.shifts.T)

    @property
    def nearest(self) -> str:
        """Name of another reduction that LR is as near to as a library's to itself; or nothing."""
        name = max(self.others, key=self.others.__getitem__, default="")
        likely = name and self.others[name] > max(self.bicubic + CLEARLY, OTHER_THAN_BICUBIC - 5)
        return name if likely else ""

    def described(self) -> dict[str, Any]:
        """Numbers for a record."""
        known = self.lengths[np.isfinite(self.lengths)]
        told = self.shifts[np.isfinite(self.lengths)]
        return {
            "looked_at": len(self.names),
            "shift": [round(float(x), 3) for x in np.median(told, axis=0)] if len(known) else None,
            "largest_shift": round(float(known.max()), 3) if len(known) else None,
            "bicubic_db": round(self.bicubic, 2) if math.isfinite(self.bicubic) else None,
            "reduced_by": self.nearest or None,
        }

    def warning(self, way: str = ALIGN) -> str:
        """One line on shifts that are much, and the ``way`` out; empty: none are."""
        beyond = np.flatnonzero(self.lengths > MUCH)
        if not len(beyond):
            return ""
        worst = int(beyond[np.argmax(self.lengths[beyond])])
        down, right = self.shifts[worst]
        return (
            f"{len(beyond)} of {len(self.names)} pairs that were looked at are shifted by more "
            f"than {MUCH:g} LR pixels: {self.names[worst]} by {down:+.2f} down and {right:+.2f} "
            f"right{way}"
        )

    def note(self, scale: int) -> str:
        """One line on LR that is not MATLAB's bicubic; empty: it is, or as near as a library's."""
        if scale == 1 or self.bicubic >= OTHER_THAN_BICUBIC:
            return ""
        said = (
            f"the given LR is not MATLAB's bicubic of HR: {self.bicubic:.1f} dB from it, "
            f"the mean of {len(self.names)} pairs"
        )
        if nearest := self.nearest:
            said += f"; it looks like {nearest} ({min(self.others[nearest], 99):.0f} dB)"
        return f"{said}. A network that learnt from another bicubic can lose 8 dB on it"


def look_at_pairs(lr: PartsSource, hr: PartsSource, scale: int) -> Look:
    """Look at some of the pairs: `LOOKED_AT` of them, evenly spread; bad files are passed over."""
    chosen = np.unique(np.linspace(0, len(hr) - 1, min(LOOKED_AT, len(hr))).astype(int)).tolist()

    def look(row: int) -> tuple[str, np.ndarray, dict[str, float]] | None:
        try:
            small, large = lr.read(row), hr.read(row)
        except UnreachableError:
            raise
        except UserError:
            return None
        made = reduced(large, scale, lr.kind)
        ours, theirs = lr.kind.to_float(made), lr.kind.to_float(small)
        candidates = {"": ours}
        if _decibel(_error(ours, theirs)) < OTHER_THAN_BICUBIC and scale > 1:
            candidates |= other_reductions(lr.kind.to_float(large), scale)
        errors = {name: _error(image, theirs) for name, image in candidates.items()}
        return lr.label(row), shift(theirs, ours), errors

    looks = in_threads(lambda i: look(chosen[i]), range(len(chosen)), "Looking at pairs")
    found = [each for each in looks if each is not None]
    errors = [each for _, _, each in found]
    common = set.intersection(*map(set, errors)) if errors else set()
    decibel = {key: _decibel(float(np.mean([e[key] for e in errors]))) for key in common}
    return Look(
        [name for name, _, _ in found],
        np.array([moved for _, moved, _ in found]).reshape(-1, 2),
        decibel.pop("", math.inf),
        decibel,
    )


def other_reductions(hr: Tensor, scale: int) -> dict[str, Tensor]:
    """LR (C, h, w) of HR (C, H, W) in [0, 1] as programs make it by other filters than MATLAB."""
    height, width = (side // scale for side in hr.shape[-2:])
    whole = hr[None, :, : height * scale, : width * scale]

    def interpolated(mode: str, antialias: bool) -> Tensor:
        made = F.interpolate(whole, (height, width), mode=mode, antialias=antialias)
        return made[0].clamp(0, 1)

    blocks = whole.reshape(1, -1, height, scale, width, scale)
    return {
        "OpenCV's INTER_CUBIC, or torch's bicubic without antialias": interpolated(
            "bicubic", False
        ),
        "OpenCV's INTER_LINEAR, or torch's bilinear without antialias": interpolated(
            "bilinear", False
        ),
        "Pillow's BILINEAR": interpolated("bilinear", True),
        "Pillow's LANCZOS": _by_pillow(whole[0], (width, height)),
        f"the mean of {scale}×{scale} pixels (OpenCV's INTER_AREA)": blocks.mean((3, 5))[0],
        f"one pixel of {scale}×{scale}, without a filter": blocks[0, :, :, 0, :, 0],
    }


def _by_pillow(hr: Tensor, size: tuple[int, int]) -> Tensor:
    bands = (Image.fromarray(band.float().numpy()) for band in hr)
    made = [np.asarray(band.resize(size, Image.Resampling.LANCZOS)) for band in bands]
    return torch.from_numpy(np.stack(made)).clamp(0, 1)


def _error(one: Tensor, other: Tensor) -> float:
    return float((one - other).double().square().mean())


def _decibel(error: float) -> float:
    return -10 * math.log10(error) if error else math.inf


def aligned(
    lr: PartsSource, hr: PartsSource, scale: int
) -> tuple[PartsSource, PartsSource, dict[str, Any]]:
    """Both sides, moved by the whole HR pixels that LR lies beside HR, and a record of it.

    Every pair is read once. What lies outside of the other image is cut off.
    """

    def moved(row: int) -> tuple[int, int]:
        try:
            small, large = lr.read(row), hr.read(row)
        except UnreachableError:
            raise
        except UserError:
            return 0, 0
        kind = lr.kind
        found = shift(kind.to_float(small), kind.to_float(reduced(large, scale, kind)))
        if not np.isfinite(found).all():
            return 0, 0
        down, right = np.rint(found * scale).astype(int).tolist()
        return down, right

    moves = list(in_threads(moved, range(len(hr)), "Aligning pairs"))
    windows = np.zeros((len(hr), 2, 4), dtype=np.int32)
    for row, move in enumerate(moves):
        try:
            sizes = lr.size(row), hr.size(row)
        except UnreachableError:
            raise
        except UserError:
            continue
        windows[row] = overlap(*sizes, move, scale)
    largest = max((math.hypot(*move) for move in moves), default=0.0)
    record = {
        "moved": sum(any(move) for move in moves),
        "largest_move": round(largest / scale, 3),
    }
    return lr.within(windows[:, 0]), hr.within(windows[:, 1]), record


def overlap(
    lr: tuple[int, int], hr: tuple[int, int], move: tuple[int, int], scale: int
) -> list[list[int]]:
    """Rectangles (top, left, height, width) of LR and HR that show the same.

    Args:
        lr, hr: sizes.
        move: HR pixels that LR lies below and right of HR.

    >>> overlap((8, 8), (16, 16), (3, -1), 2)
    [[2, 0, 6, 7], [1, 1, 12, 14]]
    """
    corners, sizes = [], []
    for small, large, far in zip(lr, hr, move, strict=True):
        first = max(0, -(-far // scale))
        begin = scale * first - far
        corners.append((first, begin))
        sizes.append(max(0, min(small - first, (large - begin) // scale)))
    (top, hr_top), (left, hr_left) = corners
    return [
        [top, left, *sizes],
        [hr_top, hr_left, *(scale * side for side in sizes)],
    ]


def reduced(hr: Tensor, scale: int, kind: ImageKind) -> Tensor:
    """LR as MATLAB's bicubic makes it of ``hr`` (C, H, W), both in the numbers of ``kind``."""
    size = (hr.shape[-2] // scale, hr.shape[-1] // scale)
    if hr.dtype == torch.uint8:
        return imresize_uint8(hr, size)
    return kind.to_native(imresize(kind.to_float(hr)[None], size)[0])


def shift(lr: Tensor, made: Tensor) -> np.ndarray:
    """(2,): pixels that ``lr`` lies below and right of ``made``; NaN where that can't be told.

    By the peak of their cross-correlation (Guizar-Sicairos et al., 2008), to a twentieth.

    Args:
        lr, made: (C, h, w) of one size.
    """
    # A second, and seldom needed.
    from scipy import ndimage
    from skimage.registration import phase_cross_correlation

    unknown = np.full(2, np.nan)
    images = [centre(x.double().numpy(), (_SIDE, _SIDE)).mean(0) for x in (made, lr)]
    if min(images[0].shape) < _LEAST_SIDE or min(x.std() for x in images) < _LEAST_DEVIATION:
        return unknown
    window = np.outer(*(np.hanning(side + 2)[1:-1] for side in images[0].shape))
    fixed, moving = ((x - x.mean()) * window for x in images)
    # Whitened, the spectrum would weigh noise and what blurring took as much as the content.
    found, _, _ = phase_cross_correlation(fixed, moving, upsample_factor=_STEPS, normalization=None)
    there = _correlation(images[1], ndimage.shift(images[0], -found, order=1, mode="nearest"))
    if there < max(_LEAST_CORRELATION, _correlation(images[1], images[0]) - 0.01):
        return unknown
    return -found


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])
