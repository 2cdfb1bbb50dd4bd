"""Kill the workers of a study at random, and compare its trials with runs never killed.

    python tests/experiments/kill_a_study.py
    python tests/experiments/kill_a_study.py --engine ray
    python tests/experiments/kill_a_study.py --engine slurm --trials 6 --workers 2

Each worker is killed with SIGKILL, its training too, at random moments, until every one has been
killed and ``--kills`` kills were made. Ends with what was found; the exit status is 0 if each trial
has one result, and the killed trials that were resumed are identical: all tensors of the last
checkpoint, and all metrics, those that the killed runs have up to the checkpoints resumed from and
those of the last run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kill_and_resume import ROOT, SETTINGS, differences, final_state, train

from observers import RunRecord, Store, open_run, open_store
from tmd.checkpoints import is_checkpoint

#: As `SETTINGS`, somewhat longer, so that most kills find a checkpoint.
SLOWER = [*SETTINGS, "schedule.pretrain=240it", "training.threads=1", "training.speed=float32"]
SPACE = ["space.history.capacity=0,4,8", "space.losses.real_label=0.8,0.85,0.9,0.95"]
SPACE += ["space.adv_weight=1e-3,1e-2", "sampler=grid"]
#: Metrics of the machine rather than of the training.
OF_THE_MACHINE = ("train.images_per_second",)


def begin_study(folder: Path, engine: str, trials: int, workers: int) -> subprocess.Popen[bytes]:
    words = ["sweep", "srgan", "with", *SLOWER, *SPACE, f"trials={trials}", f"workers={workers}"]
    words += ["study=killed", "stale_after=10", f"engine={engine}"]
    words += ["engine_options.cluster=local"] if engine == "slurm" else []
    with open(folder / "study.txt", "wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "experiments.command", *words],
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def processes_in(folder: Path) -> dict[int, tuple[int, bool]]:
    """Worker number, and whether it is the worker itself, of the workers' processes by pid.

    Wherever an engine has started them: they run in ``folder``, and know their number.
    """
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, ValueError):
            if (entry / "cwd").resolve() != folder:
                continue
            variables = dict(
                each.partition(b"=")[::2] for each in (entry / "environ").read_bytes().split(b"\0")
            )
            if number := variables.get(b"TMD_WORKER"):
                itself = os.getsid(int(entry.name)) == int(entry.name)
                found[int(entry.name)] = (int(number), itself)
    return found


def results_in(folder: Path) -> int:
    """Number of runs that have come to their end."""
    found = 0
    for record in folder.glob("runs/*/run.json"):
        with contextlib.suppress(OSError, ValueError):
            found += json.loads(record.read_bytes())["status"] == "COMPLETED"
    return found


def that_have_a_checkpoint(folder: Path) -> set[int]:
    """Process ids of the workers whose training has saved a checkpoint."""
    found = set()
    for record in folder.glob("runs/*/run.json"):
        with contextlib.suppress(OSError, ValueError):
            entry = json.loads(record.read_bytes())
            if entry["status"] == "RUNNING" and any(map(is_checkpoint, entry["artifacts"])):
                found.add(os.getsid(entry["process"]["pid"]))
    return found


def kill_a_worker(
    folder: Path, draw: random.Random, spared: set[int], with_checkpoint: bool
) -> int | None:
    """Kill a worker, one of those not ``spared`` where there is one, with all that it has started.

    Args:
        with_checkpoint: only one whose training has saved one.

    Returns:
        Its number; None: there is none.
    """
    workers = {pid: number for pid, (number, itself) in processes_in(folder).items() if itself}
    if with_checkpoint:
        found = that_have_a_checkpoint(folder)
        workers = {pid: number for pid, number in workers.items() if pid in found}
    first = [pid for pid, number in workers.items() if number not in spared]
    if not workers:
        return None
    pid = draw.choice(sorted(first or workers))
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    return workers[pid]


def study_with_kills(
    folder: Path, engine: str, trials: int, workers: int, kills: int, draw: random.Random
) -> list[int]:
    """Run the study to its end; the numbers of the killed workers.

    Raises:
        RuntimeError: it failed.
    """
    study = begin_study(folder, engine, trials, workers)
    killed: list[int] = []
    pause, chosen = 0.0, True
    while study.poll() is None:
        time.sleep(pause)
        pause = 0.5
        # Spread over the study's trials.
        if len(killed) >= min(kills, kills * (results_in(folder) + 2) / trials):
            continue
        # Two of three times once a training can be resumed, a moment later.
        if number := kill_a_worker(folder, draw, set(killed), with_checkpoint=chosen):
            killed.append(number)
            print(f"kill {len(killed)}: worker {number}", flush=True)
            chosen = draw.random() < 2 / 3
            pause = draw.uniform(5, 15)
    if study.returncode:
        raise RuntimeError((folder / "study.txt").read_text())
    return killed


def told(store: Store, record: RunRecord) -> dict[str, dict[int, float]]:
    """Values of a trial's metrics by name and iteration, as all runs that led to it have them."""
    points: dict[str, dict[int, float]] = {}
    if (parent := record.info.get("resumed_from")) is not None:
        for name, values in told(store, store.open(Path(parent["run"]).name)).items():
            kept = {step: v for step, v in values.items() if step <= parent["iteration"]}
            points.update({name: kept} if kept else {})
    for name, metric in record.metrics().items():
        if name not in OF_THE_MACHINE:
            own = dict(zip(metric.steps, metric.values, strict=True))
            assert not own.keys() & points.get(name, {}).keys(), f"{name}: recorded twice"
            points.setdefault(name, {}).update(own)
    return points


def compare(folder: Path, record: RunRecord) -> list[str]:
    """Differences of a resumed trial from the same run, trained without a disturbance."""
    params = record.info["study"]["params"]
    words = [f"{key}={json.dumps(value)}" for key, value in params.items()]
    calm = train("srgan", folder / "undisturbed", *SLOWER, *words)
    found = differences(final_state(calm), final_state(folder / "runs" / str(record.id)))
    whole = told(open_store(calm.parent), open_run(calm))
    assert whole, "nothing was recorded"
    return found + differences(whole, told(open_store(folder / "runs"), record))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", default="local", choices=("local", "ray", "slurm"))
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--kills", type=int, default=14)
    parser.add_argument("--compared", type=int, default=5, help="killed trials")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    draw = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        began = time.monotonic()
        killed = study_with_kills(
            folder, given.engine, given.trials, given.workers, given.kills, draw
        )
        print(f"study ended after {time.monotonic() - began:.0f} s", flush=True)
        records = open_store(folder / "runs").records()
        done = [record for record in records if record.status == "COMPLETED"]
        results = sorted(record.info["study"]["trial"] for record in done)
        each_once = results == list(range(given.trials))
        resumed = [record for record in done if record.info.get("resumed_from")]
        chosen = draw.sample(resumed, min(given.compared, len(resumed)))
        identical = 0
        for record in chosen:
            found = compare(folder, record)
            identical += not found
            print(f"trial {record.info['study']['trial']}: {found[:3] or 'identical'}", flush=True)
    print(
        f"engine={given.engine}: {len(killed)} kills of {len(set(killed))} workers, "
        f"{len(records)} runs, {len(results)} results of {given.trials} trials, "
        f"{'each once' if each_once else f'NOT each once: {results}'}; {len(resumed)} trials were "
        f"resumed, {identical} of {len(chosen)} compared are identical"
    )
    every = set(killed) == set(range(1, given.workers + 1))
    return 0 if each_once and every and identical == len(chosen) >= given.compared else 1


if __name__ == "__main__":
    sys.exit(main())
