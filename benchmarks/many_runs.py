"""Time that a store of 10,000 runs takes to be listed, and its page in Chromium.

    python benchmarks/many_runs.py [--runs 10000] [--before /path/to/another/checkout]

The first runs are written by the observer as a training's are, with its sources, config and
metrics; the others are copies of them, in studies of their own and with other values. Each list is
a process of its own, `tmd runs`; "before" is that of another checkout on the same store.
"""

from __future__ import annotations

import argparse
import copy
import functools
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from reporting import add_outputs, report, surroundings

from experiments.srgan import ex
from observers import FileObserver
from observers.liveness import utc_now as now
from observers.plain import plain

ROOT = Path(__file__).resolve().parents[1]

VALIDATED = ("psnr", "ssim", "score")
TRAINED = (
    *("pixel", "images_per_second", "adv_weight", "lr_g", "lr_d", "loss_d", "d_real", "d_fake"),
    *("loss_g", "content", "adversarial"),
)
WRITTEN = 240  # by the observer
STUDY_RUNS = 120  # of one study: 40 trials of 3 seeds


@functools.cache
def training() -> tuple[dict[str, Any], dict[str, Any]]:
    """About the experiment, and its config: an observer of a training is told both by Sacred."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(8):
            Image.fromarray(np.full((64, 64, 3), 30 * number, np.uint8)).save(
                Path(folder, f"{number}.png")
            )
        run = ex._create_run("train", {"dataset": {"root": folder}}, named_configs=("smoke",))
        return plain(ex.get_experiment_info()), plain(run.config)


def record(root: Path, number: int, points: int = 20) -> None:
    """One run, a trial of a study whose score has an optimum in `adv_weight` and `n_blocks`."""
    rng = random.Random(number)
    about, config = copy.deepcopy(training())
    study, place = divmod(number, STUDY_RUNS)
    trial, repeat = divmod(place, 3)
    drawn = random.Random(study * 1000 + trial)
    params = {
        "adv_weight": 10 ** drawn.uniform(-4, -1),
        "generator.n_blocks": drawn.randint(4, 16),
        "optimization.lr_g": 10 ** drawn.uniform(-4, -3),
        "losses.content": drawn.choice(["pixel", "vgg"]),
    }
    config.update(seed=repeat, adv_weight=params["adv_weight"])
    config["generator"]["n_blocks"] = params["generator.n_blocks"]
    config["optimization"]["lr_g"] = params["optimization.lr_g"]
    config["losses"]["content"] = params["losses.content"]
    psnr = 27 + params["generator.n_blocks"] / 8 - (np.log10(params["adv_weight"]) + 3) ** 2 / 4
    psnr += rng.gauss(0, 0.1)
    observer = FileObserver(root)
    observer.started_event(about, "train", {"hostname": "here"}, now(), config, {}, None)
    info: dict[str, Any] = {
        "study": {"name": f"study{study}", "trial": trial, "repeat": repeat, "params": params},
        "bicubic": {"psnr": 25.3, "ssim": 0.72, "score": 8.0},
    }
    steps = [10 * step for step in range(1, points + 1)]
    rise = [1 - np.exp(-step / 60) for step in steps]
    levels = {"psnr": psnr, "ssim": psnr / 33, "score": 33 - psnr}
    curves = {f"validation.{name}": [float(levels[name] * r) for r in rise] for name in VALIDATED}
    curves |= {f"train.{name}": [float(rng.random() + 1 - r) for r in rise] for name in TRAINED}
    metrics = {
        name: {"steps": steps, "values": values, "timestamps": [now()] * points}
        for name, values in curves.items()
    }
    observer.log_metrics(metrics, info)
    observer.heartbeat_event(info, "training\n" * 40, now(), None)
    if number % 50 == 7:
        observer.failed_event(now(), ["Traceback: out of memory\n"])
    else:
        observer.completed_event(now(), float(psnr))
    observer.join()


def fill(store: Path, runs: int) -> None:
    """``runs`` runs in ``store``; those that are there stay."""
    there = len(list(store.glob("[0-9]*")))
    for number in range(there, min(runs, WRITTEN)):
        record(store, number)
    for number in range(max(there, WRITTEN), runs):
        model, copied = store / str(number % WRITTEN + 1), store / str(number + 1)
        copied.mkdir()
        for name in ("run.json", "config.json", "metrics.json", "cout.txt"):
            shutil.copyfile(model / name, copied / name)
        entry = json.loads((model / "run.json").read_text())
        shift = random.Random(number).gauss(0, 0.1)
        for metric in entry["metric_summary"]:
            for key in ("last", "min", "max"):
                metric[key] += shift
        (copied / "run.json").write_text(json.dumps(entry, indent=2, sort_keys=True))
        info = json.loads((model / "info.json").read_text())
        info["study"]["name"] = f"study{number // STUDY_RUNS}"
        (copied / "info.json").write_text(json.dumps(info))


def lists(checkout: Path, store: Path, *updates: str) -> dict[str, float]:
    """Seconds by the clock and of the processor, and memory, of ``tmd runs`` as a process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "experiments.command", "runs", str(store), "with", *updates],
        cwd=store.parent,
        env={**os.environ, "PYTHONPATH": str(checkout), "COLUMNS": "160"},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    worked = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": round(seconds, 2), "processor s": round(worked, 2)}


def measure(options: argparse.Namespace, store: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []

    def row(name: str, checkout: Path, *updates: str) -> None:
        rows.append({"list": name, **lists(checkout, store, *updates)})
        print(rows[-1], flush=True)

    if options.before:
        lists(options.before, store)  # the disk's cache
        row("before", options.before)
        row("before", options.before)
    (store / ".index.json").unlink(missing_ok=True)
    row("first", ROOT)
    for _ in range(3):
        row("later", ROOT)
    for number in range(20):
        record(store, options.runs + number)
    row("20 runs later", ROOT)
    for grouping in ("group=study", "group=config"):
        row(grouping, ROOT, grouping)
    print(f"index {(store / '.index.json').stat().st_size / 1e6:.1f} MB")
    return rows


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--before", type=Path, help="another checkout, to compare with")
    parser.add_argument("--store", type=Path, help="where the runs are, or are made and stay")
    default = "/dev/shm" if os.path.isdir("/dev/shm") else None
    parser.add_argument("--folder", default=default, help="where the runs are made and deleted")
    add_outputs(parser)
    options = parser.parse_args(words)
    print(surroundings(), flush=True)
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        store = options.store or Path(place, "runs")
        store.mkdir(parents=True, exist_ok=True)
        fill(store, options.runs)
        report(measure(options, store), options, "seconds")


if __name__ == "__main__":
    main()
