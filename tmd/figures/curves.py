"""The curves of one run or several: losses, quality, weights, learning rates by iteration."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image
from scipy.special import stdtrit

from tmd.metrics.registry import metric

Recorded = Mapping[str, Any] | None
VALIDATION = "validation"
COLUMNS = 2
PANEL_SIZE = (7.6, 3.1)
DPI = 100
SMOOTHED_FROM = 60
WINDOW = 0.04
COLOURS = ("#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2")
REFERENCE: dict[str, Any] = {
    "color": "#64748b",
    "linestyle": "--",
    "linewidth": 1,
}
SHADES = ("#f1f5f9", "#ffffff")


class Curve(NamedTuple):
    """One measured value over the iterations."""

    steps: Sequence[float]
    values: Sequence[float]


class Band(NamedTuple):
    """One measured value over the iterations in several runs, drawn as mean and interval.

    Attributes:
        steps: the iterations that all have, (T,).
        values: a row for each run, (R, T).
    """

    steps: Sequence[float]
    values: np.ndarray

    @classmethod
    def of(cls, curves: Sequence[Curve]) -> Band:
        """The band of several curves at the iterations that they share."""
        found = [dict(zip(curve.steps, curve.values, strict=True)) for curve in curves]
        steps = sorted(set(found[0]).intersection(*found[1:]))
        return cls(steps, np.array([[each[step] for step in steps] for each in found], float))

    def interval(self, smooth: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Mean and half of the 95 % interval by Student's t at each iteration.

        What is not finite is left out; of one value the interval is NaN.

        Args:
            smooth: each run is smoothed first.
        """
        rows = np.array([smoothed(row) for row in self.values]) if smooth else self.values
        finite = np.isfinite(rows)
        count = finite.sum(0)
        total = np.where(finite, rows, 0).sum(0)
        mean = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
        squares = np.where(finite, (rows - mean) ** 2, 0).sum(0)
        freedom = np.where(count > 1, count - 1, np.nan)
        return mean, stdtrit(freedom, 0.975) * np.sqrt(squares / freedom / count.clip(1))


@dataclass(frozen=True)
class Panel:
    """Curves that share an axis.

    Attributes:
        names: of the curves, as far as a run has them.
        title: by default, what the first of them is.
        exact: they are set, not measured: nothing to smooth.
    """

    names: tuple[str, ...]
    title: str = ""
    logarithmic: bool = False
    exact: bool = False

    def heading(self, recorded: Recorded = None) -> str:
        """Title, or the first curve's label, unit and better direction."""
        if self.title:
            return self.title
        group, _, leaf = self.names[0].rpartition(".")
        described = metric(leaf, recorded)
        words = described.label[:1].upper() + described.label[1:]
        if group == VALIDATION:
            words += " on the held-out images"
        words += f", {described.unit}" if described.unit else ""
        return words + (", lower is better" if described.higher_is_better is False else "")

    @property
    def reference(self) -> str:
        """Name of the level to compare with, bicubic's value of the same metric."""
        group, _, leaf = self.names[0].rpartition(".")
        return leaf if group == VALIDATION else ""


#: The first panels, in their order; every other curve gets one of its own.
PANELS = (
    Panel(("validation.psnr",)),
    Panel(("validation.ssim",)),
    Panel(("validation.score",), "Perceptual score on the held-out images, lower is better"),
    Panel(("train.adv_weight",), exact=True),
    Panel(("train.pixel",), logarithmic=True),
    Panel(("train.loss_g", "train.content"), "Generator's losses", logarithmic=True),
    Panel(("train.adversarial", "train.loss_d"), "Adversarial loss of G, loss of D"),
    Panel(("train.d_real", "train.d_fake"), "What D says"),
    Panel(("train.lr_g", "train.lr_d"), "Learning rates", logarithmic=True, exact=True),
    Panel(("train.images_per_second",)),
)


def draw_curves(
    curves: Mapping[str, Curve],
    *,
    title: str = "",
    references: Mapping[str, float] | None = None,
    baseline: str = "bicubic",
    phases: Mapping[str, int] | None = None,
    recorded: Recorded = None,
) -> Image.Image:
    """A picture with a panel for each group of curves.

    Args:
        curves: by name; the names in `PANELS` come first and together, each other in a panel of
            its own.
        references: bicubic's values by metric; drawn as dashed lines.
        baseline: name of what has those values.
        phases: their lengths in iterations, in order; drawn as shades.
        recorded: the run's own description of its metrics; see `tmd.metrics.metric`.
    """
    panels = [panel for panel in PANELS if any(name in curves for name in panel.names)]
    grouped = {name for panel in PANELS for name in panel.names}
    panels += [Panel((name,)) for name in curves if name not in grouped]
    labelled: list[dict[str, Curve | Band]] = [
        {metric(name, recorded).label: curves[name] for name in panel.names if name in curves}
        for panel in panels
    ]
    return _draw(panels, labelled, title, references or {}, baseline, phases or {}, recorded)


def overlay_curves(
    runs: Mapping[str, Mapping[str, Curve | Band]],
    *,
    references: Mapping[str, float] | None = None,
    baseline: str = "bicubic",
    recorded: Recorded = None,
) -> Image.Image:
    """A picture with a panel for each measured value, in which every run has a curve.

    Args:
        runs: the curves of each by its label, as `draw_curves` takes them; of several runs
            under one label, bands.
        references, baseline: levels that are the same for all, and their name.
        recorded: the runs' own descriptions of their metrics.
    """
    panels = [replace(panel, names=(name,), title="") for panel in PANELS for name in panel.names]
    grouped = {panel.names[0] for panel in panels}
    others = dict.fromkeys(name for curves in runs.values() for name in curves)
    panels += [Panel((name,)) for name in others if name not in grouped]
    panels = [panel for panel in panels if panel.names[0] in others]
    labelled = [
        {
            label: curves[panel.names[0]]
            for label, curves in runs.items()
            if panel.names[0] in curves
        }
        for panel in panels
    ]
    return _draw(
        panels, labelled, "", references or {}, baseline, {}, recorded, one_legend=list(runs)
    )


def _draw(
    panels: Sequence[Panel],
    labelled: Sequence[Mapping[str, Curve | Band]],
    title: str,
    references: Mapping[str, float],
    baseline: str,
    phases: Mapping[str, int],
    recorded: Recorded,
    one_legend: Sequence[str] = (),
) -> Image.Image:
    """The picture of ``panels``, each with its curves by label; ``one_legend``: labels of all."""
    rows = max(1, -(-len(panels) // COLUMNS))
    size = (PANEL_SIZE[0] * COLUMNS, PANEL_SIZE[1] * rows + 0.5 + 0.2 * len(one_legend))
    colours = dict(zip(one_legend, itertools.cycle(COLOURS), strict=False))
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    padding = {"w_pad": 0.2, "h_pad": 0.12, "wspace": 0.02, "hspace": 0.03}
    figure.get_layout_engine().set(**padding)  # type: ignore[union-attr]
    figure.suptitle(title, x=0.015, ha="left", weight="bold", size=14)
    axes = figure.subplots(rows, COLUMNS, squeeze=False).flatten()
    steps = [step for curves in labelled for curve in curves.values() for step in curve.steps]
    shown_range = axis_range(min(steps, default=0), max(steps, default=0))
    for axis, panel, shown in zip(axes, panels, labelled, strict=False):
        axis.set_title(panel.heading(recorded), loc="left", size=11)
        _draw_panel(axis, panel, shown, references.get(panel.reference), baseline, colours)
        _shade(axis, phases, *shown_range)
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    if one_legend:
        lines = [Line2D([], [], color=colours[label], label=label) for label in one_legend]
        if references:
            lines.append(Line2D([], [], **REFERENCE, label=baseline))
        figure.legend(handles=lines, loc="outside upper left", frameon=False, fontsize=10)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def _draw_panel(
    axis: Axes,
    panel: Panel,
    curves: Mapping[str, Curve | Band],
    reference: float | None,
    baseline: str,
    colours: Mapping[str, str],
) -> None:
    for other, (label, curve) in zip(itertools.cycle(COLOURS), curves.items(), strict=False):
        colour = colours.get(label, other)
        steps = np.asarray(curve.steps, float)
        smooth = not panel.exact and len(steps) >= SMOOTHED_FROM
        if isinstance(curve, Band):
            mean, half = curve.interval(smooth)
            axis.fill_between(steps, mean - half, mean + half, color=colour, alpha=0.2, linewidth=0)
            axis.plot(steps, mean, color=colour, label=label)
            continue
        values = np.asarray(curve.values, float)
        if not smooth:
            marker = "o" if len(steps) < 30 else None
            axis.plot(steps, values, color=colour, label=label, marker=marker, markersize=3)
        else:
            axis.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
            axis.plot(steps, smoothed(values), color=colour, label=label)
    if reference is not None:
        axis.axhline(reference, **REFERENCE, label=baseline)
    positive = [value for curve in curves.values() for value in np.ravel(curve.values) if value > 0]
    if panel.logarithmic and positive and max(positive) > 10 * min(positive):
        axis.set_yscale("log")
    if not colours and len(curves) + (reference is not None) > 1:
        axis.legend(frameon=False, fontsize=9)
    axis.grid(color="#e2e8f0", linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=9)
    axis.set_xlabel("iteration", size=9)


def smoothed(values: np.ndarray) -> np.ndarray:
    """The mean over a centred window of `WINDOW` of the curve; what is not finite is left out."""
    half = max(1, int(len(values) * WINDOW / 2))
    finite = np.isfinite(values)
    kernel = np.ones(2 * half + 1)
    total = np.convolve(np.where(finite, values, 0), kernel, "same")
    count = np.convolve(finite.astype(float), kernel, "same")
    return np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)


def axis_range(first: float, last: float) -> tuple[float, float]:
    """The iterations shown: from 0, but for a resumed run from where it went on.

    >>> axis_range(50, 1000), axis_range(45000, 49000)
    ((0, 1000), (45000, 49000))
    """
    return (first, last) if first > 0.2 * last else (0, last)


def _shade(axis: Axes, phases: Mapping[str, int], first: float, last: float) -> None:
    begin = 0
    for number, (name, length) in enumerate(phases.items()):
        start, stop = max(begin, first), min(begin + length, last)
        if stop > start:
            axis.axvspan(start, stop, color=SHADES[number % 2], zorder=-1, linewidth=0)
            if (stop - start) > 0.12 * (last - first):
                middle = (start + stop) / 2
                place = axis.get_xaxis_transform()
                look = {"size": 8, "color": "#94a3b8"}
                axis.text(middle, 0.03, name, look, ha="center", transform=place)
        begin += length
    if last > first:
        axis.set_xlim(first, last)
