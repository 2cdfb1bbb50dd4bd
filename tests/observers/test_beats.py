"""A checkpoint's record: on disk, and in a database, before the checkpoint that is gone on from."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from mongo_server import MongoServer
from sacred.observers import RunObserver

from experiments.support.experiment import Experiment
from experiments.support.recorder import SacredRecorder
from observers import open_store
from observers.journal import JOURNAL, read_journal

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINT = "checkpoint_00000007.pt"

KILLED = f"""
import os, signal, sys, time
from sacred import SETTINGS, Experiment
from experiments.support.recorder import SacredRecorder
from observers import create_observers, one_beat_at_a_time, open_store

SETTINGS.DISCOVER_SOURCES = SETTINGS.DISCOVER_DEPENDENCIES = "none"  # to be sent, and take long
SETTINGS.HOST_INFO.INCLUDE_CPU_INFO = SETTINGS.HOST_INFO.INCLUDE_GPU_INFO = False
store = sys.argv[1]
ex = Experiment("killed", base_dir=".", save_git_info=False)
ex.observers.extend(create_observers(*((None, store) if "://" in store else (store,))))

@ex.main
def main(_run):
    recorder = SacredRecorder(_run)
    recorder.info({{"resumed_from": 3}})
    for iteration in range(1, 8):
        recorder.metrics("train", {{"loss": 1 / iteration}}, iteration)
    print("said before")
    assert recorder.artifact("{CHECKPOINT}", lambda path: path.write_bytes(b"weights"))
    while "{CHECKPOINT}" not in open_store(store).records()[0].artifacts():
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGKILL)

run = ex._create_run()
one_beat_at_a_time(run)
run()
"""


@pytest.mark.parametrize("kind", ["files", "mongodb"])
def test_what_was_recorded_before_a_checkpoint_outlives_a_kill_after_it(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Long before Sacred's first beat; of a database, without the disk of the machine."""
    store = str(tmp_path / "runs")
    if kind == "mongodb":
        server: MongoServer = request.getfixturevalue("mongo")
        store = f"{server.url}/before_a_checkpoint"
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    done = subprocess.run(
        [sys.executable, str(script), store],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr
    (record,) = open_store(store).records()
    assert record.status == "DEAD"
    assert record.artifacts() == [CHECKPOINT]
    metric = record.metrics()["train.loss"]
    assert metric.steps == [1, 2, 3, 4, 5, 6, 7]
    assert metric.values == [1 / step for step in metric.steps]
    assert record.info["resumed_from"] == 3
    (summary,) = record.entry["metric_summary"]
    assert (summary["count"], summary["last_step"]) == (7, 7)


class Slow(RunObserver):
    """An observer that was handed a beat's metrics and takes its time."""

    priority = 50

    def __init__(self) -> None:
        self.has_them, self.goes_on = threading.Event(), threading.Event()

    def log_metrics(self, metrics_by_name: dict[str, Any], info: dict[str, Any]) -> None:
        if metrics_by_name and not self.has_them.is_set():
            self.has_them.set()
            self.goes_on.wait(30)


def test_a_checkpoint_waits_for_the_beat_that_has_taken_the_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ex, slow = Experiment("slow"), Slow()
    found: list[int] = []

    @ex.main
    def main(_run: Any) -> None:
        _run.observers.insert(0, slow)
        recorder = SacredRecorder(_run)
        recorder.metrics("train", {"loss": 1.0}, 1)
        assert slow.has_them.wait(30)
        recorder.metrics("train", {"loss": 2.0}, 2)
        threading.Timer(0.3, slow.goes_on.set).start()
        recorder.artifact(CHECKPOINT, lambda path: path.write_bytes(b"weights") and None)
        for line in read_journal(Path("runs", "1", JOURNAL)):
            found.extend(line.points["steps"])

    ex.run(options={"--file_storage": "runs", "--beat-interval": 0.05})
    assert found == [1, 2]
    assert os.path.exists(Path("runs", "1", CHECKPOINT))
