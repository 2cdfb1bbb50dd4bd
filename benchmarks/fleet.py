"""Images per second of one process, of several workers, and of the network alone.

    python benchmarks/fleet.py [--images 2000] [--workers 2] [--repeats 3] [--checkpoint best.pt]

The images are PNG files of 16 to 32 pixels, so that what counts is the cost of an image beside its
network: reading, writing, claims. Each number is the best of some repeats in turn; that of the
workers has their start in it. The network alone gets the same images from memory, one by one.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from tmd.acceleration.speed import UPSCALING_ON_CPU
from tmd.checkpoints import load_generator
from tmd.images import read_image, to_float
from tmd.shipped import shipped_networks
from tmd.upscale import upscale

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests" / "experiments"))

from kill_a_fleet import make_images  # noqa: E402


def typed_seconds(images: Path, output: Path, *settings: str) -> float:
    """Seconds of `tmd upscale` with these settings, its start included."""
    command = [sys.executable, "-m", "experiments.command", "upscale", str(images)]
    started = time.monotonic()
    subprocess.run(
        [*command, "-o", str(output), "with", "device=cpu", *settings],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TQDM_DISABLE": "1"},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.monotonic() - started


def network_seconds(images: Path, checkpoint: Path) -> float:
    """Seconds that the network takes for all images, one by one."""
    generator = load_generator(checkpoint)
    UPSCALING_ON_CPU.prepare(generator, torch.device("cpu"))
    batches = [to_float(read_image(path))[None] for path in sorted(images.rglob("*.png"))]
    started = time.monotonic()
    for batch in batches:
        upscale(generator, batch)
    return time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--checkpoint", type=Path, default=shipped_networks()["photos_x4"])
    options = parser.parse_args()
    best: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder, "in")
        make_images(images, options.images)
        network = f"checkpoint={options.checkpoint}"
        for repeat in range(options.repeats):
            for workers in (1, options.workers):
                output = Path(folder, f"out-{workers}-{repeat}")
                seconds = typed_seconds(images, output, network, f"workers={workers}")
                name = f"workers={workers}"
                best[name] = min(seconds, best.get(name, seconds))
            seconds = network_seconds(images, options.checkpoint)
            best["the network alone"] = min(seconds, best.get("the network alone", seconds))
    for name, seconds in best.items():
        print(f"{name}: {options.images / seconds:.1f} images/s ({seconds:.1f} s)")


if __name__ == "__main__":
    main()
