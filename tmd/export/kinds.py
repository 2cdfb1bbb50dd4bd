"""A kind of file: its writer, and the runtime that what was written is run by."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

#: How far from our output a file of 32 bits may be, of the range of an image.
TOLERANCE = 1e-4
#: The same of ncnn, which has exponentials of its own: a quarter of a level of 8 bits.
NCNN_TOLERANCE = 1e-3
#: The same where the weights are rounded to 16 bits: half a level of 8 bits.
ROUNDED_TOLERANCE = 0.5 / 255
#: The same of a file that is asked for in 16 bits, be it the weights or all arithmetic: two levels.
HALF_TOLERANCE = 2 / 255

Metadata = Mapping[str, Any]
#: (N, C, H, W) -> (N, C, scale·H, scale·W).
Run = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class How:
    """Choices about a file.

    Attributes:
        precision: ``float32`` or ``float16``.
        size: the one height and width that it takes, or None for any.
    """

    precision: str = "float32"
    size: tuple[int, int] | None = None

    @property
    def is_half(self) -> bool:
        """It is of 16 bits."""
        return self.precision == "float16"


def _nothing_against(generator: nn.Module) -> str:
    """Return no objection."""
    return ""


def _nothing_of(path: Path, generator: nn.Module) -> str:
    """Return no line on a file."""
    return ""


def _no_other(path: Path, generator: nn.Module) -> Run | None:
    """Return no second program's network."""
    return None


@dataclass(frozen=True)
class Format:
    """Kind of file: its writer, and the runtime that what was written is run by.

    Attributes:
        suffix: of its files.
        runtime: what runs it.
        modules: what must be installed.
        write: (generator, metadata, path, how).
        load: path -> function of (N, C, H, W).
        tolerance: how far from our output it may be.
        half_tolerance: the same in ``float16``; None: there is none.
        extra: of our package, that brings the modules.
        companions: suffixes of further files that are written beside it.
        fixed: it may be made for one size.
        refuse: what there is to say against a generator before it is written, if anything.
        second: (path, generator) -> what another program makes of the file, or None.
        misunderstood: (path, generator) -> a line on what is wrong with the file, or empty.
        note: (path, generator) -> a line to be said of a file that was found right, or empty.
    """

    suffix: str
    runtime: str
    modules: tuple[str, ...]
    write: Callable[[nn.Module, Metadata, Path, How], None]
    load: Callable[[Path], Run]
    tolerance: float = TOLERANCE
    half_tolerance: float | None = None
    extra: str = "export"
    companions: tuple[str, ...] = ()
    fixed: bool = False
    refuse: Callable[[nn.Module], str] = _nothing_against
    second: Callable[[Path, nn.Module], Run | None] = _no_other
    misunderstood: Callable[[Path, nn.Module], str] = _nothing_of
    note: Callable[[Path, nn.Module], str] = _nothing_of


def channels_of(generator: nn.Module) -> int:
    """Channels of the images of a generator."""
    return int(generator.channels)  # type: ignore[arg-type]


def example(generator: nn.Module, how: How, batch: int = 1) -> Tensor:
    """An input to trace a generator with: noise, on the grid of its windows."""
    height, width = how.size or (24, 32)
    if how.size is None:
        multiple = int(getattr(getattr(generator, "contract", None), "multiple", 1))
        height, width = (-(-side // multiple) * multiple for side in (height, width))
    return torch.rand(batch, channels_of(generator), height, width)


@contextmanager
def quiet() -> Iterator[None]:
    """Without the exporters' notes on their own future."""
    with warnings.catch_warnings():
        for category in (FutureWarning, DeprecationWarning, UserWarning):
            warnings.simplefilter("ignore", category)
        yield
