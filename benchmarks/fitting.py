"""Degradations that are known, and what `measurement.fit` finds of photos degraded by them.

    python benchmarks/fitting.py --images BSDS500/test --hr BSDS500/train

The photos that are degraded are others than the HR given to the fit. Prints a table: what was done,
what was found, the distances and the processor's time.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import torch

from tmd.data.files import find_files
from tmd.data.sources import FileSource
from tmd.fitting import Objective, fit, take_sample, total
from tmd.images import to_float, to_uint8
from tmd.measurements import create_measurement

#: What is searched: ranges that are far too wide.
WIDE: dict[str, list[Any]] = {
    "blur": [{"name": "blur", "sigma": [0.2, 4]}, "decimate"],
    "noise": ["bicubic", {"name": "noise", "sigma": [0, 0.15]}],
    "jpeg": ["bicubic", {"name": "jpeg", "quality": [10, 95]}],
    "all": [
        {"name": "blur", "sigma": [0.2, 4]},
        "decimate",
        {"name": "noise", "sigma": [0, 0.15]},
        {"name": "jpeg", "quality": [10, 95]},
    ],
}
#: (scale, key of `WIDE`, values in the order of its ranges).
CASES: list[tuple[int, str, list[Any]]] = [
    (2, "blur", [0.8]),
    (2, "blur", [1.6]),
    (4, "blur", [1.2]),
    (4, "blur", [2.4]),
    (2, "noise", [0.01]),
    (2, "noise", [0.04]),
    (4, "noise", [0.1]),
    (2, "jpeg", [30]),
    (4, "jpeg", [60]),
    (2, "jpeg", [85]),
    (2, "all", [1.6, 0.03, 60]),
    (4, "all", [1.6, 0.02, 75]),
    (4, "all", [2.4, 0.05, 40]),
    (2, "all", [1.0, 0.01, 90]),
    (4, "all", [[1, 2], [0.01, 0.04], [50, 80]]),
]
RANGED = {"blur": "sigma", "noise": "sigma", "jpeg": "quality"}


class Degraded:
    """Images of a source, degraded: what a user's folder is."""

    def __init__(self, source: FileSource, operators: list[Any], scale: int, seed: int) -> None:
        self.kind = source.kind
        measure = create_measurement(operators, scale, seed)
        self.images = []
        for index in range(len(source)):
            image = to_float(source.read(index))
            height, width = (side // scale * scale for side in image.shape[-2:])
            self.images.append(to_uint8(measure(image[None, :, :height, :width], index)[0]))

    def __len__(self) -> int:
        return len(self.images)

    def size(self, index: int) -> tuple[int, int]:
        return tuple(self.images[index].shape[-2:])  # type: ignore[return-value]

    def read(self, index: int) -> torch.Tensor:
        return self.images[index]


def with_values(operators: list[Any], values: list[Any]) -> list[Any]:
    """The list with these instead of its ranges."""
    left, made = list(values), []
    for entry in operators:
        if isinstance(entry, dict):
            made.append({**entry, RANGED[entry["name"]]: left.pop(0)})
        else:
            made.append(entry)
    return made


def shown(operators: list[Any]) -> str:
    """The ranges of a list in words."""
    return ", ".join(
        f"{entry['name']} {entry[RANGED[entry['name']]]}".replace("'", "")
        for entry in operators
        if isinstance(entry, dict)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, required=True, help="photos that are degraded")
    parser.add_argument("--hr", type=Path, required=True, help="other photos, that are given")
    parser.add_argument("--count", type=int, default=20, help="of images")
    parser.add_argument("--budget", type=int, default=300)
    parser.add_argument("--cases", help="numbers of the cases, with commas")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    images = find_files([str(arguments.images)], 3)
    images = images.subset(range(0, len(images), max(1, len(images) // arguments.count)))
    images = images.subset(range(min(len(images), arguments.count)))
    hr = find_files([str(arguments.hr)], 3)
    print(
        "| scale | degraded by | found | distance | at the truth | floor | before | near | CPU s |"
    )
    print("|---|---|---|---:|---:|---:|---:|---|---:|")
    chosen = range(len(CASES))
    if arguments.cases:
        chosen = [int(number) for number in arguments.cases.split(",")]  # type: ignore[assignment]
    for number in chosen:
        scale, name, values = CASES[number]
        truth = with_values(WIDE[name], values)
        degraded = Degraded(images, truth, scale, seed=number)
        started = time.process_time()
        sample = take_sample(degraded, hr, scale, "images")  # type: ignore[arg-type]
        objective = Objective(sample, scale)
        found = fit(objective, WIDE[name], arguments.budget)
        seconds = time.process_time() - started
        print(
            f"| {scale} | {shown(truth)} | {shown(found.operators)} | {total(found.fitted):.2f} | "
            f"{total(objective(truth)):.2f} | {total(found.floor):.2f} | "
            f"{total(found.before):.2f} | {'yes' if found.is_near else found.farthest} | "
            f"{seconds:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
