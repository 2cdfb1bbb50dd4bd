"""Kill the workers of a fleet at random, type its command again, and compare all results.

    python tests/experiments/kill_a_fleet.py --images 10000 --workers 3 --kills 20
    python tests/experiments/kill_a_fleet.py --images 300 --workers 2 --kills 6 --engine ray

Makes small images (16 to 32 pixels), upscales them in one process, and once more with workers that
SIGKILL ends at random moments: every third time all of them and the process that was typed, so
that the command has to be typed again. Prints a line a kill, the times, and whether every result is
there once with the same sum; the exit status is 0 if so.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from kill_and_resume import environment
from PIL import Image
from skimage import data

from experiments.support.fleet_watch import MODULE

#: What is typed for workers of each.
ENGINES = {
    "local": (),
    "ray": ("engine=ray",),
    "slurm": ("engine=slurm", "engine_options.cluster=local"),
}


def make_images(folder: Path, count: int) -> None:
    """PNG files of 16 to 32 pixels a side, cut from photos, a thousand a folder."""
    rng = np.random.default_rng(0)
    photos = [data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]
    for number in range(count):
        photo = photos[rng.integers(len(photos))]
        height, width = rng.integers(16, 33, 2)
        top, left = (
            rng.integers(photo.shape[0] - height),
            rng.integers(photo.shape[1] - width),
        )
        path = folder / f"{number // 1000:02}" / f"{number:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo[top : top + height, left : left + width]).save(path)


def command(images: Path, output: Path, *updates: str) -> list[str]:
    return [
        *(sys.executable, "-m", "experiments.command", "upscale", str(images)),
        *("-o", str(output), "with", "device=cpu", *updates),
    ]


def start(images: Path, output: Path, *updates: str) -> subprocess.Popen:
    return subprocess.Popen(
        command(images, output, *updates),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def sums(output: Path) -> dict[str, str]:
    """The sum of each file below a folder, by its name; the books' too, were they left."""
    return {
        str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(output.rglob("*"))
        if path.is_file()
    }


def children(pid: int) -> list[int]:
    """The processes that ``pid`` has started and that have not ended."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def workers_of(output: Path) -> list[int]:
    """The workers of the fleet that fills ``output``, wherever an engine has started them."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
            if words[1:3] == [b"-m", MODULE.encode()] and words[3] == bytes(output):
                found.append(int(entry.name))
    return found


def done(output: Path) -> int:
    """The number of results that are there."""
    return sum(1 for _ in output.glob("[!.]*/*.png"))


def kill(pids: Sequence[int]) -> None:
    """End workers; one that has ended by itself is left out."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def run_with_kills(
    images: Path, output: Path, total: int, kills: int, seed: int, *updates: str
) -> tuple[int, str]:
    """Upscale with kills at random moments; how often the command was typed, its last words."""
    rng = random.Random(seed)
    marks = sorted(rng.uniform(0, 0.95) * total for _ in range(kills))
    typed, fleet = 1, start(images, output, *updates)
    for number, mark in enumerate(marks, 1):
        while done(output) < mark and fleet.poll() is None:
            time.sleep(0.05)
        time.sleep(rng.uniform(0, 0.2))  # anywhere in an image
        if fleet.poll() is not None:
            break
        workers = workers_of(output)
        if number % 3 == 0:
            fleet.kill()
            kill(workers)
            fleet.communicate()
            print(f"kill {number}: all, at {done(output)} results", flush=True)
            typed, fleet = typed + 1, start(images, output, *updates)
        elif workers:
            kill([rng.choice(workers)])
            print(f"kill {number}: one of {len(workers)}, at {done(output)} results", flush=True)
    said, errors = fleet.communicate()
    if fleet.returncode:
        raise RuntimeError(f"exit {fleet.returncode}\n{said}\n{errors[-3000:]}")
    return typed, said.strip()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10000)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--engine", default="local", choices=ENGINES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where to work; None: a temporary one")
    parser.add_argument("settings", nargs="*", help="further settings, checkpoint=best.pt say")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        images, alone, together = (Path(folder) / name for name in ("images", "alone", "together"))
        make_images(images, options.images)
        began = time.monotonic()
        start(images, alone, *options.settings).communicate()
        seconds = time.monotonic() - began
        print(f"one process, undisturbed: {seconds:.0f} s, {options.images / seconds:.1f} img/s")
        began = time.monotonic()
        typed, said = run_with_kills(
            images,
            together,
            options.images,
            options.kills,
            options.seed,
            f"workers={options.workers}",
            *ENGINES[options.engine],
            *options.settings,
        )
        seconds = time.monotonic() - began
        print(
            f"engine={options.engine}, {options.workers} workers, {options.kills} kills, "
            f"typed {typed} times: {seconds:.0f} s; its last words: {re.sub(r' in .* s', '', said)}"
        )
        wanted, got = sums(alone), sums(together)
    same = sum(got.get(name) == value for name, value in wanted.items())
    others = len(got) - same
    print(f"{same} of {options.images} results have the same sum, {others} others are there")
    return 0 if same == len(got) == len(wanted) == options.images else 1


if __name__ == "__main__":
    sys.exit(main())
