"""Programs that upscale: interpolations, generators, and others by the results they left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from tmd.errors import UserError
from tmd.evaluation.benchmarks import Benchmark, PathLike, Sample, pair_by_name, size_text
from tmd.images import read_image, read_size, to_float, to_uint8
from tmd.registry import Registry
from tmd.resize import imresize
from tmd.upscale import upscale


class System(Protocol):
    """Upscales an LR image: (C, h, w) uint8 -> (C, scale·h, scale·w) uint8."""

    def __call__(self, sample: Sample, lr: Tensor) -> Tensor: ...


METHODS: Registry[Callable[[Tensor, int], Tensor]] = Registry("method")


@METHODS.register("bicubic")
def bicubic(lr: Tensor, scale: int) -> Tensor:
    """MATLAB's kernel, rounded once at the end, as the figures in papers are made."""
    height, width = lr.shape[-2:]
    sr = torch.empty(len(lr), height * scale, width * scale, dtype=torch.uint8)
    for plane, out in zip(lr, sr, strict=True):  # as floats, all would take four times the memory
        out.copy_(to_uint8(imresize(to_float(plane)[None, None], scale)[0, 0]))
    return sr


@METHODS.register("nearest")
def nearest(lr: Tensor, scale: int) -> Tensor:
    """Every pixel a square."""
    return lr.repeat_interleave(scale, 1).repeat_interleave(scale, 2)


@METHODS.register("lanczos")
def lanczos(lr: Tensor, scale: int) -> Tensor:
    """Pillow's, three lobes."""
    size = (lr.shape[2] * scale, lr.shape[1] * scale)
    planes = [Image.fromarray(plane.numpy()).resize(size, Image.Resampling.LANCZOS) for plane in lr]
    return torch.from_numpy(np.stack([np.asarray(plane) for plane in planes]))


def interpolation(method: str, scale: int) -> System:
    """One of `METHODS` as a system."""
    function = METHODS[method]
    return lambda sample, lr: function(lr, scale)


def network(generator: nn.Module, tile: int | None = None, self_ensemble: bool = False) -> System:
    """A generator as a system; large images go through it in tiles.

    Args:
        tile: side of a tile in LR pixels; None fits it to the memory.
        self_ensemble: average over the eight flips and rotations, for 8 times the time.
    """

    def run(sample: Sample, lr: Tensor) -> Tensor:
        channels, height, width = lr.shape
        scale = int(generator.scale)  # type: ignore[arg-type]
        out = torch.empty((1, channels, scale * height, scale * width), dtype=torch.uint8)
        return upscale(generator, lr[None], tile, out=out, self_ensemble=self_ensemble)[0]

    return run


def results_in_folder(root: PathLike, benchmarks: Sequence[Benchmark]) -> System:
    """The outputs of any other program as a system.

    They are called as the HR images, perhaps with an ending (``x4``, ``_SRResNet``); for several
    benchmarks they lie in folders of the benchmarks' names, if there are such.

    Raises:
        UserError: an image that has no result, or one of another size, by name.
    """
    results: dict[Path, Path] = {}
    for benchmark in benchmarks:
        folder = Path(root) / benchmark.name
        folder = folder if folder.is_dir() else Path(root)
        files = [sample.hr for sample in benchmark.samples]
        found = pair_by_name(files, folder, benchmark.scale, "sr_root", exact=False)
        for hr, sr in found.items():
            _check_result(hr, sr, benchmark.scale)
        results |= found

    def read(sample: Sample, lr: Tensor) -> Tensor:
        return read_image(results[sample.hr], len(lr))

    return read


def _check_result(hr: Path, sr: Path, scale: int) -> None:
    whole = read_size(hr)
    cropped = tuple(side // scale * scale for side in whole)
    if read_size(sr) not in (whole, cropped):
        raise UserError(
            f"{hr} {size_text(hr)} and {sr} {size_text(sr)}: "
            f"SR must be {'×'.join(map(str, cropped))} at scale={scale}"
        )
