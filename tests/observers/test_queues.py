"""Queued runs are begun once, under their number, as they were queued, from either store."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pymongo
import pytest
from PIL import Image
from skimage import data

from experiments.upscale import ex as upscale
from experiments.work import ex as worker
from observers import open_store
from observers.queues import open_queue
from tmd.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=["files", "mongo"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    Image.fromarray(data.astronaut()[:20, :30]).save("in.png")
    if request.param == "files":
        return str(tmp_path / "runs")
    return f"{request.getfixturevalue('mongo').url}/test_{uuid.uuid4().hex}"


def options(store: str, **more: Any) -> dict[str, Any]:
    return {("--mongo_db" if "://" in store else "--file_storage"): store, **more}


def queue(store: str, priority: str | None = None, **changes: Any) -> int:
    config = {"input": "in.png", "method": "bicubic", "scale": 2, "seed": 7, **changes}
    more = {"--queue": True, "--priority": priority}
    return upscale.run(config_updates=config, options=options(store, **more))._id


def work(store: str, **changes: Any) -> dict[str, int]:
    return worker.run(config_updates={"until": "empty", **changes}, options=options(store)).result


def change(store: str, number: int, **entries: Any) -> None:
    """Change a queued run's record, as a hand or another version might."""
    if "://" in store:
        with pymongo.MongoClient(store) as client:
            runs = client.get_default_database().runs
            assert runs.update_one({"_id": number}, {"$set": entries}).matched_count
        return
    for name, value in entries.items():
        first, *rest = name.split(".")
        path = Path(store, str(number), "config.json" if first == "config" else "run.json")
        content = json.loads(path.read_text())
        inner = content[first] if rest and first != "config" else content
        inner[rest[0] if rest else first] = value
        path.write_text(json.dumps(content))


def why_failed(store: str, number: int) -> str:
    if "://" in store:
        with pymongo.MongoClient(store) as client:
            entry = client.get_default_database().runs.find_one({"_id": number})
    else:
        entry = json.loads(Path(store, str(number), "run.json").read_text())
    [line] = entry["fail_trace"]
    return line


def test_runs_are_done_in_their_turn_and_stay_one_record_each(store, tmp_path, monkeypatch, capfd):
    first = queue(store, output="first.png")
    unknown = queue(store, output="never.png")
    wrong = queue(store, output="never.png")
    urgent = queue(store, output="urgent.png", priority="2")
    change(store, unknown, **{"experiment.name": "nonsense"})
    change(store, wrong, **{"config.tile": -1})
    queued = open_store(store).open(urgent).config
    assert [record.status for record in open_store(store)] == ["QUEUED"] * 4
    assert queued["device"] == "auto"
    assert not (tmp_path / "urgent.png").exists()

    assert work(store, runs=1) == {"taken": 1}
    assert [r.id for r in open_store(store) if r.status == "COMPLETED"] == [urgent]
    assert open_store(store).open(urgent).config == queued
    assert work(store) == {"taken": 3}
    records = {record.id: record for record in open_store(store)}
    assert {number: record.status for number, record in records.items()} == {
        first: "COMPLETED",
        unknown: "FAILED",
        wrong: "FAILED",
        urgent: "COMPLETED",
    }
    assert records[first].result == {"upscaled": 1}
    assert why_failed(store, unknown).startswith("nonsense: no such experiment (")
    assert why_failed(store, wrong) == "tile=-1: must be an integer at least 1"
    assert {path.name for path in tmp_path.glob("*.png")} == {"in.png", "first.png", "urgent.png"}
    assert work(store) == {"taken": 0}
    assert f"run {wrong}: tile=-1" in capfd.readouterr().err

    # One that comes late, since it read the list before.
    monkeypatch.setenv("TMD_QUEUED", str(first))
    with pytest.raises(UserError, match=f"run {first}: is queued no more"):
        upscale.run(config_updates={"input": "in.png"}, options=options(store, **{"--id": first}))
    assert len(list(open_store(store))) == 4


def test_of_two_workers_one_gets_a_run(store):
    queue(store, output="out.png")
    one, other = open_queue(store), open_queue(store)
    [mine], [theirs] = one.waiting(), other.waiting()
    with one.claimed(mine) as got, other.claimed(theirs) as got_too:
        assert (got, got_too) == (True, False)
    [theirs] = open_queue(store).waiting()
    with other.claimed(theirs) as got_now:
        assert got_now


def killed_run(store: str) -> int:
    """A queued run that was begun by a process that is not there any more."""
    number = queue(store, output="out.png")
    change(store, number, status="RUNNING", **{"process.started": -1, "meta.queued": number})
    assert open_store(store).open(number).status == "DEAD"
    return number


def test_a_killed_run_is_gone_on_with_once_whoever_started_the_processes(store, monkeypatch):
    number = killed_run(store)
    monkeypatch.setenv("TMD_QUEUED", str(number))
    monkeypatch.setenv("TMD_QUEUED_AFTER", str(number))
    config = {"input": "in.png", "output": "out.png", "method": "bicubic", "scale": 2}
    upscale.run(config_updates=config, options=options(store))
    with pytest.raises(UserError, match=f"^run {number}: run {number + 1} goes on with it in "):
        upscale.run(config_updates={**config, "overwrite": True}, options=options(store))
    assert [record.status for record in open_store(store)] == ["DEAD", "COMPLETED"]
    assert work(store) == {"taken": 0}


def is_upscale(pid: str) -> bool:
    """Whether a process is the run's, and none of those that imports start."""
    with contextlib.suppress(OSError):
        return b"experiments.upscale" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


@pytest.mark.slow
def test_a_worker_that_dies_before_its_run_is_recorded_does_not_have_it_run_twice(store):
    killed_run(store)
    place = ["-m", store] if "://" in store else ["-F", store]
    words = [sys.executable, "-m", "experiments.work", *place, "with", "until=empty"]
    first = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    children = Path(f"/proc/{first.pid}/task/{first.pid}/children")
    while not (begun := [pid for pid in children.read_text().split() if is_upscale(pid)]):
        assert first.poll() is None
        time.sleep(0.01)
    orphan = int(begun[0])
    first.kill()
    first.wait()
    assert len(list(open_store(store))) == 1
    subprocess.run(words, check=True)
    while Path(f"/proc/{orphan}").exists():
        time.sleep(0.1)
    assert [record.status for record in open_store(store)] == ["DEAD", "COMPLETED"]


def test_a_run_can_not_be_queued_nowhere(store):
    with pytest.raises(UserError, match="--queue: needs a store"):
        upscale.run(config_updates={"input": "in.png"}, options={"--queue": True})


@pytest.mark.slow
def test_a_run_whose_worker_is_killed_is_gone_on_with_to_the_same_bits(store, tmp_path):
    settings = [
        "smoke",
        "schedule.pretrain=24it",
        "schedule.warmup=12it",
        "schedule.adversarial=24it",
        "training.checkpoint_every=5",
        "training.preview_images=0",
        "training.threads=1",
        "training.tensorboard=False",
        "device=cpu",
        "seed=3",
        "training.speed=float32",
    ]
    place = ["-m", store] if "://" in store else ["-F", store]
    module = [sys.executable, "-m", "experiments.srgan"]
    subprocess.run([*module, "-q", *place, "with", *settings], check=True)
    subprocess.run([*module, "-F", "alone", "with", *settings], check=True)
    words = [sys.executable, "-m", "experiments.work", *place, "with", "until=empty"]
    killed = subprocess.Popen(words, start_new_session=True)
    while len([n for n in open_store(store).open(1).artifacts() if "checkpoint" in n]) < 2:
        assert killed.poll() is None
        time.sleep(0.05)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    time.sleep(1)  # its training, which nobody waits for, ends a moment later
    assert open_store(store).open(1).status == "DEAD"
    subprocess.run(words, check=True)
    assert [record.status for record in open_store(store)] == ["DEAD", "COMPLETED"]
    from tmd.checkpoints import load_checkpoint

    record = open_store(store).open(2)
    last = max(name for name in record.artifacts() if name.startswith("checkpoint"))
    got = load_checkpoint(record.local_path(last))["generator"]
    wanted = load_checkpoint(tmp_path / "alone" / "1" / last)["generator"]
    assert all(bool((got[name] == wanted[name]).all()) for name in wanted)
