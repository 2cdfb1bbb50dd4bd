"""Crops per second of each storage, beside a dataset that decodes a file for every crop.

The plain dataset is what most training code has: `torch.utils.data.Dataset` with Pillow, a random
crop and flips, in a `DataLoader` with as many workers. All are timed in turns, so that whatever
else the machine does falls on all of them; what counts is the ratio.

    python benchmarks/data.py ../shared/data/train/BSDS500/train --workers 2 --csv out/data.csv

Each is also set beside the images that the default networks' training step takes here.
"""

from __future__ import annotations

import argparse
import itertools
import random
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from PIL import Image
from reporting import add_outputs, report, surroundings
from settings import SETTINGS
from step import Loop, first_steps, ours, seconds
from torch.utils.data import DataLoader, Dataset, RandomSampler
from torchvision.transforms import functional as transforms

from tmd.acceleration.autotune import fastest
from tmd.data import TrainingData, create_dataset
from tmd.images import list_images


class DecodeEveryTime(Dataset):
    """One random crop of one file, decoded for it."""

    def __init__(self, root: Path, patch_size: int) -> None:
        self.paths = list_images(root)
        self.patch_size = patch_size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        image = Image.open(self.paths[index]).convert("RGB")
        left = random.randint(0, image.width - self.patch_size)
        top = random.randint(0, image.height - self.patch_size)
        patch = image.crop((left, top, left + self.patch_size, top + self.patch_size))
        if random.random() < 0.5:
            patch = transforms.hflip(patch)
        if random.random() < 0.5:
            patch = transforms.vflip(patch)
        return transforms.pil_to_tensor(patch)


def plain(root: Path, args: argparse.Namespace) -> Iterator[torch.Tensor]:
    dataset = DecodeEveryTime(root, args.patch_size)
    sampler = RandomSampler(dataset, replacement=True, num_samples=10**9)
    loader = DataLoader(dataset, args.batch_size, sampler=sampler, num_workers=args.workers)
    return iter(loader)


def stored(
    root: Path, args: argparse.Namespace, storage: str, workers: int
) -> Callable[[], tuple[TrainingData, Iterator[torch.Tensor]]]:
    def start() -> tuple[TrainingData, Iterator[torch.Tensor]]:
        data = create_dataset(
            "folder",
            root,
            batch_size=args.batch_size,
            patch_size=args.patch_size,
            storage=storage,
            workers=workers,
            device=args.device,
            validation=1,
        )
        return data, data.batches()

    return start


def crops_per_second(batches: Iterator[torch.Tensor], args: argparse.Namespace) -> float:
    """After a second of warming up, over as many whole batches as fit the time."""
    device = torch.device(args.device)

    def count(seconds: float) -> float:
        begin, crops = time.perf_counter(), 0
        for batch in batches:
            crops += len(batch.to(device, non_blocking=True))
            if time.perf_counter() - begin > seconds:
                break
        if device.type == "cuda":
            torch.cuda.synchronize()
        return crops / (time.perf_counter() - begin)

    count(1)
    return count(args.seconds)


def images_trained_per_second(device: torch.device) -> float:
    """Images that the fastest step of `step.py` trains on."""
    setting = SETTINGS["default"]
    batch = torch.randint(0, 256, (setting.batch, 3, setting.patch, setting.patch)).byte()
    loop = Loop(ours, setting, batch, device, fastest(device))
    loop.call(first_steps, device)
    taken = statistics.median(loop.call(seconds, 10, device) for _ in range(5))
    loop.process.shutdown()
    return setting.batch / taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("root", type=Path, help="folder of images")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--patch-size", type=int, default=96)
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add_outputs(parser)
    args = parser.parse_args()

    ways = {
        "plain": None,
        **{f"disk, {n} workers": ("disk", n) for n in (args.workers, 0)},
        **{f"memory, {n} workers": ("memory", n) for n in (args.workers, 0)},
        "device": ("device", 0),
    }
    speeds: dict[str, list[float]] = {way: [] for way in ways}
    preparing = dict.fromkeys(ways, 0.0)
    for _, (way, chosen) in itertools.product(range(args.rounds), ways.items()):
        begin = time.perf_counter()
        if chosen is None:
            data, batches = None, plain(args.root, args)
        else:
            data, batches = stored(args.root, args, *chosen)()
        preparing[way] = time.perf_counter() - begin
        speeds[way].append(crops_per_second(batches, args))
        if data is not None:
            data.close()
        del batches

    needed = images_trained_per_second(torch.device(args.device))
    rows = []
    for way, values in speeds.items():
        ratios = [value / other for value, other in zip(values, speeds["plain"], strict=True)]
        median = statistics.median(values)
        rows.append(
            {
                "storage": way,
                "crops/s": round(median),
                "over plain": round(statistics.median(ratios), 2),
                "over the step's need": round(median / needed, 1),
                "start s": round(preparing[way], 2),
            }
        )
    print(surroundings(args.device))
    print(f"{args.root}, batches of {args.batch_size} x {args.patch_size}²")
    print(f"the default networks' step takes {needed:.0f} images/s")
    report(rows, args, "over the step's need", level=1)


if __name__ == "__main__":
    main()
