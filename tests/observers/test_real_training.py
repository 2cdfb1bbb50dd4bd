"""The proofs with a real training instead of the small experiment: minutes, so run by hand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from mongo_server import MongoServer, free_port

from observers import open_run
from tmd.checkpoints import load_checkpoint

ROOT = Path(__file__).resolve().parents[2]


def train(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "experiments" / "srgan.py"), *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def same(one: object, other: object) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.mark.slow
def test_a_training_through_an_outage_is_resumed_from_gridfs_with_identical_tensors(
    tmp_path: Path, own_mongo: MongoServer
) -> None:
    own_mongo.start()
    url = f"{own_mongo.url}/sr"
    words = ("smoke", "seed=5", "schedule.adversarial=60")  # long enough to outlast the outage
    process = train(tmp_path, "-F", "runs", "-m", url, "with", *words)
    deadline = time.monotonic() + 600
    while not (tmp_path / "runs" / "1" / "checkpoint_00000040.pt").exists():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.5)
    own_mongo.kill()
    time.sleep(12)
    assert process.poll() is None, "the run ended before the server was back"
    own_mongo.start()
    said, _ = process.communicate(timeout=1500)
    assert process.returncode == 0, said
    here, there = open_run(tmp_path / "runs" / "1"), open_run(f"{url}#1")
    assert there.status == here.status == "COMPLETED"
    ours, theirs = here.metrics(), there.metrics()
    assert len(ours) > 10
    assert ours.keys() == theirs.keys()
    for name, metric in ours.items():
        assert theirs[name].steps == metric.steps == sorted(set(metric.steps)), name
        assert theirs[name].values == pytest.approx(metric.values, nan_ok=True), name
    assert there.artifacts() == here.artifacts()
    last = max(name for name in there.artifacts() if name.startswith("checkpoint"))
    assert same(load_checkpoint(there.local_path(last)), load_checkpoint(here.local_path(last)))

    # Resumed from GridFS and from the folder, the same training ends with the same tensors.
    ends = []
    for number, parent in enumerate((f"{url}#1", "runs/1"), start=2):
        longer = ("schedule.adversarial=61", "training.checkpoint_every=5")
        resumed = train(tmp_path, "-F", "runs", "with", "smoke", f"resume={parent}", *longer)
        said, _ = resumed.communicate(timeout=1500)
        assert resumed.returncode == 0, said
        record = open_run(tmp_path / "runs" / str(number))
        assert record.info["resumed_from"]["run"] == parent
        name = max(name for name in record.artifacts() if name.startswith("checkpoint"))
        ends.append(load_checkpoint(record.local_path(name)))
    assert ends[0]["iteration"] == ends[1]["iteration"]
    for part in ("generator", "discriminator", "ema"):
        assert same(ends[0][part], ends[1][part]), part


@pytest.mark.slow
def test_a_training_whose_server_never_answers_ends_and_says_so(tmp_path: Path) -> None:
    url = f"mongodb://ann:open-sesame@127.0.0.1:{free_port()}/sr"
    process = train(tmp_path, "-m", url, "with", "smoke")
    said, _ = process.communicate(timeout=1500)
    assert process.returncode == 0, said
    assert "still to be sent" in said
    assert "python -m observers.sync" in said
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert written
    assert not [path for path in written if b"sesame" in path.read_bytes()]
    assert not re.search("sesame", said)
