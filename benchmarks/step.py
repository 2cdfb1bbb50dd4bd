"""The training step beside a plain loop, in the same process, in turn.

    python benchmarks/step.py [--iterations 30] [--csv out.csv]

The baseline is SRGAN's step as one writes it in a notebook: float32, contiguous tensors, losses
read every iteration. Ours is the same networks, losses and batches through the trainer with the
handlers of a run (scalars, averaged weights, schedules, history). Rounds alternate, the ratio is
taken round by round and its median printed, so that a machine that slows down slows both.
"""

from __future__ import annotations

import argparse
import csv
import platform
import statistics
import time
from collections.abc import Callable

import torch
from torch.nn import functional as F

from tmd.handlers import (
    ImageHistory,
    LearningRate,
    ScalarLog,
    average_weights,
    create_adversarial_weight,
)
from tmd.losses.adversarial import create_adversarial_loss
from tmd.measurements import create_measurement
from tmd.models import create_discriminator, create_generator
from tmd.resize import imresize
from tmd.training import Phases, Updater, create_srgan_trainer
from tmd.training.precision import PRECISIONS, fastest_precision

SCALE = 4
NETWORKS = {
    # The defaults of experiments/srgan.py, and SRGAN's own generator with its discriminator.
    "default": {
        "generator": {"n_blocks": 8, "n_features": 32},
        "discriminator": {
            "features": [32, 64, 64, 128, 128, 256],
            "strides": [2, 2, 1, 2, 1, 2],
            "grid": 4,
            "hidden": 128,
        },
        "batch": (8, 3, 72, 72),
    },
    "paper": {
        "generator": {"n_blocks": 16, "n_features": 64},
        "discriminator": {
            "features": [64, 64, 128, 128, 256, 256, 512, 512],
            "strides": [1, 2, 1, 2, 1, 2, 1, 2],
        },
        "batch": (8, 3, 96, 96),
    },
}


def networks(size: str) -> tuple[torch.nn.Module, torch.nn.Module]:
    torch.manual_seed(0)
    generator = create_generator(
        name="srresnet",
        scale=SCALE,
        channels=3,
        norm="none",
        spectral_norm=False,
        global_skip=True,
        **NETWORKS[size]["generator"],
    )
    discriminator = create_discriminator(
        name="srgan",
        channels=3,
        norm="batch",
        spectral_norm=False,
        **NETWORKS[size]["discriminator"],
    )
    return generator, discriminator


def plain(size: str, batch: torch.Tensor, iterations: int, device: str) -> Callable[[], None]:
    generator, discriminator = (network.to(device) for network in networks(size))
    opt_g = torch.optim.Adam(generator.parameters(), 1e-4)
    opt_d = torch.optim.Adam(discriminator.parameters(), 1e-4)

    def run() -> None:
        for _ in range(iterations):
            hr = batch.to(device).float() / 255
            lr = imresize(hr, 1 / SCALE).clamp(0, 1)
            sr = generator(lr)
            real, fake = discriminator(hr), discriminator(sr.detach())
            loss_d = F.binary_cross_entropy_with_logits(
                real, torch.full_like(real, 0.9)
            ) + F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
            opt_d.zero_grad()
            loss_d.backward()
            opt_d.step()
            fooled = discriminator(sr)
            loss_g = F.l1_loss(sr, hr) + 1e-2 * F.binary_cross_entropy_with_logits(
                fooled, torch.ones_like(fooled)
            )
            opt_g.zero_grad()
            loss_g.backward()
            opt_g.step()
            loss_d.item(), loss_g.item()

    return run


def ours(size: str, batch: torch.Tensor, iterations: int, device: str) -> Callable[[], None]:
    place = torch.device(device)
    generator, discriminator = (
        network.to(place, memory_format=torch.channels_last) for network in networks(size)
    )
    updaters = [
        Updater(network, torch.optim.Adam(network.parameters(), 1e-4, fused=True))
        for network in (generator, discriminator)
    ]
    phases = Phases(0, 0, 10**9)
    trainer = create_srgan_trainer(
        generator,
        discriminator,
        *updaters,
        create_measurement(["bicubic"], SCALE),
        F.l1_loss,
        F.l1_loss,
        create_adversarial_loss("bce"),
        phases,
        history=ImageHistory(64, 5, 0.25, device=device),
        device=place,
        autocast=PRECISIONS[fastest_precision(place)],
    )
    create_adversarial_weight("constant", 1e-2, phases, dict, lambda state: None).attach(trainer)
    LearningRate(
        {"lr_g": updaters[0].optimizer, "lr_d": updaters[1].optimizer}, "cosine", 0.1, phases
    ).attach(trainer)
    ScalarLog(10).attach(trainer)
    average_weights(trainer, generator, 0.995)

    def run() -> None:
        trainer.state.max_epochs = None  # each round is a fresh run of the engine
        trainer.run([(batch,)] * iterations, max_epochs=1)

    return run


def seconds(run: Callable[[], None], device: str) -> float:
    start = time.perf_counter()
    run()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--iterations", type=int, default=10, help="a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--csv", help="file to write the rows to")
    arguments = parser.parse_args()
    device = arguments.device
    name = torch.cuda.get_device_name() if device != "cpu" else platform.machine()
    print(f"{device} ({name}), torch {torch.__version__}, {torch.get_num_threads()} threads")
    rows = []
    for size, settings in NETWORKS.items():
        shape = settings["batch"]
        batch = torch.randint(0, 256, shape, dtype=torch.uint8)
        candidates = [make(size, batch, arguments.iterations, device) for make in (plain, ours)]
        for run in candidates:
            run()  # warm up
        times = [
            [seconds(run, device) / arguments.iterations for run in candidates]
            for _ in range(arguments.rounds)
        ]
        baseline, mine = (statistics.median(column) for column in zip(*times, strict=True))
        ratio = statistics.median(a / b for a, b in times)
        rows.append([size, *shape, f"{baseline:.4f}", f"{mine:.4f}", f"{ratio:.2f}"])
        print(
            f"{size}: batch {shape[0]}, {shape[2]} px: plain {baseline * 1e3:.0f} ms, "
            f"ours {mine * 1e3:.0f} ms ({shape[0] / mine:.1f} images/s), {ratio:.2f}x as fast"
        )
    if arguments.csv:
        with open(arguments.csv, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(
                ["networks", "batch", "channels", "height", "width", "plain_s", "ours_s", "ratio"]
            )
            writer.writerows(rows)


if __name__ == "__main__":
    main()
