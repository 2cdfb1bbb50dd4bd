"""The training step of the field's networks beside a plain loop with spandrel's own modules.

    python benchmarks/published_step.py [--sizes compact span realplksr] [--batch 8] [--patch 96]

The baseline is what one writes in a notebook: spandrel's class of the same options, float32, L1,
Adam, the loss read every iteration. Ours is the generator of that name through the trainer with a
run's handlers, by `training.speed=auto`. They take turns in processes of their own; the ratio is
taken round by round and its median printed.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from typing import Any

import torch
from reporting import add_outputs, report, surroundings
from settings import SCALE, Run
from step import Loop
from torch import Tensor, nn
from torch.nn import functional as F

from tmd.acceleration.autotune import fastest
from tmd.acceleration.speed import Speed
from tmd.data import measured_batches
from tmd.handlers import LearningRate, ScalarLog, average_weights
from tmd.measurements import create_measurement
from tmd.models import create_generator
from tmd.models.published.recognition import spandrels_network
from tmd.models.published.sizes import SIZES
from tmd.resize import imresize
from tmd.training import Phases, Updater
from tmd.training.supervised import create_supervised_trainer

READ_EVERY = 5
LR = 2e-4


def network(size: str) -> nn.Module:
    torch.manual_seed(0)
    name, options, _ = SIZES[size]
    return create_generator(name, SCALE, **options)


def plain(size: str, batch: Tensor) -> Run:
    """The step as one writes it in a notebook, with the module that spandrel's loader gives."""
    generator = spandrels_network(network(size).state_dict()).train().requires_grad_(True)
    optimizer = torch.optim.Adam(generator.parameters(), LR)

    def run(iterations: int) -> None:
        for _ in range(iterations):
            hr = batch.float() / 255
            lr = imresize(hr, 1 / SCALE).clamp(0, 1)
            loss = F.l1_loss(generator(lr), hr)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()

    return run


def ours(size: str, batch: Tensor, speed: Speed) -> Run:
    """The trainer with a run's handlers."""
    device = torch.device("cpu")
    generator = speed.prepare(network(size), device)
    speed.switch_device(device)
    updater = Updater(generator, torch.optim.Adam(generator.parameters(), LR, fused=True))
    trainer = create_supervised_trainer(
        generator, updater, F.l1_loss, 10**9, autocast=speed.autocast
    )
    schedule = LearningRate({"lr_g": updater.optimizer}, "cosine", 0.1, Phases(10**9, 0, 0))
    schedule.attach(trainer)
    ScalarLog(READ_EVERY).attach(trainer)
    average_weights(trainer, generator, 0.995)
    measure = create_measurement(["bicubic"], SCALE)

    def run(iterations: int) -> None:
        trainer.state.max_epochs = None  # each round is a fresh run of the engine
        pairs = measured_batches(itertools.repeat(batch), measure, device)
        trainer.run(zip(pairs), max_epochs=1, epoch_length=iterations)

    return run


def seconds(run: Run, iterations: int) -> float:
    """An iteration's."""
    start = time.perf_counter()
    run(iterations)
    return (time.perf_counter() - start) / iterations


def measure(size: str, speed: Speed, options: argparse.Namespace) -> dict[str, Any]:
    """The table's row of a size."""
    batch = torch.randint(
        0, 256, (options.batch, 3, options.patch, options.patch), dtype=torch.uint8
    )
    loops = [Loop(plain, size, batch), Loop(ours, size, batch, speed)]
    for loop in loops:
        loop.call(seconds, 2)
    times = [
        [loop.call(seconds, options.iterations) for loop in loops] for _ in range(options.rounds)
    ]
    for loop in loops:
        loop.process.shutdown()
    return {
        "network": size,
        "batch": f"{options.batch} × {options.patch}²",
        "plain ms": round(1e3 * statistics.median(p for p, _ in times)),
        "ours ms": round(1e3 * statistics.median(o for _, o in times)),
        "over plain": round(statistics.median(p / o for p, o in times), 2),
    }


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = ["compact", "span", "realplksr_small", "esrgan_6", "swinir_light"]
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=known, metavar="SIZE")
    parser.add_argument("--speed", default="auto", help="as training.speed")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--patch", type=int, default=96, help="HR pixels of a side")
    parser.add_argument("--iterations", type=int, default=3, help="a round")
    parser.add_argument("--rounds", type=int, default=5)
    add_outputs(parser)
    options = parser.parse_args(words)
    auto = fastest(torch.device("cpu"))
    speed = auto if options.speed == "auto" else Speed.parse(options.speed, "--speed")
    print(surroundings(), flush=True)
    print(f"ours by {speed}", flush=True)
    rows = [measure(size, speed, options) for size in options.sizes]
    report(rows, options, "over plain", level=1.5)


if __name__ == "__main__":
    main()
