"""Benchmarks: pairs of HR and LR images, the systems that upscale them, tables of the results.

By the field's convention: HR is cropped to a multiple of the scale, LR is its bicubic reduction as
MATLAB makes it, what is compared is 8-bit images, and the figure of a benchmark is the mean over
its images.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import NamedTuple, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from tmd.errors import UserError
from tmd.images import list_images, read_image, read_size, to_float, to_uint8
from tmd.measurements import Measurement
from tmd.metrics import LPIPS, find_lpips_weights, psnr, spectral_distance, ssim
from tmd.registry import Registry
from tmd.resize import imresize, imresize_uint8
from tmd.upscale import upscale

PathLike = str | os.PathLike[str]

# Benchmarks -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sample:
    """An image of a benchmark; without ``lr`` its LR is made from ``hr``."""

    name: str
    hr: Path
    lr: Path | None = None


@dataclass(frozen=True)
class Benchmark:
    """A set of images to upscale by ``scale``; made by `open_benchmark`."""

    name: str
    scale: int
    samples: tuple[Sample, ...]
    lr_root: Path | None = None


def open_benchmark(root: PathLike, scale: int, lr_root: PathLike | None = None) -> Benchmark:
    """The images of a benchmark, every pair checked by its files' headers.

    Args:
        root: a folder of HR images; or one with ``HR/`` and perhaps ``LR_bicubic/X2``, ``X3``, ...
            whose files are called as the HR ones, an ending such as ``x4`` apart.
        scale: the factor; the LR folder is chosen by it.
        lr_root: a folder of LR images, instead of the one within ``root``.

    Raises:
        UserError: an absent folder, one without images, or a pair that does not match, by name.
    """
    root = Path(root)
    hr_root = root / "HR" if (root / "HR").is_dir() else root
    files = _images(hr_root, "benchmark")
    if lr_root is None:
        within = root / "LR_bicubic" / f"X{scale}"
        lr_folder = within if within.is_dir() else None
    else:
        lr_folder = Path(lr_root)
    partners = _pair(files, lr_folder, scale, "lr_root", exact=True) if lr_folder else {}
    samples = tuple(Sample(file.stem, file, partners.get(file)) for file in files)
    for sample in samples:
        _check_sizes(sample, scale)
    named = Path(os.path.abspath(root))
    if named.name == "HR":  # `Set5/HR` is Set5, too
        named = named.parent
    return Benchmark(named.name, scale, samples, lr_folder)


def _images(folder: Path, key: str) -> list[Path]:
    if not folder.is_dir():
        raise UserError(f"{key} {folder}: no such folder")
    files = list_images(folder, recursive=False)
    if not files:
        raise UserError(f"{key} {folder}: holds no images")
    stems = [file.stem for file in files]
    if twice := next((file for file in files if stems.count(file.stem) > 1), None):
        raise UserError(f"{key} {folder}: holds two images called {twice.stem}")
    return files


def _pair(
    files: Sequence[Path], folder: Path, scale: int, key: str, *, exact: bool
) -> dict[Path, Path]:
    """Each file's partner in ``folder``, which ``key`` names; ``exact``: with none left over."""
    partners = {file.stem: file for file in _images(folder, key)}
    found = {}
    for file in files:
        names = partner_names(file.stem, partners, scale)
        if len(names) != 1:
            problem = f"{len(names)} of it ({', '.join(names)})" if names else "none of it"
            raise UserError(
                f"{file}: {key} {folder} has {problem}; expected one file called "
                f"{file.stem} or {file.stem}x{scale}"
            )
        found[file] = partners[names[0]]
    left = sorted(set(partners.values()) - set(found.values()))
    if exact and left:
        raise UserError(f"{left[0]}: has no HR image of its name")
    return found


def partner_names(stem: str, names: Mapping[str, Path] | Sequence[str], scale: int) -> list[str]:
    """Which of ``names`` belong to the image ``stem``: the best kind of match there is.

    Example:
        >>> partner_names("img_1", ["img_1x4", "img_10x4", "img_1_final"], 4)
        ['img_1x4']
        >>> partner_names("img_1", ["img_1_SRResNet", "img_10_SRResNet"], 4)
        ['img_1_SRResNet']
    """
    kinds = (
        re.escape(stem),
        rf"{re.escape(stem)}[-_]?[xX]{scale}",
        rf"{re.escape(stem)}[-_.][^\d].*",
    )
    for kind in kinds:
        if found := [name for name in names if re.fullmatch(kind, name)]:
            return found
    return []


def _check_sizes(sample: Sample, scale: int) -> None:
    height, width = (side // scale for side in read_size(sample.hr))
    if min(height, width) == 0:
        raise UserError(f"{sample.hr}: smaller than scale={scale} pixels")
    if sample.lr is not None and read_size(sample.lr) != (height, width):
        raise UserError(
            f"{sample.hr} {_size(sample.hr)} and {sample.lr} {_size(sample.lr)}: "
            f"LR must be {height}×{width} at scale={scale}"
        )


def _size(path: Path) -> str:
    return "×".join(str(side) for side in read_size(path))


def read_pair(
    sample: Sample,
    scale: int,
    channels: int = 3,
    measurement: Measurement | None = None,
    index: int = 0,
) -> tuple[Tensor, Tensor]:
    """LR and HR as uint8, (C, h, w) and (C, scale·h, scale·w).

    Args:
        measurement: makes LR even where the sample has one; by default, bicubic as MATLAB has it.
        index: what random parameters of the measurement are drawn for.
    """
    hr = read_image(sample.hr, channels)
    height, width = (side // scale * scale for side in hr.shape[-2:])
    hr = hr[:, :height, :width]
    if measurement is not None:
        return to_uint8(measurement(to_float(hr)[None], index)[0]), hr
    if sample.lr is not None:
        return read_image(sample.lr, channels), hr
    return imresize_uint8(hr, 1 / scale), hr


# Systems --------------------------------------------------------------------------------------


class System(Protocol):
    """Upscales an LR image: (C, h, w) uint8 -> (C, scale·h, scale·w) uint8."""

    def __call__(self, sample: Sample, lr: Tensor) -> Tensor: ...


METHODS: Registry[Callable[[Tensor, int], Tensor]] = Registry("method")


@METHODS.register("bicubic")
def bicubic(lr: Tensor, scale: int) -> Tensor:
    """MATLAB's kernel, rounded once at the end, as the figures in papers are made."""
    return to_uint8(imresize(to_float(lr)[None], scale)[0])


@METHODS.register("nearest")
def nearest(lr: Tensor, scale: int) -> Tensor:
    """Every pixel a square."""
    return lr.repeat_interleave(scale, 1).repeat_interleave(scale, 2)


@METHODS.register("lanczos")
def lanczos(lr: Tensor, scale: int) -> Tensor:
    """Pillow's, three lobes."""
    size = (lr.shape[2] * scale, lr.shape[1] * scale)
    planes = [Image.fromarray(plane.numpy()).resize(size, Image.Resampling.LANCZOS) for plane in lr]
    return torch.from_numpy(np.stack([np.asarray(plane) for plane in planes]))


def interpolation(method: str, scale: int) -> System:
    """One of `METHODS` as a system."""
    function = METHODS[method]
    return lambda sample, lr: function(lr, scale)


def network(generator: nn.Module, tile: int | None = None, self_ensemble: bool = False) -> System:
    """A generator as a system; large images go through it in tiles.

    Args:
        tile: side of a tile in LR pixels; None fits it to the memory.
        self_ensemble: average over the eight flips and rotations, for 8 times the time.
    """

    def run(sample: Sample, lr: Tensor) -> Tensor:
        channels, height, width = lr.shape
        scale = int(generator.scale)  # type: ignore[arg-type]
        out = torch.empty((1, channels, scale * height, scale * width), dtype=torch.uint8)
        return upscale(generator, lr[None], tile, out=out, self_ensemble=self_ensemble)[0]

    return run


def results_in_folder(root: PathLike, benchmarks: Sequence[Benchmark]) -> System:
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
        files = [sample.hr for sample in benchmark.samples]
        found = _pair(files, folder, benchmark.scale, "sr_root", exact=False)
        for hr, sr in found.items():
            _check_result(hr, sr, benchmark.scale)
        results |= found

    def read(sample: Sample, lr: Tensor) -> Tensor:
        return read_image(results[sample.hr], len(lr))

    return read


def _check_result(hr: Path, sr: Path, scale: int) -> None:
    whole = read_size(hr)
    cropped = tuple(side // scale * scale for side in whole)
    if read_size(sr) not in (whole, cropped):
        raise UserError(
            f"{hr} {_size(hr)} and {sr} {_size(sr)}: "
            f"SR must be {'×'.join(map(str, cropped))} at scale={scale}"
        )


# Metrics --------------------------------------------------------------------------------------


class MetricSettings(NamedTuple):
    """What the metrics of an evaluation have in common.

    Attributes:
        border: pixels left out on each side. LPIPS takes the whole image, as it is published.
        channel: of PSNR, SSIM and the spectral distance.
        lpips_weights: folder for `find_lpips_weights`.
    """

    border: int
    channel: str = "y"
    lpips_weights: PathLike | None = None
    device: str | torch.device = "cpu"


class NamedMetric(NamedTuple):
    """(N, C, H, W) twice -> (N,), and how its column looks."""

    label: str
    decimals: int
    function: Callable[[Tensor, Tensor], Tensor]


METRICS: Registry[Callable[[MetricSettings], NamedMetric]] = Registry("metrics")


@METRICS.register("psnr")
def _psnr(settings: MetricSettings) -> NamedMetric:
    border, channel = settings.border, settings.channel
    return NamedMetric("PSNR", 2, lambda sr, hr: psnr(sr, hr, border, channel))


@METRICS.register("ssim")
def _ssim(settings: MetricSettings) -> NamedMetric:
    border, channel = settings.border, settings.channel
    return NamedMetric("SSIM", 4, lambda sr, hr: ssim(sr, hr, border, channel))


@METRICS.register("spectral")
def _spectral(settings: MetricSettings) -> NamedMetric:
    border, channel = settings.border, settings.channel
    return NamedMetric("spectral", 2, lambda sr, hr: spectral_distance(sr, hr, border, channel))


@METRICS.register("lpips_alex")
def _lpips_alex(settings: MetricSettings) -> NamedMetric:
    return _lpips("alex", settings)


@METRICS.register("lpips_vgg")
def _lpips_vgg(settings: MetricSettings) -> NamedMetric:
    return _lpips("vgg", settings)


def _lpips(net: str, settings: MetricSettings) -> NamedMetric:
    weights = find_lpips_weights(net, settings.lpips_weights)
    if weights is None:
        raise UserError(
            f"metrics=lpips_{net}: its weights are not at hand; lpips_weights=FOLDER gives them, "
            "or choose from psnr, ssim, spectral"
        )
    return NamedMetric(f"LPIPS-{net}", 3, LPIPS(weights).to(settings.device))


def metrics_at_hand(lpips_weights: PathLike | None = None) -> list[str]:
    """PSNR, SSIM, LPIPS (alex) where its weights are, the spectral distance."""
    lpips_too = find_lpips_weights("alex", lpips_weights) is not None
    return ["psnr", "ssim", *(["lpips_alex"] if lpips_too else []), "spectral"]


# Evaluation -----------------------------------------------------------------------------------


@dataclass
class Table:
    """The figures of one benchmark: an image a row, a system's metric a column.

    Attributes:
        title: the benchmark and the convention.
        systems: their names.
        metrics: key -> metric, in the order of the columns.
        rows: image -> {(system, metric's key): value}.
    """

    title: str
    systems: list[str]
    metrics: dict[str, NamedMetric]
    rows: dict[str, dict[tuple[str, str], float]] = field(default_factory=dict)

    @property
    def columns(self) -> list[tuple[str, str]]:
        """(system, metric), the systems of one metric side by side."""
        return [(system, metric) for metric in self.metrics for system in self.systems]

    def mean(self, system: str, metric: str) -> float:
        """The mean over the images."""
        return fmean(row[system, metric] for row in self.rows.values())

    def means(self) -> dict[str, dict[str, float]]:
        """system -> metric -> mean."""
        return {s: {m: self.mean(s, m) for m in self.metrics} for s in self.systems}

    def _lines(self, text: Callable[[str, float], str]) -> list[list[str]]:
        """A line of column names, one an image, and the last, ``mean``."""
        mean = {column: self.mean(*column) for column in self.columns}
        head = [
            self.metrics[m].label + (f" {s}" if len(self.systems) > 1 else "")
            for s, m in self.columns
        ]
        body = {**self.rows, "mean": mean}
        return [
            ["image", *head],
            *([name, *(text(c[1], row[c]) for c in self.columns)] for name, row in body.items()),
        ]

    def to_csv(self) -> str:
        """For programs: six decimals."""
        file = io.StringIO()
        csv.writer(file, lineterminator="\n").writerows(self._lines(lambda _, v: f"{v:.6f}"))
        return file.getvalue()

    def to_markdown(self) -> str:
        """For people: the decimals that papers give, columns aligned."""
        lines = self._lines(lambda metric, v: f"{v:.{self.metrics[metric].decimals}f}")
        lines = [[cell.replace("|", "\\|") for cell in line] for line in lines]
        widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]

        def row(cells: list[str]) -> str:
            first, *rest = (
                cell.rjust(width) if i else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
            )
            return f"| {' | '.join([first, *rest])} |"

        rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
        return "\n".join([f"### {self.title}", "", *map(row, [lines[0], rule, *lines[1:]])]) + "\n"


Report = Callable[[Sample, str, Tensor, dict[str, float]], None]


def evaluate(
    benchmark: Benchmark,
    systems: Mapping[str, System],
    metrics: Sequence[str],
    settings: MetricSettings,
    *,
    channels: int = 3,
    measurement: Measurement | None = None,
    report: Report | None = None,
) -> Table:
    """Upscale a benchmark with every system and compare the results with HR.

    Args:
        metrics: names of `METRICS`.
        channels: 3, or 1 to evaluate on grey images.
        measurement: how LR is made, for other measurements than the benchmark's own.
        report: told of each result: the sample, the system's name, SR (C, H, W) uint8 and its
            figures by metric.

    Raises:
        UserError: an image that can't be read, upscaled or compared, by name.
    """
    chosen = {name: METRICS[name](settings) for name in metrics}
    title = f"{benchmark.name} ×{benchmark.scale}"
    convention = f"{'grey' if channels == 1 else settings.channel}, border {settings.border}"
    table = Table(f"{title} ({convention})", list(systems), chosen)
    for index, sample in enumerate(benchmark.samples):
        row = table.rows[sample.name] = {}
        try:
            lr, hr = read_pair(sample, benchmark.scale, channels, measurement, index)
            for name, system in systems.items():
                sr = system(sample, lr)[:, : hr.shape[1], : hr.shape[2]]
                figures = compare(sr, hr, chosen, settings.device)
                row.update({(name, metric): value for metric, value in figures.items()})
                if report is not None:
                    report(sample, name, sr, figures)
        except UserError as problem:
            raise UserError(f"{benchmark.name}, image {sample.name}: {problem}") from None
    return table


def check_images_suffice(
    benchmarks: Sequence[Benchmark], metrics: Sequence[str], settings: MetricSettings
) -> None:
    """Compare a blank of the smallest image's size, so that an evaluation fails before it begins.

    Raises:
        UserError: the image is too small for a metric or the border.
    """
    sides = {
        (sample.hr, benchmark.scale): read_size(sample.hr)
        for benchmark in benchmarks
        for sample in benchmark.samples
    }
    (path, scale), size = min(sides.items(), key=lambda item: min(item[1]))
    blank = torch.zeros(1, *(side // scale * scale for side in size), dtype=torch.uint8)
    try:
        compare(blank, blank, {name: METRICS[name](settings) for name in metrics})
    except UserError as problem:
        raise UserError(f"{path}: {problem}") from None


@torch.no_grad()
def compare(
    sr: Tensor,
    hr: Tensor,
    metrics: Mapping[str, NamedMetric],
    device: str | torch.device = "cpu",
) -> dict[str, float]:
    """The figures of one image; ``sr``, ``hr``: (C, H, W) uint8."""
    a, b = (to_float(image.to(device))[None] for image in (sr, hr))
    return {name: metric.function(a, b).item() for name, metric in metrics.items()}
