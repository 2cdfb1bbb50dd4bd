"""Names of artifacts, and characters that steer a terminal, from programs and from strangers."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import gridfs
import pymongo
import pytest
from driver import Driver
from mongo_server import MongoServer
from populate import populate

from observers import FileObserver, open_run
from observers.failures import Failures
from observers.names import artifact_name, is_artifact_name, printable
from tmd.errors import UserError

ESCAPING = [
    "..",
    ".",
    "",
    "/",
    "/etc/passwd",
    "../run.json",
    "../../escaped",
    "a/../../escaped",
    "sub/a.png",
    "a\0b",
    "..\0",
    "x" * 300,
]
ODD = [
    *ESCAPING,
    ".hidden",
    "run.json",
    "a\\b",
    "\x1b[31mred",
    "a\nb",
    "‮txt",
    "caf\udce9",
    "x" * 300,
]


@pytest.mark.parametrize("name", ODD)
def test_what_is_written_is_one_path_component_or_refused(tmp_path: Path, name: str) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"content")
    root = tmp_path / "store" / "runs"
    observer = FileObserver(root)
    driver = Driver(observer)
    before = {path for path in tmp_path.rglob("*") if root / "1" not in path.parents}
    durable = observer.save_artifact(name, source)
    driver.complete()
    after = {path for path in tmp_path.rglob("*") if root / "1" not in path.parents}
    assert after == before
    record = open_run(1, store=root)
    assert record.status == "COMPLETED"
    assert len(record.artifacts()) == 1
    for kept in record.artifacts():
        assert is_artifact_name(kept)
        assert kept.isprintable()
        assert (root / "1" / kept).read_bytes() == b"content"
    assert durable
    observer.remove_artifact(name)
    assert not (root / "1" / artifact_name(name)).exists()


@pytest.mark.parametrize("name", ESCAPING)
def test_a_strangers_folder_is_not_read_beyond(tmp_path: Path, name: str) -> None:
    populate(tmp_path / "runs", 1, points=1, names=1, sheets=1)
    (tmp_path / "escaped").write_text("secret")
    path = tmp_path / "runs" / "1" / "run.json"
    entry = json.loads(path.read_text())
    entry["artifacts"] += [name, {"name": name}, None]
    path.write_text(json.dumps(entry))
    record = open_run(tmp_path / "runs" / "1")
    assert record.artifacts() == ["sheet_00000000.png"]
    for read in (record.open, record.local_path):
        with pytest.raises(UserError, match="no artifact") as caught:
            read(name)
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ESCAPING)
def test_a_strangers_document_writes_nothing_beyond(
    tmp_path: Path, mongo: MongoServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    url = f"{mongo.url}/names"
    with pymongo.MongoClient(url) as client:
        client.drop_database("names")
        files = gridfs.GridFS(client.names)
        artifacts = [
            {"name": each, "file_id": files.put(b"content")} for each in (name, "sheet.png")
        ]
        client.names.runs.insert_one({"_id": 1, "status": "COMPLETED", "artifacts": artifacts})
    record = open_run(f"{url}#1")
    assert record.artifacts() == ["sheet.png"]
    for read in (record.open, record.local_path):
        with pytest.raises(UserError, match="no artifact"):
            read(name)
    path = record.local_path("sheet.png")
    assert path.read_bytes() == b"content"
    assert tmp_path in path.parents
    assert len([p for p in tmp_path.rglob("*") if p.is_file() and p.name[0] != "."]) == 1


STEERING = "\x1b]0;title\x07\x1b[2J\r\x9b31m‮"


def test_no_message_of_a_store_steers_a_terminal(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    populate(tmp_path / f"runs{STEERING}", 1, points=1, names=1, sheets=0)
    folder = tmp_path / f"runs{STEERING}" / "1"
    entry = json.loads((folder / "run.json").read_text())
    entry.update(artifacts=[f"a{STEERING}.pt"], status=STEERING)
    (folder / "run.json").write_text(json.dumps(entry))
    (folder / f"a{STEERING}.pt").write_text("")
    record = open_run(folder)
    assert record.status.isprintable()
    said: list[str] = []
    for act in (
        lambda: record.open("best.pt"),
        lambda: open_run(folder.parent / "9"),
        lambda: open_run(folder.with_name(f"9{STEERING}")),
        lambda: open_run(f"mongodb://{STEERING}"),
    ):
        with pytest.raises(UserError) as caught:
            act()
        said.append(str(caught.value))
    with caplog.at_level(logging.WARNING, "observers"):
        Failures().add(f"save {STEERING}", OSError(STEERING))
    said += [each.getMessage() for each in caplog.records]
    assert len(said) == 5
    assert [line for line in said if not line.isprintable()] == []


def test_escapes_can_be_read() -> None:
    assert printable("a\x1b[31m\nb‮é") == "a\\x1b[31m\\nb\\u202eé"
