"""Upscale photos with a trained generator.

    python experiments/upscale.py with input=photo.jpg
    python experiments/upscale.py with run=3 input=photo.jpg output=out/

Without `run` or `checkpoint` by the network that comes with the package.
`input` is an image, a folder, a glob or a list of these; results are `out/<name>.png`. What the
file holds is kept: 16 bits, grey, transparency, colour profile, orientation, the camera's data; of
an animation, the first image is taken. Tiles bound the memory and leave no seam. Nothing is
replaced without `overwrite=True`. A file that can't be read is reported, the rest goes on, and the
exit code is 2.

Upscaling leaves no record, unless `-F DIR` or `-m URL` asks for one.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from experiments.support.devices import available_device
from experiments.support.experiment import Experiment
from experiments.support.inputs import find_images
from experiments.support.trained import open_any, open_trained
from tmd.acceleration.speed import UPSCALING_ON_CPU
from tmd.errors import UserError, check_choice, check_flag, check_number
from tmd.images import read_size
from tmd.models.interpolation import interpolate_generators
from tmd.photos import OUTPUT_SUFFIXES, PhotoGenerator, check_output, read_photo, write_photo
from tmd.shipped import DEFAULT
from tmd.upscale import upscale_bands

ex = Experiment("upscale")
ex.recorded = False

FORMATS = tuple(suffix.lstrip(".") for suffix in OUTPUT_SUFFIXES)


@ex.config
def config():
    run = None  # whose best generator: 3, runs/3, mongodb://host/db#3
    # or a file: best.pt, what export.py made with format=half or safetensors; or a network that
    # comes with the package: photos_x4, which is also taken when neither is given
    checkpoint = None
    input = None  # an image, a folder, a glob such as 'photos/**/*.jpg', or a list of these
    output = "out"  # a folder, or for a single image a file
    format = "png"  # png, jpg, jpeg, webp (lossless): of the results in a folder
    overwrite = False  # replace results that are there
    tile = None  # side of a tile in input pixels; None: as large as the memory allows
    self_ensemble = False  # average over the eight flips and rotations, for 8 times the time
    amp = False  # half precision
    interpolate = None  # a second run or checkpoint, whose weights are mixed in
    alpha = 0.5  # how much of it: 0 none, 1 only
    device = "auto"  # cpu, cuda, cuda:1, ...; auto: a GPU if there is one


@ex.check
def check(
    input: Any,
    output: Any,
    format: str,
    overwrite: bool,
    tile: int | None,
    self_ensemble: bool,
    amp: bool,
    alpha: float,
    device: str,
) -> None:
    if not input:
        raise UserError("input=None: give an image, a folder or a glob, input=photo.jpg say")
    if not isinstance(output, str) or not output:
        raise UserError(f"output={output!r}: must be a folder or a file")
    check_choice("format", format, FORMATS)
    check_flag("overwrite", overwrite)
    if tile is not None:
        check_number("tile", tile, minimum=1, integer=True)
    check_flag("self_ensemble", self_ensemble)
    check_flag("amp", amp)
    check_number("alpha", alpha, 0, 1)
    available_device(device)


@dataclass(frozen=True)
class Job:
    """One image to upscale, and where the result goes."""

    source: Path
    target: Path


@dataclass(frozen=True)
class Settings:
    """How every image of a run is upscaled."""

    overwrite: bool
    tile: int | None
    self_ensemble: bool
    amp: bool


@ex.capture
def build_generator(
    run: Any, checkpoint: Any, interpolate: Any, alpha: float, device: str
) -> nn.Module:
    place = available_device(device)
    if run is None and checkpoint is None:
        checkpoint = DEFAULT
    first = open_trained(run, checkpoint, ex.store, place)
    if interpolate is None:
        return first.generator
    second = open_any(interpolate, ex.store, place)
    if second.generator.config != first.generator.config:
        raise UserError(
            f"interpolate={interpolate}: {second.name} is another architecture than {first.name}"
        )
    return interpolate_generators(first.generator, second.generator, alpha)


@ex.main
def upscale(
    input: Any,
    output: str,
    format: str,
    overwrite: bool,
    tile: int | None,
    self_ensemble: bool,
    amp: bool,
    device: str,
) -> dict[str, int]:
    jobs = plan(input, Path(output), format)
    generator = build_generator()
    place = torch.device(available_device(device))
    if place.type == "cpu":
        UPSCALING_ON_CPU.prepare(generator, place)
    settings = Settings(overwrite, tile, self_ensemble, amp)
    started = time.monotonic()
    failed = 0
    with progress(jobs) as bar:
        for job in jobs:
            bar.set_postfix_str(job.source.name)
            try:
                note = upscale_file(generator, job, settings, bar)
            except UserError as problem:
                failed += 1
                note = f"error: {problem}"
            if note:
                tqdm.write(note, file=sys.stderr)
    done = len(jobs) - failed
    seconds = time.monotonic() - started
    where = jobs[0].target if len(jobs) == 1 else output
    if done:
        print(f"{done} of {len(jobs)} upscaled ×{generator.scale} in {seconds:.1f} s: {where}")
    if failed:
        raise UserError(f"{failed} of {len(jobs)} images could not be upscaled")
    return {"upscaled": done}


def upscale_file(generator: nn.Module, job: Job, settings: Settings, bar: tqdm) -> str:
    """Upscale one image; what the user should know of it, mostly nothing.

    Raises:
        UserError: it can't be read, or the result can't be written.
    """
    before = bar.n
    pixels = 0
    try:
        if job.target.exists() and not settings.overwrite:
            raise UserError(f"{job.target}: exists; overwrite=True replaces it")
        check_regular(job.source)
        photo = read_photo(job.source)
        pixels = photo.pixels[0].numel()
        check_output(job.target, photo, settings.overwrite)
        channels, height, width = photo.pixels.shape
        fitted = PhotoGenerator(generator, channels)
        bands = upscale_bands(
            fitted,
            photo.pixels[None],
            settings.tile,
            dtype=photo.pixels.dtype,
            self_ensemble=settings.self_ensemble,
            amp=settings.amp,
            on_tile=lambda done, total: bar.update(before + pixels * done // total - bar.n),
        )
        size = (channels, fitted.scale * height, fitted.scale * width)
        write_photo(job.target, bands, size, photo, settings.overwrite)
    except OSError as problem:
        raise UserError(f"{job.target}: {problem.strerror or problem}") from None
    except (MemoryError, RuntimeError) as problem:
        if not is_out_of_memory(problem):
            raise
        raise UserError(f"{job.source}: not enough memory; give a smaller tile, tile=64") from None
    if photo.frames > 1:
        return f"{job.source}: the first of {photo.frames} images"
    return ""


def is_out_of_memory(problem: BaseException) -> bool:
    text = str(problem)
    return isinstance(problem, (MemoryError, torch.OutOfMemoryError)) or "allocate memory" in text


@contextmanager
def progress(jobs: list[Job]) -> Iterator[tqdm]:
    """A bar over the pixels of all images, so that its time left is that of the whole work."""
    total = sum(readable_pixels(job.source) for job in jobs)
    with tqdm(
        total=total, unit="px", unit_scale=True, desc="upscale", file=sys.stderr, leave=False
    ) as bar:
        yield bar


def check_regular(path: Path) -> None:
    """Raise `UserError` for pipes and devices, which may never answer."""
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: not a file")


def readable_pixels(path: Path) -> int:
    try:
        check_regular(path)
        height, width = read_size(path)
    except UserError:
        return 0
    return height * width


def plan(inputs: Any, output: Path, format: str) -> list[Job]:
    """Which file becomes which.

    Raises:
        UserError: nothing matches, one file is named for several results, or a result would
            replace an input.
    """
    found = list(find_images(inputs, output))
    if not found:
        raise UserError(f"input={inputs}: holds no images")
    if output.suffix.lower() in OUTPUT_SUFFIXES and not output.is_dir():
        if len(found) > 1:
            raise UserError(f"output={output}: is one file, for {len(found)} images; give a folder")
        jobs = [Job(found[0][0], output)]
    else:
        jobs = named_apart(found, output, format)
    sources = {job.source.resolve() for job in jobs}
    for job in jobs:
        if job.target.resolve() in sources:
            raise UserError(f"output={output}: {job.target} is an input; give another folder")
    return jobs


def named_apart(found: list[tuple[Path, Path]], output: Path, format: str) -> list[Job]:
    """Results that keep the input's folders; a.jpg beside a.png becomes a.jpg.png."""
    targets = [output / place.with_suffix(f".{format}") for _, place in found]
    times = Counter(targets)
    jobs = [
        Job(source, target if times[target] == 1 else output / f"{place}.{format}")
        for (source, place), target in zip(found, targets, strict=True)
    ]
    by_target: dict[Path, Path] = {}
    for job in jobs:
        other = by_target.setdefault(job.target, job.source)
        if other != job.source:
            raise UserError(
                f"input: {other} and {job.source} would both become {job.target}; "
                "give one folder that holds both"
            )
    return jobs


if __name__ == "__main__":
    ex.run_commandline()
