"""The layers that are computed in another way on a CPU, beside torch's own, in the same process.

    python benchmarks/layers.py [--rounds 9] [--batch 8] [--threads 2] [--csv out.csv]

Convolutions are those of SRGAN's networks and of VGG at HR images of 128 pixels, trained or
frozen; the dense layer is D's first, with spectral normalisation; the activation is SRGAN's. Each
is asked for its result alone and for its result and gradients, in turn with torch's; printed are
medians, the median of the rounds' ratios and the relative difference of the results. Freed memory
is kept, as in training.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from reporting import add_outputs, report, surroundings
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from tmd.acceleration.layers import Dense, PReLU
from tmd.acceleration.memory import keep_freed_memory
from tmd.acceleration.rows import use_rows
from tmd.acceleration.winograd import use_winograd

#: Inputs, outputs, side of the image, of 3 × 3 convolutions.
WINOGRADS = ((64, 128, 64), (128, 128, 64), (64, 256, 32), (256, 256, 32), (512, 512, 16))
#: Inputs and side of the image, of 9 × 9 convolutions to three colours.
OUTPUTS = ((64, 128), (32, 72))
#: Features and side of the image.
PRELUS = ((64, 32), (64, 128))
DENSE = (512 * 6**2, 1024)

Pair = tuple[str, nn.Module, nn.Module, Tensor]


def pairs(batch: int) -> list[Pair]:
    """Name, torch's layer, ours, images."""
    found: list[Pair] = []
    for inputs, outputs, side in WINOGRADS:
        for frozen in (False, True):
            layer = nn.Conv2d(inputs, outputs, 3, padding=1).requires_grad_(not frozen)
            name = f"winograd {inputs}→{outputs}, {side}²{', frozen' if frozen else ''}"
            found.append(convolutions(name, layer, use_winograd, batch, side))
    for inputs, side in OUTPUTS:
        layer = nn.Conv2d(inputs, 3, 9, padding=4)
        found.append(convolutions(f"rows {inputs}→3, {side}²", layer, use_rows, batch, side))
    dense = Dense(*DENSE)
    torchs = nn.Linear(*DENSE)
    torchs.load_state_dict(dense.state_dict())
    for network in (torchs, dense):
        torch.manual_seed(0)  # of the singular vectors
        parametrizations.spectral_norm(network)
    for features, side in PRELUS:
        images = torch.randn(batch, features, side, side)
        images = images.contiguous(memory_format=torch.channels_last)
        found.append((f"PReLU {features}, {side}²", nn.PReLU(), PReLU(), images))
    found.append((f"dense {DENSE[0]}→{DENSE[1]}", torchs, dense, torch.randn(batch, DENSE[0])))
    return found


def convolutions(
    name: str, layer: nn.Conv2d, use: Callable[[nn.Module], nn.Module], batch: int, side: int
) -> Pair:
    layer.to(memory_format=torch.channels_last)
    images = torch.randn(batch, layer.in_channels, side, side)
    ours = use(copy.deepcopy(layer))
    return name, layer, ours, images.contiguous(memory_format=torch.channels_last)


def result_alone(layer: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return layer(images)


def with_gradients(layer: nn.Module, images: Tensor) -> Tensor:
    layer.zero_grad()
    result = layer(images.detach().requires_grad_())
    result.backward(torch.ones_like(result))
    return result.detach()


def compared(pair: Pair, rounds: int) -> dict[str, Any]:
    """The table's row."""
    name, torchs, ours, images = pair
    expected, result = result_alone(torchs, images), result_alone(ours, images)
    row: dict[str, Any] = {"layer": name}
    for title, work in (("alone", result_alone), ("with gradients", with_gradients)):
        taken: list[list[float]] = [[], []]
        for _ in range(rounds + 1):
            for times, layer in zip(taken, (torchs, ours), strict=True):
                start = time.perf_counter()
                work(layer, images)
                times.append(time.perf_counter() - start)
        before, after = (times[1:] for times in taken)  # the first is for warming up
        ratio = statistics.median(b / a for b, a in zip(before, after, strict=True))
        row[f"{title}: torch's ms"] = f"{statistics.median(before) * 1e3:.1f}"
        row[f"{title}: ours"] = f"{statistics.median(after) * 1e3:.1f}"
        row[f"{title}: ratio"] = f"{ratio:.2f}"
    row["difference"] = f"{(result - expected).norm() / expected.norm():.0e}"
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    add_outputs(parser)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    keep_freed_memory()
    print(surroundings())
    report(
        [compared(pair, options.rounds) for pair in pairs(options.batch)],
        options,
        "with gradients: ratio",
        level=1,
    )


if __name__ == "__main__":
    main()
