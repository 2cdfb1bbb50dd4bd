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
from tmd.images import EIGHT_BITS, ImageKind, read_native, read_size
from tmd.registry import Registry
from tmd.resize import imresize
from tmd.upscale import upscale


class System(Protocol):
    """Upscales an LR image: (C, h, w) -> (C, scale·h, scale·w), numbers of one kind."""

    def __call__(self, sample: Sample, lr: Tensor) -> Tensor: ...


#: Functions (LR, scale) -> SR of 8 bits, or (LR, scale, kind) -> SR, numbers of that kind.
METHODS: Registry[Callable[..., Tensor]] = Registry("method")


@METHODS.register("bicubic")
def bicubic(lr: Tensor, scale: int, kind: ImageKind = EIGHT_BITS) -> Tensor:
    """MATLAB's kernel, rounded once at the end, as the figures in papers are made."""
    height, width = lr.shape[-2:]
    sr = torch.empty(len(lr), height * scale, width * scale, dtype=lr.dtype)
    for plane, out in zip(lr, sr, strict=True):  # as floats, all would take four times the memory
        out.copy_(kind.to_native(imresize(kind.to_float(plane)[None, None], scale)[0, 0]))
    return sr


@METHODS.register("nearest")
def nearest(lr: Tensor, scale: int, kind: ImageKind = EIGHT_BITS) -> Tensor:
    """Every pixel a square."""
    # numpy's, as torch has none of unsigned 16 bits.
    return torch.from_numpy(lr.numpy().repeat(scale, 1).repeat(scale, 2))


@METHODS.register("lanczos")
def lanczos(lr: Tensor, scale: int, kind: ImageKind = EIGHT_BITS) -> Tensor:
    """Pillow's, three lobes; of other than 8 bits by its arithmetic of floats."""
    size = (lr.shape[2] * scale, lr.shape[1] * scale)
    given = lr if kind.is_eight_bit else kind.to_float(lr)
    planes = [Image.fromarray(p.numpy()).resize(size, Image.Resampling.LANCZOS) for p in given]
    sr = torch.from_numpy(np.stack([np.asarray(plane) for plane in planes]))
    return sr if kind.is_eight_bit else kind.to_native(sr)


def interpolation(method: str, scale: int, kind: ImageKind = EIGHT_BITS) -> System:
    """One of `METHODS` as a system for images of ``kind``."""
    function = METHODS[method]
    if kind.is_eight_bit:
        return lambda sample, lr: function(lr, scale)
    return lambda sample, lr: function(lr, scale, kind)


def network(
    generator: nn.Module,
    tile: int | None = None,
    self_ensemble: bool = False,
    kind: ImageKind = EIGHT_BITS,
) -> System:
    """A generator as a system; large images go through it in tiles.

    Args:
        tile: side of a tile in LR pixels; None fits it to the memory.
        self_ensemble: average over the eight flips and rotations, for 8 times the time.
        kind: of the images that the generator was trained on.
    """

    def run(sample: Sample, lr: Tensor) -> Tensor:
        channels, height, width = lr.shape
        scale = int(generator.scale)  # type: ignore[arg-type]
        shape = (1, channels, scale * height, scale * width)
        if kind.is_eight_bit:
            out = torch.empty(shape, dtype=torch.uint8)
            return upscale(generator, lr[None], tile, out=out, self_ensemble=self_ensemble)[0]
        given, out = kind.to_float(lr[None]), torch.empty(shape)
        return kind.to_native(
            upscale(generator, given, tile, out=out, self_ensemble=self_ensemble)[0]
        )

    return run


def results_in_folder(
    root: PathLike, benchmarks: Sequence[Benchmark], kind: ImageKind = EIGHT_BITS
) -> System:
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
        files = [sample.source for sample in benchmark.samples]
        found = pair_by_name(files, folder, benchmark.scale, "sr_root")
        for sample in benchmark.samples:
            _check_result(sample, found[sample.source], benchmark.scale)
        results |= found

    def read(sample: Sample, lr: Tensor) -> Tensor:
        return read_native(results[sample.source], kind)

    return read


def _check_result(sample: Sample, sr: Path, scale: int) -> None:
    cropped = sample.size(scale)
    given = sample.source
    whole = cropped if sample.hr is None else read_size(sample.hr)
    if read_size(sr) not in (whole, cropped):
        raise UserError(
            f"{given} {size_text(given)} and {sr} {size_text(sr)}: "
            f"SR must be {'×'.join(map(str, cropped))} at scale={scale}"
        )
