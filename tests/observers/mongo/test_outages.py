from __future__ import annotations

import contextlib
import logging
import os
import random
import re
import socket
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pymongo
import pytest
from driver import Driver
from mongo_runs import HASTY, Start, observer, referenced_files, wait_until
from mongo_server import MongoServer, free_port
from processes import wait_for_save

from observers import RunRecord, open_run, open_store
from observers.sync import main as sync_main
from observers.sync import sync

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
