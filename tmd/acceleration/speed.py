"""Arithmetic of the networks: what makes a step fast, each of it to be switched."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from tmd.acceleration.memory import keep_freed_memory
from tmd.acceleration.planes import use_planes
from tmd.acceleration.rows import use_rows
from tmd.acceleration.winograd import leave_uncompiled, use_winograd
from tmd.errors import UserError

#: name -> what `torch.autocast` is given; None: float32 throughout.
PRECISIONS: dict[str, torch.dtype | None] = {
    "float32": None,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,  # whose losses are scaled
}
#: What can be added to a precision.
OPTIONS = ("channels_last", "compile", "graphs", "keep_memory", "rows", "tf32", "winograd")


@dataclass(frozen=True)
class Speed:
    """Precision of a step, and all that makes it fast.

    Attributes:
        precision: of the networks, a key of `PRECISIONS`; parameters and losses stay float32.
        channels_last: the memory layout in which a pixel's channels are neighbours.
        compile: `torch.compile` makes kernels for the networks, for minutes at the start.
        graphs: `torch.compile` also records a GPU's kernels as CUDA graphs, which start with one
            call. Nothing chooses it by itself: no GPU has shown its results right yet.
        keep_memory: on a CPU, freed memory is used again at once; see `keep_freed_memory`.
        rows: on a CPU, convolutions with few outputs one row of the kernel after the other; see
            `use_rows`.
        tf32: a GPU rounds the factors of float32 convolutions to 10 bits. Not those of matrix
            products, by which LR images are made: some would come out a level off.
        winograd: on a CPU, wide float32 convolutions by a quarter of the products; see
            `use_winograd`.

    Example:
        >>> str(Speed.parse("bfloat16+channels_last"))
        'bfloat16+channels_last'
    """

    precision: str = "float32"
    channels_last: bool = False
    compile: bool = False
    graphs: bool = False
    keep_memory: bool = False
    rows: bool = False
    tf32: bool = False
    winograd: bool = False

    @classmethod
    def parse(cls, text: object, key: str = "training.speed") -> Speed:
        """A speed from what a config says: a precision, then options, joined by ``+``.

        Raises:
            UserError: names what there is.
        """
        precision, *options = text.split("+") if isinstance(text, str) else [""]
        if precision not in PRECISIONS or not set(options) <= set(OPTIONS):
            raise UserError(
                f"{key}={text!r}: must be auto, or one of {', '.join(PRECISIONS)} followed by any "
                f"of {', '.join(f'+{option}' for option in OPTIONS)}"
            )
        return cls(precision, **dict.fromkeys(options, True))

    def __str__(self) -> str:
        return "+".join([self.precision, *(name for name in OPTIONS if getattr(self, name))])

    @property
    def compiles(self) -> bool:
        """True where `torch.compile` makes the networks' kernels."""
        return self.compile or self.graphs

    @property
    def autocast(self) -> torch.dtype | None:
        """Precision for `torch.autocast`, or None for no autocast."""
        return PRECISIONS[self.precision]

    def prepare(self, network: nn.Module, device: torch.device) -> nn.Module:
        """``network`` on its device, in its layout, compiled at its first call."""
        network.to(device)
        if self.channels_last:
            network.to(memory_format=torch.channels_last)
            if device.type == "cpu":
                use_planes(network)
        if self.winograd and device.type == "cpu":
            use_winograd(network)
        if self.rows and device.type == "cpu":
            use_rows(network)
        if self.compiles:
            leave_uncompiled()
            mode = "reduce-overhead" if self.graphs else None
            # In place: its attributes and the names in its state stay as they are.
            for part in network.values() if isinstance(network, nn.ModuleDict) else [network]:
                part.compile(dynamic=False, mode=mode)
        return network

    def switch_device(self, device: torch.device) -> None:
        """Set what is a setting of the whole process."""
        if device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = False
            torch.backends.cudnn.allow_tf32 = self.tf32
        elif self.keep_memory:
            keep_freed_memory()


#: What makes a trained generator fast on a CPU; a tile's result still does not depend on its place.
#: Not kept memory: tiles of 512 pixels took 157 s instead of 252 with it, but 5.7 GB, not 2.6.
UPSCALING_ON_CPU = Speed("float32", channels_last=True, rows=True)


def uncompiled() -> AbstractContextManager[Any]:
    """Context in which compiled networks compute as they are written."""
    if "torch._dynamo" not in sys.modules:  # nothing is compiled, and asking would import it all
        return nullcontext()
    return torch.compiler.set_stance("force_eager")


def with_torchs_convolutions(network: nn.Module) -> nn.Module:
    """``network`` without what `Speed.prepare` did to its convolutions: it can be exported."""
    for layer in network.modules():
        vars(layer).pop("_conv_forward", None)
    return network
