"""Metrics of every image and system of a benchmark, and their means."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

import torch
from torch import Tensor

from tmd.errors import UserError, printable
from tmd.evaluation.bands import EachBand
from tmd.evaluation.benchmarks import Benchmark, PathLike, Sample, read_sample
from tmd.evaluation.per_image import ImageValue, PerImage
from tmd.evaluation.systems import System
from tmd.images import EIGHT_BITS, ImageKind
from tmd.measurements import Measurement
from tmd.metrics import (
    MetricSettings,
    TooSmallError,
    find_lpips_weights,
    is_flat,
    metric,
    metric_function,
)
from tmd.metrics.fidelity import AT_ONCE
from tmd.metrics.functions import ImageMetric, set_metric, value_of_image
from tmd.metrics.registry import FUNCTIONS, NONE, needs_of

Report = Callable[[Sample, str, Tensor, dict[str, float | None]], None]
#: Told of an image when all have upscaled it: the sample, LR, HR, SR by system.
Show = Callable[[Sample, Tensor | None, Tensor | None, dict[str, Tensor]], None]
#: Pixels of an image's side, within the border, that a metric is tried on.
ENOUGH = 64


def metrics_at_hand(
    lpips_weights: PathLike | None = None, iqa_weights: PathLike | None = None, has_hr: bool = True
) -> list[str]:
    """PSNR, SSIM, LPIPS (alex) where its weights are, the spectral distance.

    Without HR: consistency, and NIQE where pyiqa and its weights are.
    """
    if has_hr:
        lpips_too = find_lpips_weights("alex", lpips_weights) is not None
        return ["psnr", "ssim", *(["lpips_alex"] if lpips_too else []), "spectral"]
    try:
        check_metrics(["niqe"], MetricSettings(0, iqa_weights=iqa_weights))
    except UserError:
        return ["consistency"]
    return ["consistency", "niqe"]


@dataclass
class Table:
    """Metrics of one benchmark: an image a row, a system's metric a column.

    Attributes:
        title: the benchmark and the convention.
        systems: their names.
        metrics: their names, in the order of the columns.
        rows: image -> {(system, metric): value}, None where the image is too small for the metric.
        flat: images that hold nothing and are left out of the means, unless all are.
        of_sets: values that a system has of all images at once, by (system, metric).
        each_band: means over the images by band, where they were asked for.
        head: of the column of the rows' names.
    """

    title: str
    systems: list[str]
    metrics: list[str]
    rows: dict[str, dict[tuple[str, str], float | None]] = field(default_factory=dict)
    flat: set[str] = field(default_factory=set)
    of_sets: dict[tuple[str, str], float | None] = field(default_factory=dict)
    each_band: Table | None = None
    head: str = "image"

    @property
    def columns(self) -> list[tuple[str, str]]:
        """(system, metric), the systems of one metric side by side."""
        return [(system, metric) for metric in self.metrics for system in self.systems]

    @property
    def rated(self) -> list[str]:
        """Images that the means are over."""
        return [name for name in self.rows if name not in self.flat] or list(self.rows)

    def mean(self, system: str, metric: str) -> float | None:
        """Mean over the rated images that are large enough for the metric; None without any.

        Of a metric of whole sets, its value.
        """
        if (system, metric) in self.of_sets:
            return self.of_sets[system, metric]
        values = [self.rows[name][system, metric] for name in self.rated]
        known = [value for value in values if value is not None]
        return fmean(known) if known else None

    def means(self) -> dict[str, dict[str, float | None]]:
        """System -> metric -> mean."""
        return {s: {m: self.mean(s, m) for m in self.metrics} for s in self.systems}

    def per_image(self, benchmark: str, scale: int) -> PerImage:
        """The values one by one, for records and statistics.

        Args:
            benchmark: name that the table's benchmark has there.
            scale: HR pixels per LR pixel.
        """
        rated = set(self.rated)
        return PerImage(
            tuple(
                ImageValue(benchmark, scale, system, image, name, value, image in rated)
                for image, row in self.rows.items()
                for (system, name), value in row.items()
            )
        )

    def left_out(self) -> dict[str, str]:
        """Images that are not in every mean -> reason."""
        reasons = {}
        for name, row in self.rows.items():
            missing = {metric(key).label for (_, key), value in row.items() if value is None}
            if name not in self.rated:
                reasons[name] = "of one level, nothing to restore: left out of the means"
            elif missing:
                labels = ", ".join(sorted(missing))
                reasons[name] = f"too small for {labels}: left out of that mean"
        return reasons

    def _lines(self, text: Callable[[str, float], str]) -> list[list[str]]:
        """A line of column names, one an image, and the last, ``mean``."""
        mean = {column: self.mean(*column) for column in self.columns}
        head = [
            metric(m).label + (f" {s}" if len(self.systems) > 1 else "") for s, m in self.columns
        ]
        cells = {
            name: ["" if (v := row.get(c)) is None else text(c[1], v) for c in self.columns]
            for name, row in {**self.rows, "mean": mean}.items()
        }
        return [[self.head, *head], *([printable(name), *line] for name, line in cells.items())]

    def to_csv(self) -> str:
        """Text for programs: six decimals."""
        file = io.StringIO()
        csv.writer(file, lineterminator="\n").writerows(self._lines(lambda _, v: f"{v:.6f}"))
        return file.getvalue()

    def to_markdown(self) -> str:
        """Text for people: the decimals that papers give, columns aligned; what is left out."""
        lines = self._lines(lambda name, value: metric(name).text(value))
        lines = [[cell.replace("|", "\\|") for cell in line] for line in lines]
        widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]

        def row(cells: list[str]) -> str:
            first, *rest = (
                cell.rjust(width) if i else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
            )
            return f"| {' | '.join([first, *rest])} |"

        rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
        table = [f"### {printable(self.title)}", "", *map(row, [lines[0], rule, *lines[1:]])]
        if left_out := self.left_out():
            table += ["", *(f"{printable(name)}: {reason}" for name, reason in left_out.items())]
        return "\n".join(table) + "\n"


def evaluate(
    benchmark: Benchmark,
    systems: Mapping[str, System],
    metrics: Sequence[str],
    settings: MetricSettings,
    *,
    measurement: Measurement | None = None,
    report: Report | None = None,
    show: Show | None = None,
    each_band: bool = False,
) -> Table:
    """Upscale a benchmark with every system and compare the results with HR.

    Args:
        metrics: names of registered metrics.
        measurement: how LR is made, for other measurements than the benchmark's own.
        report: told of each result: the sample, the system's name, SR (C, H, W) and its
            values by metric, None where the image is too small for it.
        show: told of each image, with what all systems made of it, (C, H, W).
        each_band: whether PSNR and SSIM are wanted of each band, too.

    Raises:
        UserError: an image that can't be read, upscaled or compared, by name; a metric that lacks
            something, its weights say.
    """
    settings = settings._replace(measurement=measurement)
    check_metrics(metrics, settings)
    check_has_what_they_need(metrics, benchmark)
    alone = [name for name in metrics if not needs_of(name).whole_set]
    functions = {name: metric_function(name, settings) for name in alone}
    sets = {
        (system, name): set_metric(name, settings)
        for system in systems
        for name in metrics
        if name not in alone
    }
    kind = settings.kind
    title = f"{benchmark.name} ×{benchmark.scale} ({convention_in_words(settings)})"
    table = Table(title, list(systems), list(metrics))
    bands = EachBand(functions, kind) if each_band else None
    for index, sample in enumerate(benchmark.samples):
        row = table.rows[sample.name] = {}
        try:
            lr, hr = read_sample(sample, benchmark.scale, kind, measurement, index)
            shown = lr if hr is None else hr
            if shown is not None and is_flat(
                shown if kind.levels else kind.to_float(shown), kind.step
            ):
                table.flat.add(sample.name)
            results = {}
            for name, system in systems.items():
                sr = system(sample, torch.empty(0) if lr is None else lr)
                if hr is not None:
                    sr = sr[:, : hr.shape[1], : hr.shape[2]]
                values = compare(sr, hr, functions, settings.device, kind, lr, index)
                if bands is not None and hr is not None and sample.name not in table.flat:
                    bands.add(name, sr, hr)
                for (of, _), of_set in sets.items():
                    if of == name and sample.name not in table.flat:
                        whole = None if hr is None else kind.to_float(hr[None])
                        of_set.add(kind.to_float(sr[None]), whole)
                row.update({(name, key): value for key, value in values.items()})
                if report is not None:
                    report(sample, name, sr, values)
                if show is not None:
                    results[name] = sr
            if show is not None:
                show(sample, lr, hr, results)
        except UserError as problem:
            raise UserError(f"{benchmark.name}, image {sample.name}: {problem}") from None
    table.of_sets = {key: of_set.value() for key, of_set in sets.items()}
    if bands is not None:
        names, rows = list(bands.functions), bands.rows()
        table.each_band = Table(f"{title}, by band", list(systems), names, rows, head="band")
    return table


def convention_in_words(settings: MetricSettings) -> str:
    """The channels that are compared, and what is left out."""
    kind = settings.kind
    if kind.is_rgb:
        compared = settings.channel + ("" if kind.is_eight_bit else f" of {kind.dtype}")
    else:
        compared = "grey" if kind.is_photo else kind.described()
    return f"{compared}, border {settings.border}"


def check_images_suffice(
    benchmarks: Sequence[Benchmark], metrics: Sequence[str], settings: MetricSettings
) -> None:
    """Try the metrics on no more than the largest image, so that what fails does so at once.

    Raises:
        UserError: even that image is too small for a metric or the border, an image that a metric
            needs is not there, or a metric lacks something, its weights say.
    """
    for benchmark in benchmarks:
        check_has_what_they_need(metrics, benchmark)
    sizes = {
        sample.source: sample.size(benchmark.scale)
        for benchmark in benchmarks
        for sample in benchmark.samples
    }
    largest = max(sizes, key=lambda path: min(sizes[path]))
    try:
        check_metrics(metrics, settings, size=sizes[largest])
    except TooSmallError as problem:
        raise UserError(f"{largest}, the largest image: {problem}") from None


def check_has_what_they_need(metrics: Sequence[str], benchmark: Benchmark) -> None:
    """Raise `UserError` for metrics that need an image that a benchmark has not."""
    sample = benchmark.samples[0]
    has = {"hr": sample.hr is not None, "lr": sample.hr is not None or sample.lr is not None}
    ways = {"hr": "benchmark=FOLDER gives them", "lr": "lr_root=FOLDER gives them"}
    for name in metrics:
        for image in needs_of(name).of_images():
            if not has[image]:
                raise UserError(
                    f"metrics={name}: needs {image.upper()} images, and {benchmark.name} has none; "
                    f"{ways[image]}, or choose among {', '.join(_without(image))}"
                )


def _without(image: str) -> list[str]:
    return [name for name in FUNCTIONS if image not in needs_of(name).of_images()]


def check_metrics(
    metrics: Sequence[str],
    settings: MetricSettings,
    key: str = "metrics",
    size: tuple[int, int] | None = None,
) -> None:
    """Raise `UserError` for a metric that lacks something, its weights say.

    Args:
        key: of the metrics in the config.
        size: height and width of the largest image; `TooSmallError` where a metric takes none so
            small.
    """
    for name in metrics:
        try:
            least = needs_of(name).minimum + 2 * settings.border
            side = max(least, 2 * settings.border + ENOUGH)
            height, width = (min(side, given) for given in size or (side, side))
            metric_function(name, settings).check_images((height, width))
        except TooSmallError:
            raise
        except UserError as problem:
            said = str(problem).removeprefix(f"{name}: ")
            raise UserError(f"{key}={name}: {said}") from None


@torch.no_grad()
def compare(
    sr: Tensor,
    hr: Tensor | None,
    functions: Mapping[str, ImageMetric],
    device: str | torch.device = "cpu",
    kind: ImageKind = EIGHT_BITS,
    lr: Tensor | None = None,
    index: int = 0,
) -> dict[str, float | None]:
    """Metrics of one image by name; None where it is too small.

    Args:
        sr, hr, lr: (C, H, W), numbers of ``kind``; HR and LR as far as they are needed.
        functions: see `tmd.metrics.metric_function`.
        index: what the measurement's random parameters were drawn for.
    """
    levels = [None if image is None else image.to(device)[None] for image in (sr, hr, lr)]
    # As floats, two large images would take more memory than all that is computed of them.
    large = kind.is_eight_bit and sr[0].numel() > AT_ONCE
    in_bands = [name for name, f in functions.items() if large and getattr(f, "needs", NONE).levels]
    floats: list[Tensor | None] = []
    if set(functions) - set(in_bands):
        floats = [None if image is None else kind.to_float(image) for image in levels]
    values = {}
    for name, function in functions.items():
        a, b, c = levels if name in in_bands else floats
        assert a is not None
        values[name] = value_of_image(function, a, b, c, index)
    return values
