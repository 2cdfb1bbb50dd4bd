"""Time of a batch of given pairs, beside that of a batch of HR alone.

    python benchmarks/pairs.py ../shared/data/train/BSDS500/train --csv out/pairs.csv

LR is made once of the folder's images, by MATLAB's bicubic, and lies beside them as PNG. Both are
timed in turns; what counts is the median of the ratios.
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

from tmd.data import create_dataset, create_paired_data
from tmd.images import list_images, read_image, write_image
from tmd.resize import imresize_uint8


def written_pairs(root: Path, folder: Path, scale: int, count: int) -> None:
    """Write HR, cropped to multiples of ``scale``, and LR of a folder's first images."""
    for path in list_images(root)[:count]:
        hr = read_image(path)
        height, width = (side // scale * scale for side in hr.shape[-2:])
        hr = hr[:, :height, :width]
        write_image(folder / "HR" / f"{path.stem}.png", hr)
        write_image(folder / "LR" / f"{path.stem}x{scale}.png", imresize_uint8(hr, 1 / scale))


def seconds_of_a_batch(batches: Iterator[Any], count: int) -> float:
    """Mean over ``count`` batches, after a few that start the workers."""
    for _ in itertools.islice(batches, 4):
        pass
    begin = time.perf_counter()
    for _ in itertools.islice(batches, count):
        pass
    return (time.perf_counter() - begin) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("root", type=Path, help="folder of HR images")
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--patch-size", type=int, default=96)
    parser.add_argument("--batches", type=int, default=20, help="of each measurement")
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
            times: dict[str, list[float]] = {"HR alone": [], "pairs": []}
            for _ in range(args.rounds):
                alone = create_dataset(**common, scale=args.scale)
                times["HR alone"].append(seconds_of_a_batch(alone.batches(), args.batches))
                alone.close()
                pairs = create_paired_data({**common, "lr_root": str(folder / "LR")}, args.scale)
                times["pairs"].append(seconds_of_a_batch(pairs.images.batches(), args.batches))
                pairs.close()
            ratios = [b / a for a, b in zip(times["HR alone"], times["pairs"], strict=True)]
            rows.append(
                {
                    "storage": f"{storage}, {workers} workers",
                    **{f"{k}, ms": round(1e3 * statistics.median(v), 2) for k, v in times.items()},
                    "ratio": round(statistics.median(ratios), 2),
                    "least": round(min(ratios), 2),
                    "most": round(max(ratios), 2),
                }
            )
    print(f"{args.images} images, {args.batch_size} crops of {args.patch_size}², ×{args.scale}")
    print(surroundings())
    report(rows, args, "ratio", level=1.2)


if __name__ == "__main__":
    main()
