"""Content of an image file: photos, and images of instruments."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from tmd.images import ImageKind
from tmd.images.encoding import PLAIN, Look
from tmd.images.geo import PLACING


@dataclass(frozen=True)
class Photo:
    """An image file's content, upright.

    Attributes:
        pixels: (C, H, W), uint8, uint16 or float32; of a photo C = 1 grey, 2 grey and alpha, 3 RGB,
            4 RGB and alpha. Where there is no data, it is that band's nearest.
        icc: the colour profile of the pixels.
        exif: the camera's data without the orientation, which the pixels now have, and without
            anything else of the old file's geometry.
        frames: how many the file has; the pixels are the first.
        chunks: (kind, data) of a PNG's chunks that say how the levels are meant and how large the
            pixels are, see `tmd.images.png.COLOUR`.
        left_out: what else is in the file, in words.
        bands: the channels are an instrument's; none of them is alpha.
        value_range: the numbers that stand for 0 and 1; None: all levels, or 0 and 1 of floats.
        look: what a TIFF is written with: georeference, words, the bands' meaning.
        nodata: the number that stands for no data.
        empty: (C, H, W), bool: places without data; None where there are none.
        axes: of an array, "HW", "HWC" or "CHW".
        stack: the array has an axis for images, too.
        type: of the file's numbers where the pixels have another.
    """

    pixels: Tensor
    icc: bytes | None = None
    exif: bytes | None = None
    frames: int = 1
    chunks: tuple[tuple[bytes, bytes], ...] = ()
    left_out: tuple[str, ...] = ()
    bands: bool = False
    value_range: tuple[float, float] | None = None
    look: Look = PLAIN
    nodata: float | None = None
    empty: Tensor | None = None
    axes: str = ""
    stack: bool = False
    type: str = ""

    @property
    def has_alpha(self) -> bool:
        """True where the last channel is transparency."""
        return not self.bands and len(self.pixels) in (2, 4)

    @property
    def is_placed(self) -> bool:
        """True where the file says where on Earth the pixels lie."""
        return any(tag.code in PLACING for tag in self.look.tags)

    @property
    def dtype(self) -> str:
        """The type of the pixels, as in `tmd.images.ImageKind`."""
        return str(self.pixels.dtype).removeprefix("torch.")

    @property
    def kind(self) -> ImageKind:
        """Bands, type and range of the pixels."""
        kind = ImageKind.of_dtype(len(self.pixels), self.dtype)
        return (
            kind
            if self.value_range is None
            else ImageKind(kind.channels, kind.dtype, self.value_range)
        )
