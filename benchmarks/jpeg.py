"""JPEG in tensors against Pillow's codec: how equal, and how fast.

    python benchmarks/jpeg.py
    python benchmarks/jpeg.py --device cuda

Prints for each quality the largest and the mean difference in levels over real images of nine
sizes, and for each batch the milliseconds of both, measured in turn.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import skimage.data
import torch

from tmd.distributed import ALONE
from tmd.measurements import MEASUREMENTS, Draws

SIZES = [(96, 96), (97, 99), (48, 33), (64, 50), (17, 129), (8, 8), (7, 5), (90, 16), (301, 299)]
BATCHES = [(16, 24), (8, 72), (16, 96), (16, 256)]
DRAWS = Draws((0, "benchmark"), ALONE)


def photo(name: str, height: int, width: int) -> torch.Tensor:
    """(1, 3, height, width) of one of scikit-image's photos, in [0, 1]."""
    pixels = np.ascontiguousarray(getattr(skimage.data, name)()[:height, 30 : 30 + width])
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


def coded(codec: str, x: torch.Tensor, **options) -> torch.Tensor:
    """Images after JPEG by a codec."""
    return MEASUREMENTS["jpeg"](scale=1, codec=codec, **options)(x, DRAWS)


def compare(device: torch.device, subsampling: str, quality: int) -> None:
    """Print how many levels the two are apart."""
    options = {"quality": quality, "subsampling": subsampling}
    apart = []
    for name in ("astronaut", "chelsea"):
        for size in SIZES:
            x = photo(name, *size)
            ours = coded("device", x.to(device), **options).cpu()
            apart.append((ours - coded("pillow", x, **options)).abs().mul(255).round().flatten())
    levels = torch.cat(apart)
    print(
        f"{subsampling}  quality {quality:3d}: largest {levels.max():.0f}, "
        f"mean {levels.mean():.1e}, {levels.gt(0).float().mean():.1e} of the values differ"
    )


def milliseconds(codec: str, x: torch.Tensor) -> float:
    """Time of one call."""
    started = time.perf_counter()
    coded(codec, x, quality=75)
    if x.device.type == "cuda":
        torch.cuda.synchronize()
    return 1000 * (time.perf_counter() - started)


def main() -> None:
    """Compare, then time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=15)
    chosen = parser.parse_args()
    device = torch.device(chosen.device)
    for subsampling in ("4:2:0", "4:4:4"):
        for quality in (1, 5, 10, 30, 50, 75, 90, 95, 100):
            compare(device, subsampling, quality)
    for count, side in BATCHES:
        x = photo("astronaut", side, side).repeat(count, 1, 1, 1).to(device)
        times: dict[str, list[float]] = {"device": [], "pillow": []}
        for _ in range(chosen.repeats):
            for codec, each in times.items():
                each.append(milliseconds(codec, x))
        best = {codec: min(each) for codec, each in times.items()}
        tensors, codec = best["device"], best["pillow"]
        print(f"{count} x {side} x {side}: tensors {tensors:.2f} ms, codec {codec:.2f}")


if __name__ == "__main__":
    main()
