"""The reference of all networks: sizes, reach, time and memory here, and published figures.

    python benchmarks/networks.py [--sizes span swinir_light ...] [--write docs/networks.md]

Each network is built at ×4 in a process of its own and given an LR crop, a smaller one where it is
heavy; operations, time and memory are stated per megapixel of SR. Time is the processor's, of all
threads, so that other programs count little. Rows of a table that is there already are kept, but
for the sizes that are asked for and for what was published, which is filled in again.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from reporting import surroundings
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from tmd.acceleration.autotune import fastest
from tmd.acceleration.speed import UPSCALING_ON_CPU, Speed
from tmd.models import create_generator
from tmd.models.published.sizes import SIZES

SCALE = 4
HEAVY = 5_000_000  # parameters, from which the crop is small
OWN: dict[str, dict[str, Any]] = {
    "srresnet (the default)": {"name": "srresnet", "n_blocks": 8, "n_features": 32},
    "paper": {"name": "srresnet", "norm": "batch", "global_skip": False},
    "subpixel (of bsds500)": {"name": "subpixel"},
    "rrdb": {"name": "rrdb", "n_blocks": 23, "global_skip": False},
}
#: PSNR of Set5 at ×4 in dB, and the table that it was read in: a repository's file at a commit.
PUBLISHED = {
    "paper": ("32.05", "JunghyunKim242/GAN_tmp", "b7b84f16", "readme.md"),
    "esrgan": ("32.73", "xinntao/ESRGAN", "73e9b634", "README.md"),
    "rcan": ("32.63", "yulunzhang/RCAN", "f722e5d0", "Figs/psnr_bi_2.PNG"),
    "swinir": ("32.92", "JingyunLiang/SwinIR", "6545850f", "figs/classic_image_sr.png"),
    "swinir_light": ("32.44", "JingyunLiang/SwinIR", "6545850f", "figs/lightweight_image_sr.png"),
    "hat": ("33.04", "XPixelGroup/HAT", "1638a9a8", "README.md"),
    "hat_small": ("32.92", "XPixelGroup/HAT", "1638a9a8", "README.md"),
    "dat": ("33.08", "zhengchen1999/DAT", "1645c64f", "figs/Table-1.png"),
    "dat_small": ("33.00", "zhengchen1999/DAT", "1645c64f", "figs/Table-1.png"),
    "dat_light": ("32.57", "zhengchen1999/DAT", "1645c64f", "figs/Table-3.png"),
    "rgt": ("33.12", "zhengchen1999/RGT", "01b4379d", "figs/T1.png"),
    "rgt_small": ("32.98", "zhengchen1999/RGT", "01b4379d", "figs/T1.png"),
    "drct": ("33.11", "ming053l/DRCT", "c0a8b51e", "README.md"),
    "drct_large": ("33.37", "ming053l/DRCT", "c0a8b51e", "README.md"),
    "atd": ("33.14", "LabShuHangGU/Adaptive-Token-Dictionary", "d25fd845", "figures/classical.png"),
    "atd_light": (
        "32.63",
        "LabShuHangGU/Adaptive-Token-Dictionary",
        "d25fd845",
        "figures/lightweight.png",
    ),
    "plksr": ("32.54", "dslisleedh/PLKSR", "f0548687", "figs/Quantitative.png"),
    "plksr_tiny": ("32.18", "dslisleedh/PLKSR", "f0548687", "figs/Quantitative_tiny.png"),
    "craft": ("32.52", "AVC2-UESTC/CRAFT-SR", "10370eb9", "README.md"),
    "omnisr": ("32.49", "Francis0625/Omni-SR", "cd9901e3", "result.tex"),
    "safmn": ("32.18", "sunny2109/SAFMN", "68c2182e", "figs/efficient_sr.png"),
    "safmn_large": ("32.65", "sunny2109/SAFMN", "68c2182e", "figs/classic_sr.png"),
}
HEADS = (
    "network",
    "parameters",
    "GMAC/MP",
    "reach",
    "grid",
    "least",
    "tiles",
    "types",
    "step s/MP",
    "upscale s/MP",
    "upscale MB",
    "Set5 ×4",
)


def measured(size: str, speed: str) -> dict[str, str]:
    """The table's row of a size, in this process."""
    torch.manual_seed(0)
    if size in OWN:
        network = create_generator(scale=SCALE, **OWN[size])
    else:
        name, options, _ = SIZES[size]
        network = create_generator(name, SCALE, **options)
    contract = network.contract
    parameters = sum(parameter.numel() for parameter in network.parameters())
    side = 32 if parameters > HEAVY else 64
    megapixels = (side * SCALE) ** 2 / 1e6
    device = torch.device("cpu")
    lr = torch.rand(1, 3, side, side)
    network.eval()
    with torch.no_grad():
        with FlopCounterMode(display=False) as counter:
            network(lr)
        UPSCALING_ON_CPU.prepare(network, device)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        upscale = least(lambda: network(lr), 2) / megapixels
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    step = step_of(size, network, Speed.parse(speed), side) / megapixels
    reach = contract.receptive_field
    return {
        "network": label(size),
        "parameters": f"{parameters / 1e6:.3g} M",
        "GMAC/MP": f"{counter.get_total_flops() / 2e9 / megapixels:.0f}",
        "reach": "all" if reach is None else str(reach),
        "grid": str(contract.multiple),
        "least": str(contract.minimum_size),
        "tiles": "fade" if reach is None else "exact",
        "types": ", ".join(
            {"float32": "32", "float64": "64"}.get(t, t.replace("float", "f"))
            for t in contract.dtypes
        ),
        "step s/MP": f"{step:.2g}",
        "upscale s/MP": f"{upscale:.2g}",
        "upscale MB": f"{memory / 1024:.0f}",
        "Set5 ×4": published(size),
    }


def label(size: str) -> str:
    """Name of a size as it stands in the table."""
    name, _, rest = size.partition(" ")
    return f"`{name}` {rest}".strip()


def published(size: str) -> str:
    """The published PSNR as a link to its source, empty where none was seen."""
    if size not in PUBLISHED:
        return ""
    psnr, repository, commit, file = PUBLISHED[size]
    return f"[{psnr}](https://github.com/{repository}/blob/{commit}/{file})"


def step_of(size: str, network: Any, speed: Speed, side: int) -> float:
    """Seconds of an update with one image of the crop's size, without the optimiser's."""
    speed.prepare(network.train(), torch.device("cpu"))
    images = max(network.contract.minimum_batch, 1)
    lr = torch.rand(images, 3, side, side)
    hr = torch.rand(images, 3, SCALE * side, SCALE * side)

    def update() -> None:
        network.zero_grad()
        with torch.autocast("cpu", speed.autocast or torch.bfloat16, enabled=bool(speed.autocast)):
            sr = network(lr)
        F.l1_loss(sr, hr).backward()

    return least(update, 1) / images


def least(work: Callable[[], Any], times: int) -> float:
    """Least seconds of processor time of some calls after a first one."""
    work()
    taken = []
    for _ in range(times):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return min(taken)


def read_rows(path: Path) -> dict[str, list[str]]:
    """The table's rows in a page, by the first column."""
    lines = path.read_text().splitlines() if path.is_file() else []
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines if line[:3] == "| `"]
    return {row[0]: row for row in cells if len(row) == len(HEADS)}


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = [*OWN, *SIZES]
    parser.add_argument("--sizes", nargs="*", choices=known, default=known, metavar="SIZE")
    parser.add_argument("--write", type=Path, help="a page whose table gets the rows")
    options = parser.parse_args(words)
    speed = str(fastest(torch.device("cpu")))
    where = f"{surroundings()}; steps by {speed}, upscaling by {UPSCALING_ON_CPU}"
    print(where, flush=True)
    rows = read_rows(options.write) if options.write else {}
    for size in known:
        if label(size) in rows:
            rows[label(size)][-1] = published(size)
    if options.write:
        write(options.write, rows, where)
    for size in options.sizes:
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            row = process.submit(measured, size, speed).result()
        print(*row.values(), sep=" | ", flush=True)
        rows[row["network"]] = list(row.values())
        if options.write:
            write(options.write, rows, where)


def write(page: Path, rows: dict[str, list[str]], where: str) -> None:
    """Replace what stands between the page's marks by the table."""
    table = [list(HEADS), ["---"] * len(HEADS), *rows.values()]
    text = "\n".join("| " + " | ".join(row) + " |" for row in table)
    begin, end = "<!-- table -->\n", "<!-- end of the table -->"
    before, rest = page.read_text().split(begin)
    after = rest.split(end)[1]
    page.write_text(f"{before}{begin}*{where}.*\n\n{text}\n\n{end}{after}")


if __name__ == "__main__":
    main()
