"""Crops per second of one set of tiles wherever it lies: a folder, shards, a bucket, a web server.

    python benchmarks/places.py ../shared/data/train/BSDS500/train --csv out/places.csv

The images are prepared as `tmd prepare` does, and served from this machine, by a server that speaks
as S3 does and by Python's own web server; so "first" tells of requests and "later", when all is
kept on disk, of reading. All ways are timed in turns, each first by a cache that is empty.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from data import crops_per_second
from reporting import add_outputs, report, surroundings

sys.path.append(str(Path(__file__).resolve().parents[1]))  # for the servers of the tests
from tests.servers import ACCESS, file_server, s3_server, upload
from tmd.data import addresses, create_dataset
from tmd.data.preparing import PrepareOptions, prepare
from tmd.places import opening, shards


@contextlib.contextmanager
def served(folder: Path) -> Iterator[dict[str, str]]:
    """Roots by the names of the ways."""
    (folder / "logs").mkdir()
    with file_server(folder) as http, s3_server(folder / "logs") as (endpoint, _):
        os.environ.update({**ACCESS, "AWS_ENDPOINT_URL": endpoint})
        for kind in ("tiles", "shards"):
            upload(endpoint, kind, folder / kind)
        yield {
            "folder": str(folder / "tiles"),
            "shards": str(folder / "shards"),
            "s3, tiles": "s3://tiles",
            "s3, shards": "s3://shards",
            "http, tiles": f"{http}/tiles",
            "http, shards": f"{http}/shards",
        }


def measured(root: str, args: argparse.Namespace) -> tuple[float, float]:
    """Seconds to the first batch, and crops per second from then on."""
    for known in (shards._indexes, shards._open, opening._listed, addresses._recent):
        known.clear()
    began = time.perf_counter()
    data = create_dataset(
        "folder",
        root,
        batch_size=args.batch_size,
        patch_size=args.patch_size,
        storage="disk",
        workers=args.workers,
        validation=1,
    )
    batches = data.batches()
    next(batches)
    start = time.perf_counter() - began
    speed = crops_per_second(batches, args)
    data.close()
    return start, speed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("root", type=Path, help="folder of images")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--patch-size", type=int, default=72)
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.set_defaults(device="cpu")
    add_outputs(parser)
    args = parser.parse_args()
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="places-") as place:
        folder = Path(place)
        for name, as_shards in (("tiles", False), ("shards", True)):
            prepare([str(args.root)], folder / name, PrepareOptions(shards=as_shards))
        with served(folder) as ways:
            for turn in range(args.rounds):
                for way, root in ways.items():
                    os.environ["XDG_CACHE_HOME"] = str(folder / f"cache {way} {turn}")
                    for when in ("first", "later"):
                        found.setdefault((way, when), []).append(measured(root, args))
    print(surroundings())
    print(f"{args.workers} workers, batches of {args.batch_size} × {args.patch_size}²")
    here = [speed for _, speed in found["folder", "later"]]
    rows = [
        {
            "read from": way,
            "cache": when,
            "seconds to the first batch": round(statistics.median(s for s, _ in values), 2),
            "crops/s": round(statistics.median(speed for _, speed in values)),
            "over the folder": round(
                statistics.median(v[1] / base for v, base in zip(values, here, strict=True)), 2
            ),
        }
        for (way, when), values in found.items()
    ]
    report(rows, args, "over the folder", level=1)


if __name__ == "__main__":
    main()
