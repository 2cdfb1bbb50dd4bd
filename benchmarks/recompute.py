"""Memory and time of a generator's training step, remembered or computed again.

    python benchmarks/recompute.py [--networks srresnet,esrgan,swinir] [--csv out.csv]

Each step is made in a process of its own, by `training.recompute=False` and `True`; the memory is
the most that the process held, less what it held before the first step. The time is the median of
the steps but the first.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

import torch
from reporting import add_outputs, report, surroundings
from torch.nn import functional as F

from tmd.acceleration.recompute import recompute_blocks
from tmd.models import create_generator


def held() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def step(name: str, again: bool, options: argparse.Namespace) -> dict[str, float]:
    torch.manual_seed(0)
    ours = name in ("srresnet", "subpixel", "rrdb")
    sizes = {"n_blocks": 16, "n_features": 64} if ours else {}
    network = create_generator(name, 4, 3, **sizes).train()
    if again:
        recompute_blocks(network)
    optimizer = torch.optim.Adam(network.parameters(), 1e-4, fused=True)
    side = options.patch // 4
    lr = torch.rand(options.batch, 3, side, side)
    hr = torch.rand(options.batch, 3, options.patch, options.patch)
    before, seconds = held(), []
    for _ in range(options.steps):
        began = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        F.l1_loss(network(lr), hr).backward()
        optimizer.step()
        seconds.append(time.perf_counter() - began)
    return {"bytes": held() - before, "seconds": statistics.median(seconds[1:])}


def measured(name: str, again: bool, words: list[str]) -> dict[str, float]:
    command = [sys.executable, __file__, *words, "--step", name, *(["--again"] if again else [])]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", default="srresnet,esrgan,span,swinir")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--patch", type=int, default=96, help="HR pixels of a side")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--again", action="store_true", help=argparse.SUPPRESS)
    add_outputs(parser)
    options = parser.parse_args(words)
    if options.step:
        print(json.dumps(step(options.step, options.again, options)))
        return
    sizes = [f"--{key}={getattr(options, key)}" for key in ("batch", "patch", "steps")]
    rows = []
    for name in options.networks.split(","):
        plain, again = (measured(name, each, sizes) for each in (False, True))
        rows.append(
            {
                "network": name,
                "MB": round(plain["bytes"] / 1e6),
                "MB, recompute": round(again["bytes"] / 1e6),
                "of the memory": round(again["bytes"] / plain["bytes"], 2),
                "of the time": round(again["seconds"] / plain["seconds"], 2),
            }
        )
    print(surroundings(), flush=True)
    report(rows, options, "of the memory", level=1)


if __name__ == "__main__":
    main()
