"""HR beside what a measurement makes of it, with what was drawn under each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from tmd.figures.drawing import Picture, Row, draw_rows
from tmd.figures.views import views
from tmd.images import EIGHT_BITS, ImageKind

#: What one operator drew for one image.
Drawn = tuple[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Degraded:
    """An image and several LR images of it.

    Attributes:
        name: its title.
        hr: (C, H, W) in [0, 1].
        lr: (C, H / scale, W / scale) each.
        drawn: of each of ``lr``, in the order in which the operators acted.
    """

    name: str
    hr: Tensor
    lr: Sequence[Tensor]
    drawn: Sequence[Sequence[Drawn]]


def degraded_sheet(
    images: Sequence[Degraded], cell: int, kind: ImageKind = EIGHT_BITS
) -> Image.Image:
    """A row for each image: HR, and its LR with every pixel as a square of HR's size.

    Args:
        images: whose sides are at most ``cell``.
        cell: width of a column in pixels.
    """
    rows = []
    for image in images:
        hr, *small = views(kind, image.hr, [image.hr, *image.lr])
        pictures = [Picture(hr, "HR", _size(image.hr))]
        for number, (lr, shown, drawn) in enumerate(
            zip(image.lr, small, image.drawn, strict=True), start=1
        ):
            large = F.interpolate(shown[None], tuple(hr.shape[-2:]), mode="nearest-exact")[0]
            pictures.append(Picture(large, f"LR {number}", _size(lr), below=in_words(drawn)))
        rows.append(Row(pictures, title=image.name))
    return draw_rows(rows, cell)


def in_words(drawn: Sequence[Drawn]) -> list[str]:
    """A text for each operator that drew something, or is known by its name alone.

    >>> in_words([("blur", {"sigma": 1.2345}), ("decimate", {}), ("quantize", {})])
    ['blur: sigma 1.23', 'decimate']
    """
    texts = []
    for name, values in drawn:
        said = ", ".join(f"{key} {_number(value)}" for key, value in values.items())
        if said or name != "quantize":
            texts.append(f"{name}: {said}" if said else name)
    return texts


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, (list, tuple)):
        return "×".join(map(_number, value))
    return str(value)


def _size(image: Tensor) -> str:
    return f"{image.shape[-1]} × {image.shape[-2]}"
