from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pymongo
import pytest
from driver import Driver
from mongo_runs import HASTY, Start, observer
from mongo_server import MongoServer, free_port
from processes import wait_for_save

from observers import FileObserver, open_run
from observers.sync import sync
from tmd.errors import UserError

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
