"""What benchmarks have in common: where they ran, and a table on the screen and in a file."""

from __future__ import annotations

import csv
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import torch

from tmd.hardware import device_name

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


def show(rows: Sequence[Mapping[str, object]], to: Path | None = None) -> None:
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
