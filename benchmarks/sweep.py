"""Cost of a sweep itself beside the trials that it runs, in wall and in processor time.

    python benchmarks/sweep.py
    python benchmarks/sweep.py --rounds 3 --iterations 1800

In turn: a training typed by hand, a study of one such trial, a study of three. What a further trial
costs is half of the difference between the studies; what the sweep itself adds to it is that less a
training typed by hand, and negative where trials begin faster than by hand, as their process has
imported everything already. What a study costs once, its checks and its worker's start, stands
beside it, by the clock. Processor time is that of all processes that were waited for; a study's
last training is not, which the difference of two studies leaves out.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODULE = [sys.executable, "-m", "experiments.command"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def settings(iterations: int) -> list[str]:
    """Words of the training that is measured."""
    return [
        "smoke",
        f"schedule.pretrain={iterations}it",
        "schedule.warmup=0",
        "schedule.adversarial=0",
        f"training.epoch_length={max(1, iterations // 4)}",
        f"training.checkpoint_every={iterations}",
        "training.threads=1",
        "training.speed=float32",
        "training.tensorboard=False",
    ]


def spent(folder: Path, words: Sequence[str]) -> tuple[float, float]:
    """Wall and processor seconds of a command and all that it starts."""
    before, began = _processor_time(), time.monotonic()
    subprocess.run([*words], cwd=folder, env=ENVIRONMENT, check=True, capture_output=True)
    return time.monotonic() - began, _processor_time() - before


def _processor_time() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(folder: Path, iterations: int, number: int) -> dict[str, tuple[float, float]]:
    """(wall, processor) seconds by what was run; ``number`` is the round's."""
    common = settings(iterations)
    sweep = [*MODULE, "sweep", "srgan", "with", *common, "space.optimization.lr_g=log(1e-4,1e-3)"]
    sweep += ["sampler=random", "objective=validation.psnr"]
    return {
        "by hand": spent(folder, [*MODULE, "srgan", "-F", "alone", "with", *common]),
        "study of 1": spent(folder, [*sweep, "trials=1", f"study=one-{number}"]),
        "study of 3": spent(folder, [*sweep, "trials=3", f"study=three-{number}"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--iterations", type=int, default=1800)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rounds = [measure(Path(folder), given.iterations, number) for number in range(given.rounds)]
    for index, kind in enumerate(("wall", "processor")):
        hand, one, three = (
            statistics.median(each[name][index] for each in rounds) for name in rounds[0]
        )
        further = (three - one) / 2
        print(f"{kind} time, median of {given.rounds}")
        print(f"  a training typed by hand            {hand:8.2f} s")
        print(f"  a further trial of a study          {further:8.2f} s")
        print(f"  the sweep's own, a trial            {further - hand:8.2f} s", end="")
        print(f"  {100 * (further - hand) / hand:6.2f} %")
        if kind == "wall":
            print(f"  the sweep's own, once a study       {one - further:8.2f} s")


if __name__ == "__main__":
    main()
