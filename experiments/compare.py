"""Look at what was trained: sheets, animations, curves. Works without a display.

    python experiments/compare.py with run=3 input=photos/ output=sheets/
    python experiments/compare.py with run=3,5 input=photos/ output=sheets/
    python experiments/compare.py animate with run=3 output=run3.gif
    python experiments/compare.py curves with run=3 output=run3.png
    python experiments/compare.py curves with run=3,5 output=both.png

One run gives the sheet of the logbook: LR, SR, HR and UR = G(HR) pixel for pixel, and below the
same brought to one size by bicubic. Several runs are shown side by side, in the regions where
bicubic is furthest from the truth. `input` holds HR images; LR is made by the run's measurement.
`curves` of several runs are drawn in the same axes.
`animate` shows a run's sheets in the order of its training or, with `input`, what each of its
checkpoints makes of that image; `.gif` or `.mp4`.

Comparing leaves no record, unless `-F DIR` or `-m URL` asks for one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from experiments.support.devices import available_device
from experiments.support.experiment import Experiment
from experiments.support.inputs import find_images, several
from experiments.support.trained import Trained, open_any, open_trained
from observers import RunRecord, open_run
from observers.reading.listing import differing_keys, flattened, short
from tmd.checkpoints import checkpoints_in, sheet_iteration
from tmd.errors import UserError, check_choice, check_flag, check_number
from tmd.figures import (
    Picture,
    Row,
    captioned_frames,
    check_animation_path,
    comparison_sheet,
    draw_rows,
    preview_sheet,
    save_animation,
    save_figure,
    stretch,
    telling_regions,
)
from tmd.images import as_8_bit, read_image, to_float
from tmd.measurements import create_measurement
from tmd.metrics import LPIPS, find_lpips_weights, is_flat, metric, psnr
from tmd.metrics.registry import INFO_KEY
from tmd.resize import imresize
from tmd.training.phases import PHASES
from tmd.upscale import upscale

if TYPE_CHECKING:
    from tmd.figures.curves import Curve

ex = Experiment("compare")
ex.recorded = False

BICUBIC = "Bicubic"
KEYS_IN_LEGEND = 2


@ex.config
def config():
    run = None  # 3, runs/3, mongodb://host/db#3, a checkpoint's file, or a list of these
    input = None  # HR images: a file, a folder, a glob, or a list of these
    output = None  # None: the folder out, animation.gif or curves.png
    overwrite = False  # replace what is there
    zooms = 2  # regions shown of each image when runs are compared
    zoom_size = 96  # their side in HR pixels
    lpips = "auto"  # True, False; auto: where its weights are at hand
    weights = None  # a folder with LPIPS's weights
    width = 960  # of an animation, in pixels
    fps = 4  # its frames a second
    metrics = None  # curves to draw: those with one of these words in their names; None: all
    device = "auto"  # cpu, cuda, cuda:1, ...; auto: a GPU if there is one


@ex.check
def check(
    run: Any,
    output: Any,
    overwrite: bool,
    zooms: int,
    zoom_size: int,
    lpips: Any,
    width: int,
    fps: float,
    metrics: Any,
    device: str,
) -> None:
    if not several(run):
        raise UserError("run=None: give a run, run=3 say, or several, run=3,5")
    if output is not None and not isinstance(output, str):
        raise UserError(f"output={output!r}: must be a file or a folder")
    check_flag("overwrite", overwrite)
    check_number("zooms", zooms, 1, 8, integer=True)
    check_number("zoom_size", zoom_size, 8, integer=True)
    if lpips not in ("auto", True, False):
        raise UserError(f"lpips={lpips!r}: must be one of auto, True, False")
    check_number("width", width, 160, 3840, integer=True)
    check_number("fps", fps, above=0, maximum=60)
    if not all(isinstance(word, str) for word in several(metrics)):
        raise UserError(f"metrics={metrics!r}: must be words, like psnr,images_per_second")
    available_device(device)


# Sheets ------------------------------------------------------------------------------------------


@ex.main
def compare(
    run: Any, input: Any, output: str | None, overwrite: bool, zooms: int, zoom_size: int
) -> dict[str, dict[str, float]]:
    """A sheet for each image, and the mean figures of each run."""
    folder = Path(output or "out")
    images = named_sheets(input, folder, overwrite)
    trained = open_alike(run)
    judge = Judge(trained[0].generator.scale, build_lpips())  # type: ignore[arg-type]
    failed = 0
    for file, target in tqdm(images, desc="compare", unit="image", file=sys.stderr, leave=False):
        try:
            case = measured(file, trained)
            sheet = draw(case, trained, judge, zooms, zoom_size)
            save_figure(sheet, target)
        except UserError as problem:
            failed += 1
            tqdm.write(f"error: {problem}", file=sys.stderr)
    print(f"{len(images) - failed} of {len(images)} sheets in {folder}")
    for name, figures in judge.means().items():
        print(f"  {name:>12}  {in_words(figures)}")
    if failed:
        raise UserError(f"{failed} of {len(images)} images could not be compared")
    return judge.means()


@dataclass(frozen=True)
class Case:
    """One image as it is compared: (C, H, W) in [0, 1], and what each run makes of it."""

    name: str
    lr: Tensor
    hr: Tensor
    results: dict[str, Tensor]


class Judge:
    """PSNR and, with a network, LPIPS, by the field's convention: Y, ``scale`` pixels cropped."""

    def __init__(self, scale: int, lpips: LPIPS | None) -> None:
        self.scale = scale
        self.lpips = lpips
        self.figures: dict[str, list[dict[str, float]]] = {}

    def __call__(self, case: Case) -> dict[str, str]:
        """What is said of each result of an image."""
        return {name: in_words(self.judge(name, sr, case.hr)) for name, sr in case.results.items()}

    def judge(self, name: str, sr: Tensor, hr: Tensor) -> dict[str, float]:
        found = {}
        if min(hr.shape[-2:]) > 2 * self.scale:
            found["psnr"] = psnr(sr[None], hr[None], border=self.scale).item()
        if self.lpips is not None and min(hr.shape[-2:]) >= self.lpips.minimum_size:
            with torch.no_grad():
                found["lpips"] = self.lpips(sr[None], hr[None]).item()
        if not is_flat(hr):  # nothing to restore: it would own the mean
            self.figures.setdefault(name, []).append(found)
        return found

    def means(self) -> dict[str, dict[str, float]]:
        """Over the images so far, by result."""
        return {
            name: {
                key: sum(row[key] for row in rows if key in row) / sum(key in row for row in rows)
                for key in ("psnr", "lpips")
                if any(key in row for row in rows)
            }
            for name, rows in self.figures.items()
        }


def in_words(figures: Mapping[str, float]) -> str:
    described = {metric(name): value for name, value in figures.items()}
    return " · ".join(
        each.text(value, unit=True) if each.unit else f"{each.label} {each.text(value)}"
        for each, value in described.items()
    )


def draw(
    case: Case, trained: Sequence[Trained], judge: Judge, zooms: int, zoom_size: int
) -> Image.Image:
    notes = judge(case)
    if len(trained) > 1:
        size = max(judge.scale, zoom_size)
        bicubic = case.results[BICUBIC]
        regions = telling_regions(bicubic, case.hr, size, zooms, judge.scale)
        return comparison_sheet(
            case.hr, case.results, notes=notes, regions=regions, title=case.name
        )
    generator, name = trained[0].generator, trained[0].name
    return preview_sheet(
        generator,
        case.lr,
        case.hr,
        sr=case.results[name],
        names=[case.name],
        notes=[{"bicubic": notes[BICUBIC], "SR": notes[name]}],
    )


def measured(file: Path, trained: Sequence[Trained]) -> Case:
    """An image, its LR by the first run's measurement, and what bicubic and each run make of it."""
    first = trained[0]
    scale, channels = int(first.state["scale"]), int(first.state["channels"])
    hr = to_float(read_image(file, channels))
    height, width = (side // scale * scale for side in hr.shape[-2:])
    if not height or not width:
        raise UserError(f"{file}: smaller than one LR pixel at scale={scale}")
    device = next(first.generator.parameters()).device
    hr = hr[:, :height, :width].to(device)
    measure = create_measurement(first.state["measurement"], scale)
    lr = measure(hr[None])
    results = {BICUBIC: as_8_bit(imresize(lr, (height, width)))[0]}
    for each in trained:
        results[each.name] = as_8_bit(upscale(each.generator, lr))[0]
    return Case(file.stem, lr[0], hr, results)


def named_sheets(inputs: Any, folder: Path, overwrite: bool) -> list[tuple[Path, Path]]:
    """(image, sheet) for all images.

    Raises:
        UserError: there are none, or a sheet exists.
    """
    if not inputs:
        raise UserError("input=None: give HR images, input=photos/ say")
    found = list(find_images(inputs, folder))
    if not found:
        raise UserError(f"input={inputs}: holds no images")
    pairs = [(file, folder / place.with_suffix(".png")) for file, place in found]
    sources = {os.path.realpath(file) for file, _ in pairs}
    for _, target in pairs:
        if os.path.realpath(target) in sources:
            raise UserError(f"output={folder}: {target} is an input; give another folder")
        check_absent(target, overwrite)
    return pairs


def check_absent(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise UserError(f"{path}: exists; overwrite=True replaces it")


@ex.capture
def open_alike(run: Any, device: str) -> list[Trained]:
    """The generators of all runs, which must be of one scale and kind of image.

    Raises:
        UserError: they are not.
    """
    specs = several(run)
    trained = [open_any(spec, ex.store, available_device(device)) for spec in specs]
    names = [each.name for each in trained]
    if len(set(names)) < len(names):
        trained = [
            Trained(each.generator, str(spec), each.state)
            for each, spec in zip(trained, specs, strict=True)
        ]
    first = trained[0]
    for other in trained[1:]:
        for key in ("scale", "channels"):
            if other.state[key] != first.state[key]:
                raise UserError(
                    f"run={run}: {other.name} has {key}={other.state[key]}, {first.name} "
                    f"{first.state[key]}; only equals can be compared"
                )
        if other.state["measurement"] != first.state["measurement"]:
            print(
                f"warning: {other.name} was trained with another measurement than {first.name}, "
                "whose LR images are used",
                file=sys.stderr,
            )
    return trained


@ex.capture
def build_lpips(lpips: Any, weights: str | None, device: str) -> LPIPS | None:
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
    run: Any, input: Any, output: str | None, overwrite: bool, width: int, fps: float
) -> str:
    """A run over time: its sheets, or what its checkpoints make of an image."""
    record = one_run(run)
    path = Path(output or "animation.gif")
    check_animation_path(path)
    check_absent(path, overwrite)
    scenes = list(sheets(record) if input is None else applied_checkpoints(record, Path(input)))
    if not scenes:
        raise UserError(f"run {record.spec}: has no sheets; give input=photo.png")
    pictures = [picture for _, picture in scenes]
    captions = [f"run {record.id}, iteration {iteration}" for iteration, _ in scenes]
    save_animation(captioned_frames(pictures, captions, width), path, fps)
    print(f"{path}: {len(scenes)} frames, {path.stat().st_size / 1e6:.1f} MB")
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
        shown = {BICUBIC: case.results[BICUBIC], "SR": case.results[trained.name], "HR": case.hr}
        row = [Picture(stretch(x, 512), key, notes.get(key, "")) for key, x in shown.items()]
        yield trained.state["iteration"], draw_rows([Row(row)], 512)


# Curves ------------------------------------------------------------------------------------------


@ex.command
def curves(run: Any, output: str | None, overwrite: bool, metrics: Any) -> str:
    """Losses, quality and schedules of a run as a picture, or of several in the same axes."""
    from tmd.figures.curves import draw_curves, overlay_curves  # matplotlib takes seconds to import

    opened = [open_run(spec, store=ex.store) for spec in several(run)]
    records = list({record.spec: record for record in opened}.values())
    path = Path(output or "curves.png")
    check_choice("output's suffix", path.suffix.lower(), (".png",))
    check_absent(path, overwrite)
    words = several(metrics)
    measured = [curves_of(record, words) for record in records]
    if len(records) == 1:
        (record,), (found,) = records, measured
        phases = record.info.get("phases", {})
        picture = draw_curves(
            found,
            title=f"Run {record.id}: {record.entry['experiment']['name']}, {record.status.lower()}",
            references=record.info.get("bicubic", {}),
            phases={name: phases[name] for name in PHASES if name in phases},
            recorded=record.info.get(INFO_KEY),
        )
    else:
        names = labels(records)
        levels = [record.info.get("bicubic", {}) for record in records]
        picture = overlay_curves(
            dict(zip(names, measured, strict=True)),
            # Where they were validated on different images, no level is everyone's.
            references=levels[0] if all(level == levels[0] for level in levels) else {},
            recorded=records[0].info.get(INFO_KEY),
        )
    save_figure(picture, path)
    count = len(set().union(*measured))
    print(f"{path}: {count} curves of run {', '.join(str(record.id) for record in records)}")
    return str(path)


def curves_of(record: RunRecord, words: Sequence[str]) -> dict[str, Curve]:
    """What a run has measured that has one of ``words`` in its name, if there are any.

    Raises:
        UserError: nothing.
    """
    from tmd.figures.curves import Curve

    metrics = record.metrics()
    if not metrics:
        raise UserError(f"run {record.spec}: has measured nothing yet (status {record.status})")
    names = ", ".join(metrics)
    if words:
        metrics = {k: v for k, v in metrics.items() if any(word in k for word in words)}
    if not metrics:
        raise UserError(f"metrics={','.join(words)}: run {record.spec} has {names}")
    return {name: Curve(metric.steps, metric.values) for name, metric in metrics.items()}


def labels(records: Sequence[RunRecord]) -> list[str]:
    """Each run's number and what its config has of the keys in which the runs differ."""
    configs = [flattened(record.config) for record in records]
    keys = [key for key in differing_keys(configs) if key not in ("resume", "grow_from")]
    values = [[f"{key}={short(config.get(key), 60)}" for key in keys] for config in configs]
    ids = [record.id for record in records]
    # Runs of several stores may have one number.
    names = ids if len(set(ids)) == len(ids) else [record.spec for record in records]
    return [
        ", ".join([f"run {name}", *shown[:KEYS_IN_LEGEND]])
        for name, shown in zip(names, values, strict=True)
    ]


def one_run(run: Any) -> RunRecord:
    specs = several(run)
    if len(specs) != 1:
        raise UserError(f"run={run}: must be one run")
    return open_run(specs[0], store=ex.store)


if __name__ == "__main__":
    ex.run_commandline()
