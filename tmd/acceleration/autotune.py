"""The fastest arithmetic on this machine: timed, once, and remembered.

A processor's description does not tell. Of two with AVX-512, one takes 0.6 of float32's time
for bfloat16 convolutions, and another 1.6 times as long; by Winograd's convolution the step of
SRGAN's networks with VGG54 took 1.1 times as long on the first and 0.8 of the time on the other.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tmd.acceleration.speed import Speed
from tmd.acceleration.threads import LoadMeter, is_busy
from tmd.cache import cache_file, keep
from tmd.hardware import device_name

#: From the most exact on. Compiling takes minutes and is left to those whose runs take hours.
CPU_SPEEDS = (
    Speed.parse("float32+channels_last+keep_memory+rows"),
    Speed.parse("float32+channels_last+keep_memory+rows+winograd"),
    Speed.parse("bfloat16+channels_last+keep_memory+rows"),
)
GPU_SPEEDS = (
    Speed.parse("float32+tf32"),
    Speed.parse("float32+channels_last+tf32"),
    Speed.parse("bfloat16+tf32"),
    Speed.parse("bfloat16+channels_last+tf32"),
)
#: How much faster a less exact one has to be. Wide enough for the choice not to waver.
MARGIN = 1.1
ROUNDS = 7

Work = Callable[[], None]


def fastest(device: torch.device) -> Speed:
    """Fastest speed of those whose result is as good, on ``device``.

    Timed for a second when it is first asked for; then what is kept in the folder ``speeds`` of
    `tmd.cache` is taken, so that one machine gives one answer. What is timed while other programs
    keep a CPU busy (`is_provisional`) is not kept.
    """
    return _fastest(device, torch.get_num_threads())


def is_provisional(device: torch.device) -> bool:
    """Tell whether `fastest` timed on a busy machine, and will time again at the next start."""
    return (device, torch.get_num_threads()) in _provisional


_provisional: set[tuple[torch.device, int]] = set()


@lru_cache
def _fastest(device: torch.device, threads: int) -> Speed:
    speeds = candidates(device)
    if len(speeds) == 1:
        return speeds[0]
    names = [str(speed) for speed in speeds]
    machine = f"{device_name(device)}, {threads} threads, torch {torch.__version__}: {names}"
    place = cache_file("speeds", machine, ".json")
    if place is not None and (remembered := _remembered(place)) in names:
        return speeds[names.index(remembered)]
    load = LoadMeter()
    times = seconds([work_of(speed, device) for speed in speeds], device)
    chosen = speeds[choice(times)]
    if device.type == "cpu" and is_busy(load.read()):
        _provisional.add((device, threads))
    elif place is not None:
        found = {
            "machine": machine,
            "fastest": str(chosen),
            "milliseconds": dict(zip(names, [round(t * 1e3, 3) for t in times], strict=True)),
        }
        text = json.dumps(found, indent=1)
        keep(place, lambda file: file.write(text.encode()))
    return chosen


def _remembered(place: Path) -> Any:
    try:
        return json.loads(place.read_text())["fastest"]
    except (OSError, ValueError, LookupError, TypeError):
        return None


def candidates(device: torch.device) -> Sequence[Speed]:
    """Speeds to choose from, from the most exact on."""
    if device.type == "cpu":
        return CPU_SPEEDS
    if device.type != "cuda":  # not timed: there was none to try it on
        return (Speed(),)
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return GPU_SPEEDS
    return [speed for speed in GPU_SPEEDS if speed.autocast is None]


def choice(times: Sequence[float]) -> int:
    """Place of the shortest time, where each is to be beaten by `MARGIN` by a later one.

    Example:
        >>> choice([2.0, 1.95, 1.0]), choice([2.0, 1.95, 1.9])
        (2, 0)
    """
    best = 0
    for place, taken in enumerate(times):
        if taken * MARGIN < times[best]:
            best = place
    return best


def work_of(speed: Speed, device: torch.device) -> Work:
    """Forward and backward through layers as SRGAN's networks and VGG have them.

    What a speed switches for the whole process stays as it is on a CPU.
    """
    on_gpu = device.type == "cuda"
    with torch.random.fork_rng(devices=[]):
        layers = nn.Sequential(
            nn.Conv2d(64, 64, 3, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(64, 128, 3, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(128, 128, 3, padding=1),
        )
        # A GPU needs enough to do that it is never waiting for the next call.
        images = torch.rand(32, 64, 64, 64) if on_gpu else torch.rand(8, 64, 24, 24)
    network = speed.prepare(layers, device)
    images = images.to(device)

    def work() -> None:
        network.zero_grad()
        with torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=speed.tf32):
            with torch.autocast(device.type, speed.autocast) if speed.autocast else nullcontext():
                result = network(images.clone().requires_grad_())
            result.float().square().mean().backward()

    return work


def seconds(works: Sequence[Work], device: torch.device) -> list[float]:
    """Least time that each takes, in turns: of a GPU, or of the processor.

    Of the processor's, over all its threads, since other programs, such as another run that starts,
    make the time by the clock ten times as long for one and not for the next. What would leave
    threads without work looks better than it is; all that are compared keep them busy.
    """
    best = [float("inf")] * len(works)
    for number in range(ROUNDS + 2):
        for place, work in enumerate(works):
            start = _now(device)
            work()
            taken = _now(device) - start
            if number >= 2:  # kernels are chosen in the first
                best[place] = min(best[place], taken)
    return best


def _now(device: torch.device) -> float:
    if device.type != "cuda":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()
