from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gridfs
import numpy as np
import pymongo
import pytest
from bson import ObjectId
from driver import Driver
from mongo_server import MongoServer, free_port
from processes import wait_for_save

from observers import FileObserver, RunRecord, open_run, open_store
from observers.mongo import points
from observers.mongo.observer import MongoObserver
from observers.sync import main as sync_main
from observers.sync import sync
from tmd.errors import UserError

# An absent server is given up half a second later instead of three.
HASTY = "serverSelectionTimeoutMS=500"

Start = Callable[..., subprocess.Popen]
Finish = Callable[..., tuple[int, str]]


@pytest.fixture
def url(mongo: MongoServer, request: pytest.FixtureRequest) -> str:
    """A database of this test's own."""
    name = re.sub(r"\W", "_", request.node.name)[:50]
    return f"{mongo.url}/{name}"


@pytest.fixture
def database(url: str) -> Iterator[Any]:
    with pymongo.MongoClient(url) as client:
        yield client.get_default_database()


def observer(url: str, tmp_path: Path, files: bool = True, **options: Any) -> MongoObserver:
    return MongoObserver(
        url, tmp_path / "runs" if files else None, tmp_path / "runs" / "_spool", **options
    )


def wait_until(condition: Callable[[], Any], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


def referenced_files(database: Any) -> set[ObjectId]:
    ids = set()
    for run in database.runs.find():
        ids |= {artifact["file_id"] for artifact in run["artifacts"]}
        ids |= {file_id for _, file_id in run["experiment"]["sources"]}
    return ids


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


# Outages ---------------------------------------------------------------------------------------


def points_of(record: RunRecord) -> int:
    return sum(len(metric.steps) for metric in record.metrics().values())


def outage(tmp_path: Path, server: MongoServer, start_run: Start, seconds: float) -> None:
    url = f"{server.url}/sr?{HASTY}"
    server.start()
    process = start_run("until=stop", "names=5", mongo=url, TELL="1")
    wait_for_save(process)
    wait_until(lambda: open_run(f"{url}#1").metrics())
    server.kill()
    time.sleep(seconds)
    server.start()
    points = points_of(open_run(tmp_path / "runs" / "1"))
    wait_until(lambda: points_of(open_run(f"{url}#1")) > points, 120)
    (tmp_path / "stop").touch()
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert said.count("can't be written to") == 1
    assert "answers; all is sent" in said
    here, there = open_run(tmp_path / "runs" / "1"), open_run(f"{url}#1")
    assert there.status == "COMPLETED"
    assert there.entry["observer_failures"]["count"] == 1
    ours, theirs = here.metrics(), there.metrics()
    assert len(ours) == 5
    for name, metric in ours.items():
        assert metric.steps == list(range(1, len(metric.steps) + 1))
        assert theirs[name].steps == metric.steps
        assert theirs[name].values == metric.values
    assert there.artifacts() == here.artifacts()
    for name in here.artifacts():
        assert there.open(name).read() == here.open(name).read()


def test_a_server_killed_in_the_middle_costs_no_point(
    tmp_path: Path, own_mongo: MongoServer, start_run: Start
) -> None:
    outage(tmp_path, own_mongo, start_run, 1)


@pytest.mark.slow
def test_a_server_killed_for_thirty_seconds_costs_no_point(
    tmp_path: Path, own_mongo: MongoServer, start_run: Start
) -> None:
    outage(tmp_path, own_mongo, start_run, 30)


@pytest.mark.parametrize("files", ["runs", pytest.param(None, marks=pytest.mark.slow)])
def test_a_server_that_never_comes_back_does_not_keep_the_run_from_ending(
    tmp_path: Path,
    own_mongo: MongoServer,
    start_run: Start,
    capsys: pytest.CaptureFixture[str],
    files: str | None,
) -> None:
    url = f"{own_mongo.url}/sr?{HASTY}"
    own_mongo.start()
    process = start_run("seconds=3", "size=200000", files=files, mongo=url, TELL="1")
    wait_for_save(process)
    own_mongo.kill()
    began = time.monotonic()
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert time.monotonic() - began < 3 + 15
    last = said.strip().splitlines()[-1]
    assert re.search(r"run 1 is not in mongodb://\S+ in full: still to be sent: ", last)
    assert re.search(r"measurements and \d artifacts?\. ", last)
    assert last.endswith("send it with: python -m observers.sync")
    os.chdir(tmp_path)
    assert sync_main([]) == 1
    assert "does not" not in capsys.readouterr().err
    own_mongo.start()
    assert sync_main([]) == 0
    assert f"sent as {url}#1" in capsys.readouterr().out
    assert sync_main([]) == 0
    assert "nothing to send" in capsys.readouterr().out
    record = open_run(1, store=url)
    assert record.status == "COMPLETED"
    steps = record.metrics()["metric.0"].steps
    assert steps == list(range(1, record.result["last"] + 1))
    for name in record.artifacts():
        with record.open(name) as file:
            assert np.load(file).shape == (200000,)
    hidden = [path for path in (tmp_path / "runs").rglob(".*") if path.is_file()]
    assert hidden == []
    assert (tmp_path / "runs" / "1").exists() == (files is not None)
    assert not (tmp_path / "runs" / "_spool").exists()


def test_a_server_that_is_away_at_the_start_is_no_error(
    tmp_path: Path, own_mongo: MongoServer, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"{own_mongo.url}/sr?{HASTY}"
    with caplog.at_level(logging.WARNING, "observers"):
        driver = Driver(observer(url, tmp_path, files=False))
        driver.log(100)
        own_mongo.start()
        driver.log(100)
        driver.complete(result=3)
    assert "does not answer; the run is kept on disk" in caplog.text
    (record,) = open_store(url)
    assert record.result == 3
    assert record.metrics()["loss"].steps == list(range(1, 201))
    assert not (tmp_path / "runs" / "_spool").exists()


def test_a_killed_run_is_sent_as_far_as_it_got(
    tmp_path: Path, url: str, start_run: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    process = start_run("seconds=60", files=None, mongo=url, TELL="1")
    wait_for_save(process)
    time.sleep(0.3)
    assert sync(tmp_path / "runs") == (0, 1)
    assert "its own process is sending it" in capsys.readouterr().out
    process.kill()
    process.wait()
    assert sync(tmp_path / "runs") == (1, 0)
    record = open_run(f"{url}#1")
    assert record.status == "DEAD"
    assert len(record.metrics()["metric.0"].steps) >= 20
    assert record.artifacts()


def test_connections_cut_at_any_moment_double_and_lose_nothing(
    tmp_path: Path, mongo: MongoServer
) -> None:
    """What the server did before the line broke is unknown to the sender; it must find out."""
    with CuttingProxy(mongo.port) as proxy:
        made = observer(f"mongodb://127.0.0.1:{proxy.port}/cuts", tmp_path, patience=60)
        driver = Driver(made)
        artifact = tmp_path / "artifact.bin"
        saved = []
        for round_ in range(60):
            driver.log(7, "loss", beat=False)
            driver.log(3, "psnr", beat=False)
            if round_ % 10 == 0:
                artifact.write_bytes(os.urandom(700_000))
                made.save_artifact(f"a{round_}.bin", artifact)
                saved.append(f"a{round_}.bin")
                if len(saved) > 2:
                    made.remove_artifact(saved.pop(0))
            driver.beat()
            time.sleep(0.05)
        proxy.peace.set()
        driver.complete()
        assert proxy.cuts > 5
    here = open_run(1, store=tmp_path / "runs")
    there = open_run(f"{mongo.url}/cuts#1")
    assert there.status == "COMPLETED"
    for name in ("loss", "psnr"):
        assert there.metrics()[name].steps == here.metrics()[name].steps
        assert there.metrics()[name].values == here.metrics()[name].values
    assert sorted(there.artifacts()) == sorted(saved)
    for name in saved:
        assert there.open(name).read() == here.open(name).read()
    with pymongo.MongoClient(mongo.url) as client:
        files = referenced_files(client.cuts)
        assert set(client.cuts.fs.chunks.distinct("files_id")) == files
        assert {file["_id"] for file in client.cuts.fs.files.find()} == files
        assert client.cuts.metrics.count_documents({}) == 2


class CuttingProxy:
    """Passes bytes on to a server; now and then it keeps an answer and cuts the line."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = free_port()
        self.peace = threading.Event()
        self.cuts = 0
        self._chance = random.Random(0)
        self._listener = socket.create_server(("127.0.0.1", self.port))

    def __enter__(self) -> CuttingProxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            for source, sink in ((client, server), (server, client)):
                answers = source is server
                threading.Thread(
                    target=self._pass, args=(source, sink, answers), daemon=True
                ).start()

    def _pass(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        try:
            while data := source.recv(65536):
                if answers and not self.peace.is_set() and self._chance.random() < 0.05:
                    self.cuts += 1
                    break
                sink.sendall(data)
        except OSError:
            pass
        self._close(source, sink)

    def _close(self, *connections: socket.socket) -> None:
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


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


# Addresses and passwords ----------------------------------------------------------------------


def test_reading_from_a_server_that_is_away_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"MongoDB at mongodb://\S+/sr: does not answer") as caught:
        open_run(f"mongodb://127.0.0.1:{free_port()}/sr#1")
    assert "\n" not in str(caught.value)


def test_a_run_that_is_not_there_is_one_line(url: str) -> None:
    with pytest.raises(UserError, match=r"#3: no such run \(the database holds 0"):
        open_run(3, store=url)
    with pytest.raises(UserError, match="which one"):
        open_run(url)


PASSWORD = "correct.horse%40battery"


@pytest.fixture
def guarded_mongo(tmp_path: Path) -> Iterator[MongoServer]:
    """A server that asks for a password."""
    if MongoServer.program() is None:
        pytest.skip("no secantusd-py (pip install secantusdb)")
    server = MongoServer(tmp_path / "mongo")
    server.start()
    with pymongo.MongoClient(server.url) as client:
        client.admin.command("createUser", "ann", pwd="correct.horse@battery", roles=["root"])
    server.stop()
    server.auth = True
    server.start()
    yield server
    server.stop()


def test_no_trace_of_a_password(
    tmp_path: Path, guarded_mongo: MongoServer, start_run: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"mongodb://ann:{PASSWORD}@127.0.0.1:{guarded_mongo.port}/sr?authSource=admin&{HASTY}"
    wrong = url.replace("battery", "staple")
    process = start_run("seconds=2", f"note={url}", mongo=url, TELL="1")
    said = wait_for_save(process)
    guarded_mongo.kill()
    said += process.communicate(timeout=60)[0]
    assert "still to be sent" in said
    guarded_mongo.start()
    monkeypatch.setenv("TMD_MONGO_URL", url)
    synced = subprocess.run(
        [sys.executable, "-m", "observers.sync"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert synced.returncode == 0, synced.stdout + synced.stderr
    refused = start_run("seconds=1", mongo=wrong)
    said_no, _ = refused.communicate(timeout=60)
    assert refused.returncode != 0
    assert re.search(r"UserError: MongoDB at mongodb://\S+: .*[Aa]uth", said_no)

    record = open_run(f"mongodb://127.0.0.1:{guarded_mongo.port}/sr?authSource=admin&{HASTY}#1")
    assert record.status == "COMPLETED"
    assert "note=mongodb://***@127" in str(record.entry["meta"])
    with pymongo.MongoClient(url) as client:
        stored = [str(list(client.sr[name].find())) for name in client.sr.list_collection_names()]
    written = [p.read_bytes() for p in (tmp_path / "runs").rglob("*") if p.is_file()]
    assert len(written) > 5
    everything = [said, said_no, synced.stdout, synced.stderr, str(record.entry), *stored]
    for secret in ("horse", "battery", "staple"):
        assert not [text for text in everything if secret in text]
        assert not [content for content in written if secret.encode() in content]


def test_a_refused_run_leaves_nothing_behind(tmp_path: Path, guarded_mongo: MongoServer) -> None:
    url = f"mongodb://ann:wrong-password@127.0.0.1:{guarded_mongo.port}/sr?authSource=admin&{HASTY}"
    with pytest.raises(UserError, match="MongoDB at mongodb://"):
        Driver(observer(url, tmp_path))
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_failing_disk_is_noted_in_the_database_too(tmp_path: Path, url: str) -> None:
    made = observer(url, tmp_path)
    driver = Driver(made)
    made.artifact_event("absent.png", str(tmp_path / "absent.png"))
    driver.complete()
    info = open_run(f"{url}#1").info
    assert info["observer_failures"]["count"] == 1
    assert "absent.png" in json.dumps(info["observer_failures"]["messages"])


def test_file_runs_without_a_database_are_nothing_to_send(tmp_path: Path) -> None:
    Driver(FileObserver(tmp_path)).complete()
    assert sync(tmp_path) == (0, 0)
