"""A run that begins on a busy machine takes fewer threads, says so, and goes on with as many."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROCESSORS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
TINY = [
    "smoke",
    "schedule.pretrain=4it",
    "schedule.warmup=0it",
    "schedule.adversarial=0it",
    "schedule.score=spectral",
    "training.speed=float32",
    "training.tensorboard=False",
    "training.preview_images=0",
    "training.checkpoint_every=2",
    "losses.content=pixel",
    "dataset.validation=1",
]

pytestmark = pytest.mark.skipif(PROCESSORS < 2, reason="needs two processors")


@contextlib.contextmanager
def neighbours() -> Iterator[None]:
    """As many busy processes as there are processors, none of them a child of a run."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(PROCESSORS)]
    try:
        yield
    finally:
        for each in busy:
            each.kill()
            each.wait()


def train(store: Path, data: Path, *updates: str) -> tuple[str, dict]:
    """What a run of two threads printed, and its config."""
    script = str(ROOT / "experiments" / "srgan.py")
    command = [sys.executable, script, "-F", str(store), "with", f"dataset.root={data / 'train'}"]
    done = subprocess.run(
        [*command, *updates],
        env={**os.environ, "OMP_NUM_THREADS": "2", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    newest = max(int(each.name) for each in store.iterdir() if each.name.isdigit())
    return done.stdout, json.loads((store / str(newest) / "config.json").read_text())


def test_a_busy_machine_gets_one_thread_which_the_record_keeps(shared_data, tmp_path):
    with neighbours():
        output, config = train(tmp_path, shared_data, *TINY)
    (line,) = [line for line in output.splitlines() if line.startswith("threads:")]
    assert line.startswith("threads: auto chose 1 of 2, as other programs keep ")
    assert "choose with training.threads=2, or adaptive" in line
    assert config["training"]["threads"] == 1

    _, config = train(tmp_path, shared_data, "resume=1", "schedule.pretrain=6it")
    assert config["training"]["threads"] == 1
