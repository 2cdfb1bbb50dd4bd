"""Upscale photos with a trained generator.

    python experiments/upscale.py with input=photo.jpg
    python experiments/upscale.py with input=photo.jpg scale=2
    python experiments/upscale.py with run=3 input=photo.jpg output=out/
    python experiments/upscale.py with interpolation scale=2 input=scene.tif

Without `run` or `checkpoint` by a network that comes with the package: `real_x4`, or with `scale=2`
`real_x2`, both for photos as they are.
`input` is an image, a folder, a glob or a list of these; results are `out/<name>.png`. What the
file holds is kept: 16 bits, grey, transparency, colour profile, orientation, the camera's data; of
an animation, the first image is taken. Images of any bands and bits are taken too, by networks that
were trained on such or as `bands` and `value_range` say: a GeoTIFF stays one, with its CRS, its
transform divided by the factor and its places without data; stacks stay stacks, NPY stays NPY.
Tiles bound the memory and leave no seam. Results that are there are errors, unless `existing=skip`
or `existing=replace` is given. A file that can't be read, or whose result its format can't hold, is
reported, the rest goes on, and the exit code is 2.

    python experiments/upscale.py with input=photos/ workers=4

Several workers share the images of folders; the same call on further machines joins them, and
typed again after whatever ended it, it goes on where it was.

Upscaling leaves no record, unless `-F DIR` or `-m URL` asks for one.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from experiments.support.devices import available_device
from experiments.support.engines import create_engine
from experiments.support.experiment import Experiment
from experiments.support.fleet import is_begun, opened_fleet
from experiments.support.fleet_watch import run_fleet
from experiments.support.inputs import check_folder, find_images, several
from experiments.support.outputs import (
    Job,
    check_existing,
    check_no_input,
    left_to_do,
    named_apart,
    replaces,
)
from experiments.support.trained import named_file, open_any, open_trained
from experiments.support.upscaling import Settings, upscale_file
from tmd.acceleration.speed import UPSCALING_ON_CPU
from tmd.checkpoints import image_kind
from tmd.errors import UserError, check_choice, check_flag, check_number, printable
from tmd.images import (
    IMAGE_SUFFIXES,
    ImageKind,
    images_in,
    read_size,
    set_max_pixels,
)
from tmd.models.interpolation import interpolate_generators
from tmd.photos import (
    OUTPUT_SUFFIXES,
    Upscaler,
    check_meaning,
    check_suffix,
    result_suffix,
)
from tmd.shipped import BY_SCALE

ex = Experiment("upscale")
ex.recorded = False

FORMATS = ("auto", *(suffix.lstrip(".") for suffix in OUTPUT_SUFFIXES))
METHODS = ("bicubic",)
DEFAULT_SCALE = 4


@ex.config
def config():
    run = None  # whose best generator: 3, runs/3, mongodb://host/db#3
    # or a file: best.pt, what export.py made with format=half or safetensors; or a network that
    # comes with the package: real_x4, which is also taken when neither is given, real_x2, photos_x4
    checkpoint = None
    weights = None  # the same as checkpoint; other people's files too: .pth, .safetensors
    input = None  # an image, a folder, a glob such as 'photos/**/*.jpg', or a list of these
    output = "out"  # a folder, or for a single image a file
    # of the results in a folder: png, jpg, jpeg, webp (lossless), tif, npy, npz; auto: png of
    # photos, tif of GeoTIFF, of stacks and of what no photo has, npy and npz of these
    format = "auto"
    bands = None  # of each image, from 1, that the network is given: [4, 3, 2]; None: as trained on
    value_range = None  # a file's numbers for 0 and 1, [0, 10000] say; None: as trained on
    method = None  # bicubic: without a network, images of any bands and bits
    # of what comes along (4, 2), or of method=bicubic, where 1 only writes anew
    scale = None  # None: 4, or that of the network named
    existing = "error"  # skip, replace: what is done where a result is there
    overwrite = False  # the same as existing=replace
    max_pixels = None  # the most that an image may have to be read; None: 89 million
    tile = None  # side of a tile in input pixels; None: as large as the memory allows
    self_ensemble = False  # average over the eight flips and rotations, for 8 times the time
    amp = False  # half precision
    interpolate = None  # a second run or checkpoint, whose weights are mixed in
    alpha = 0.5  # how much of it: 0 none, 1 only
    device = "auto"  # cpu, cuda, cuda:1, ...; auto: a GPU if there is one
    workers = 1  # processes that share the images
    engine = "local"  # where workers run: local, ray, slurm
    engine_options = {}  # address, cpus, gpus of ray; partition, time, cpus, gpus, … of slurm


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
    bands: Any,
    value_range: Any,
    method: str | None,
    scale: int | None,
    run: Any,
    checkpoint: Any,
    weights: Any,
    interpolate: Any,
    workers: int,
    engine: str,
    engine_options: Any,
) -> None:
    check_number("workers", workers, 1, integer=True)
    create_engine(engine, engine_options)
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
    check_meaning(bands, value_range)
    if method is not None:
        check_choice("method", method, METHODS)
        file = named_file(checkpoint, weights)
        for key, value in (("run", run), ("checkpoint", file), ("interpolate", interpolate)):
            if value is not None:
                raise UserError(f"method={method}, {key}={value}: give one of them")
    if scale is not None:
        check_number("scale", scale, 1, integer=True)
        if method is None:
            _check_comes_along(scale, run if run is not None else named_file(checkpoint, weights))
    available_device(device)


def _check_comes_along(scale: int, named: Any) -> None:
    """Raise `UserError` where ``scale`` chooses no network among those that come along."""
    if named is not None:
        raise UserError(f"scale={scale}: {named} has its own; give one of them")
    if scale not in BY_SCALE:
        listed = " and ".join(f"{each} ({name})" for each, name in sorted(BY_SCALE.items()))
        raise UserError(
            f"scale={scale}: of networks {listed} come along; method=bicubic takes any scale, "
            "run=3 or checkpoint=best.pt name others"
        )


@ex.named_config
def interpolation():
    """Without a network: bicubic, of images of any bands and bits."""
    method = "bicubic"


@ex.capture
def build_upscaler(
    run: Any,
    checkpoint: Any,
    weights: Any,
    interpolate: Any,
    alpha: float,
    device: str,
    bands: Any,
    value_range: Any,
    method: str | None,
    scale: int | None,
) -> Upscaler:
    """The network, with what is said of the files."""
    said = (bands and tuple(bands), value_range and tuple(value_range))
    if method is not None:
        return Upscaler(None, scale or DEFAULT_SCALE, ImageKind(), *said)
    file = named_file(checkpoint, weights)
    if run is None and file is None:
        file = BY_SCALE[scale or DEFAULT_SCALE]
    generator, kind = _trained(run, file, interpolate, alpha, device)
    return Upscaler(generator, int(generator.scale), kind, *said)  # type: ignore[arg-type]


def _trained(
    run: Any, checkpoint: Any, interpolate: Any, alpha: float, device: str
) -> tuple[nn.Module, ImageKind]:
    """The generator, and the kind of the images that it takes and gives.

    Raises:
        UserError: it can't be had, or what is mixed in is another architecture.
    """
    place = available_device(device)
    first = open_trained(run, checkpoint, ex.store, place)
    kind = image_kind(first.state)
    if interpolate is None:
        return first.generator, kind
    second = open_any(interpolate, ex.store, place)
    if second.generator.config != first.generator.config:
        raise UserError(
            f"interpolate={interpolate}: {second.name} is another architecture than {first.name}"
        )
    return interpolate_generators(first.generator, second.generator, alpha), kind


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
    bands: Any,
    method: str | None,
    workers: int,
    engine: str,
) -> dict[str, int]:
    """Upscale all images that the input names; the counts of what was done."""
    planned = plan(input, Path(output), format, method is not None or bands is not None)
    jobs = left_to_do(planned, existing)
    there = len(planned) - len(jobs)
    if is_begun(Path(output)) or (len(jobs) > 1 and (workers > 1 or engine != "local")):
        return upscale_together(jobs, there)
    if not jobs:
        print(f"0 of {there} upscaled, all were there: {printable(output)}")
        return counts_of(0, 0, there, existing)
    upscaler = build_upscaler()
    place = torch.device(available_device(device))
    if place.type == "cpu" and upscaler.generator is not None:
        UPSCALING_ON_CPU.prepare(upscaler.generator, place)
    settings = Settings(replaces(existing, overwrite), tile, self_ensemble, amp)
    started = time.monotonic()
    failed = 0
    with progress(jobs) as bar:
        for job in jobs:
            bar.set_postfix_str(printable(job.source.name))
            try:
                note = upscale_file(upscaler, job, settings, bar)
            except UserError as problem:
                failed += 1
                note = f"error: {problem}"
            if note:
                tqdm.write(printable(note), file=sys.stderr)
    done = len(jobs) - failed
    where = jobs[0].target if len(jobs) == 1 else output
    if done:
        said = result_line(done, failed, there, upscaler.scale, time.monotonic() - started)
        print(f"{said}: {printable(where)}")
    return counts_of(done, failed, there, existing)


def result_line(done: int, failed: int, there: int, scale: int, seconds: float) -> str:
    """The line on what was done."""
    skipped = f", {there} were there" if there else ""
    return f"{done} of {done + failed + there} upscaled ×{scale} in {seconds:.1f} s{skipped}"


def counts_of(done: int, failed: int, there: int, existing: str) -> dict[str, int]:
    """The counts of what was done.

    Raises:
        UserError: some have no result; each was named.
    """
    if failed:
        raise UserError(f"{failed} of {done + failed + there} images could not be upscaled")
    return {"upscaled": done, **({"skipped": there} if existing == "skip" else {})}


@ex.capture
def upscale_together(
    jobs: list[Job],
    there: int,
    output: str,
    input: Any,
    format: str,
    existing: str,
    overwrite: bool,
    max_pixels: int | None,
    tile: int | None,
    self_ensemble: bool,
    amp: bool,
    bands: Any,
    value_range: Any,
    device: str,
    workers: int,
    engine: str,
    engine_options: Any,
) -> dict[str, int]:
    """Upscale by several processes, beside those of the same call elsewhere; the counts."""
    upscaler = build_upscaler(device="cpu")
    settings = {
        "input": [os.path.relpath(str(entry), output) for entry in several(input)],
        "format": format,
        "overwrite": replaces(existing, overwrite),
        "max_pixels": max_pixels,
        "tile": tile,
        "self_ensemble": self_ensemble,
        "amp": amp,
        "bands": bands,
        "value_range": value_range,
    }
    started = time.monotonic()
    fleet = opened_fleet(Path(output), upscaler, settings, jobs, there, workers)
    failed = run_fleet(fleet, create_engine(engine, engine_options), workers, device)
    done = len(fleet.jobs) - failed
    if done:
        said = result_line(done, failed, fleet.there, upscaler.scale, time.monotonic() - started)
        print(f"{said}: {printable(output)}")
    return counts_of(done, failed, fleet.there, existing)


@contextmanager
def progress(jobs: list[Job]) -> Iterator[tqdm]:
    """A bar over the pixels of all images, so that its time left is that of the whole work."""
    total = sum(readable_pixels(job.source) for job in jobs)
    with tqdm(
        total=total, unit="px", unit_scale=True, desc="upscale", file=sys.stderr, leave=False
    ) as bar:
        yield bar


def readable_pixels(path: Path) -> int:
    """The pixels of an image, or of a stack as if all were as large as its first; 0 of no image."""
    try:
        height, width = read_size(path)
    except UserError:
        return 0
    return height * width * len(images_in(path))


def plan(inputs: Any, output: Path, format: str, all_bands: bool = False) -> list[Job]:
    """Pairs of an input and its result.

    Args:
        all_bands: see `tmd.photos.result_suffix`.

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
        suffix = partial(result_suffix, all_bands=all_bands)
        jobs = named_apart(found, output, suffix if format == "auto" else f".{format}")
    check_no_input(jobs, output)
    return jobs


if __name__ == "__main__":
    ex.run_commandline()
