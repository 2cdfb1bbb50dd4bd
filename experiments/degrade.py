"""Look at degradations before training with them, make test sets of them, fit them to photos.

    python experiments/degrade.py with input=photos/ output=sheet.png measurement.realesrgan
    python experiments/degrade.py with input=photos/ output=testset/ measurement.realesrgan
    python experiments/degrade.py fit with measurement.fit=MINE input=HR/ measurement.realesrgan

The first draws a sheet: HR and several LR of each image, with what was drawn under each. The second
writes the images of all files, HR in `HR` and LR in `LR` (`LR_1`, `LR_2`, ... of several versions),
without loss, and `drawn.json` beside them. What is drawn is what a training with the same `seed`
draws for held-out images.

`fit` searches the ranges of the list in which degraded HR looks like the photos of a folder:
spectra, noise, the grid of JPEG; no pairs are needed. It prints the list as it is typed, and how
near it came; where that is not near, the exit code is 2, unless `measurement.fit_anyway=True`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from experiments.support.degrading import (
    RECORD,
    Degrader,
    kind_of,
    shown_part,
    suffix_of,
    targets,
    write_versions,
)
from experiments.support.devices import available_device
from experiments.support.experiment import Experiment
from experiments.support.fitting import fitted_operators
from experiments.support.inputs import check_folder, find_images
from experiments.support.outputs import Job, check_no_input, named_apart
from ingredients import measurement
from tmd.data.ranges import check_bands
from tmd.data.sources import FileSource
from tmd.errors import UserError, check_choice, check_flag, check_number, printable
from tmd.figures import save_figure
from tmd.figures.degraded import degraded_sheet
from tmd.files import write_json
from tmd.images import IMAGE_SUFFIXES, ImageKind, set_max_pixels
from tmd.models.generators import SCALES
from tmd.photos import check_meaning

ex = Experiment("degrade", ingredients=[measurement.ingredient])
ex.recorded = False

SHEET_IMAGES = 8


@ex.config
def config():
    input = None  # HR images: a file, a folder, a glob, or a list of these
    output = "degraded.png"  # a sheet, or a folder for the images; of fit: a config's file, .json
    scale = 4  # 1, 2, 3, 4, 8: between HR and LR
    seed = 1  # of all that is drawn
    versions = None  # LR images of each HR image; None: 4 on a sheet, 1 in a folder
    count = None  # images, spread evenly over the input; None: all, on a sheet 8
    region = 256  # side in HR pixels of what a sheet shows
    channels = None  # of photos: 3, or 1 for grey; of others: those of the files
    bands = None  # of each file, from 1: [3, 2, 1]; None: all
    value_range = None  # a file's numbers for 0 and 1, [0, 10000] say; None: all its levels
    overwrite = False  # replace what is there
    max_pixels = None  # the most that an image may have to be read; None: 89 million
    device = "cpu"  # cuda, cuda:1, ...; noise is drawn there, other numbers on each device
    budget = None  # of fit: lists to try; None: 100 for each range, at most 400


@ex.check
def check(
    input: Any,
    output: Any,
    scale: int,
    seed: int,
    versions: int | None,
    count: int | None,
    region: int,
    channels: int | None,
    bands: Any,
    value_range: Any,
    overwrite: bool,
    max_pixels: int | None,
    device: str,
    budget: int | None,
) -> None:
    if not input:
        raise UserError("input=None: give HR images, input=photos/ say")
    if not isinstance(output, str) or not output:
        raise UserError(f"output={output!r}: must be a sheet, degraded.png say, or a folder")
    check_choice("scale", scale, SCALES)
    check_number("seed", seed, 0, integer=True)
    for key, value in (("versions", versions), ("count", count), ("budget", budget)):
        if value is not None:
            check_number(key, value, 1, integer=True)
    check_number("region", region, 32, 1024, integer=True)
    if channels is not None:
        check_number("channels", channels, 1, integer=True)
    check_bands("bands", bands)
    check_meaning(bands, value_range)
    check_flag("overwrite", overwrite)
    set_max_pixels(max_pixels)
    available_device(device)
    measurement.options().check(scale, ImageKind(3 if channels is None else channels))


@ex.main
def degrade(
    input: Any, output: str, scale: int, seed: int, versions: int | None, overwrite: bool
) -> dict[str, int]:
    """A sheet, or the images themselves in a folder."""
    path = Path(output)
    is_sheet = path.suffix.lower() == ".png" and not path.is_dir()
    if not is_sheet:
        check_folder("output", output)
        if path.suffix.lower() in IMAGE_SUFFIXES:
            raise UserError(f"output={output}: sheets are .png; or give a folder")
    versions = versions or (4 if is_sheet else 1)
    jobs, kind = chosen_images(is_sheet)
    absent = path if is_sheet else path / RECORD
    if absent.exists() and not overwrite:
        raise UserError(f"{absent}: exists; overwrite=True replaces it")
    operators = measurement.options().operators
    if measurement.options().fit is not None:
        operators = fitted_operators(measurement.options(), source_of(jobs, kind), scale, seed)
    measure = type(measurement.options())(operators).create(scale, seed, kind=kind)
    degrader = Degrader(measure, kind, versions, len(jobs), device_of())
    return draw_sheet(degrader, jobs, path) if is_sheet else write_all(degrader, jobs, path)


@ex.capture
def device_of(device: str) -> str:
    """The device that images are degraded on."""
    return available_device(device)


@ex.capture
def chosen_images(
    is_sheet: bool,
    input: Any,
    output: str,
    count: int | None,
    channels: int | None,
    bands: Any,
    value_range: Any,
) -> tuple[list[Job], ImageKind]:
    """Images, each with its place below a folder, and their kind.

    Raises:
        UserError: there are none, or none can be read.
    """
    found = list(find_images(input, Path(output)))
    if not found:
        raise UserError(f"input={input}: holds no images")
    most = count or (SHEET_IMAGES if is_sheet else len(found))
    numbers = np.linspace(0, len(found) - 1, min(most, len(found))).round().astype(int)
    chosen = [found[number] for number in numbers.tolist()]
    kind = kind_of([file for file, _ in chosen], channels, bands, value_range)
    return named_apart(chosen, Path(), suffix_of(kind)), kind


def source_of(jobs: list[Job], kind: ImageKind) -> FileSource:
    """The images as a set."""
    return FileSource([str(job.source) for job in jobs], kind)


@ex.capture
def draw_sheet(degrader: Degrader, jobs: list[Job], path: Path, region: int) -> dict[str, int]:
    """Draw what a sheet shows of each image, and write it.

    Raises:
        UserError: an image can't be read; the sheet shows the others.
    """
    shown, failed = [], 0
    for number, job in enumerate(progress(jobs)):
        try:
            title = str(job.target.with_suffix(""))
            shown.append(shown_part(degrader, job.source, title, number, region))
        except UserError as problem:
            failed += 1
            report(problem)
    if shown:
        save_figure(degraded_sheet(shown, region, degrader.kind), path)
        print(f"{printable(path)}: {len(shown)} images, {degrader.versions} LR of each")
    return counts(len(shown), failed)


@ex.capture
def write_all(
    degrader: Degrader, jobs: list[Job], output: Path, overwrite: bool, seed: int
) -> dict[str, int]:
    """Write the images and, last, what was drawn.

    Raises:
        UserError: a file is there, or an image can't be read; the others are written.
    """
    planned = [targets(job, output, degrader.versions) for job in jobs]
    files = [file for hr, lr in planned for file in (hr, *lr)]
    check_no_input(
        [Job(job.source, hr) for job, (hr, _) in zip(jobs, planned, strict=True)], output
    )
    there = next((file for file in files if file.exists()), None)
    if there is not None and not overwrite:
        raise UserError(f"{there}: exists; overwrite=True replaces it")
    entries, failed = [], 0
    for number, job in enumerate(progress(jobs)):
        try:
            entries.append(write_versions(degrader, job, output, number))
        except UserError as problem:
            failed += 1
            report(problem)
    if entries:
        measure = degrader.measure
        write_json(
            output / RECORD,
            {
                "scale": measure.scale,
                "seed": seed,
                "operators": measure.spec,
                "device": degrader.device,
                "images": entries,
            },
        )
        print(f"{printable(output)}: {len(entries)} HR images, {degrader.versions} LR of each")
    return counts(len(entries), failed)


def progress(jobs: list[Job]) -> tqdm:
    """The images, with a bar."""
    return tqdm(jobs, desc="degrade", unit="image", file=sys.stderr, leave=False)


def report(problem: UserError) -> None:
    """Say what is wrong with an image, above the bar."""
    tqdm.write(printable(f"error: {problem}"), file=sys.stderr)


def counts(done: int, failed: int) -> dict[str, int]:
    """The result of a command.

    Raises:
        UserError: some images failed.
    """
    if failed:
        raise UserError(f"{failed} of {done + failed} images could not be degraded")
    return {"degraded": done}


@ex.command
def fit(output: str, scale: int, seed: int, overwrite: bool, budget: int | None) -> list[Any]:
    """Ranges of the list in which degraded HR looks like a folder's photos."""
    options = measurement.options()
    if options.fit is None:
        raise UserError("measurement.fit=None: give the folder of your photos, as they are")
    path = Path(output)
    if output != "degraded.png":
        check_choice("output's suffix", path.suffix.lower(), (".json",))
        if path.exists() and not overwrite:
            raise UserError(f"{path}: exists; overwrite=True replaces it")
    jobs, kind = chosen_images(False)
    operators = fitted_operators(options, source_of(jobs, kind), scale, seed, budget)
    if output != "degraded.png":
        write_json(path, {"measurement": {"operators": operators}})
        print(f"{printable(path)}: a config; tmd srgan with {printable(path)}")
    return operators


if __name__ == "__main__":
    ex.run_commandline()
