"""Look at what was trained: sheets, animations, curves. Works without a display.

    python experiments/compare.py with run=3 input=photos/ output=sheets/
    python experiments/compare.py with run=3,5 input=photos/ output=sheets/
    python experiments/compare.py animate with run=3 output=run3.gif
    python experiments/compare.py curves with run=3 output=run3.png
    python experiments/compare.py curves with run=3,5 output=both.png
    python experiments/compare.py table with run=3,5,8 benchmark=Set5 baseline=bicubic

One run gives the sheet of the logbook: LR, SR, HR and UR = G(HR) pixel for pixel, and below the
same brought to one size by bicubic. Several runs are shown side by side, in the regions where
bicubic is furthest from the truth. `input` holds HR images; LR is made by the run's measurement, or
given by `lr_root`.
`curves` of several runs are drawn in the same axes; those that differ in nothing but their seeds as
their mean and its 95 % interval (Student's t), unless `bands=False`.
`animate` shows a run's sheets in the order of its training or, with `input`, what each of its
checkpoints makes of that image; `.gif` or `.mp4`.
`table` prints the metrics of runs, files and of bicubic on benchmarks as Markdown and LaTeX, with
intervals; runs that differ in nothing but their seeds are one row. Values that were recorded by an
evaluation are taken from there, those of other systems are measured now. `baseline=3` adds
differences image by image. `output=table.tex`, `.md` or `.csv` writes one of them.

Comparing leaves no record, unless `-F DIR` or `-m URL` asks for one.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from experiments.support.animating import applied_checkpoints, sheets
from experiments.support.comparing import Judge, draw, given_lr, in_words, measured, open_alike
from experiments.support.curves import bands_of, curves_of, labels
from experiments.support.devices import available_device
from experiments.support.experiment import Experiment
from experiments.support.inputs import check_folder, several
from experiments.support.outputs import check_existing, is_left, left_to_do, named_sheets
from experiments.support.tabling import Wanted, check_table_keys, comparison
from observers import RunRecord, open_run
from tmd.errors import UserError, check_choice, check_flag, check_number, printable
from tmd.evaluation.typeset import to_latex, to_markdown
from tmd.figures import (
    captioned_frames,
    check_animation_path,
    save_animation,
    save_figure,
)
from tmd.files import write_bytes
from tmd.images import set_max_pixels
from tmd.metrics import CHANNELS, LPIPS, find_lpips_weights
from tmd.metrics.registry import INFO_KEY
from tmd.training.phases import PHASES

#: Writers of a table by the suffix of its file.
WRITERS = {".md": to_markdown, ".tex": to_latex, ".csv": lambda compared, median: compared.to_csv()}

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
    metrics = None  # words in the names of curves; the metrics of a table; None: all
    bands = True  # curves of runs that differ only in seed as mean and interval; False: each
    device = "auto"  # cpu, cuda, cuda:1, ...; auto: a GPU if there is one
    benchmark = None  # of a table: folders of HR images, or names in records; None: those recorded
    method = "bicubic"  # its further rows: bicubic, nearest, lanczos; None: none
    baseline = None  # run, file or method that each is compared with image by image
    group = "seeds"  # one row of runs that differ in seed only; [[3,5,8],[4,6]]: of these; False
    names = None  # of the rows, in their order: bicubic,ours
    median = False  # True: the median over the images after each mean
    scale = None  # None: the networks'
    channel = "y"  # of PSNR, SSIM, spectral: y, y-full, rgb
    border = None  # pixels left out on each side by these; None: scale, at scale 1 none
    self_ensemble = False  # figures averaged over the eight flips and rotations


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
    method: Any,
    group: Any,
    median: bool,
    scale: int | None,
    channel: str,
    border: int | None,
    self_ensemble: bool,
) -> None:
    check_flag("bands", bands)
    check_table_keys(method, group, scale, border)
    check_flag("median", median)
    check_flag("self_ensemble", self_ensemble)
    check_choice("channel", channel, CHANNELS)
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
    device: str,
) -> str:
    """A run over time: its sheets, or what its checkpoints make of an image."""
    record = one_run(run)
    path = Path(output or "animation.gif")
    check_animation_path(path)
    if is_left(path, existing, overwrite):
        return str(path)
    scenes = list(
        sheets(record)
        if input is None
        else applied_checkpoints(record, Path(input), ex.store, available_device(device))
    )
    if not scenes:
        raise UserError(f"run {record.spec}: has no sheets; give input=photo.png")
    pictures = [picture for _, picture in scenes]
    captions = [f"run {record.id}, iteration {iteration}" for iteration, _ in scenes]
    save_animation(captioned_frames(pictures, captions, width), path, fps)
    print(f"{printable(path)}: {len(scenes)} frames, {path.stat().st_size / 1e6:.1f} MB")
    return str(path)


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


# Table -------------------------------------------------------------------------------------------


@ex.command
def table(
    run: Any,
    benchmark: Any,
    output: str | None,
    existing: str,
    overwrite: bool,
    metrics: Any,
    weights: str | None,
    device: str,
    method: Any,
    baseline: Any,
    group: Any,
    names: Any,
    median: bool,
    scale: int | None,
    channel: str,
    border: int | None,
    self_ensemble: bool,
) -> None:
    """Metrics of several systems on benchmarks with intervals, as Markdown and LaTeX."""
    path = None if output is None else Path(output)
    if path is not None:
        check_choice("output's suffix", path.suffix.lower(), list(WRITERS))
        if is_left(path, existing, overwrite):
            return
    compared = comparison(
        Wanted(
            store=ex.store,
            run=run,
            method=method,
            benchmark=benchmark,
            baseline=baseline,
            group=group,
            names=names,
            metrics=metrics,
            scale=scale,
            channel=channel,
            border=border,
            self_ensemble=self_ensemble,
            lpips_weights=weights,
            device=available_device(device),
        )
    )
    if path is None:
        print(to_markdown(compared, median))
        print(to_latex(compared, median), end="")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, WRITERS[path.suffix.lower()](compared, median).encode())
    print(printable(path))


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
