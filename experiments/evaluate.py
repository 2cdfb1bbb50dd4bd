"""Compare generators, interpolations and other programs' results with HR images.

    python experiments/evaluate.py with run=3 benchmark=../shared/data/benchmarks/Set5
    python experiments/evaluate.py with method=bicubic benchmark=Set5,Set14 scale=3
    python experiments/evaluate.py with method=folder sr_root=results/ benchmark=Set5 scale=4
    python experiments/evaluate.py with run=3 lr_root=photos/ metrics=niqe,consistency
    python experiments/evaluate.py with run=3 benchmark=Set5 html=True
    python experiments/evaluate.py with metrics=?

One table a benchmark: a row an image, the last one `mean`. `run`, `checkpoint`, `method`, `sr_root`
and `benchmark` take several, `run=3,4`; what is evaluated stands side by side. The benchmark is a
folder of HR images, or holds `HR/` and perhaps `LR_bicubic/X4`. By default the convention is the
field's: Y of BT.601, a border of `scale` pixels left out, LR by MATLAB's bicubic; at scale 1
(restoration) no border, and the degraded images are made as in training. Images of one
level, and of a metric those that are too small for it, are not in the mean, which is said.

Recorded like any run: tables as CSV and Markdown, each image's values as metrics and, one a row, in
`per_image.csv`, which `tmd compare table` reads. `-u` leaves no record.
"""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm

from experiments.support.devices import available_device
from experiments.support.evaluating import FOLDER, Evaluation, forget_opened
from experiments.support.evaluation_record import EvaluationRecord, plain
from experiments.support.experiment import Experiment
from experiments.support.galleries import (
    EvaluationGallery,
    check_html,
    check_sorted_by,
    with_bicubic,
)
from experiments.support.inputs import check_folder, several
from experiments.support.trained import named_file
from tmd.errors import UserError, check_choice, check_flag, check_number
from tmd.evaluation import METHODS, check_images_suffice, convention_in_words, metrics_at_hand
from tmd.evaluation.listing import listing
from tmd.images import set_max_pixels
from tmd.metrics import CHANNELS, MetricSettings, default_border
from tmd.metrics.conventions import COMPARED, by_convention
from tmd.metrics.registry import FUNCTIONS, INFO_KEY, described

ex = Experiment("evaluate")

LIST = "?"


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
    # registered ones, ? lists them; auto: psnr, ssim, lpips_alex (its weights), spectral
    metrics = "auto"  # without HR: consistency, niqe (its weights)
    # of PSNR, SSIM and LPIPS: ours, or basicsr, pyiqa, torchmetrics, skimage, ignite, piq, kornia,
    # lpips, computed by that library itself; several: ours,skimage
    convention = "ours"
    lpips_weights = None  # folder of LPIPS's backbones and heads; None: torch's cache
    iqa_weights = None  # folder of NIQE's, MUSIQ's, ... and DISTS's weights; None: pyiqa's cache
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
    html = False  # True: a page of the images, gallery.html, into the run's record; or a folder
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
    convention: Any,
    lpips_weights: Any,
    iqa_weights: Any,
    channel: str,
    border: int | None,
    tile: int | None,
    self_ensemble: bool,
    save_images: Any,
    html: Any,
    device: str,
    max_pixels: int | None,
    each_band: bool | None,
    seed: int,
) -> None:
    if metrics == LIST:
        print(listing(MetricSettings(0, lpips_weights=lpips_weights, iqa_weights=iqa_weights)))
        raise SystemExit
    set_max_pixels(max_pixels)
    forget_opened()
    methods = several(method)
    for name in methods:
        check_choice("method", name, [*METHODS, FOLDER])
    if (FOLDER in methods) != (sr_root is not None):
        raise UserError("method=folder and sr_root=FOLDER: give both or none")
    if not (several(run) or several(named_file(checkpoint, weights)) or methods):
        raise UserError("nothing to evaluate: give run=3, checkpoint=best.pt or method=bicubic")
    if not (several(benchmark) or several(lr_root) or several(sr_root)):
        raise UserError("benchmark=None: give a folder of HR images, benchmark=Set5 say")
    if lr_root is not None and len(several(benchmark)) > 1:
        raise UserError("lr_root: goes with one benchmark, not with several")
    if metrics != "auto":
        for name in several(metrics):
            check_choice("metrics", name, list(FUNCTIONS))
    by_convention(COMPARED if metrics == "auto" else several(metrics), several(convention))
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
    opened = evaluation()
    opened.open()  # before there is a run
    check_html(html, opened.systems)


@ex.capture
def evaluation(
    run: Any,
    checkpoint: Any,
    weights: Any,
    method: Any,
    sr_root: Any,
    benchmark: Any,
    lr_root: Any,
    scale: int | None,
    measurement: Any,
    bands: Any,
    dtype: Any,
    value_range: Any,
    shown: Any,
    tile: int | None,
    self_ensemble: bool,
    device: str,
    seed: int,
) -> Evaluation:
    """The systems and benchmarks that the keys name."""
    return Evaluation(
        store=ex.store,
        run=run,
        checkpoint=checkpoint,
        weights=weights,
        method=method,
        sr_root=sr_root,
        benchmark=benchmark,
        lr_root=lr_root,
        asked_scale=scale,
        asked_measurement=measurement,
        bands=bands,
        dtype=dtype,
        value_range=value_range,
        shown=shown,
        tile=tile,
        self_ensemble=self_ensemble,
        device=device,
        seed=seed,
    )


@ex.resolve
def resolve(
    metrics: Any,
    convention: Any,
    lpips_weights: Any,
    iqa_weights: Any,
    border: int | None,
    device: str,
    method: Any,
    html: Any,
) -> dict[str, Any]:
    opened = evaluation()
    has_hr = all(each.samples[0].hr is not None for each in opened.benchmarks.values())
    names = several(metrics)
    if metrics == "auto":
        names = metrics_at_hand(lpips_weights, iqa_weights, has_hr)
    names = by_convention(sorted(names, key=lambda name: name != "psnr"), several(convention))
    if html:
        check_sorted_by(names)
    settings = MetricSettings(
        default_border(opened.scale) if border is None else border,
        lpips_weights=lpips_weights,
        kind=opened.kind,
        scale=opened.scale,
        iqa_weights=iqa_weights,
        measurement=opened.measurement,
    )
    check_images_suffice(list(opened.benchmarks.values()), names, settings)
    if metrics == "auto" and has_hr and "lpips_alex" not in names:
        print("LPIPS is left out: its weights are not at hand (lpips_weights=FOLDER gives them)")
    return {
        "scale": opened.scale,
        "metrics": names,
        "border": settings.border,
        "device": available_device(device),
        "method": with_bicubic(opened) if html else method,
    }


@ex.main
def main(
    _run: Any,
    scale: int,
    metrics: list[str],
    border: int,
    channel: str,
    lpips_weights: Any,
    iqa_weights: Any,
    device: str,
    save_images: bool | str,
    html: bool | str,
    each_band: bool | None,
) -> dict[str, dict[str, dict[str, float | None]]]:
    """Print and record a table of each benchmark; return the means."""
    opened = evaluation()
    kind = opened.kind
    record = EvaluationRecord(_run, save_images, scale, kind)
    if not kind.is_rgb:
        channel = "rgb"  # all of them
    settings = MetricSettings(border, channel, lpips_weights, device, kind, scale, iqa_weights)
    _run.info["image_kind"] = kind.state_dict()
    _run.info["evaluated"] = opened.described()
    _run.info[INFO_KEY] = described(metrics)
    gallery = EvaluationGallery(html, opened, _run, convention_in_words(settings)) if html else None
    results, left_out = {}, {}
    images = sum(len(benchmark.samples) for benchmark in opened.benchmarks.values())
    with tqdm(
        total=len(opened.systems) * images,
        desc="evaluate",
        unit="image",
        file=sys.stderr,
        leave=False,
    ) as bar:

        def report(*result: Any) -> None:
            record.image(*result)
            bar.update()

        of_bands = kind.channels > 3 if each_band is None else each_band
        show = gallery and gallery.add
        for name, table in opened.tables(metrics, settings, report, of_bands, show):
            with bar.external_write_mode(file=sys.stdout):
                print(table.to_markdown())
                if table.each_band is not None:
                    print(table.each_band.to_markdown())
            record.table(name, table)
            if gallery is not None:
                gallery.add_sets(name, table)
            left_out[plain(name)] = table.left_out()
            results[plain(name)] = {plain(key): value for key, value in table.means().items()}
    if any(left_out.values()):
        _run.info["left_out"] = left_out
    if gallery is not None:
        print(f"gallery: {gallery.write(record.per_image)}")
    if _run._id is not None:
        print(f"recorded as run {_run._id}")
    return results


if __name__ == "__main__":
    ex.run_commandline()
