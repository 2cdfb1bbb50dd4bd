"""Images of any bands and bits as pictures: the bands that are shown, stretched to be seen."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tmd.images import ImageKind

#: Shares of the pixels that a stretched picture shows as black and as white.
ENDS = (0.005, 0.995)
# `torch.quantile` takes no more.
_MOST_NUMBERS = 1 << 24


def views(kind: ImageKind, reference: Tensor, images: Sequence[Tensor]) -> list[Tensor]:
    """The images as pictures (1 or 3, H, W) in [0, 1], all in the same brightness.

    Photos of 8 bits stay as they are. Of others, whose numbers seldom fill their range, the bands
    that are shown are stretched so that the reference goes from black to white.

    Args:
        kind: of the images.
        reference: (C, H, W), what the brightness is taken from.
        images: (C, H, W) each.
    """
    if kind.is_photo and kind.is_eight_bit:
        return list(images)
    low, span = brightness(kind, reference)
    return [kind.visible(image).sub(low).div(span).clamp(0, 1) for image in images]


def brightness(kind: ImageKind, reference: Tensor) -> tuple[float, float]:
    """Value in the library that `views` shows as black, and how far above it white is."""
    if kind.is_photo and kind.is_eight_bit:
        return 0.0, 1.0
    numbers = kind.visible(reference).flatten().float()
    numbers = numbers[:: numbers.numel() // _MOST_NUMBERS + 1]
    ends = torch.tensor(ENDS, device=numbers.device)
    low, high = torch.quantile(numbers, ends).tolist()
    return low, max(high - low, kind.step)
