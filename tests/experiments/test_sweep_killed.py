"""Studies whose workers are killed: nothing is lost or double, trials end with the same bits."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kill_and_resume import ROOT, SETTINGS, checkpoints, differences, final_state, runs, train

from observers import open_store

TRIALS = 6
#: As `SETTINGS`, long enough that a kill finds a checkpoint.
SLOWER = [*SETTINGS, "schedule.pretrain=60it", "training.threads=1", "training.speed=float32"]


def study_words(*more: str) -> list[str]:
    """What begins the study, and goes on with it."""
    space = ["space.history.capacity=0,8", "space.losses.real_label=0.8,0.9,1.0", "sampler=grid"]
    return ["sweep", "srgan", "with", *SLOWER, *space, "study=killed", "stale_after=10", *more]


def started(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.command", *words],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def workers_of(parent: int) -> list[int]:
    """Processes that ``parent`` has started."""
    found = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{parent}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def underway(store: Path) -> set[int]:
    """Numbers of the runs that go on and have a checkpoint."""
    found = set()
    for number in runs(store):
        with contextlib.suppress(OSError, ValueError):
            status = json.loads((store / str(number) / "run.json").read_text())["status"]
            if status == "RUNNING" and checkpoints(store / str(number)):
                found.add(number)
    return found


@pytest.mark.slow
def test_killed_workers_lose_nothing_and_trials_end_with_the_same_bits(tmp_path):
    chance = random.Random(1)
    sweep = started(tmp_path, *study_words("workers=2"))
    kills, met = 0, set()
    while sweep.poll() is None:
        time.sleep(0.2)
        going = underway(tmp_path / "runs") - met
        if going and kills < 5:
            met |= going
            time.sleep(chance.uniform(0, 0.5))
            for worker in workers_of(sweep.pid):
                os.kill(worker, signal.SIGKILL)
                kills += 1
    output = sweep.communicate(timeout=60)[0]
    assert sweep.returncode == 0, output
    assert kills >= 3, output
    assert f"{TRIALS} trials: {TRIALS} done" in output

    records = open_store(tmp_path / "runs").records()
    done = [record for record in records if record.status == "COMPLETED"]
    assert sorted(record.info["study"]["trial"] for record in done) == list(range(TRIALS))
    resumed = [record for record in done if record.info.get("resumed_from")]
    assert resumed, "no kill met a training that had a checkpoint"
    for record in resumed:
        params = record.info["study"]["params"]
        words = [f"{key}={json.dumps(value)}" for key, value in params.items()]
        undisturbed = train("srgan", tmp_path / "undisturbed", *SLOWER, *words)
        assert not differences(
            final_state(undisturbed), final_state(tmp_path / "runs" / str(record.id))
        )


@pytest.mark.slow
def test_a_study_that_is_interrupted_goes_on_by_the_same_command(tmp_path):
    sweep = started(tmp_path, *study_words("trials=1"))
    while not (tmp_path / "runs" / "1" / "run.json").exists() or not checkpoints(
        tmp_path / "runs" / "1"
    ):
        assert sweep.poll() is None, sweep.communicate()[0]
        time.sleep(0.1)
    sweep.send_signal(signal.SIGTERM)
    output = sweep.communicate(timeout=180)[0]
    assert sweep.returncode == 128 + signal.SIGTERM, output
    assert open_store(tmp_path / "runs").open(1).status == "INTERRUPTED"

    again = started(tmp_path, *study_words("trials=1"))
    output = again.communicate(timeout=300)[0]
    assert again.returncode == 0, output
    (first, second) = open_store(tmp_path / "runs").records()
    assert second.status == "COMPLETED"
    assert second.info["resumed_from"]["run"] == f"runs/{first.id}"
