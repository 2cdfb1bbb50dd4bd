"""Compare generators, interpolations and other programs' results with HR images.

    python experiments/evaluate.py with run=3 benchmark=../shared/data/benchmarks/Set5
    python experiments/evaluate.py with method=bicubic benchmark=Set5,Set14 scale=3
    python experiments/evaluate.py with method=folder sr_root=results/ benchmark=Set5 scale=4

One table a benchmark: a row an image, the last one `mean`. `run`, `checkpoint`, `method`, `sr_root`
and `benchmark` take several, `run=3,4`; what is evaluated stands side by side. The benchmark is a
folder of HR images, or holds `HR/` and perhaps `LR_bicubic/X4`. By default the convention is the
field's: Y of BT.601, a border of `scale` pixels left out, LR by MATLAB's bicubic; at scale 1
(restoration) no border, and the degraded images are made as in training. Images of one
level, and of a metric those that are too small for it, are not in the mean, which is said.

Recorded like any run: tables as CSV and Markdown, each image's values as metrics. `-u` leaves no
record.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from tqdm import tqdm

from experiments.support.devices import available_device
from experiments.support.evaluation_record import EvaluationRecord, distinct, plain
from experiments.support.experiment import Experiment
from experiments.support.inputs import check_folder, several
from experiments.support.trained import Trained, named_file, open_trained
from observers import without_credentials
from tmd.checkpoints import image_kind
from tmd.errors import UserError, check_choice, check_flag, check_number
from tmd.evaluation import (
    METHODS,
    Benchmark,
    Sample,
    System,
    benchmark_kind,
    check_images_suffice,
    evaluate,
    interpolation,
    look_at_given_lr,
    metrics_at_hand,
    network,
    open_benchmark,
    results_in_folder,
)
from tmd.images import ImageKind, set_max_pixels
from tmd.measurements import Measurement, create_measurement, is_given
from tmd.metrics import CHANNELS, MetricSettings, default_border
from tmd.metrics.registry import FUNCTIONS, INFO_KEY, described

ex = Experiment("evaluate")

FOLDER = "folder"
DEFAULT_SCALE = 4


@ex.config
def config():
    run = None  # whose best generator: 3, runs/3, mongodb://host/db#3, or several: 3,4
    checkpoint = None  # or files: best.pt; or a network that comes with the package: photos_x4
    weights = None  # the same as checkpoint; other people's files too: .pth, .safetensors
    method = None  # bicubic, nearest, lanczos, folder
    sr_root = None  # method=folder: where another program's results are
    # folder of HR images, or with HR/ and LR_bicubic/X4 in it; or a tar or an address of either
    benchmark = None  # the HR images
    lr_root = None  # folder of given LR images, matched by name, if they lie elsewhere
    scale = None  # None: the run's, else 4
    measurement = None  # makes LR: None bicubic (scale 1: as run), run as in training, or a list
    metrics = "auto"  # registered ones; auto: psnr, ssim, lpips_alex (its weights), spectral
    lpips_weights = None  # folder of LPIPS's backbones and heads; None: torch's cache
    bands = None  # without a network: which bands of the files, from 1: [3, 2, 1]; None: all
    dtype = None  # without a network: uint8, uint16, float32; None: as the files are
    # without a network: [low, high], or {percentiles: [0.1, 99.9]} of the first benchmark: what
    # PSNR and SSIM take for 0 and 1; None: all levels of the type, of floats [0, 1]
    value_range = None
    shown = None  # one or three bands that LPIPS sees; None: the network's, the first three
    each_band = None  # PSNR and SSIM of each band, too; None: where there are more than three
    channel = "y"  # of PSNR, SSIM, spectral: y (BT.601, 16 to 235), y-full (0 to 255), rgb
    border = None  # pixels left out on each side by these; None: scale, at scale 1 none
    tile = None  # side of a tile in LR pixels; None: as large as the memory allows
    self_ensemble = False  # average over the eight flips and rotations, for 8 times the time
    save_images = False  # True: into the run's record; or a folder, as sr_root takes it
    device = "auto"  # cpu, cuda, cuda:1, ...; auto: a GPU if there is one
    max_pixels = None  # the most that an image may have to be read; None: 89 million
    seed = 1  # of measurements that draw at random


@ex.check
def check(
    run: Any,
    checkpoint: Any,
    weights: Any,
    method: Any,
    sr_root: Any,
    benchmark: Any,
    lr_root: Any,
    metrics: Any,
    lpips_weights: Any,
    channel: str,
    border: int | None,
    tile: int | None,
    self_ensemble: bool,
    save_images: Any,
    device: str,
    max_pixels: int | None,
    each_band: bool | None,
    seed: int,
) -> None:
    set_max_pixels(max_pixels)
    _open_trained.cache_clear()
    methods = several(method)
    for name in methods:
        check_choice("method", name, [*METHODS, FOLDER])
    if (FOLDER in methods) != (sr_root is not None):
        raise UserError("method=folder and sr_root=FOLDER: give both or none")
    if not (several(run) or several(named_file(checkpoint, weights)) or methods):
        raise UserError("nothing to evaluate: give run=3, checkpoint=best.pt or method=bicubic")
    if not several(benchmark):
        raise UserError("benchmark=None: give a folder of HR images, benchmark=Set5 say")
    if lr_root is not None and len(several(benchmark)) > 1:
        raise UserError("lr_root: goes with one benchmark, not with several")
    if metrics != "auto":
        for name in several(metrics):
            check_choice("metrics", name, list(FUNCTIONS))
    check_choice("channel", channel, CHANNELS)
    if border is not None:
        check_number("border", border, 0, integer=True)
    if tile is not None:
        check_number("tile", tile, 1, integer=True)
    check_flag("self_ensemble", self_ensemble)
    if each_band is not None:
        check_flag("each_band", each_band)
    if not isinstance(save_images, (bool, str)):
        raise UserError(f"save_images={save_images!r}: must be True, False or a folder")
    if isinstance(save_images, str):
        check_folder("save_images", save_images)
    check_number("seed", seed, 0, integer=True)
    available_device(device)
    # All that can be missing is opened once before there is a run.
    scale = common_scale()
    benchmarks = open_benchmarks(scale=scale)
    build_measurement(benchmarks=benchmarks, scale=scale)
    build_systems(benchmarks=benchmarks, scale=scale)


@ex.resolve
def resolve(metrics: Any, lpips_weights: Any, border: int | None, device: str) -> dict[str, Any]:
    scale = common_scale()
    names = metrics_at_hand(lpips_weights) if metrics == "auto" else several(metrics)
    names.sort(key=lambda name: name != "psnr")
    settings = MetricSettings(
        default_border(scale) if border is None else border,
        lpips_weights=lpips_weights,
        kind=common_kind(),
    )
    check_images_suffice(open_benchmarks(scale=scale), names, settings)
    if metrics == "auto" and "lpips_alex" not in names:
        print("LPIPS is left out: its weights are not at hand (lpips_weights=FOLDER gives them)")
    return {
        "scale": scale,
        "metrics": names,
        "border": settings.border,
        "device": available_device(device),
    }


@ex.capture
def trained_generators(run: Any, checkpoint: Any, weights: Any, device: str) -> list[Trained]:
    """Trained generators of the runs and files that are evaluated."""
    place, files = available_device(device), several(named_file(checkpoint, weights))
    return [
        *(_open_trained(str(spec), None, ex.store, place) for spec in several(run)),
        *(_open_trained(None, str(path), ex.store, place) for path in files),
    ]


@lru_cache(maxsize=16)
def _open_trained(run: str | None, checkpoint: str | None, store: str, device: str) -> Trained:
    """Loaded once, though the checks and the evaluation need it."""
    return open_trained(run, checkpoint, store, device)


@ex.capture
def common_scale(scale: int | None) -> int:
    """The scale asked for, which every generator must have; else theirs."""
    trained = trained_generators()
    if scale is None:
        scale = int(trained[0].generator.scale) if trained else DEFAULT_SCALE
    check_number("scale", scale, 1, integer=True)
    for one in trained:
        if one.generator.scale != scale:
            raise UserError(f"scale={scale}: {one.name} upscales by {one.generator.scale}")
    return scale


@ex.capture
def common_kind(bands: Any, dtype: Any, value_range: Any, shown: Any, benchmark: Any) -> ImageKind:
    """Kind of the images: the generators', who must agree on it, else that of the files."""
    trained = trained_generators()
    given = {"bands": bands, "dtype": dtype, "value_range": value_range}
    if not trained:
        entries = json.dumps({**given, "shown": shown})
        return kind_of_files(str(several(benchmark)[0]), entries)
    for key, value in given.items():
        if value is not None:
            raise UserError(f"{key}={value}: {trained[0].name} says what its images are")
    kinds = [image_kind(one.state) for one in trained]
    channels = dict(zip((kind.channels for kind in kinds), trained, strict=True))
    if len(channels) > 1:
        described = " and ".join(f"{one.name} has {count}" for count, one in channels.items())
        raise UserError(f"channels: {described}; evaluate them in calls of their own")
    for kind, one in zip(kinds, trained, strict=True):
        if (kind.dtype, kind.bands) != (kinds[0].dtype, kinds[0].bands):
            raise UserError(
                f"{one.name} is for {kind.described()}, {trained[0].name} for "
                f"{kinds[0].described()}; evaluate them in calls of their own"
            )
    return kinds[0] if shown is None else replace(kinds[0], shown=tuple(shown))


@lru_cache(maxsize=4)
def kind_of_files(benchmark: str, entries: str) -> ImageKind:
    """Kind of a benchmark's HR images, as `dataset`'s keys say it.

    Raises:
        UserError: they are not of one kind.
    """
    try:
        return benchmark_kind(benchmark, **json.loads(entries))
    except UserError as problem:
        raise UserError(
            str(problem).replace("dataset.root=", "benchmark=").replace("dataset.", "")
        ) from None


@ex.capture
def build_measurement(
    benchmarks: list[Benchmark], scale: int, measurement: Any, seed: int
) -> Measurement | None:
    """Measurement that makes LR, or None for the benchmark's own LR or bicubic."""
    if measurement is None:
        if scale > 1 or all(benchmark.lr_root for benchmark in benchmarks):
            return None
        if not trained_generators():
            raise UserError(
                "measurement=None: nothing degrades images at scale=1; give operators, "
                '\'[{"name":"jpeg","quality":30}]\' say, or lr_root=FOLDER of degraded images'
            )
        measurement = "run"
    if measurement == "run":
        specs = [one.state["measurement"] for one in trained_generators()]
        if not specs or any(spec != specs[0] for spec in specs):
            raise UserError(
                f"measurement=run: needs runs that agree on it, there are {len(specs)} runs"
            )
        measurement = specs[0]
        if is_given(measurement):
            raise UserError(
                "measurement=run: the run learnt from given LR images; lr_root=FOLDER gives some"
            )
    return create_measurement(measurement, scale, seed)


@ex.capture
def open_benchmarks(benchmark: Any, scale: int, lr_root: Any) -> list[Benchmark]:
    """Benchmarks that are evaluated on."""
    return [open_benchmark(str(root), scale, lr_root) for root in several(benchmark)]


@ex.capture
def build_systems(
    benchmarks: list[Benchmark],
    scale: int,
    method: Any,
    sr_root: Any,
    tile: int | None,
    self_ensemble: bool,
) -> dict[str, System]:
    """Systems by the name of their columns."""
    kind = common_kind()
    systems = [
        (one.name, network(one.generator, tile, self_ensemble, image_kind(one.state)))
        for one in trained_generators()
    ]
    methods = [name for name in several(method) if name != FOLDER]
    systems += [(name, interpolation(name, scale, kind)) for name in methods]
    systems += [
        (Path(str(root)).name, results_in_folder(str(root), benchmarks, kind))
        for root in several(sr_root)
    ]
    names = distinct(name for name, _ in systems)
    return dict(zip(names, (system for _, system in systems), strict=True))


@ex.main
def main(
    _run: Any,
    scale: int,
    metrics: list[str],
    border: int,
    channel: str,
    lpips_weights: Any,
    device: str,
    save_images: bool | str,
    each_band: bool | None,
) -> dict[str, dict[str, dict[str, float | None]]]:
    """Print and record a table of each benchmark; return the means."""
    kind = common_kind()
    record = EvaluationRecord(_run, save_images, kind)
    benchmarks = open_benchmarks(scale=scale)
    systems = build_systems(benchmarks=benchmarks, scale=scale)
    measurement = build_measurement(benchmarks=benchmarks, scale=scale)
    if not kind.is_rgb:
        channel = "rgb"  # all of them
    settings = MetricSettings(border, channel, lpips_weights, device, kind, scale)
    _run.info["image_kind"] = kind.state_dict()
    _run.info["evaluated"] = {**describe(benchmarks), "systems": describe_systems()}
    _run.info[INFO_KEY] = described(metrics)
    if measurement is None:
        _run.info["evaluated"]["pairs"] = look_at_lr(benchmarks, kind)
    results, left_out = {}, {}
    with tqdm(
        total=len(systems) * sum(len(benchmark.samples) for benchmark in benchmarks),
        desc="evaluate",
        unit="image",
        file=sys.stderr,
        leave=False,
    ) as bar:
        for name, benchmark in zip(distinct(b.name for b in benchmarks), benchmarks, strict=True):

            def report(sample: Sample, system: str, sr: Any, values: Any, name=name) -> None:
                record.image(name, system, sample, sr, values)
                bar.update()

            table = evaluate(
                benchmark,
                systems,
                metrics,
                settings,
                measurement=measurement,
                report=report,
                each_band=kind.channels > 3 if each_band is None else each_band,
            )
            tables = {name: table}
            if table.each_band is not None:
                tables[f"{name}_bands"] = table.each_band
            for key, each in tables.items():
                with bar.external_write_mode(file=sys.stdout):
                    print(each.to_markdown())
                record.table(key, each)
            left_out[plain(name)] = table.left_out()
            results[plain(name)] = {plain(key): value for key, value in table.means().items()}
    if any(left_out.values()):
        _run.info["left_out"] = left_out
    if _run._id is not None:
        print(f"recorded as run {_run._id}")
    return results


def look_at_lr(benchmarks: list[Benchmark], kind: ImageKind) -> dict[str, Any]:
    """Facts on the given LR images of each benchmark, of which a line says what is unusual."""
    facts = {}
    for name, benchmark in zip(distinct(b.name for b in benchmarks), benchmarks, strict=True):
        if (look := look_at_given_lr(benchmark, kind)) is None:
            continue
        facts[plain(name)] = {**look.described(), "cropped": benchmark.cropped}
        cropped = f"{benchmark.cropped} pairs are cropped to a common size, as LR was rounded"
        lines = (look.warning(""), look.note(benchmark.scale), cropped * bool(benchmark.cropped))
        for line in filter(None, lines):
            print(f"note: {benchmark.name}: {line}", file=sys.stderr)
    return facts


def describe(benchmarks: list[Benchmark]) -> dict[str, Any]:
    """Benchmarks for the record."""
    names = distinct(benchmark.name for benchmark in benchmarks)
    return {
        "benchmarks": {
            plain(name): {
                "images": len(benchmark.samples),
                "hr": str(benchmark.samples[0].hr.parent.resolve()),
                "lr": None if benchmark.lr_root is None else str(benchmark.lr_root.resolve()),
            }
            for name, benchmark in zip(names, benchmarks, strict=True)
        }
    }


@ex.capture
def describe_systems(
    run: Any, checkpoint: Any, weights: Any, method: Any, sr_root: Any
) -> dict[str, dict[str, Any]]:
    """Systems for the record; trained generators with their iteration."""
    sources = [
        *(f"run {without_credentials(str(spec))}" for spec in several(run)),
        *(f"checkpoint {path}" for path in several(named_file(checkpoint, weights))),
    ]
    trained = trained_generators()
    entries = [
        (one.name, {"source": source, "iteration": one.state.get("iteration")})
        for one, source in zip(trained, sources, strict=True)
    ]
    entries += [(name, {"source": "method"}) for name in several(method) if name != FOLDER]
    entries += [(Path(str(root)).name, {"source": str(root)}) for root in several(sr_root)]
    names = distinct(name for name, _ in entries)
    return {plain(name): entry for name, (_, entry) in zip(names, entries, strict=True)}


if __name__ == "__main__":
    ex.run_commandline()
