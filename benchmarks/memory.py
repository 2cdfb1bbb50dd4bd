"""Memory of each process that loads batches from a million images: files, tiles, members of shards.

    python benchmarks/memory.py [--images 1000000] [--csv out/memory.csv]

The sets are made for it: some thousand distinct images, under a million names as hard links, or a
million times in tars. Each is loaded by a process of its own and its workers; the first time it is
searched, later its index is read. "imports" is the resident set once torch is imported, "most" the
highest until the batches were made, and the loader's the difference; a worker's "own" is what it
shares with no other process at the end.
"""

from __future__ import annotations

import argparse
import io
import os
import tarfile
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from reporting import add_outputs, report, surroundings

from tmd.data import create_dataset
from tmd.data.tiles import tile_name

SIDE = 16
BATCHES = 50


def contents(distinct: int, format: str) -> list[bytes]:
    """Small images as files."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(distinct):
        pixels = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        file = io.BytesIO()
        if format == "npy":
            np.save(file, pixels)
        else:
            Image.fromarray(pixels).save(file, "PNG")
        found.append(file.getvalue())
    return found


def name_of(number: int, format: str) -> str:
    """The name of an image; four tiles are of one photo."""
    if format == "png":
        return f"{number:08d}.png"
    return tile_name(f"{number // 4:08d}", 0, 32 * (number % 4), ".npy")


def fill(root: Path, images: int, folders: int, distinct: int, format: str) -> None:
    """A folder with that many names of the distinct images."""
    originals = []
    for number, content in enumerate(contents(distinct, format)):
        originals.append(root / f".{number}")
        originals[-1].write_bytes(content)
    for number in range(images):
        folder = root / f"{number * folders // images:06d}"
        folder.mkdir(exist_ok=True)
        os.link(originals[number % distinct], folder / name_of(number, format))


def fill_shards(root: Path, images: int, shards: int, distinct: int, format: str) -> None:
    """Tars that together have that many members."""
    files = contents(distinct, format)
    for shard in range(shards):
        members = range(images * shard // shards, images * (shard + 1) // shards)
        with tarfile.open(root / f"set-{shard:06d}.tar", "w") as tar:
            for number in members:
                content = files[number % distinct]
                member = tarfile.TarInfo(name_of(number, format))
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
                tar.members.clear()


def megabytes(process: int) -> tuple[float, float]:
    """The highest resident set of a process, and what it shares with no other."""
    status = Path(f"/proc/{process}/status").read_text().splitlines()
    most = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    rollup = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    own = sum(int(line.split()[1]) for line in rollup if line.startswith("Private_"))
    return most / 1024, own / 1024


def load(root: Path, cache: Path, workers: int) -> dict[str, Any]:
    """Begin to load, make some batches, and look at the processes."""
    os.environ["XDG_CACHE_HOME"] = str(cache)
    empty, _ = megabytes(os.getpid())
    began = time.perf_counter()
    data = create_dataset(
        "folder", str(root), patch_size=8, batch_size=16, storage="disk", workers=workers
    )
    batches = data.batches()
    next(batches)
    seconds = time.perf_counter() - began
    for _ in range(BATCHES):
        next(batches)
    main = megabytes(os.getpid())
    others = [megabytes(process.pid) for process in active_children() if process.pid]
    data.close()
    return {
        "imports MB": round(empty),
        "most MB": round(main[0]),
        "loader MB": round(main[0] - empty),
        "worker's most MB": round(max(most for most, _ in others)),
        "worker's own MB": round(max(own for _, own in others)),
        "seconds": round(seconds, 1),
        "images": len(data.train),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--folders", type=int, default=1000)
    parser.add_argument("--shards", type=int, default=20)
    parser.add_argument("--distinct", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", help="where the sets are made; None: the system's")
    add_outputs(parser)
    args = parser.parse_args()
    kinds = {
        "files": lambda root: fill(root, args.images, args.folders, args.distinct, "png"),
        "tiles": lambda root: fill(root, args.images, args.folders, args.distinct, "npy"),
        "shards": lambda root: fill_shards(root, args.images, args.shards, args.distinct, "npy"),
    }
    rows = []
    for kind, make in kinds.items():
        with tempfile.TemporaryDirectory(prefix="memory-", dir=args.folder) as place:
            root, cache = Path(place) / "set", Path(place) / "cache"
            root.mkdir()
            make(root)
            time.sleep(4)  # else the index can't tell it from what changes while it is searched
            for start in ("first", "later"):
                with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                    found = pool.submit(load, root, cache, args.workers).result()
                rows.append({"set": kind, "start": start, **found})
    print(surroundings())
    print(f"{args.images:,} images, {args.workers} workers; each start a process of its own")
    report(rows, args, "loader MB", level=500)


if __name__ == "__main__":
    main()
