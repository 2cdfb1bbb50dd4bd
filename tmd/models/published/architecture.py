"""Description of a network whose class is another package's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tmd.models.contract import DTYPES

Options = Mapping[str, Any]


def one(options: Options) -> int:
    """A side of one pixel: any will do."""
    return 1


def everywhere(options: Options, scale: int) -> None:
    """Radius of a network that sees the whole image at once."""
    return None


@dataclass(frozen=True)
class Architecture:
    """A network of the field, built by spandrel's class.

    Attributes:
        family: the package in ``spandrel.architectures``.
        class_name: in it.
        paper: where it was published.
        options: what a user may set, with the defaults, which are a published size.
        scale_argument: the class's name for the scale.
        channel_arguments: its names for the images' channels.
        rgb_layers: first and last convolution of a class that knows only three channels; they are
            made anew for others. None: it is for three channels alone, where it has no
            ``channel_arguments``.
        constants: further arguments of the class.
        renamed: options whose name is another's in the config, and the class's name of each.
        outputs: names of the convolutions that give the image, or that it may have; they work in
            single precision, for bfloat16 leaves an image of fewer than 8 bits.
        widened: names of convolutions whose result alone becomes single precision, where the LR
            image is added to it.
        reach: radius in LR pixels by the options and the scale; see `GeneratorContract`.
        multiple: side of the grid of windows by the options.
        minimum_size: least side by the options.
        fit: least side, and the number of which each side is to be a multiple, of what the class
            can be given; other images are padded, to the same pixels as by spandrel's loader.
        minimum_batch, dtypes: see `GeneratorContract`.
        writes_input: the class's forward pass changes the images it is given.
    """

    family: str
    class_name: str
    paper: str
    options: Options
    scale_argument: str = "upscale"
    channel_arguments: tuple[str, ...] = ("in_chans",)
    rgb_layers: tuple[str, str] | None = None
    constants: Options = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    outputs: tuple[str, ...] = ("conv_last", "upsample.0")
    widened: tuple[str, ...] = ()
    reach: Callable[[Options, int], int | None] = everywhere
    multiple: Callable[[Options], int] = one
    minimum_size: Callable[[Options], int] = one
    fit: tuple[int, int] = (1, 1)
    minimum_batch: int = 1
    dtypes: tuple[str, ...] = DTYPES
    writes_input: bool = False
