"""Upscaling a large photo in tiles: peak memory and time at several tile sizes, and equality.

    python benchmarks/upscale.py PHOTO [--tiles 128 512] [--checkpoint best.pt] [--crop 1000]

Each size is `experiments/upscale.py` as typed, in a process of its own, whose peak memory and
processor time the kernel tells. Then a part of the photo that fits the memory is upscaled whole and
in tiles, and the largest difference is printed. Without a checkpoint a generator of the default
architecture is built; speed and memory do not depend on its weights.
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
from PIL import Image
from reporting import add_outputs, report, surroundings

from tmd.acceleration.speed import UPSCALING_ON_CPU
from tmd.checkpoints import load_generator, save_checkpoint
from tmd.images import read_image, to_float
from tmd.models import create_generator
from tmd.upscale import upscale

ROOT = Path(__file__).resolve().parents[1]


def fresh_checkpoint(path: Path, n_blocks: int, n_features: int) -> Path:
    generator = create_generator(scale=4, n_blocks=n_blocks, n_features=n_features)
    # The output begins at zero, which would hide every seam.
    torch.nn.init.normal_(generator.output.weight, std=0.01)  # type: ignore[union-attr, arg-type]
    state = {"generator_config": generator.config, "generator": generator.state_dict()}
    save_checkpoint(path, {**state, "scale": 4, "channels": 3, "measurement": [], "ema": None})
    return path


def measured(words: list[str]) -> tuple[float, float, float]:
    """Seconds, processor seconds and peak MB of `experiments/upscale.py with` these words."""
    command = [sys.executable, str(ROOT / "experiments/upscale.py"), "with", *words]
    started = time.monotonic()
    with subprocess.Popen(command, cwd=ROOT) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"upscale.py ended with {process.returncode}")
    seconds = time.monotonic() - started
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("--tiles", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--crop", type=int, default=600, help="side of the part compared")
    parser.add_argument("--n-blocks", type=int, default=8)
    parser.add_argument("--n-features", type=int, default=32)
    add_outputs(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        checkpoint = options.checkpoint or fresh_checkpoint(
            place / "fresh.pt", options.n_blocks, options.n_features
        )
        with Image.open(options.photo) as image:
            print(surroundings())
            print(f"{options.photo.name}, {image.width} × {image.height}")
        rows = []
        for tile in options.tiles:
            words = [f"checkpoint={checkpoint}", f"input={options.photo}", "device=cpu"]
            words += [f"output={place / f'{tile}.png'}", f"tile={tile}"]
            seconds, cpu, peak = measured(words)
            size = (place / f"{tile}.png").stat().st_size / 1e6
            rows.append(
                {
                    "tiles": f"{tile}²",
                    "seconds": round(seconds, 1),
                    "processor seconds": round(cpu, 1),
                    "peak MB": round(peak),
                    "file's MB": round(size),
                }
            )
        report(rows, options, "seconds")
        generator = UPSCALING_ON_CPU.prepare(load_generator(checkpoint), torch.device("cpu"))
        lr = to_float(read_image(options.photo))[None, :, : options.crop, : options.crop]
        whole = upscale(generator, lr, max(lr.shape))
        for tile in options.tiles:
            difference = (upscale(generator, lr, tile) - whole).abs().max().item()
            side = f"{lr.shape[-1]} × {lr.shape[-2]}"
            print(f"tile {tile} against whole, {side}: differs by at most {difference:.1e}")


if __name__ == "__main__":
    main()
