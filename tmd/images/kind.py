"""The kind of the images of a set: bands, bits, and the values that stand for 0 and 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

#: The types that the numbers of a file may have, and the highest level of those that are counted.
DTYPES: dict[str, int | None] = {"uint8": 255, "uint16": 65535, "float32": None}


@dataclass(frozen=True)
class ImageKind:
    """The meaning of an image's numbers, the same for all images of a set.

    Attributes:
        channels: of an image in memory.
        dtype: ``uint8``, ``uint16`` or ``float32``, in memory and in files.
        value_range: the values of ``dtype`` that stand for 0 and 1 in the library; unless they are
            given, the lowest and the highest level, of floats 0 and 1.
        bands: which bands of a file are the channels, counted from 1; None: all, in order.
        shown: which of the file's bands a person sees, and networks that know photos; None: the
            first three channels, or the first where there are fewer.

    Example:
        >>> ImageKind(1, "uint16").to_float(torch.tensor([65535], dtype=torch.uint16))
        tensor([1.])
    """

    channels: int = 3
    dtype: str = "uint8"
    value_range: tuple[float, float] = ()  # type: ignore[assignment]  # see __post_init__
    bands: tuple[int, ...] | None = None
    shown: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not self.value_range:
            object.__setattr__(self, "value_range", (0, DTYPES[self.dtype] or 1))

    @classmethod
    def of_dtype(cls, channels: int, dtype: str, bands: tuple[int, ...] | None = None) -> ImageKind:
        """The kind whose range is all levels of the type; [0, 1] for floats."""
        return cls(channels, dtype, bands=bands)

    @classmethod
    def of(cls, kind: ImageKind | int) -> ImageKind:
        """``kind`` itself, or that of 8 bits in so many channels."""
        return kind if isinstance(kind, ImageKind) else cls(kind)

    @property
    def torch_dtype(self) -> torch.dtype:
        """The type of a tensor of such images."""
        return getattr(torch, self.dtype)

    @property
    def is_eight_bit(self) -> bool:
        """Return whether numbers are the 256 levels from 0 to 1."""
        return self.dtype == "uint8" and self.value_range == (0, 255)

    @property
    def is_photo(self) -> bool:
        """Return whether files of any kind are read as a person sees them, in 8 bits."""
        return self.dtype == "uint8" and self.channels in (1, 3) and self.bands is None

    @property
    def is_rgb(self) -> bool:
        """Return whether the channels are the three of a file of colours, which have a luma."""
        return self.channels == 3 and self.bands is None

    @property
    def shown_channels(self) -> list[int]:
        """Places of the channels that are shown, one or three, counted from 0."""
        if self.shown is None:
            return list(range(3 if self.channels >= 3 else 1))
        bands = self.bands or range(1, self.channels + 1)
        return [bands.index(band) for band in self.shown]

    def visible(self, image: Tensor) -> Tensor:
        """The one or three channels that are shown, of (..., C, H, W)."""
        places, channels = self.shown_channels, image.shape[-3]
        if channels == 1 or places == list(range(channels)):
            return image
        return torch.stack([image.select(-3, place) for place in places], -3)

    @property
    def step(self) -> float:
        """The least difference, of numbers in [0, 1], that is one; of floats next to nothing."""
        return 1e-6 if self.levels is None else 1 / self.levels

    @property
    def itemsize(self) -> int:
        """Bytes of a number."""
        return self.torch_dtype.itemsize

    @property
    def levels(self) -> float | None:
        """The number of steps from 0 to 1 that a file can tell apart; None for floats."""
        low, high = self.value_range
        return None if DTYPES[self.dtype] is None else high - low

    def described(self) -> str:
        """The kind in words.

        Example:
            >>> ImageKind(4, "uint16", (0, 10000), (3, 2, 1, 7)).described()
            '4 bands [3, 2, 1, 7] of uint16, 0 to 10000'
        """
        low, high = self.value_range
        bands = "1 band" if self.channels == 1 else f"{self.channels} bands"
        chosen = "" if self.bands is None else f" {list(self.bands)}"
        return f"{bands}{chosen} of {self.dtype}, {low:.6g} to {high:.6g}"

    def to_float(self, native: Tensor) -> Tensor:
        """Values as in a file -> float32, any shape; beyond [0, 1] where the range is exceeded."""
        low, high = self.value_range
        values = native.to(torch.float32, copy=True)
        return (values.sub_(low) if low else values).div_(high - low)

    def numbers(self, image: Tensor) -> Tensor:
        """Values in the library -> as a file counts them, neither rounded nor clipped."""
        low, high = self.value_range
        return image.mul(high - low).add_(low)

    def to_native(self, image: Tensor) -> Tensor:
        """Values in the library -> the nearest that a file of this kind can hold, any shape."""
        exact = image.detach() if image.dtype == torch.float64 else image.detach().float()
        values = self.numbers(exact)
        highest = DTYPES[self.dtype]
        if highest is None:
            return values.to(self.torch_dtype)
        rounded = values.clamp_(0, highest).round_()
        # CUDA has no kernels for uint16: the conversion goes over int32 on the CPU.
        if self.dtype == "uint16":
            return rounded.to(torch.int32).cpu().to(torch.uint16)
        return rounded.to(self.torch_dtype)

    def rounded(self, image: Tensor) -> Tensor:
        """Values in the library as they come back from a file of this kind, any shape."""
        low, high = self.value_range
        highest = DTYPES[self.dtype]
        if highest is None:
            return image
        span = high - low
        return image.clamp(-low / span, (highest - low) / span).mul_(span).round_().div_(span)

    def state_dict(self) -> dict[str, Any]:
        """Numbers and text, for checkpoints and records."""
        return asdict(self)

    @classmethod
    def of_state(cls, state: Mapping[str, Any] | None) -> ImageKind:
        """The kind that `state_dict` was made of; None, of files without one: 8-bit RGB."""
        if state is None:
            return cls()
        low, high = state["value_range"]
        bands, shown = (
            None if state.get(key) is None else tuple(state[key]) for key in ("bands", "shown")
        )
        return cls(state["channels"], state["dtype"], (low, high), bands, shown)


EIGHT_BITS = ImageKind()
"""Photos as nearly all files hold them: three channels of 256 levels."""
