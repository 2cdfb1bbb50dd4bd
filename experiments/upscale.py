"""Upscale photos with a trained generator.

    python experiments/upscale.py with input=photo.jpg
    python experiments/upscale.py with run=3 input=photo.jpg output=out/

Without `run` or `checkpoint` by the network that comes with the package.
`input` is an image, a folder, a glob or a list of these; results are `out/<name>.png`. What the
file holds is kept: 16 bits, grey, transparency, colour profile, orientation, the camera's data; of
an animation, the first image is taken. Tiles bound the memory and leave no seam. Results that are
there are errors, unless `existing=skip` or `existing=replace` is given. A file that can't be read,
or whose result its format can't hold, is reported, the rest goes on, and the exit code is 2.

Upscaling leaves no record, unless `-F DIR` or `-m URL` asks for one.
"""

from __future__ import annotations

import sys
import time
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
from experiments.support.inputs import check_folder, find_images
from experiments.support.outputs import (
    Job,
    check_existing,
    check_no_input,
    left_to_do,
    named_apart,
    replaces,
)
from experiments.support.trained import open_any, open_trained
from tmd.acceleration.speed import UPSCALING_ON_CPU
from tmd.errors import UserError, check_choice, check_flag, check_number, printable
from tmd.hardware import is_out_of_memory
from tmd.images import IMAGE_SUFFIXES, read_size, set_max_pixels
from tmd.images.formats import check_size
from tmd.models.interpolation import interpolate_generators
from tmd.photos import (
    OUTPUT_SUFFIXES,
    Photo,
    PhotoGenerator,
    check_output,
    check_suffix,
    exists,
    lost_in,
    read_photo,
    write_photo,
)
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
    existing = "error"  # skip, replace: what is done where a result is there
    overwrite = False  # the same as existing=replace
    max_pixels = None  # the most that an image may have to be read; None: 89 million
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
    existing: str,
    overwrite: bool,
    max_pixels: int | None,
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
    if Path(output).suffix.lower() not in IMAGE_SUFFIXES:
        check_folder("output", output)
    check_choice("format", format, FORMATS)
    check_existing(existing, overwrite)
    set_max_pixels(max_pixels)
    if tile is not None:
        check_number("tile", tile, minimum=1, integer=True)
    check_flag("self_ensemble", self_ensemble)
    check_flag("amp", amp)
    check_number("alpha", alpha, 0, 1)
    available_device(device)


@dataclass(frozen=True)
class Settings:
    """Options that all images of a run share."""

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
    existing: str,
    overwrite: bool,
    tile: int | None,
    self_ensemble: bool,
    amp: bool,
    device: str,
) -> dict[str, int]:
    """Upscale all images that the input names; the counts of what was done."""
    planned = plan(input, Path(output), format)
    jobs = left_to_do(planned, existing)
    there = len(planned) - len(jobs)
    counts = {"skipped": there} if existing == "skip" else {}
    if not jobs:
        print(f"0 of {there} upscaled, all were there: {printable(output)}")
        return {"upscaled": 0, **counts}
    generator = build_generator()
    place = torch.device(available_device(device))
    if place.type == "cpu":
        UPSCALING_ON_CPU.prepare(generator, place)
    settings = Settings(replaces(existing, overwrite), tile, self_ensemble, amp)
    started = time.monotonic()
    failed = 0
    with progress(jobs) as bar:
        for job in jobs:
            bar.set_postfix_str(printable(job.source.name))
            try:
                note = upscale_file(generator, job, settings, bar)
            except UserError as problem:
                failed += 1
                note = f"error: {problem}"
            if note:
                tqdm.write(printable(note), file=sys.stderr)
    done = len(jobs) - failed
    seconds = time.monotonic() - started
    where = jobs[0].target if len(jobs) == 1 else output
    if done:
        skipped = f", {there} were there" if there else ""
        took = f"×{generator.scale} in {seconds:.1f} s{skipped}"
        print(f"{done} of {len(planned)} upscaled {took}: {printable(where)}")
    if failed:
        raise UserError(f"{failed} of {len(planned)} images could not be upscaled")
    return {"upscaled": done, **counts}


def upscale_file(generator: nn.Module, job: Job, settings: Settings, bar: tqdm) -> str:
    """Upscale one image; what the user should know of it, mostly nothing.

    Raises:
        UserError: it can't be read, or the result can't be written.
    """
    before = bar.n
    pixels = 0
    try:
        if job.target.exists() and not settings.overwrite:
            raise exists(job.target)
        scale = int(generator.scale)  # type: ignore[arg-type]
        # The header tells what would be found out only when all is computed.
        check_size(job.target, 1, *(scale * side for side in read_size(job.source)))
        photo = read_photo(job.source)
        pixels = photo.pixels[0].numel()
        channels, height, width = photo.pixels.shape
        size = (channels, scale * height, scale * width)
        check_output(job.target, photo, size, settings.overwrite)
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
        write_photo(job.target, bands, size, photo, settings.overwrite)
    except OSError as problem:
        raise UserError(f"{job.target}: {problem.strerror or problem}") from None
    except (MemoryError, RuntimeError) as problem:
        if not is_out_of_memory(problem):
            raise
        raise UserError(f"{job.source}: not enough memory; give a smaller tile, tile=64") from None
    return said_of(job, photo)


def said_of(job: Job, photo: Photo) -> str:
    """A line of what is not in the result, empty where all is."""
    left_out = [*photo.left_out, *lost_in(job.target, photo)]
    notes = [f"the first of {photo.frames} images"] if photo.frames > 1 else []
    notes += [f"without {', '.join(left_out)}"] if left_out else []
    return f"{job.source}: {'; '.join(notes)}" if notes else ""


@contextmanager
def progress(jobs: list[Job]) -> Iterator[tqdm]:
    """A bar over the pixels of all images, so that its time left is that of the whole work."""
    total = sum(readable_pixels(job.source) for job in jobs)
    with tqdm(
        total=total, unit="px", unit_scale=True, desc="upscale", file=sys.stderr, leave=False
    ) as bar:
        yield bar


def readable_pixels(path: Path) -> int:
    """The pixels of an image, 0 of what can't be read."""
    try:
        height, width = read_size(path)
    except UserError:
        return 0
    return height * width


def plan(inputs: Any, output: Path, format: str) -> list[Job]:
    """Pairs of an input and its result.

    Raises:
        UserError: nothing matches, one file is named for several results, or a result would
            replace an input.
    """
    found = list(find_images(inputs, output))
    if not found:
        raise UserError(f"input={inputs}: holds no images")
    if output.suffix.lower() in IMAGE_SUFFIXES and not output.is_dir():
        check_suffix(output)
        if len(found) > 1:
            raise UserError(f"output={output}: is one file, for {len(found)} images; give a folder")
        jobs = [Job(found[0][0], output)]
    else:
        jobs = named_apart(found, output, f".{format}")
    check_no_input(jobs, output)
    return jobs


if __name__ == "__main__":
    ex.run_commandline()
