"""The reference of all networks: sizes, reach, time and memory here, and published figures.

    python benchmarks/networks.py [--sizes span swinir_light ...] [--write docs/networks.md]

Each network is built at ×4 in a process of its own and given an LR crop, a smaller one where it is
heavy; operations, time and memory are stated per megapixel of SR. Time is the processor's, of all
threads, so that other programs count little. Rows of a table that is there already are kept, but
for the sizes that are asked for.
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
#: dB on the luma of Set5 at ×4, as the papers have it, and where.
PUBLISHED = {
    "paper": ("32.05", "arXiv:1609.04802"),
    "esrgan": ("32.73", "arXiv:1809.00219, trained for PSNR"),
    "rcan": ("32.63", "arXiv:1807.02758"),
    "swinir": ("32.92", "arXiv:2108.10257"),
    "swinir_light": ("32.44", "arXiv:2108.10257"),
    "hat": ("33.04", "arXiv:2205.04437"),
    "dat": ("33.08", "arXiv:2308.03364"),
    "dat_light": ("32.57", "arXiv:2308.03364"),
    "atd": ("33.10", "arXiv:2401.08209"),
    "craft": ("32.52", "arXiv:2308.05022"),
    "omnisr": ("32.49", "arXiv:2304.10244"),
    "safmn": ("32.18", "arXiv:2302.13800"),
    "span_52": ("32.20", "arXiv:2311.12770"),
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
    published = PUBLISHED.get(size)
    return {
        "network": f"`{size}`"
        if " " not in size
        else f"`{size.split()[0]}` {size.split(' ', 1)[1]}",
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
        "Set5 ×4": f"{published[0]} ({published[1]})" if published else "",
    }


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
    parser.add_argument("--sizes", nargs="+", choices=known, default=known, metavar="SIZE")
    parser.add_argument("--write", type=Path, help="a page whose table gets the rows")
    options = parser.parse_args(words)
    speed = str(fastest(torch.device("cpu")))
    where = f"{surroundings()}; steps by {speed}, upscaling by {UPSCALING_ON_CPU}"
    print(where, flush=True)
    rows = read_rows(options.write) if options.write else {}
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
