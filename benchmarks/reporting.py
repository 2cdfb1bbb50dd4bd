"""Parts that benchmarks have in common: where they ran, and a table on screen and in a file."""

from __future__ import annotations

import argparse
import csv
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from tmd.hardware import device_name

Row = Mapping[str, Any]

#: By their names in the package registry: pip's own.
PACKAGES = ("torch", "pytorch-ignite", "sacred", "numpy")


def surroundings(device: str = "cpu") -> str:
    """The device, the versions and the threads, in one line."""
    name = device_name(torch.device(device))
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{device} ({name}), {cores} cores, {torch.get_num_threads()} threads; "
        f"Python {platform.python_version()}, {versions}"
    )


def add_outputs(parser: argparse.ArgumentParser) -> None:
    """Options for where `report` writes besides the screen."""
    parser.add_argument("--csv", type=Path, help="where the table goes besides the screen")
    parser.add_argument("--plot", type=Path, help="where it goes as a picture, a PNG")


def report(rows: Sequence[Row], options: argparse.Namespace, bars: str, level: float = 0) -> None:
    """Print rows with the same keys as a table, and write what `add_outputs` was given.

    Args:
        bars: the column that the picture shows, a bar a row named by the columns of text before.
        level: a value to compare with, if any: a line.
    """
    show(rows, options.csv)
    if options.plot:
        plot_bars(rows, bars, level, options.plot)


def show(rows: Sequence[Row], to: Path | None = None) -> None:
    """Print rows with the same keys as a table, and write them to a CSV file if one is named."""
    heads = list(rows[0])
    cells = [heads, *([str(row[head]) for head in heads] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(heads))]
    for line in cells:
        first, *others = (
            text.ljust(width) if column == 0 else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        print("  ".join([first, *others]))
    if to is None:
        return
    to.parent.mkdir(parents=True, exist_ok=True)
    with to.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, heads)
        writer.writeheader()
        writer.writerows(rows)


def plot_bars(rows: Sequence[Row], column: str, level: float, to: Path) -> None:
    """See `report`."""
    from matplotlib.figure import Figure

    names = []
    for row in rows:
        before = [row[key] for key in list(row)[: list(row).index(column)]]
        names.append(", ".join(value for value in before if isinstance(value, str) and value))
    values = [float(row[column] or 0) for row in rows]
    figure = Figure((9, 0.34 * len(rows) + 0.9), layout="constrained")
    axes = figure.subplots()
    axes.barh(range(len(rows)), values, color="#2563eb")
    axes.set_yticks(range(len(rows)), names, size=9)
    for place, value in enumerate(values):
        axes.text(value, place, f" {value:g}", va="center", size=9)
    if level:
        axes.axvline(level, color="#0f172a", linewidth=1)
    axes.margins(x=0.08, y=0.02)  # room for the figures, and no more
    axes.invert_yaxis()
    axes.set_xlabel(column)
    axes.spines[["top", "right"]].set_visible(False)
    to.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(to, dpi=120)
