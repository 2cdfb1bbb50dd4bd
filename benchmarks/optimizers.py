"""Cost of an update of a generator by each optimiser, beside Adam's, in the same process.

    python benchmarks/optimizers.py [--blocks 8] [--patch 96] [--batch 4] [--csv out.csv]

The network is `subpixel` at ×4, as in the named config `bsds500`; the loss is L1, the images are
random. "torch's Muon" is `torch.optim.Muon` on the kernels as matrices, one after the other, which
is what there is in torch, with Adam for all else. Rounds alternate between the optimisers; printed
are medians, and the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from reporting import add_outputs, report, surroundings
from torch import nn
from torch.nn import functional as F

from tmd.models import create_generator
from tmd.optim.muon import Muon, kernels_between

LR = 1e-4


def adam(network: nn.Module) -> Callable[[], None]:
    return torch.optim.Adam(network.parameters(), LR, fused=True).step


def ours(network: nn.Module) -> Callable[[], None]:
    return Muon(network, LR).step


def torchs(network: nn.Module) -> Callable[[], None]:
    kernels = kernels_between(network)
    chosen = {id(kernel) for kernel in kernels}
    # Views: what torch writes to them is written to the kernels.
    matrices = [nn.Parameter(kernel.detach().flatten(1)) for kernel in kernels]
    muon = torch.optim.Muon(matrices, LR, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    others = (p for p in network.parameters() if id(p) not in chosen)
    rest = torch.optim.Adam(others, LR, fused=True)

    def step() -> None:
        for matrix, kernel in zip(matrices, kernels, strict=True):
            assert kernel.grad is not None
            matrix.grad = kernel.grad.flatten(1)
        muon.step()
        rest.step()

    return step


OPTIMIZERS = {"Adam, fused": adam, "Muon": ours, "torch's Muon": torchs}


def update(name: str, options: argparse.Namespace) -> Callable[[], float]:
    """Makes some updates, and tells the seconds that one took."""
    torch.manual_seed(0)
    network = create_generator(
        "subpixel", scale=4, n_blocks=options.blocks, n_features=options.features
    )
    step = OPTIMIZERS[name](network)
    lr = torch.rand(options.batch, 3, options.patch // 4, options.patch // 4)
    hr = torch.rand(options.batch, 3, options.patch, options.patch)

    def run() -> float:
        began = time.perf_counter()
        for _ in range(options.updates):
            network.zero_grad(set_to_none=True)
            F.l1_loss(network(lr), hr).backward()
            step()
        return (time.perf_counter() - began) / options.updates

    return run


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    runs = {name: update(name, options) for name in OPTIMIZERS}
    for run in runs.values():
        run()  # the first makes the states
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.rounds):
        for name, run in runs.items():
            seconds[name].append(run())
    baseline = seconds["Adam, fused"]
    return [
        {
            "optimiser": name,
            "ms an update": round(1e3 * statistics.median(times), 1),
            "of Adam's time": round(
                statistics.median(t / b for t, b in zip(times, baseline, strict=True)), 3
            ),
        }
        for name, times in seconds.items()
    ]


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--patch", type=int, default=96, help="HR pixels of a side")
    parser.add_argument("--updates", type=int, default=10, help="updates in a round")
    parser.add_argument("--rounds", type=int, default=9)
    add_outputs(parser)
    options = parser.parse_args(words)
    print(surroundings(), flush=True)
    report(measure(options), options, "of Adam's time", level=1)


if __name__ == "__main__":
    main()
