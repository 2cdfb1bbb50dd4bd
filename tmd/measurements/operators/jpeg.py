"""Compression: JPEG and WebP."""

from __future__ import annotations

import functools
import io
from typing import Any

import numpy as np
import torch
from PIL import Image

from tmd.errors import check_choice
from tmd.images import to_float, to_uint8
from tmd.measurements.canvas import Canvas
from tmd.measurements.draws import Draws
from tmd.measurements.jpeg_codec import through_jpeg
from tmd.measurements.operator import MEASUREMENTS, Operator, Range, checked_range, straight_through

#: How chroma is stored, as Pillow numbers it.
_SUBSAMPLING = {"4:4:4": 0, "4:2:0": 2}


class Compression(Operator):
    """Compression by Pillow's codec; the gradient passes as if it were not there.

    The codec runs on the CPU, so that a batch on a GPU goes there and back.
    """

    photos_only = True
    file_format = ""

    def __init__(self, quality: Range) -> None:
        self.quality = checked_range(
            f"measurement {self.file_format} quality", quality, minimum=1, maximum=100
        )

    def __call__(self, x: torch.Tensor, draws: Draws) -> torch.Tensor:
        return self.on_canvas(Canvas(x), draws).pixels

    def on_canvas(self, canvas: Canvas, draws: Draws) -> Canvas:
        quality = draws.uniform("quality", self.quality, len(canvas)).round()
        draws.note("quality", quality.int().tolist())
        return canvas.with_pixels(self.coded(canvas, quality)).replicated()

    def coded(self, canvas: Canvas, quality: torch.Tensor) -> torch.Tensor:
        """The canvas' pixels, each image after its own ``quality`` (N,)."""
        x = canvas.pixels
        levels = to_uint8(x).cpu()
        for image, (height, width), each in zip(
            levels, canvas.own_sizes(), quality.int().tolist(), strict=True
        ):
            part = image[:, :height, :width]
            part.copy_(self._through_file(part, each))
        return straight_through(x, to_float(levels).to(x.device, x.dtype))

    def _through_file(self, image: torch.Tensor, quality: int) -> torch.Tensor:
        file = io.BytesIO()
        pixels = image[0] if len(image) == 1 else image.permute(1, 2, 0)
        whole = Image.fromarray(np.ascontiguousarray(pixels))
        whole.save(file, self.file_format, quality=quality, **self.options())
        coded = torch.from_numpy(np.array(Image.open(file)))
        return coded[None] if coded.ndim == 2 else coded.permute(2, 0, 1)[: len(image)]

    def options(self) -> dict[str, int]:
        """Further options of Pillow's ``save``."""
        return {}


@MEASUREMENTS.register("jpeg")
class Jpeg(Compression):
    """JPEG compression, whole: colours, cosine transform, tables by quality, and back.

    Args:
        quality: 1 to 100, or [lowest, highest] to draw it for each image.
        codec: ``pillow``, the real one on the CPU; ``device``, the same in tensors on the batch's
            device, of which fewer than one value in 100,000 differs, by one level; ``auto``, the
            faster: for a batch on the CPU torchvision's libjpeg where it has one, which gives
            Pillow's very levels in a third of its time, else the device's. The gradient passes the
            real codec as if it were not there, and the roundings of the device's.
        subsampling: of chroma, ``4:2:0`` or ``4:4:4``.
    """

    file_format = "jpeg"

    def __init__(
        self,
        scale: int,
        quality: Range = (60, 95),
        codec: str = "pillow",
        subsampling: str = "4:2:0",
    ) -> None:
        super().__init__(quality)
        check_choice("measurement jpeg codec", codec, ("pillow", "device", "auto"))
        check_choice("measurement jpeg subsampling", subsampling, tuple(_SUBSAMPLING))
        self.codec = codec
        self.subsampling = subsampling

    def coded(self, canvas: Canvas, quality: torch.Tensor) -> torch.Tensor:
        on_cpu = canvas.pixels.device.type == "cpu"
        if self.codec == "pillow" or (self.codec == "auto" and on_cpu):
            return super().coded(canvas, quality)
        canvas = canvas.replicated()
        return through_jpeg(canvas.pixels, quality, canvas.sizes, self.subsampling == "4:2:0")

    def _through_file(self, image: torch.Tensor, quality: int) -> torch.Tensor:
        codec = _torchvisions() if self.codec == "auto" else None
        if codec is not None and self.subsampling == "4:2:0":
            return codec.decode_jpeg(codec.encode_jpeg(image.contiguous(), quality), 0, False)
        return super()._through_file(image, quality)

    def options(self) -> dict[str, int]:
        return {"subsampling": _SUBSAMPLING[self.subsampling]}


@functools.cache
def _torchvisions() -> Any:
    """Operations that code JPEG in torchvision, which is to lose them; None: it has none."""
    import torchvision.io  # noqa: F401  # which registers them, and takes a while

    return torch.ops.image if hasattr(torch.ops.image, "encode_jpeg") else None


@MEASUREMENTS.register("webp")
class WebP(Compression):
    """Lossy WebP compression by Pillow's codec; the gradient passes as if it were not there.

    Grey images are coded as grey RGB, as WebP has it, and the first channel is taken.

    Args:
        quality: 1 to 100, or [lowest, highest] to draw it for each image.
    """

    file_format = "webp"

    def __init__(self, scale: int, quality: Range = (60, 95)) -> None:
        super().__init__(quality)
