"""JPEG compression."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image

from tmd.images import to_float, to_uint8
from tmd.measurements.draws import Draws
from tmd.measurements.operator import MEASUREMENTS, Operator, Range, checked_range, straight_through


@MEASUREMENTS.register("jpeg")
class Jpeg(Operator):
    """JPEG compression by the real codec; the gradient passes as if it were not there.

    The codec runs on the CPU, so that a batch on a GPU goes there and back.

    Args:
        quality: 1 to 100, or [lowest, highest] to draw it for each image.
    """

    photos_only = True

    def __init__(self, scale: int, quality: Range = (60, 95)) -> None:
        self.quality = checked_range("measurement jpeg quality", quality, minimum=1, maximum=100)

    def __call__(self, x: torch.Tensor, draws: Draws) -> torch.Tensor:
        qualities = draws.uniform("quality", self.quality, len(x)).round().int().tolist()
        coded = [
            _through_jpeg(image, quality)
            for image, quality in zip(to_uint8(x).cpu(), qualities, strict=True)
        ]
        return straight_through(x, to_float(torch.stack(coded)).to(x.device, x.dtype))


def _through_jpeg(image: torch.Tensor, quality: int) -> torch.Tensor:
    file = io.BytesIO()
    pixels = image[0] if len(image) == 1 else image.permute(1, 2, 0)
    Image.fromarray(pixels.numpy()).save(file, format="JPEG", quality=quality)
    coded = torch.from_numpy(np.array(Image.open(file)))
    return coded[None] if len(image) == 1 else coded.permute(2, 0, 1)
