"""What one run's record has of odd names and torn markers keeps no other run from its database."""

from __future__ import annotations

import json
import logging
import os
import re
from pathlib import Path
from typing import Any

import pytest
from driver import Driver
from mongo_server import free_port

from observers import RunArtifacts, open_run, open_store
from observers.mongo import uploads
from observers.mongo.observer import MongoObserver
from observers.sync import main as sync_main
from observers.sync import sync

NOT_UTF8 = os.fsdecode(b"caf\xe9")


def away(url: str) -> str:
    """The same database at an address where nothing answers."""
    name = url.rpartition("/")[2]
    return f"mongodb://127.0.0.1:{free_port()}/{name}?serverSelectionTimeoutMS=200"


def record(tmp_path: Path, url: str, files: bool = True, **info: Any) -> Driver:
    root = tmp_path / "runs"
    observer = MongoObserver(url, root if files else None, root / "_spool", patience=10)
    driver = Driver(observer, config={"root": f"photos/{NOT_UTF8}"})
    driver.info.update(info)
    return driver


def odd_names(driver: Driver, tmp_path: Path) -> None:
    """A run with names that are not UTF-8 wherever a name may be."""
    path = tmp_path / f"{NOT_UTF8}.txt"
    path.write_text("content")
    driver.observer.artifact_event(path.name, str(path))
    driver.observer.resource_event(str(path))
    driver.info["skipped"] = [[f"{NOT_UTF8}.png", "broken"]]
    driver.info[NOT_UTF8] = 1
    driver.log(3, name=f"validation.{NOT_UTF8}")
    driver.log(3)


@pytest.mark.parametrize("files", [True, False])
def test_names_that_are_not_utf8_end_in_the_database_with_their_run(
    tmp_path: Path, url: str, files: bool
) -> None:
    driver = record(tmp_path, url, files)
    odd_names(driver, tmp_path)
    driver.complete(result={NOT_UTF8: 1.0})
    (there,) = open_store(url)
    assert there.status == "COMPLETED"
    assert there.config["root"] == "photos/caf\\udce9"
    assert there.info["skipped"] == [["caf\\udce9.png", "broken"]]
    assert set(there.metrics()) == {"loss", "validation.caf\\udce9"}
    (name,) = there.artifacts()
    assert there.open(name).read() == b"content"
    assert not (tmp_path / "runs" / "_spool").exists()
    if files:
        here = open_run(tmp_path / "runs" / "1")
        assert here.artifacts() == [name]
        assert here.metrics().keys() == there.metrics().keys()


def test_a_record_of_an_earlier_version_with_such_names_is_sent_too(
    tmp_path: Path, url: str
) -> None:
    """They wrote the names as they were."""
    driver = record(tmp_path, away(url))
    driver.log(3)
    driver.complete()
    folder = tmp_path / "runs" / "1"
    entry = json.loads((folder / "run.json").read_text())
    (folder / f"{NOT_UTF8}.txt").write_text("content")
    entry["artifacts"] = [f"{NOT_UTF8}.txt"]
    entry["resources"] = [[f"/{NOT_UTF8}", f"_resources/{NOT_UTF8}_abc"]]
    (tmp_path / "runs" / "_resources").mkdir()
    (tmp_path / "runs" / "_resources" / f"{NOT_UTF8}_abc").write_text("resource")
    (folder / "run.json").write_text(json.dumps(entry))
    (folder / "config.json").write_text(json.dumps({"root": NOT_UTF8, NOT_UTF8: 1}))
    with open(folder / ".metrics.jsonl", "a") as journal:
        points = {"steps": [1], "values": [1.0], "timestamps": ["2024-01-01T00:00:00"]}
        journal.write(json.dumps({"name": NOT_UTF8, **points}) + "\n")
    assert sync(tmp_path / "runs", url) == (0, 1)  # belongs elsewhere
    (folder / ".mongo.json").write_text("")
    assert sync(tmp_path / "runs", url) == (1, 0)
    there = open_run(f"{url}#1")
    assert there.artifacts() == ["caf\\udce9.txt"]
    assert there.metrics()["caf\\udce9"].values == [1.0]
    assert sync(tmp_path / "runs", url) == (0, 0)


@pytest.mark.parametrize(
    "torn", ["", "{", "[]", "null", '{"url": 3}', '{"url": "mongodb://", "keep": true}', "\0" * 20]
)
def test_a_torn_marker_keeps_no_other_run_from_being_sent(
    tmp_path: Path, url: str, torn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = away(url)
    for _ in range(3):
        driver = record(tmp_path, elsewhere)
        driver.log(3)
        driver.complete()
    for number in (1, 2, 3):
        marker = tmp_path / "runs" / str(number) / ".mongo.json"
        text = marker.read_text().replace(json.loads(marker.read_text())["url"], url)
        marker.write_text(torn if number == 2 else text)
    assert sync(tmp_path / "runs") == (2, 1)
    said = capsys.readouterr().out
    assert [record.id for record in open_store(url)] == [1, 3]
    assert re.search(r"runs/2: .*", said)
    # A run is recorded beside it as well, and with the address the third is sent.
    driver = record(tmp_path, url)
    driver.complete()
    if '"url": "' not in torn:
        assert sync_main(["--store", str(tmp_path / "runs"), "--mongo", url]) == 0
        assert sorted(record.id for record in open_store(url)) == [1, 2, 3, 4]
    assert "Traceback" not in capsys.readouterr().err


def test_a_torn_marker_in_the_spool_does_not_keep_a_run_from_starting(
    tmp_path: Path, url: str
) -> None:
    for torn in ("", '{"id": "x"}', "[1]"):
        folder = tmp_path / "runs" / "_spool" / f"torn{len(torn)}"
        folder.mkdir(parents=True)
        (folder / ".mongo.json").write_text(torn)
    driver = record(tmp_path, away(url), files=False)
    driver.complete()
    assert driver.id == 1


def test_a_run_that_can_not_be_sent_is_said_and_the_next_has_its_turn(
    tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = away(url)
    for _ in range(4):
        record(tmp_path, elsewhere).complete()
    for number in (1, 2, 3, 4):
        marker = tmp_path / "runs" / str(number) / ".mongo.json"
        marker.write_text(json.dumps({"url": url, "id": number, "keep": True}))
    (tmp_path / "runs" / "1" / "run.json").write_text('{"half')
    (tmp_path / "runs" / "2" / "run.json").write_text("[]")
    (tmp_path / "runs" / "3" / "config.json").write_text("{")
    assert sync(tmp_path / "runs") == (1, 3)
    assert [record.id for record in open_store(url)] == [4]
    said = capsys.readouterr().out
    assert said.count("can't be sent") == 3
    for number in (1, 2, 3):
        assert (tmp_path / "runs" / str(number) / "run.json").exists()


def test_a_checkpoint_pruned_before_its_upload_is_no_alarm(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Pruned at each of the moments between its listing and its upload."""
    driver = record(tmp_path, url)
    source = tmp_path / "source"
    source.write_bytes(b"weights")
    listing, signature = uploads.artifacts_here, uploads._signature
    pruned: list[str] = []

    def prune(name: str) -> None:
        if name.startswith("checkpoint") and name not in pruned:
            pruned.append(name)
            driver.observer.remove_artifact(name)

    def after_listing(folder: Path, entry: dict[str, Any]) -> list[str]:
        names = listing(folder, entry)
        for name in names:
            if name.endswith("1.pt"):
                prune(name)
        return names

    def after_signing(path: Path) -> Any:
        found = signature(path)
        if path.name.endswith("2.pt"):
            prune(path.name)
        return found

    monkeypatch.setattr(uploads, "artifacts_here", after_listing)
    monkeypatch.setattr(uploads, "_signature", after_signing)
    with caplog.at_level(logging.WARNING, "observers"):
        artifacts = RunArtifacts(type("Run", (), {"observers": [driver.observer]}))
        for name in ("checkpoint_1.pt", "checkpoint_2.pt", "best.pt"):
            assert artifacts.save(name, source)
        driver.complete()
    assert sorted(pruned) == ["checkpoint_1.pt", "checkpoint_2.pt"]
    assert caplog.text == ""
    there = open_run(f"{url}#1")
    assert there.artifacts() == ["best.pt"]
    assert there.status == "COMPLETED"
    assert there.entry["observer_failures"]["count"] == 0
