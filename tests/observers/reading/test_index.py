"""The index of a store makes lists fast, and never makes a wrong one."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from pathlib import Path

import pytest
from driver import Driver
from mongo_server import MongoServer
from populate import populate

from observers import FileObserver, open_store
from observers.mongo.observer import MongoObserver
from observers.reading import index
from observers.reading.index import INDEX, list_runs
from observers.reading.listing import Listed, listed

RUNS = 70


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store whose files count as settled; runs of a study among them, and one of Sacred's own."""
    monkeypatch.setattr(index, "_SETTLED", 0)
    populate(tmp_path / "runs", RUNS, points=4, names=3, sheets=0)
    for number in (3, 4):
        study = {"name": "s", "trial": number, "repeat": 0, "params": {"adv_weight": 0.1}}
        (tmp_path / f"runs/{number}/info.json").write_text(json.dumps({"study": study}))
    change(tmp_path / "runs/5/run.json", metric_summary=None)
    time.sleep(0.02)  # longer than the file system's clock stands still
    return tmp_path / "runs"


def change(path: Path, **entries: object) -> None:
    content = {**json.loads(path.read_text()), **entries}
    kept = {key: value for key, value in content.items() if value is not None}
    new = path.with_name(".new")  # as observers write: another file under the name
    new.write_text(json.dumps(kept))
    os.replace(new, path)


def read(store: Path) -> list[Listed]:
    """Every run as its own files say."""
    return [listed(record) for record in open_store(store)]


def test_runs_from_the_index_are_those_of_their_records(store: Path) -> None:
    truth = read(store)
    assert list_runs(open_store(store)) == truth
    assert (store / INDEX).is_file()
    again = list_runs(open_store(store))
    assert again == truth
    assert [list(run.config) for run in again] == [list(run.config) for run in truth]
    assert again[2].study == {"name": "s", "trial": 3, "repeat": 0, "params": {"adv_weight": 0.1}}
    assert list_runs(open_store(store), last=3) == truth[-3:]


def test_what_lies_in_the_index_is_not_read_again(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_runs(open_store(store))
    looked = []
    monkeypatch.setattr(index, "listed", lambda record: looked.append(record.id) or listed(record))
    change(store / "9/run.json", status="FAILED")
    runs = list_runs(open_store(store))
    assert looked == [9]
    assert runs[8].status == "FAILED"


@pytest.mark.parametrize("name", ["run.json", "config.json", "info.json", "metrics.json"])
def test_a_changed_file_is_seen(store: Path, name: str) -> None:
    list_runs(open_store(store))
    folder = store / "5"  # whose metrics are read from their curves
    if name == "info.json":
        (folder / name).write_text('{"study": {"name": "new", "trial": 1}}')
    elif name == "metrics.json":
        curve = {"steps": [1], "values": [99.0], "timestamps": [""]}
        change(folder / name, **{"validation.psnr": curve})
    else:
        change(folder / name, **{"run.json": {"status": "X"}, "config.json": {"seed": 9}}[name])
    truth = read(store)
    assert truth[4] == list_runs(open_store(store))[4]
    fresh = {"run.json": truth[4].status == "X", "config.json": truth[4].config["seed"] == 9}
    psnr = truth[4].metrics["validation.psnr"].last == 99
    fresh |= {"info.json": bool(truth[4].study), "metrics.json": psnr}
    assert fresh[name]


def test_runs_that_go_and_come_are_seen(store: Path) -> None:
    list_runs(open_store(store))
    for path in (store / "7").iterdir():
        path.unlink()
    (store / "7").rmdir()
    observer = FileObserver(store)
    driver = Driver(observer)
    driver.log(3, name="validation.psnr")
    ids = [run.id for run in list_runs(open_store(store))]
    assert ids == [*range(1, 7), *range(8, RUNS + 2)]
    (store / INDEX).unlink()
    assert list_runs(open_store(store))[-1].metrics["validation.psnr"].last == 3
    driver.log(3, name="validation.psnr")  # the run goes on: its last metrics are today's
    last = list_runs(open_store(store))[-1]
    assert (last.status, last.metrics["validation.psnr"].last) == ("RUNNING", 6)
    driver.complete()
    assert list_runs(open_store(store))[-1].status == "COMPLETED"


def damaged(kind: str, good: bytes) -> bytes:
    head, _, body = good.partition(b"\n")
    return {
        "empty": b"",
        "cut": good[: len(good) // 2],
        "other version": b"tmd 0.0 1 " + head.split()[-1] + b"\n" + body,
        "a flipped bit": good[:-400] + bytes([good[-400] ^ 1]) + good[-399:],
        "another shape": index._FORMAT.encode() + f" {index._digest(b'[]')}\n[]".encode(),
    }[kind]


@pytest.mark.parametrize(
    "kind", ["empty", "cut", "other version", "a flipped bit", "another shape"]
)
def test_a_damaged_index_is_made_anew(store: Path, kind: str) -> None:
    truth = list_runs(open_store(store))
    good = (store / INDEX).read_bytes()
    (store / INDEX).write_bytes(damaged(kind, good))
    assert list_runs(open_store(store)) == truth
    assert (store / INDEX).read_bytes() == good


def test_a_store_that_cannot_be_written_is_listed(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(index.tempfile, "TemporaryFile", refuse)
    assert list_runs(open_store(store)) == read(store)
    assert not (store / INDEX).exists()


def test_files_that_may_change_unseen_are_not_believed(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "_SETTLED", 3600_000_000_000)
    list_runs(open_store(store))
    assert not (store / INDEX).exists()


def _list_often(store: Path, times: int) -> None:
    index._SETTLED = 0
    for _ in range(times):
        runs = list_runs(open_store(store))
        assert [run.id for run in runs] == list(range(1, RUNS + 1))
        assert all(run.status in ("COMPLETED", "FAILED") for run in runs)
        (store / INDEX).unlink(missing_ok=True)


def test_several_processes_write_and_read_at_once(store: Path) -> None:
    truth = read(store)
    context = multiprocessing.get_context("fork")
    others = [context.Process(target=_list_often, args=(store, 8)) for _ in range(3)]
    for other in others:
        other.start()
    for other in others:
        other.join()
    assert [other.exitcode for other in others] == [0, 0, 0]
    assert list_runs(open_store(store)) == truth
    assert [path.name for path in store.iterdir() if path.name.startswith(".writing")] == []


def test_a_database_is_listed_by_one_query(tmp_path: Path, mongo: MongoServer) -> None:
    url = f"{mongo.url}/listed"
    for number in range(3):
        driver = Driver(MongoObserver(url, None, tmp_path / "_spool"), config={"scale": number})
        driver.info["study"] = {"name": "s", "trial": number, "repeat": 0, "params": {"scale": 1}}
        driver.log(5, name="validation.psnr")
        driver.complete(result=2.5)
    opened = open_store(url)
    asked = []
    find, find_one = opened.runs.find, opened.runs.find_one
    opened.runs = type("Runs", (), {"find": find, "find_one": find_one})()
    opened.runs.find = lambda *a: asked.append(a) or find(*a)
    opened.runs.find_one = lambda *a: asked.append(a) or find_one(*a)
    runs = list_runs(opened)
    assert len(asked) == 1
    assert runs == [listed(record) for record in open_store(url)]
    assert runs[2].study["trial"] == 2
    assert runs[2].metrics["validation.psnr"].last == 5
