"""Time that training on a folder of a million images takes to start: the first time, and later.

    python benchmarks/listing.py [--images 1000000] [--csv out/listing.csv]

The folder is made for it: some thousand small images, and hard links to them under a million names.
Each start is a process of its own, timed without its imports. "changed" is a start after an image
was added, "far away" one where each look at a file takes another 0.3 ms, as over a network; there
not all files are looked at again, which a warning says.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from reporting import add_outputs, report, surroundings

from tmd.data import create_dataset, paths

FAR_AWAY = 0.3e-3


def fill(root: Path, images: int, folders: int, distinct: int) -> None:
    """``images`` names in ``folders`` folders of ``distinct`` images of as many lengths."""
    rng = np.random.default_rng(0)
    for number in range(distinct):
        # Hidden files are not found, so these only lend their content.
        path = root / f".{number}.png"
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)
        with path.open("ab") as file:
            file.write(bytes(number))  # what follows the image is not read
    for number in range(images):
        folder = root / f"n{number * folders // images:08d}"
        folder.mkdir(exist_ok=True)
        os.link(root / f".{number % distinct}.png", folder / f"{folder.name}_{number:08d}.png")


def start(root: Path, cache: Path, latency: float) -> dict[str, float]:
    """Seconds by the clock and of the processor to the first batch, and how many images to use."""
    os.environ["XDG_CACHE_HOME"] = str(cache)
    look = paths._size

    def look_from_afar(path: bytes) -> int:
        time.sleep(latency)
        return look(path)

    if latency:
        paths._size = look_from_afar
    began, worked = time.perf_counter(), time.process_time()
    data = create_dataset("folder", str(root), patch_size=8, batch_size=16, storage="disk")
    next(data.batches())
    clock, processor = time.perf_counter() - began, time.process_time() - worked
    data.close()
    return {"seconds": clock, "processor s": processor, "images": len(data.train)}


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        root, cache = Path(place, "images"), Path(place, "cache")
        root.mkdir()
        fill(root, options.images, options.folders, options.distinct)

        def row(name: str, latency: float = 0, cache: Path = cache) -> None:
            with ProcessPoolExecutor(1, get_context("fork")) as fresh:
                result = fresh.submit(start, root, cache, latency).result()
            rows.append({"start": name, **{key: round(n, 2) for key, n in result.items()}})

        time.sleep(options.settle)
        row("first")
        for _ in range(options.rounds):
            row("later")
        row("first, far away", FAR_AWAY, Path(place, "another cache"))
        row("later, far away", FAR_AWAY)
        os.link(root / ".0.png", root / "added.png")
        time.sleep(options.settle)
        row("changed")
        row("later")
        size = sum(file.stat().st_size for file in cache.rglob("*.npz")) / 1e6
        print(f"{options.images:,} images in {options.folders:,} folders, index {size:.1f} MB")
    return rows


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--folders", type=int, default=1000)
    parser.add_argument("--distinct", type=int, default=5000, help="images behind the names")
    parser.add_argument("--rounds", type=int, default=3, help="starts from the index")
    default = "/dev/shm" if os.path.isdir("/dev/shm") else None
    parser.add_argument("--folder", default=default, help="where the images are made")
    add_outputs(parser)
    parser.add_argument(
        "--settle",
        type=float,
        default=4,
        help="seconds before a start: a folder that changed a moment ago is not remembered",
    )
    options = parser.parse_args(words)
    print(surroundings(), flush=True)
    report(measure(options), options, "seconds")


if __name__ == "__main__":
    main()
