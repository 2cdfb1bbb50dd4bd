"""Networks trained at equal time, from one command: PSNR and LPIPS on Set5, and speed.

    python benchmarks/architectures.py ../shared/data/train/BSDS500/train \
        --set5 ../shared/data/benchmarks/Set5 --lpips ../shared/data/weights --minutes 15

For each network a short run is timed at two lengths, so that the start is left out; as many updates
as fit the minutes are then trained by L1, with the settings of `bsds500` (its photos at three
sizes, batches, rates, average of the weights), and `evaluate.py` measures the result. A quiet
machine is needed: what else runs is taken for the network's slowness. `tmd runs` lists the runs.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from reporting import add_outputs, report, surroundings

ROOT = Path(__file__).resolve().parents[1]
#: Words by which each is chosen; `subpixel` is what `bsds500` has without any.
NETWORKS = {
    "span": ["generator.span"],
    "compact": ["generator.compact"],
    "realplksr": ["generator.realplksr_small"],
    "srresnet": ["generator.name=srresnet"],
    "subpixel": [],
}
TIMED = (60, 260)  # updates of the two short runs


def words(name: str, options: argparse.Namespace, updates: int) -> list[str]:
    """Words of a training of ``updates`` updates."""
    rates = [f"optimization.lr_g={options.lr}"] if options.lr else []
    return [
        "bsds500",
        *NETWORKS[name],
        f"dataset.root={options.images.resolve()}",
        "losses.content=pixel",
        "schedule.warmup=0",
        "schedule.adversarial=0",
        f"schedule.pretrain={updates}it",
        f"training.checkpoint_every={updates}",
        f"optimization.lr_rise={min(1000, updates // 20)}it",
        *rates,
        *options.updates,
    ]


def run(script: str, store: Path, *given: str) -> str:
    """Text that a script of the project prints.

    Raises:
        SystemExit: it failed; says how.
    """
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "experiments" / f"{script}.py"),
            "-F",
            str(store),
            "with",
            *given,
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{script} {' '.join(given)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return done.stdout


def seconds_of_updates(name: str, options: argparse.Namespace) -> float:
    """Seconds of an update, without what a run takes to start and to end."""
    taken = []
    for updates in TIMED:
        began = time.perf_counter()
        run("srgan", options.store / "timed", *words(name, options, updates))
        taken.append(time.perf_counter() - began)
    return (taken[1] - taken[0]) / (TIMED[1] - TIMED[0])


def figures(printed: str) -> dict[str, str]:
    """The numbers of the last line of `evaluate.py`'s table of means, by its heads."""
    lines = [line for line in printed.splitlines() if line.strip()]
    head = max(i for i, line in enumerate(lines) if "PSNR" in line)
    heads = re.split(r"\s{2,}|\s*\|\s*", lines[head].strip(" |"))
    row = next(line for line in lines[head + 1 :] if line.strip(" |").startswith("mean"))
    return dict(zip(heads, re.split(r"\s{2,}|\s*\|\s*", row.strip(" |")), strict=False))


def trained(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """The table's row of a network."""
    update = seconds_of_updates(name, options)
    updates = max(int(60 * options.minutes / update), 100)
    print(
        f"{name}: {1e3 * update:.0f} ms an update, {updates} in {options.minutes} min", flush=True
    )
    store = options.store / name
    began = time.perf_counter()
    run("srgan", store, *words(name, options, updates))
    minutes = (time.perf_counter() - began) / 60
    lpips = [f"lpips_weights={options.lpips.resolve()}"] if options.lpips else []
    newest = max(store.glob("[0-9]*/"), key=lambda folder: int(folder.name))
    printed = run(
        "evaluate", store, f"run={newest.resolve()}", f"benchmark={options.set5.resolve()}", *lpips
    )
    print(printed, flush=True)
    found = figures(printed)
    return {
        "network": name,
        "updates": updates,
        "ms an update": round(1e3 * update),
        "minutes": round(minutes, 1),
        **{head: value for head, value in found.items() if re.search("PSNR|SSIM|LPIPS", head)},
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path, help="folder of photos to learn from")
    parser.add_argument("--set5", type=Path, required=True, help="with HR/ and LR_bicubic/X4")
    parser.add_argument("--lpips", type=Path, help="folder of LPIPS's backbones and heads")
    parser.add_argument("--minutes", type=float, default=15.0, help="of training, each")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--lr", type=float, help="instead of the rate of bsds500")
    parser.add_argument("--store", type=Path, default=Path("runs/architectures"))
    parser.add_argument("--updates", nargs="*", default=[], help="further words of the config")
    add_outputs(parser)
    options = parser.parse_args(arguments)
    options.store = options.store.resolve()
    print(surroundings(), flush=True)
    report([trained(name, options) for name in options.networks], options, "PSNR")


if __name__ == "__main__":
    main()
