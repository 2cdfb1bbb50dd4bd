"""Crops per second of large photos as they are, and of the tiles and shards made of them.

    python benchmarks/loading.py ../shared/data/train/lomiri-wallpapers-16.04 --csv out/loading.csv

Photos of 2,000 × 1,400 pixels are cut from those of the folder, saved as JPEG, and prepared as `tmd
prepare` does. All ways are timed in turns, so that whatever else the machine does falls on all of
them, and set beside the images that the default networks' training step takes here.
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

import torch
from data import crops_per_second, images_trained_per_second
from PIL import Image
from reporting import add_outputs, report, surroundings

from tmd.data import create_dataset
from tmd.data.preparing import PrepareOptions, prepare
from tmd.images import list_images

SIZE = (2000, 1400)


def cut_photos(root: Path, folder: Path, count: int) -> None:
    """``count`` photos of `SIZE` from the large ones of ``root``, in turn from other places."""
    folder.mkdir()
    large = []
    for path in list_images(root):
        with Image.open(path) as image:
            if image.width >= SIZE[0] and image.height >= SIZE[1]:
                large.append(path)
    for number in range(count):
        with Image.open(large[number % len(large)]) as image:
            turn = number // len(large)
            left, top = (
                (side - size) * turn % (side - size + 1)
                for side, size in zip(image.size, SIZE, strict=True)
            )
            part = image.convert("RGB").crop((left, top, left + SIZE[0], top + SIZE[1]))
            part.save(folder / f"{number:04d}.jpg", quality=92)


def crops(batches: Iterator[Any]) -> Iterator[torch.Tensor]:
    """The HR side of batches, which may be pairs."""
    return (batch[-1] if isinstance(batch, (tuple, list)) else batch for batch in batches)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("root", type=Path, help="folder of photos of at least 2,000 × 1,400")
    parser.add_argument("--photos", type=int, default=45)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--patch-size", type=int, default=72)
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add_outputs(parser)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="loading-") as place:
        folder = Path(place)
        cut_photos(args.root, folder / "photos", args.photos)
        began = time.perf_counter()
        for name, shards in (("tiles", False), ("shards", True)):
            prepare([str(folder / "photos")], folder / name, PrepareOptions(shards=shards))
        preparing = (time.perf_counter() - began) / 2
        speeds = timed(folder, args)
    needed = images_trained_per_second(torch.device(args.device))
    print(surroundings(args.device))
    print(f"{args.photos} photos of {SIZE[0]} × {SIZE[1]}, prepared in {preparing:.1f} s; ", end="")
    print(f"{args.workers} workers, batches of {args.batch_size} × {args.patch_size}²")
    print(f"the default networks' step takes {needed:.0f} images/s")
    report(rows(speeds, needed), args, "over the photos")


def timed(folder: Path, args: argparse.Namespace) -> dict[str, list[float]]:
    """Crops per second of each way, a value a round."""
    ways: dict[str, dict[str, Any]] = {
        "photos": {"root": str(folder / "photos")},
        "tiles": {"root": str(folder / "tiles")},
        "shards": {"root": str(folder / "shards")},
    }
    speeds: dict[str, list[float]] = {way: [] for way in ways}
    for _, (way, options) in itertools.product(range(args.rounds), ways.items()):
        data = create_dataset(
            "folder",
            **options,
            batch_size=args.batch_size,
            patch_size=args.patch_size,
            storage="disk",
            workers=args.workers,
            validation=1,
        )
        speeds[way].append(crops_per_second(crops(data.batches()), args))
        data.close()
    return speeds


def rows(speeds: dict[str, list[float]], needed: float) -> list[dict[str, Any]]:
    """Medians, and medians of the ratios of each round."""

    def over(way: str, other: str) -> float:
        pairs = zip(speeds[way], speeds[other], strict=True)
        return round(statistics.median(value / base for value, base in pairs), 2)

    return [
        {
            "read from": way,
            "crops/s": round(statistics.median(values)),
            "over the photos": over(way, "photos"),
            "over tiles": over(way, "tiles"),
            "over the step's need": round(statistics.median(values) / needed, 1),
        }
        for way, values in speeds.items()
    ]


if __name__ == "__main__":
    main()
