"""The training step beside a plain loop, in turn.

    python benchmarks/step.py [--networks default srgan vgg54] [--peers basicsr] [--plot out.png]

The baseline is SRGAN's step as one writes it in a notebook: float32, contiguous tensors, real and
generated images in one batch for D, torch's own layers, losses read every iteration. Ours is the
same networks, losses and batches through the trainer with the handlers of a run (scalars, averaged
weights, schedules, image history), once for each speed given. `--peers` adds other frameworks' own
steps. Each has a process of its own, for what a speed sets for a whole process. Rounds alternate,
the ratio is taken round by round and its median printed, so that a machine that slows down slows
all. The arithmetic that the plain step asks for is counted, and its rate stated as a share of the
best that torch's convolutions reach here; Winograd's do less of it.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import resource
import statistics
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import torch
from peers import PEERS
from reporting import add_outputs, report, surroundings
from settings import (
    ADVERSARIAL_WEIGHT,
    REAL_LABEL,
    SCALE,
    SETTINGS,
    Run,
    Setting,
    networks,
    use_torchs_layers,
)
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from tmd.acceleration.autotune import fastest
from tmd.acceleration.speed import Speed
from tmd.data import measured_batches
from tmd.errors import UserError
from tmd.handlers import (
    ImageHistory,
    LearningRate,
    ScalarLog,
    average_weights,
    create_adversarial_weight,
)
from tmd.losses.adversarial import create_adversarial_loss
from tmd.measurements import create_measurement
from tmd.resize import imresize
from tmd.training import Phases, Updater, create_srgan_trainer

READ_EVERY = 5  # iterations between two readings of the losses; a run reads half as often


def plain(setting: Setting, batch: Tensor, device: torch.device) -> Run:
    """The step as one writes it in a notebook."""
    use_torchs_layers()
    Speed().switch_device(device)  # torch's own default on a GPU is not float32 but TF32
    generator, discriminator, content = (network.to(device) for network in networks(setting))
    opt_g = torch.optim.Adam(generator.parameters(), 1e-4)
    opt_d = torch.optim.Adam(discriminator.parameters(), 1e-4)

    def step() -> None:
        hr = batch.to(device).float() / 255
        lr = imresize(hr, 1 / SCALE).clamp(0, 1)
        sr = generator(lr)
        real, fake = discriminator(torch.cat([hr, sr.detach()])).chunk(2)
        loss_d = F.binary_cross_entropy_with_logits(
            real, torch.full_like(real, REAL_LABEL)
        ) + F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
        opt_d.zero_grad()
        loss_d.backward()
        opt_d.step()
        fooled = discriminator(sr)
        loss_g = content(sr, hr) + ADVERSARIAL_WEIGHT * F.binary_cross_entropy_with_logits(
            fooled, torch.ones_like(fooled)
        )
        opt_g.zero_grad()
        loss_g.backward()
        opt_g.step()
        loss_d.item(), loss_g.item()

    def run(iterations: int) -> None:
        for _ in range(iterations):
            step()

    return run


def ours(
    setting: Setting,
    batch: Tensor,
    device: torch.device,
    speed: Speed,
    made: Iterable[nn.Module] | None = None,
) -> Run:
    """The trainer with a run's handlers.

    Args:
        made: generator, discriminator and content loss; None: those of ``setting``.
    """
    generator, discriminator, content = (
        speed.prepare(network, device) for network in made or networks(setting)
    )
    speed.switch_device(device)
    updaters = [
        Updater(network, torch.optim.Adam(network.parameters(), 1e-4, fused=True))
        for network in (generator, discriminator)
    ]
    phases = Phases(0, 0, 10**9)
    trainer = create_srgan_trainer(
        generator,
        discriminator,
        *updaters,
        content,
        F.l1_loss,
        create_adversarial_loss("bce", REAL_LABEL),
        phases,
        history=ImageHistory(64, 5, 0.25, device=device),
        autocast=speed.autocast,
    )
    create_adversarial_weight(
        "constant", ADVERSARIAL_WEIGHT, phases, dict, lambda state: None
    ).attach(trainer)
    LearningRate(
        {"lr_g": updaters[0].optimizer, "lr_d": updaters[1].optimizer}, "cosine", 0.1, phases
    ).attach(trainer)
    ScalarLog(READ_EVERY).attach(trainer)
    average_weights(trainer, generator, 0.995)

    measure = create_measurement(["bicubic"], SCALE)

    def run(iterations: int) -> None:
        trainer.state.max_epochs = None  # each round is a fresh run of the engine
        pairs = measured_batches(itertools.repeat(batch), measure, device)
        trainer.run(zip(pairs), max_epochs=1, epoch_length=iterations)

    return run


def seconds(run: Run, iterations: int, device: torch.device) -> float:
    """An iteration's."""
    synchronise(device)
    start = time.perf_counter()
    run(iterations)
    synchronise(device)
    return (time.perf_counter() - start) / iterations


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def arithmetic(run: Run) -> int:
    """Floating-point operations of an iteration of ``run``."""
    with FlopCounterMode(display=False) as counter:
        run(1)
    return counter.get_total_flops()


def convolution_peak(device: torch.device, precision: torch.dtype) -> float:
    """The best rate, in operations a second, of some 3×3 convolutions forward and backward."""
    best = 0.0
    # A GPU needs enough to do that it is never waiting for the next call.
    batch, iterations = (64, 50) if device.type == "cuda" else (8, 3)
    layouts = (torch.contiguous_format, torch.channels_last)
    for (features, side), layout in itertools.product([(64, 128), (128, 64), (256, 32)], layouts):
        layer = nn.Conv2d(features, features, 3, padding=1).to(device, precision)
        layer.to(memory_format=layout)
        images = torch.randn(batch, features, side, side, device=device, dtype=precision)
        images = images.contiguous(memory_format=layout).requires_grad_()

        def convolve(iterations: int, layer=layer, images=images) -> None:
            for _ in range(iterations):
                layer(images).backward(torch.ones_like(images))

        convolve(2)
        operations = 3 * 2 * images.numel() * features * 9
        best = max(best, operations / min(seconds(convolve, iterations, device) for _ in range(3)))
    return best


def peak_memory(device: torch.device) -> float:
    """MB of the device's memory used at most since the last call; on a CPU, by the process."""
    if device.type == "cuda":
        used = torch.cuda.max_memory_allocated(device) / 2**20
        torch.cuda.reset_peak_memory_stats(device)
        return used
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Loop:
    """One kind of step in a process of its own; `call` works on it there.

    Args:
        build: makes it of the arguments.
    """

    def __init__(self, build: Callable[..., Run], *arguments: Any) -> None:
        arguments = build, *arguments
        self.process = ProcessPoolExecutor(
            1, get_context("spawn"), initializer=_begin, initargs=arguments
        )

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """``function(run, *arguments)`` in the process."""
        return self.process.submit(_in_process, function, *arguments).result()


_run: Run


def _begin(build: Callable[..., Run], *arguments: Any) -> None:
    global _run
    torch.backends.cudnn.benchmark = True  # as in a run
    _run = build(*arguments)


def _in_process(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(_run, *arguments)


def first_steps(run: Run, device: torch.device) -> float:
    """Kernels are chosen, and compiled; what memory it takes (see `peak_memory`)."""
    run(2)
    return peak_memory(device)


def peak(run: Run, device: torch.device, precision: torch.dtype) -> float:
    return convolution_peak(device, precision)


def arithmetic_of(title: str, device: torch.device) -> str:
    """Of the convolutions of a step: float32, tf32 or bfloat16."""
    if title in PEERS and device.type == "cuda":
        return "tf32"  # torch's default there
    if title.startswith("bfloat16"):
        return "bfloat16"
    return "tf32" if "tf32" in title else "float32"


def measure(name: str, speeds: list[Speed], options: argparse.Namespace) -> list[dict[str, Any]]:
    """The table's rows for one of `SETTINGS`."""
    setting, device = SETTINGS[name], torch.device(options.device)
    batch_size, patch = options.batch or setting.batch, options.patch or setting.patch
    batch = torch.randint(0, 256, (batch_size, 3, patch, patch), dtype=torch.uint8)
    loops = {"plain": Loop(plain, setting, batch, device)}
    for peer in options.peers:
        loops[peer] = Loop(PEERS[peer], setting, batch, device)
    for speed in speeds:
        loops[str(speed)] = Loop(ours, setting, batch, device, speed)
    operations = loops["plain"].call(arithmetic)
    memory = {title: loop.call(first_steps, device) for title, loop in loops.items()}
    times: dict[str, list[float]] = {title: [] for title in loops}
    for _ in range(options.rounds):
        for title, loop in loops.items():
            times[title].append(loop.call(seconds, options.iterations, device))
    # Of each arithmetic the best of all processes: what one sets for itself can make it higher.
    kinds = {title: arithmetic_of(title, device) for title in loops}
    peaks: dict[str, float] = {}
    for title, kind in kinds.items():
        precision = torch.bfloat16 if kind == "bfloat16" else torch.float32
        reached = loops[title].call(peak, device, precision)
        peaks[kind] = max(peaks.get(kind, 0.0), reached)
    rows = []
    for title, taken in times.items():
        median = statistics.median(taken)
        ratio = statistics.median(p / t for p, t in zip(times["plain"], taken, strict=True))
        rate = operations / median
        rows.append(
            {
                "networks": name,
                "step": title,
                "batch": batch_size,
                "patch": patch,
                "ms": round(median * 1e3, 1),
                "images/s": round(batch_size / median, 1),
                "over plain": round(ratio, 2),
                "GFLOP/s": round(rate / 1e9),
                "of peak": f"{rate / peaks[kinds[title]]:.0%}",
                "MB": round(memory[title]),
            }
        )
    for loop in loops.values():
        loop.process.shutdown()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--speeds", nargs="+", help="as training.speed; the device's fastest")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=[], help="see peers.py")
    parser.add_argument("--batch", type=int, help="images, instead of the setting's")
    parser.add_argument("--patch", type=int, help="HR pixels, instead of the setting's")
    parser.add_argument("--iterations", type=int, default=5, help="a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add_outputs(parser)
    options = parser.parse_args()
    for peer in options.peers:
        if importlib.util.find_spec(peer) is None:
            parser.error(f"--peers {peer}: is not installed; benchmarks/peers.py says how")
    auto = str(fastest(torch.device(options.device)))
    given = [auto if each == "auto" else each for each in options.speeds or ["auto"]]
    try:
        speeds = [Speed.parse(each, "--speeds") for each in given]
    except UserError as problem:
        parser.error(str(problem))
    print(surroundings(options.device))
    rows = [row for name in options.networks for row in measure(name, speeds, options)]
    report(rows, options, "over plain", level=1)


if __name__ == "__main__":
    main()
