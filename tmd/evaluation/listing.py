"""A table of the metrics that there are, from the registry alone."""

from __future__ import annotations

import math

from tmd.errors import UserError
from tmd.metrics.functions import MetricFunction, MetricSettings
from tmd.metrics.registry import BY, FUNCTIONS, metric, needs_of, readiness

HEAD = ("name", "metric", "unit", "better", "needs", "least side", "sees", "weights", "package")


def rows() -> list[tuple[str, ...]]:
    """A row of texts a metric, in the order of `HEAD`."""
    return [_row(name) for name in _names()]


def _names() -> list[str]:
    """Metrics, each once: another library's convention of one has what that one has."""
    return [name for name in FUNCTIONS if BY not in name]


def _row(name: str) -> tuple[str, ...]:
    known, needs = metric(name), needs_of(name)
    better = {True: "higher", False: "lower", None: ""}[known.higher_is_better]
    images = " + ".join(["SR", *(image.upper() for image in needs.of_images())])
    return (
        name,
        known.label,
        known.unit,
        better + _bounds(known.range),
        images + (", of a set" if needs.whole_set else ""),
        str(needs.minimum),
        {"any": "all channels", "shown": "RGB or grey", "several": "several bands"}[needs.channels]
        + (", inside the border" if needs.border else ""),
        needs.weights,
        f"{needs.package} (extra {needs.extra})" if needs.package else "",
    )


def _bounds(bounds: tuple[float, float]) -> str:
    low, high = bounds
    if not math.isfinite(low) and not math.isfinite(high):
        return ""
    return f" ({low:g} to {high:g})" if math.isfinite(high) else f" (from {low:g})"


def markdown(head: tuple[str, ...], table: list[tuple[str, ...]]) -> str:
    """A table with its columns aligned."""
    widths = [max(len(row[i]) for row in (head, *table)) for i in range(len(head))]
    lines = [[cell.ljust(width) for cell, width in zip(r, widths, strict=True)] for r in table]
    named = [cell.ljust(width) for cell, width in zip(head, widths, strict=True)]
    rule = ["-" * width for width in widths]
    return "\n".join(f"| {' | '.join(line)} |" for line in (named, rule, *lines)) + "\n"


def listing(settings: MetricSettings) -> str:
    """All metrics, with what they need and whether it is at hand here."""
    states = [state(name, settings) for name in _names()]
    lacking = [f"{name}: {said}" for name, said in zip(_names(), states, strict=True) if said]
    here = [(*row, "no" if said else "yes") for row, said in zip(rows(), states, strict=True)]
    return "\n".join([markdown((*HEAD, "here"), here), *lacking])


def state(name: str, settings: MetricSettings) -> str:
    """The line that says what a metric lacks here; nothing where it can be computed."""
    if missing := needs_of(name).missing_package():
        return missing
    if readiness(name) is None:
        return ""
    try:
        MetricFunction(name, settings).check_images()
    except UserError as problem:
        return str(problem).removeprefix(f"{name}: ")
    return ""
