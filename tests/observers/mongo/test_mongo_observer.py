from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import gridfs
import numpy as np
import pymongo
import pytest
from bson import ObjectId
from driver import Driver
from mongo_runs import HASTY, Finish, Start, observer, referenced_files, wait_until
from mongo_server import MongoServer

from observers import open_run, open_store
from observers.mongo import points
from observers.sync import sync
from tmd.errors import UserError

# A whole run -----------------------------------------------------------------------------------


def test_both_stores_hold_the_same_run(
    tmp_path: Path, url: str, database: Any, finish_run: Finish
) -> None:
    code, said = finish_run("seconds=1", mongo=url)
    assert code == 0, said
    here, there = open_run(1, store=tmp_path / "runs"), open_run(f"{url}#1")
    assert there.id == here.id == 1
    assert there.status == here.status == "COMPLETED"
    assert there.config == here.config
    assert there.result == here.result
    assert there.captured_out == here.captured_out
    assert there.summary() == here.summary()
    assert there.artifacts() == here.artifacts()
    for name in here.artifacts():
        assert there.open(name).read() == here.open(name).read()
        assert there.local_path(name).read_bytes() == here.local_path(name).read_bytes()
    ours, theirs = here.metrics(), there.metrics()
    assert theirs.keys() == ours.keys()
    for name, metric in ours.items():
        assert theirs[name].steps == metric.steps
        assert theirs[name].values == metric.values
    assert {file._id for file in gridfs.GridFS(database).find()} == referenced_files(database)
    assert set(database.fs.chunks.distinct("files_id")) == referenced_files(database)
    assert not list((tmp_path / "runs" / "1").glob(".*"))


def test_the_document_is_one_that_sacreds_readers_know(
    url: str, database: Any, finish_run: Finish
) -> None:
    finish_run("seconds=0.3", files=None, mongo=url)
    run = database.runs.find_one()
    assert type(run["_id"]) is int
    assert run["start_time"] < run["heartbeat"]
    assert run["host"]["hostname"]
    assert {each["name"] for each in run["info"]["metrics"]} == {f"metric.{i}" for i in range(3)}
    for each in run["info"]["metrics"]:
        metric = database.metrics.find_one({"_id": ObjectId(each["id"])})
        assert (metric["run_id"], metric["name"]) == (1, each["name"])
        assert len(metric["steps"]) == len(metric["values"]) == len(metric["timestamps"])
    for artifact in run["artifacts"]:
        file = database.fs.files.find_one({"_id": artifact["file_id"]})
        assert file["filename"] == f"artifact://runs/1/{artifact['name']}"
    for _, file_id in run["experiment"]["sources"]:
        assert b"Experiment" in gridfs.GridFS(database).get(file_id).read()


def test_without_a_file_store_nothing_remains_on_disk(
    tmp_path: Path, url: str, finish_run: Finish
) -> None:
    finish_run("seconds=0.3", files=None, mongo=url)
    assert open_run(1, store=url).status == "COMPLETED"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_sources_are_stored_once_for_many_runs(url: str, database: Any, finish_run: Finish) -> None:
    for _ in range(2):
        finish_run("seconds=0.1", files=None, mongo=url)
    names = [file["filename"] for file in database.fs.files.find()]
    assert len([name for name in names if name.startswith("source://")]) == 1, names


@pytest.mark.parametrize(("parents", "childs"), [("files", "mongo"), ("mongo", "files")])
def test_a_run_is_resumed_from_one_store_into_the_other_with_identical_tensors(
    tmp_path: Path, url: str, finish_run: Finish, parents: str, childs: str
) -> None:
    stores = {"files": {"files": "runs"}, "mongo": {"files": None, "mongo": url}}
    specs = {"files": "runs/1", "mongo": f"{url}#1"}
    finish_run("seconds=0.5", "seed=7", **stores[parents])
    parent = open_run(f"{url}#1" if parents == "mongo" else tmp_path / "runs" / "1")
    code, said = finish_run(f"resume={specs[parents]}", "seconds=0.5", "seed=8", **stores[childs])
    assert code == 0, said
    child = open_run(f"{url}#1" if childs == "mongo" else tmp_path / "runs" / "1")
    assert child.info["resumed_from"] == specs[parents]
    # What the run would be if it had never stopped, from the parent's seed alone.
    state = np.random.default_rng(7).standard_normal(1000)
    last = child.artifacts()[-1]
    for step in range(1, int(last[11:19]) + 1):
        state = state * 0.9 + step
    with child.open(last) as file:
        np.testing.assert_array_equal(np.load(file), state)
    first = int(parent.artifacts()[-1][11:19]) + 1
    assert child.metrics()["metric.0"].steps[0] == first


def test_sacreds_own_documents_are_read_back(url: str, tmp_path: Path) -> None:
    from sacred.observers import MongoObserver as Sacreds

    client = pymongo.MongoClient(url)
    sacreds = Sacreds(client=client, db_name=client.get_default_database().name)
    driver = Driver(sacreds)
    driver.log(3)
    artifact = tmp_path / "a.txt"
    artifact.write_text("content")
    sacreds.artifact_event("a.txt", str(artifact))
    driver.beat("said")
    sacreds.completed_event(stop_time=sacreds.run_entry["heartbeat"], result=1.5)
    (record,) = open_store(url)
    assert (record.id, record.status, record.result) == (1, "COMPLETED", 1.5)
    assert record.metrics()["loss"].values == [1.0, 2.0, 3.0]
    assert record.summary()["loss"]["max"] == 3.0
    assert record.open("a.txt").read() == b"content"
    assert record.captured_out == "said"
    # And Sacred's observer counts on from ours.
    ours = Driver(observer(url, tmp_path, files=False))
    assert ours.id == 2
    ours.complete()
    again = Sacreds(client=client, db_name=client.get_default_database().name)
    assert Driver(again).id == 3
    client.close()


# Numbers ---------------------------------------------------------------------------------------


def test_numbers_agree_whatever_either_store_held_before(
    tmp_path: Path, url: str, database: Any
) -> None:
    database.runs.insert_many([{"_id": 4}, {"_id": "77"}])  # "77" is what Sacred's -i makes
    (tmp_path / "runs" / "6").mkdir(parents=True)
    driver = Driver(observer(url, tmp_path))
    driver.complete()
    assert driver.id == 7
    assert open_run(7, store=tmp_path / "runs").entry["uid"] == open_run(f"{url}#7").entry["uid"]
    database.runs.insert_one({"_id": 20})
    driver = Driver(observer(url, tmp_path, files=False))
    assert driver.id == 21
    driver.complete()
    with pytest.raises(UserError, match="run 20: exists already in mongodb://"):
        Driver(observer(url, tmp_path), _id=20)
    assert not (tmp_path / "runs" / "20").exists()
    with pytest.raises(UserError, match="--id abc: must be a whole number"):
        Driver(observer(url, tmp_path), _id="abc")


def test_many_processes_get_numbers_that_agree(tmp_path: Path, url: str, start_run: Start) -> None:
    processes = [start_run("seconds=0.2", "names=1", mongo=url) for _ in range(4)]
    others = [start_run("seconds=0.2", "names=1", files=None, mongo=url) for _ in range(2)]
    for process in [*processes, *others]:
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, said
    there = {record.entry["uid"]: record.id for record in open_store(url)}
    here = {record.entry["uid"]: record.id for record in open_store(tmp_path / "runs")}
    assert sorted(there.values()) == [1, 2, 3, 4, 5, 6]
    assert len(here) == 4
    assert all(there[uid] == run_id for uid, run_id in here.items())


def test_a_number_taken_while_the_server_was_away_gives_way(
    tmp_path: Path, own_mongo: MongoServer
) -> None:
    url = f"{own_mongo.url}/sr?{HASTY}"
    driver = Driver(observer(url, tmp_path, patience=1.0))
    driver.log(10)
    driver.complete()
    assert driver.id == 1
    own_mongo.start()
    with pymongo.MongoClient(url) as client:
        client.sr.runs.insert_one({"_id": 1})
    assert sync(tmp_path / "runs") == (1, 0)
    assert open_run(f"{url}#2").entry["uid"] == open_run(tmp_path / "runs" / "1").entry["uid"]


# Sizes -----------------------------------------------------------------------------------------


def test_a_long_metric_goes_on_in_further_documents(
    tmp_path: Path, url: str, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(points, "PART_POINTS", 100)
    made = observer(url, tmp_path)
    driver = Driver(made)
    for _ in range(33):
        driver.log(10)
        time.sleep(0.01)
    driver.complete()
    parts = sorted(database.metrics.find(), key=lambda part: part["part"])
    assert [len(part["steps"]) for part in parts] == [100, 100, 100, 30]
    # Omniboard's metric columns take the newest, and its plots show all by their names.
    names = ["loss (part 1)", "loss (part 2)", "loss (part 3)", "loss"]
    assert [part["name"] for part in parts] == names
    listed = database.runs.find_one()["info"]["metrics"]
    assert {each["name"]: each["id"] for each in listed} == {
        part["name"]: str(part["_id"]) for part in parts
    }
    record = open_run(f"{url}#1")
    assert record.metrics()["loss"].steps == list(range(1, 331))
    assert list(record.metrics()) == ["loss"]


@pytest.mark.slow
def test_no_document_outgrows_the_limit(tmp_path: Path, url: str, database: Any) -> None:
    driver = Driver(observer(url, tmp_path, patience=300))
    for _ in range(10):
        driver.log(50_000)
    driver.complete()
    sizes = [
        each["size"]
        for each in database.metrics.aggregate([{"$project": {"size": {"$bsonSize": "$$ROOT"}}}])
    ]
    assert len(sizes) == 5
    assert max(sizes) < 8 << 20
    assert open_run(f"{url}#1").metrics()["loss"].steps == list(range(1, 500_001))


def test_an_info_too_large_for_a_document_is_left_out_and_said(tmp_path: Path, url: str) -> None:
    driver = Driver(observer(url, tmp_path))
    driver.info["huge"] = ["x" * 1000] * 20_000
    driver.log(5)
    driver.complete(result=1)
    record = open_run(f"{url}#1")
    assert record.status == "COMPLETED"
    assert "info.json" in record.info["left_out"]
    assert record.metrics()["loss"].values == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert len(open_run(tmp_path / "runs" / "1").info["huge"]) == 20_000


def test_odd_keys_and_numbers_are_stored(tmp_path: Path, url: str) -> None:
    driver = Driver(observer(url, tmp_path))
    driver.info.update({"$set": 1, "a.b": {"c.d": 2}, "big": 1 << 70, "nan": float("nan")})
    driver.complete()
    info = open_run(f"{url}#1").info
    assert info == {"@set": 1, "a,b": {"c,d": 2}, "big": str(1 << 70), "nan": "nan"}


# Artifacts -------------------------------------------------------------------------------------


def test_pruned_checkpoints_leave_no_chunks(tmp_path: Path, url: str, database: Any) -> None:
    made = observer(url, tmp_path, files=False)
    driver = Driver(made)
    source = tmp_path / "source"
    for index in range(6):
        source.write_bytes(os.urandom(600_000))
        made.save_artifact(f"checkpoint_{index}.pt", source)
        made.save_artifact("best.pt", source)
        if index >= 2:
            made.remove_artifact(f"checkpoint_{index - 2}.pt")
        driver.beat()
        time.sleep(0.2)
    best = source.read_bytes()
    driver.complete()
    record = open_run(f"{url}#1")
    assert sorted(record.artifacts()) == ["best.pt", "checkpoint_4.pt", "checkpoint_5.pt"]
    assert record.open("best.pt").read() == best
    assert record.local_path("best.pt").read_bytes() == best
    assert set(database.fs.chunks.distinct("files_id")) == referenced_files(database)
    assert database.fs.files.count_documents({}) == 3
    with pytest.raises(UserError, match=r"no artifact 'checkpoint_0\.pt'"):
        record.open("checkpoint_0.pt")


def test_an_upload_that_broke_off_leaves_no_chunks(
    tmp_path: Path, url: str, database: Any, start_run: Start
) -> None:
    process = start_run(
        *("seconds=60", "size=8000000", "checkpoint_every=5"), files=None, mongo=url, TELL="1"
    )
    wait_until(lambda: database.fs.chunks.count_documents({}) > 3)
    process.kill()
    process.wait()
    assert sync(tmp_path / "runs") == (1, 0)
    assert set(database.fs.chunks.distinct("files_id")) == referenced_files(database)


def test_a_run_deleted_from_the_database_while_it_runs_is_sent_anew(
    tmp_path: Path, url: str, database: Any
) -> None:
    driver = Driver(observer(url, tmp_path))
    driver.log(10)
    wait_until(lambda: database.metrics.count_documents({}))
    database.runs.delete_many({})
    database.metrics.delete_many({})
    driver.log(10)
    driver.log(10)
    driver.complete()
    assert open_run(f"{url}#1").metrics()["loss"].steps == list(range(1, 31))
