"""Look at what was trained: sheets, animations, curves. Works without a display.

    python experiments/compare.py with run=3 input=photos/ output=sheets/
    python experiments/compare.py with run=3,5 input=photos/ output=sheets/
    python experiments/compare.py animate with run=3 output=run3.gif
    python experiments/compare.py curves with run=3 output=run3.png
    python experiments/compare.py curves with run=3,5 output=both.png

One run gives the sheet of the logbook: LR, SR, HR and UR = G(HR) pixel for pixel, and below the
same brought to one size by bicubic. Several runs are shown side by side, in the regions where
bicubic is furthest from the truth. `input` holds HR images; LR is made by the run's measurement, or
given by `lr_root`.
`curves` of several runs are drawn in the same axes; those that differ in nothing but their seeds as
their mean and its 95 % interval (Student's t), unless `bands=False`.
`animate` shows a run's sheets in the order of its training or, with `input`, what each of its
checkpoints makes of that image; `.gif` or `.mp4`.

Comparing leaves no record, unless `-F DIR` or `-m URL` asks for one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from experiments.support.comparing import Judge, draw, given_lr, in_words, measured, open_alike
from experiments.support.curves import bands_of, curves_of, labels
from experiments.support.devices import available_device
from experiments.support.experiment import Experiment
from experiments.support.inputs import check_folder, find_images, several
from experiments.support.outputs import (
    Job,
    check_existing,
    check_no_input,
    left_to_do,
    named_apart,
    replaces,
)
from experiments.support.trained import open_trained
from observers import RunRecord, open_run
from tmd.checkpoints import checkpoints_in, sheet_iteration
from tmd.errors import UserError, check_choice, check_flag, check_number, printable
from tmd.figures import (
    Picture,
    Row,
    captioned_frames,
    check_animation_path,
    draw_rows,
    save_animation,
    save_figure,
    stretch,
)
from tmd.images import set_max_pixels
from tmd.metrics import LPIPS, find_lpips_weights
from tmd.metrics.registry import INFO_KEY
from tmd.training.phases import PHASES

ex = Experiment("compare")
ex.recorded = False


@ex.config
def config():
    run = None  # 3, runs/3, mongodb://host/db#3, a file of anyone's weights, or a list of these
    input = None  # HR images: a file, a folder, a glob, or a list of these
    lr_root = None  # folder of given LR images of them, matched by name; None: LR is made
    output = None  # None: the folder out, animation.gif or curves.png
    existing = "error"  # skip, replace: what is done where a result is there
    overwrite = False  # the same as existing=replace
    max_pixels = None  # the most that an image may have to be read; None: 89 million
    zooms = 2  # regions shown of each image when runs are compared
    zoom_size = 96  # their side in HR pixels
    lpips = "auto"  # True, False; auto: where its weights are at hand
    weights = None  # a folder with LPIPS's weights
    width = 960  # of an animation, in pixels
    fps = 4  # its frames a second
    metrics = None  # curves to draw: those with one of these words in their names; None: all
    bands = True  # curves of runs that differ only in seed as mean and interval; False: each
    device = "auto"  # cpu, cuda, cuda:1, ...; auto: a GPU if there is one


@ex.check
def check(
    run: Any,
    output: Any,
    existing: str,
    overwrite: bool,
    max_pixels: int | None,
    zooms: int,
    zoom_size: int,
    lpips: Any,
    weights: Any,
    width: int,
    fps: float,
    metrics: Any,
    bands: bool,
    device: str,
) -> None:
    check_flag("bands", bands)
    if not several(run):
        raise UserError("run=None: give a run, run=3 say, or several, run=3,5")
    if output is not None and not isinstance(output, str):
        raise UserError(f"output={output!r}: must be a file or a folder")
    check_existing(existing, overwrite)
    set_max_pixels(max_pixels)
    check_number("zooms", zooms, 1, 8, integer=True)
    check_number("zoom_size", zoom_size, 8, integer=True)
    if lpips not in ("auto", True, False):
        raise UserError(f"lpips={lpips!r}: must be one of auto, True, False")
    if weights is not None and Path(str(weights)).is_file():
        raise UserError(f"weights={weights}: is LPIPS's folder; run={weights} compares the network")
    check_number("width", width, 160, 3840, integer=True)
    check_number("fps", fps, above=0, maximum=60)
    if not all(isinstance(word, str) for word in several(metrics)):
        raise UserError(f"metrics={metrics!r}: must be words, like psnr,images_per_second")
    available_device(device)


# Sheets ------------------------------------------------------------------------------------------


@ex.main
def compare(
    run: Any,
    input: Any,
    lr_root: str | None,
    output: str | None,
    existing: str,
    overwrite: bool,
    zooms: int,
    zoom_size: int,
    device: str,
) -> dict[str, dict[str, float]]:
    """A sheet for each image, and the mean metrics of each run."""
    check_folder("output", output or "out")
    folder = Path(output or "out")
    planned = named_sheets(input, folder, existing, overwrite)
    jobs = left_to_do(planned, existing)
    trained = open_alike(run, ex.store, available_device(device))
    given = given_lr([job.source for job in jobs], lr_root, trained)
    judge = Judge(trained[0].generator.scale, build_lpips())  # type: ignore[arg-type]
    failed = 0
    for job in tqdm(jobs, desc="compare", unit="image", file=sys.stderr, leave=False):
        try:
            case = measured(job.source, trained, given.get(job.source))
            sheet = draw(case, trained, judge, zooms, zoom_size)
            save_figure(sheet, job.target)
        except (UserError, OSError) as problem:
            failed += 1
            what = "" if isinstance(problem, UserError) else f"{job.target}: "
            reason = getattr(problem, "strerror", None) or problem
            tqdm.write(printable(f"error: {what}{reason}"), file=sys.stderr)
    there = len(planned) - len(jobs)
    skipped = f", {there} were there" if there else ""
    print(f"{len(jobs) - failed} of {len(planned)} sheets in {printable(folder)}{skipped}")
    for name, figures in judge.means().items():
        print(f"  {name:>12}  {in_words(figures)}")
    if failed:
        raise UserError(f"{failed} of {len(planned)} images could not be compared")
    return judge.means()


def named_sheets(inputs: Any, folder: Path, existing: str, overwrite: bool) -> list[Job]:
    """Images and the sheets that they become; a.jpg beside a.png becomes a.jpg.png.

    Raises:
        UserError: there are none, or a sheet exists.
    """
    if not inputs:
        raise UserError("input=None: give HR images, input=photos/ say")
    found = list(find_images(inputs, folder))
    if not found:
        raise UserError(f"input={inputs}: holds no images")
    jobs = named_apart(found, folder, ".png")
    check_no_input(jobs, folder)
    for job in left_to_do(jobs, existing):
        check_absent(job.target, replaces(existing, overwrite))
    return jobs


def check_absent(path: Path, overwrite: bool) -> None:
    """Raise `UserError` for a result that is there and is not to be replaced."""
    if path.exists() and not overwrite:
        raise UserError(f"{path}: exists; overwrite=True replaces it, existing=skip leaves it")


def is_left(path: Path, existing: str, overwrite: bool) -> bool:
    """Return whether a result is there and stays, which is said.

    Raises:
        UserError: it is there, and neither to be left nor to be replaced.
    """
    if existing == "skip" and path.exists():
        print(f"{printable(path)}: was there")
        return True
    check_absent(path, replaces(existing, overwrite))
    return False


@ex.capture
def build_lpips(lpips: Any, weights: str | None, device: str) -> LPIPS | None:
    """LPIPS's network where it is wanted and its weights are at hand.

    Raises:
        UserError: they are not, and it was asked for.
    """
    if lpips is False:
        return None
    found = find_lpips_weights("alex", weights)
    if found is None:
        if lpips is True:
            raise UserError(
                "lpips=True: its weights are not at hand; weights=FOLDER names where "
                "alexnet*.pth and alex.pth are"
            )
        return None
    return LPIPS(found).to(available_device(device))


# Animation ---------------------------------------------------------------------------------------


@ex.command
def animate(
    run: Any,
    input: Any,
    output: str | None,
    existing: str,
    overwrite: bool,
    width: int,
    fps: float,
) -> str:
    """A run over time: its sheets, or what its checkpoints make of an image."""
    record = one_run(run)
    path = Path(output or "animation.gif")
    check_animation_path(path)
    if is_left(path, existing, overwrite):
        return str(path)
    scenes = list(sheets(record) if input is None else applied_checkpoints(record, Path(input)))
    if not scenes:
        raise UserError(f"run {record.spec}: has no sheets; give input=photo.png")
    pictures = [picture for _, picture in scenes]
    captions = [f"run {record.id}, iteration {iteration}" for iteration, _ in scenes]
    save_animation(captioned_frames(pictures, captions, width), path, fps)
    print(f"{printable(path)}: {len(scenes)} frames, {path.stat().st_size / 1e6:.1f} MB")
    return str(path)


def sheets(record: RunRecord) -> Iterator[tuple[int, Image.Image]]:
    """(iteration, sheet) in the order of training."""
    for name in sorted(record.artifacts()):
        if (iteration := sheet_iteration(name)) is not None:
            with record.open(name) as file, Image.open(file) as picture:
                yield iteration, picture.convert("RGB")


@ex.capture
def applied_checkpoints(
    record: RunRecord, image: Path, device: str
) -> Iterator[tuple[int, Image.Image]]:
    """(iteration, bicubic beside SR beside HR) for each checkpoint that the run has kept."""
    for name in checkpoints_in(record.artifacts()):
        trained = open_trained(None, record.local_path(name), ex.store, available_device(device))
        case = measured(image, [trained])
        judge = Judge(int(trained.state["scale"]), None)
        notes = judge(case)
        shown = case.pictures
        named = {case.baseline: case.baseline, "SR": trained.name}
        row = [
            Picture(stretch(shown[name], 512), title, notes[name]) for title, name in named.items()
        ]
        row.append(Picture(stretch(shown["HR"], 512), "HR", ""))
        yield trained.state["iteration"], draw_rows([Row(row)], 512)


# Curves ------------------------------------------------------------------------------------------


@ex.command
def curves(
    run: Any, output: str | None, existing: str, overwrite: bool, metrics: Any, bands: bool
) -> str:
    """Losses, quality and schedules of a run as a picture, or of several in the same axes."""
    from tmd.figures.curves import draw_curves, overlay_curves  # matplotlib takes seconds to import

    opened = [open_run(spec, store=ex.store) for spec in several(run)]
    records = list({record.spec: record for record in opened}.values())
    path = Path(output or "curves.png")
    check_choice("output's suffix", path.suffix.lower(), (".png",))
    if is_left(path, existing, overwrite):
        return str(path)
    words = several(metrics)
    measured = [curves_of(record, words) for record in records]
    if len(records) == 1:
        (record,), (found,) = records, measured
        phases = record.info.get("phases", {})
        picture = draw_curves(
            found,
            title=f"Run {record.id}: {record.entry['experiment']['name']}, {record.status.lower()}",
            references=record.info.get("bicubic", {}),
            baseline=record.info.get("baseline", "bicubic"),
            phases={name: phases[name] for name in PHASES if name in phases},
            recorded=record.info.get(INFO_KEY),
        )
    else:
        each = dict(zip(labels(records), measured, strict=True))
        levels = [record.info.get("bicubic", {}) for record in records]
        picture = overlay_curves(
            bands_of(records, measured) if bands else each,
            # Where they were validated on different images, no level is everyone's.
            references=levels[0] if all(level == levels[0] for level in levels) else {},
            baseline=records[0].info.get("baseline", "bicubic"),
            recorded=records[0].info.get(INFO_KEY),
        )
    save_figure(picture, path)
    count = len(set().union(*measured))
    of = f"run{'s' * (len(records) > 1)} " + ", ".join(str(record.id) for record in records)
    print(f"{printable(path)}: {count} curve{'s' * (count != 1)} of {of}")
    return str(path)


def one_run(run: Any) -> RunRecord:
    """The record of the one run that is named.

    Raises:
        UserError: several are, or there is none.
    """
    specs = several(run)
    if len(specs) != 1:
        raise UserError(f"run={run}: must be one run")
    return open_run(specs[0], store=ex.store)


if __name__ == "__main__":
    ex.run_commandline()
