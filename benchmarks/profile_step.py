"""Profile of the training step, operation by operation, and how long a GPU waits in it.

    python benchmarks/profile_step.py [--networks vgg54] [--speed auto] [--trace step.json]

The step is that of `step.py`. Each row is an operation's own time, on the processor or, where there
is one, the GPU. On a GPU it is also told which share of the time some kernel runs, and the longest
time that none does: a step that keeps the GPU waiting shows here. `--trace` writes a file for
chrome://tracing or Perfetto.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from reporting import add_outputs, report, surroundings
from settings import SETTINGS
from step import ours
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from tmd.acceleration.autotune import fastest
from tmd.acceleration.speed import Speed
from tmd.errors import UserError

Interval = tuple[float, float]


def gaps(intervals: Iterable[Interval]) -> tuple[float, float]:
    """The share of the time in which something runs, and the longest time in which nothing does.

    >>> gaps([(0, 4), (1, 2), (8, 10)])
    (0.6, 4)
    """
    ordered = sorted(intervals)
    first, end = ordered[0]
    busy, longest = end - first, 0.0
    for start, stop in ordered[1:]:
        longest = max(longest, start - end)
        busy += max(0, stop - max(start, end))
        end = max(end, stop)
    return busy / (end - first), longest


def rows_of(profiled: Any, iterations: int, on_gpu: bool, count: int) -> list[dict[str, Any]]:
    """The table's: the operations that take most, and all others together."""
    name = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    found = [(getattr(each, name), each) for each in profiled.key_averages()]
    total = sum(taken for taken, _ in found)
    found.sort(key=lambda each: -each[0])
    rows = [
        {
            "operation": each.key[:60],
            "ms": round(taken / iterations / 1e3, 2),
            "share": f"{taken / total:.1%}",
            "calls": round(each.count / iterations, 1),
        }
        for taken, each in found[:count]
    ]
    rest = sum(taken for taken, _ in found[count:])
    others = {"operation": "all others", "ms": round(rest / iterations / 1e3, 2)}
    calls = sum(each.count for _, each in found[count:]) / iterations
    return [*rows, {**others, "share": f"{rest / total:.1%}", "calls": round(calls, 1)}]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", choices=SETTINGS, default="default")
    parser.add_argument("--speed", default="auto", help="as training.speed")
    parser.add_argument("--batch", type=int, help="images, instead of the setting's")
    parser.add_argument("--patch", type=int, help="HR pixels, instead of the setting's")
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--rows", type=int, default=20, help="operations told one by one")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--trace", type=Path, help="where all calls go, as JSON")
    add_outputs(parser)
    options = parser.parse_args()
    device = torch.device(options.device)
    on_gpu = device.type == "cuda"
    try:
        auto = options.speed == "auto"
        speed = fastest(device) if auto else Speed.parse(options.speed, "--speed")
    except UserError as problem:
        parser.error(str(problem))
    setting = SETTINGS[options.networks]
    batch_size, patch = options.batch or setting.batch, options.patch or setting.patch
    batch = torch.randint(0, 256, (batch_size, 3, patch, patch), dtype=torch.uint8)
    torch.backends.cudnn.benchmark = True  # as in a run
    run = ours(setting, batch.pin_memory() if on_gpu else batch, device, speed)
    run(5)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities) as profiled:
        run(options.iterations)
        if on_gpu:
            torch.cuda.synchronize(device)
    print(surroundings(options.device))
    print(f"{options.networks}, {batch_size} × {patch}², {speed}; an iteration's")
    report(rows_of(profiled, options.iterations, on_gpu, options.rows), options, "ms")
    kernels = [
        (event.time_range.start, event.time_range.end)
        for event in profiled.events()
        if event.device_type == DeviceType.CUDA
    ]
    if kernels:
        share, longest = gaps(kernels)
        print(f"some kernel runs {share:.1%} of the time; the longest gap is {longest:.0f} µs")
    if options.trace:
        options.trace.parent.mkdir(parents=True, exist_ok=True)
        profiled.export_chrome_trace(str(options.trace))


if __name__ == "__main__":
    main()
