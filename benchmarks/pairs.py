"""Time of a batch of given pairs, beside that of a batch of HR alone.

    python benchmarks/pairs.py ../shared/data/train/BSDS500/train --csv out/pairs.csv

LR is made once of the folder's images, by MATLAB's bicubic, and lies beside them as PNG. Crops of
HR, crops of pairs, and (LR, HR) as a trainer gets them, LR made or given, are timed in turns; what
counts is the median of the ratios.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reporting import add_outputs, report, surroundings

from tmd.data import MeasuredData, create_dataset, create_paired_data
from tmd.images import list_images, read_image, write_image
from tmd.measurements import create_measurement
from tmd.resize import imresize_uint8


def written_pairs(root: Path, folder: Path, scale: int, count: int) -> None:
    """Write HR, cropped to multiples of ``scale``, and LR of a folder's first images."""
    for path in list_images(root)[:count]:
        hr = read_image(path)
        height, width = (side // scale * scale for side in hr.shape[-2:])
        hr = hr[:, :height, :width]
        write_image(folder / "HR" / f"{path.stem}.png", hr)
        write_image(folder / "LR" / f"{path.stem}x{scale}.png", imresize_uint8(hr, 1 / scale))


def seconds_of_a_batch(batches: Iterator[Any], seconds: float) -> float:
    """Mean over as many batches as fit the time, after a few that start the workers."""
    for _ in itertools.islice(batches, 4):
        pass
    begin, count = time.perf_counter(), 0
    while (taken := time.perf_counter() - begin) < seconds:
        next(batches)
        count += 1
    return taken / count


def ratio(ours: list[float], theirs: list[float]) -> float:
    """Median of the ratios of measurements that were made one after the other."""
    return round(statistics.median(a / b for a, b in zip(ours, theirs, strict=True)), 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("root", type=Path, help="folder of HR images")
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--patch-size", type=int, default=96)
    parser.add_argument("--seconds", type=float, default=2, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    add_outputs(parser)
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        written_pairs(args.root, folder, args.scale, args.images)
        for storage, workers in (("disk", 0), ("disk", 2), ("memory", 0), ("device", 0)):
            common = {
                "name": "folder",
                "root": str(folder / "HR"),
                "batch_size": args.batch_size,
                "patch_size": args.patch_size,
                "validation": 1,
                "storage": storage,
                "workers": workers,
            }
            times: dict[str, list[float]] = {}
            for _ in range(args.rounds):
                alone = create_dataset(**common, scale=args.scale)
                made = MeasuredData(alone, create_measurement(["bicubic"], args.scale))
                pairs = create_paired_data({**common, "lr_root": str(folder / "LR")}, args.scale)
                for name, data in (
                    ("HR alone", alone),
                    ("pairs", pairs.images),
                    ("LR made", made),
                    ("LR given", pairs),
                ):
                    taken = seconds_of_a_batch(data.batches(), args.seconds)
                    times.setdefault(name, []).append(taken)
                    data.close()
            rows.append(
                {
                    "storage": f"{storage}, {workers} workers",
                    **{f"{k}, ms": round(1e3 * statistics.median(v), 2) for k, v in times.items()},
                    "crops, ratio": ratio(times["pairs"], times["HR alone"]),
                    "ratio": ratio(times["LR given"], times["LR made"]),
                }
            )
    print(f"{args.images} images, {args.batch_size} crops of {args.patch_size}², ×{args.scale}")
    print(surroundings())
    report(rows, args, "ratio", level=1.2)


if __name__ == "__main__":
    main()
