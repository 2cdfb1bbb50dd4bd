"""Cost of a sweep itself beside the trials that it runs: what a worker does between trainings.

    python benchmarks/sweep.py
    python benchmarks/sweep.py --trials 10 --iterations 400

A study with a worker is run, and the time during which no training ran is told apart: the worker's
own start, and choosing, starting and telling of trials. Beside it stands the start of a training's
process (imports, checks, data), which is no cost of the sweep: a command typed by hand has it too.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODULE = [sys.executable, "-m", "experiments.command"]


def measure(folder: Path, trials: int, iterations: int) -> dict[str, float]:
    """Seconds, by what they were spent on, of a study of ``trials`` trainings."""
    common = [
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
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    began = time.time()
    sweep = ["trials=" + str(trials), "sampler=random", "objective=validation.psnr", "study=cost"]
    space = "space.optimization.lr_g=log(1e-4,1e-3)"
    subprocess.run(
        [*MODULE, "sweep", "srgan", "with", *common, space, *sweep],
        cwd=folder,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    whole = time.time() - began
    runs = sorted((folder / "runs").glob("[0-9]*/run.json"), key=lambda path: int(path.parent.name))
    spans = [_span(json.loads(path.read_text())) for path in runs]
    between = [later[0] - earlier[1] for earlier, later in pairwise(spans)]
    alone = _from_start_to_run(folder, common, environment)
    trained = sum(end - start for start, end in spans) / len(spans)
    between_trials = sum(between) / len(between)
    return {
        "whole study": whole,
        "training of a trial": trained,
        "between two trainings": between_trials,
        "start and end of a training's process, alone": alone,
        "the sweep's own, a trial": between_trials - alone,
        "the sweep's own, in % of a trial": 100 * (between_trials - alone) / trained,
    }


def _from_start_to_run(folder: Path, settings: list[str], environment: dict[str, str]) -> float:
    """Mean time that a training typed by hand spends outside of its run."""
    spent = []
    for _ in range(3):
        began = time.time()
        script = str(ROOT / "experiments" / "srgan.py")
        subprocess.run(
            [sys.executable, script, "-F", "alone", "with", *settings],
            cwd=folder,
            env=environment,
            check=True,
            capture_output=True,
        )
        whole = time.time() - began
        newest = max((folder / "alone").glob("[0-9]*"), key=lambda path: int(path.name))
        start, end = _span(json.loads((newest / "run.json").read_text()))
        spent.append(whole - (end - start))
    return sum(spent) / len(spent)


def _span(entry: dict[str, str]) -> tuple[float, float]:
    """Start and end of a run, as seconds."""
    start, end = (
        datetime.datetime.fromisoformat(entry[key]).replace(tzinfo=datetime.timezone.utc)
        for key in ("start_time", "stop_time")
    )
    return start.timestamp(), end.timestamp()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--iterations", type=int, default=400)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), given.trials, given.iterations)
    for name, value in found.items():
        print(f"{name:48} {value:8.2f}" + ("" if "%" in name else " s"))


if __name__ == "__main__":
    main()
