from __future__ import annotations

import errno
import json
import logging
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from processes import wait_for_save
from sacred import SETTINGS, Experiment
from sacred.observers import FileStorageObserver

from observers import FileObserver, RunArtifacts, open_run, open_store, record_output
from observers.journal import JOURNAL, read_journal
from tmd.errors import UserError
from tmd.files import PREFIX

Start = Callable[..., subprocess.Popen]


@pytest.fixture(autouse=True)
def _capture_by_sys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SETTINGS, "CAPTURE_MODE", "sys")


def experiment(*observers: Any) -> Experiment:
    made = Experiment("files", save_git_info=False)
    made.observers.extend(observers)
    made.add_config(lr=1e-3, features=[8, 16])
    return made


def run(observer: Any, body: Callable[[Any], Any]) -> Any:
    """Run ``body(_run)`` in an experiment under ``observer``, with quick beats."""
    ex = experiment(observer)

    @ex.main
    def main(_run: Any) -> Any:
        return body(_run)

    made = ex._create_run()
    made.beat_interval = 0.05
    made()
    return made


# The layout ------------------------------------------------------------------------------------


def test_what_reads_sacreds_files_reads_ours(tmp_path: Path) -> None:
    """Compared with the record that Sacred's own observer makes of the same run."""
    artifact = tmp_path / "a.txt"
    artifact.write_text("a")

    def body(_run: Any) -> dict[str, float]:
        for at in range(5):
            _run.log_scalar("loss", 1.0 / (at + 1), at)
            _run.log_scalar("val.psnr", 20.0 + at)
        _run.info["answer"] = 42
        _run.add_artifact(artifact)
        _run.add_resource(artifact)
        print("said")
        return {"psnr": 24.0}

    run(FileStorageObserver(tmp_path / "theirs"), body)
    run(FileObserver(tmp_path / "ours"), body)
    theirs, ours = tmp_path / "theirs" / "1", tmp_path / "ours" / "1"

    def load(folder: Path, name: str) -> Any:
        return json.loads((folder / name).read_text())

    assert {path.name for path in theirs.iterdir()} == {path.name for path in ours.iterdir()}
    metrics_of_theirs, metrics_of_ours = load(theirs, "metrics.json"), load(ours, "metrics.json")
    assert metrics_of_theirs.keys() == metrics_of_ours.keys()
    for name, metric in metrics_of_theirs.items():
        assert metric.keys() == metrics_of_ours[name].keys()
        assert metric["values"] == metrics_of_ours[name]["values"]
        assert metric["steps"] == metrics_of_ours[name]["steps"]
        assert len(metric["timestamps"]) == len(metrics_of_ours[name]["timestamps"])
    assert load(theirs, "info.json") == load(ours, "info.json")
    assert {**load(theirs, "config.json"), "seed": 0} == {**load(ours, "config.json"), "seed": 0}
    their_run, our_run = load(theirs, "run.json"), load(ours, "run.json")
    assert their_run.keys() <= our_run.keys()
    for key in ("artifacts", "command", "host", "result", "status", "meta"):
        assert their_run[key] == our_run[key], key
    source = our_run["experiment"]["sources"][0]
    assert source == their_run["experiment"]["sources"][0]
    assert (tmp_path / "ours" / source[1]).read_bytes() == Path(__file__).with_name(
        Path(source[0]).name
    ).read_bytes()
    assert (tmp_path / "ours" / our_run["resources"][0][1]).read_text() == "a"
    assert "said\n" in (ours / "cout.txt").read_text()


def test_sacreds_own_runs_are_read_back(tmp_path: Path) -> None:
    def body(_run: Any) -> None:
        for at, value in enumerate([3.0, 1.0, float("nan"), 2.0]):
            _run.log_scalar("loss", value, at)

    run(FileStorageObserver(tmp_path), body)
    record = open_run(1, store=tmp_path)
    assert record.status == "COMPLETED"
    assert record.config["features"] == [8, 16]
    assert record.metrics()["loss"].steps == [0, 1, 2, 3]
    summary = record.summary()["loss"]
    assert (summary["min"], summary["min_step"], summary["last"]) == (1.0, 1, 2.0)
    assert (summary["count"], summary["not_finite"]) == (4, 1)


def test_metrics_json_is_made_during_the_run_and_the_journal_goes_with_its_end(
    tmp_path: Path,
) -> None:
    seen = []

    def body(_run: Any) -> None:
        folder = tmp_path / "1"
        for at in range(300):
            _run.log_scalar("loss", at, at)
            time.sleep(0.002)
            if (folder / "metrics.json").exists():
                seen.append(len(json.loads((folder / "metrics.json").read_text())["loss"]["steps"]))
        assert (folder / JOURNAL).exists()

    run(FileObserver(tmp_path, metrics_interval=0.1), body)
    assert len(set(seen)) > 2
    assert sorted(seen) == seen
    assert not (tmp_path / "1" / JOURNAL).exists()
    assert open_run(1, store=tmp_path).metrics()["loss"].values == list(map(float, range(300)))


def test_values_are_plain_numbers_whatever_was_logged(tmp_path: Path) -> None:
    def body(_run: Any) -> dict[str, Any]:
        _run.log_scalar("tensor", torch.tensor(0.5), 1)
        _run.log_scalar("whole", 3, torch.tensor(2))
        _run.log_scalar("broken", float("nan"), 1)
        _run.log_scalar("broken", float("-inf"), 2)
        _run.log_scalar("broken", 1.0, 3)
        _run.log_scalar("text", "abc", 1)
        _run.log_scalar("after", 1.0, 1)
        _run.info["tensor"] = torch.tensor([1.0, float("inf")])
        return {"psnr": torch.tensor(30.5)}

    run(FileObserver(tmp_path), body)
    written = json.loads((tmp_path / "1" / "metrics.json").read_text(), parse_constant=pytest.fail)
    assert written["tensor"]["values"] == [0.5]
    assert written["whole"]["steps"] == [2]
    assert written["broken"]["values"] == [None, None, 1.0]
    assert written["after"]["values"] == [1.0]
    record = open_run(1, store=tmp_path)
    assert record.result == {"psnr": 30.5}
    assert record.info == {"tensor": [1.0, "inf"]}
    assert record.summary()["broken"]["not_finite"] == 2
    assert record.entry["observer_failures"]["count"] == 1  # "abc"


# Numbers ---------------------------------------------------------------------------------------


def test_many_writers_never_share_a_number(tmp_path: Path) -> None:
    ids: list[int] = []

    def write() -> None:
        for _ in range(10):
            observer = FileObserver(tmp_path / "runs")
            ids.append(observer.begin(_entry(), {"sources": []}, {}, None))

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ids) == list(range(1, 81))


def test_an_asked_for_number_is_whole_and_free(tmp_path: Path) -> None:
    observer = FileObserver(tmp_path)
    assert observer.begin(_entry(), {"sources": []}, {}, "77") == 77
    assert FileObserver(tmp_path).begin(_entry(), {"sources": []}, {}, None) == 78
    with pytest.raises(UserError, match="run 77: exists already"):
        FileObserver(tmp_path).begin(_entry(), {"sources": []}, {}, 77)
    with pytest.raises(UserError, match="--id best: must be a whole number"):
        FileObserver(tmp_path).begin(_entry(), {"sources": []}, {}, "best")


def test_a_store_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file storage .*file/runs: Not a directory"):
        FileObserver(tmp_path / "file" / "runs").begin(_entry(), {"sources": []}, {}, None)


def test_a_run_that_cannot_begin_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("observers.writing.recording.write_json", refuse)
    with pytest.raises(UserError, match="No space left on device"):
        FileObserver(tmp_path).begin(_entry(), {"sources": []}, {}, None)
    assert list(tmp_path.iterdir()) == []


def _entry() -> dict[str, Any]:
    return {"experiment": {}, "artifacts": [], "status": "RUNNING"}


# Failures --------------------------------------------------------------------------------------


def test_a_missing_artifact_costs_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def body(_run: Any) -> None:
        for at in range(3):
            _run.add_artifact(tmp_path / "absent.png")
            _run.log_scalar("loss", at, at)

    with caplog.at_level(logging.WARNING, "observers"):
        made = run(FileObserver(tmp_path), body)
    assert made._failed_observers == []
    record = open_run(1, store=tmp_path)
    assert record.metrics()["loss"].values == [0.0, 1.0, 2.0]
    assert record.status == "COMPLETED"
    assert record.entry["observer_failures"]["count"] == 3
    assert len([r for r in caplog.records if "absent.png" in r.getMessage()]) == 1


def test_a_disk_that_is_full_for_a_while_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = threading.Event()
    replace, write = os.replace, os.write
    source = tmp_path / "checkpoint"
    source.write_bytes(b"weights")
    saved = []

    def refuse(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if full.is_set():
                if real is write:
                    real(args[0], bytes(args[1])[: len(args[1]) // 2])  # half a line
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*args, **kwargs)

        return call

    monkeypatch.setattr(os, "replace", refuse(replace))
    monkeypatch.setattr("observers.writing.metrics.os.write", refuse(write))

    def body(_run: Any) -> None:
        artifacts = RunArtifacts(_run)
        for at in range(60):
            if at == 20:
                full.set()
                saved.append(artifacts.save("checkpoint.pt", source))
            if at == 40:
                full.clear()
            _run.log_scalar("loss", at, at)
            time.sleep(0.01)

    made = run(FileObserver(tmp_path / "runs", metrics_interval=0.05), body)
    assert saved == [False]
    assert made._failed_observers == []
    record = open_run(1, store=tmp_path / "runs")
    assert record.metrics()["loss"].values == list(map(float, range(60)))
    assert record.status == "COMPLETED"
    assert record.entry["observer_failures"]["count"] > 1
    with record.open("checkpoint.pt") as file:
        assert file.read() == b"weights"


# Artifacts -------------------------------------------------------------------------------------


def test_artifacts_are_replaced_and_removed(tmp_path: Path) -> None:
    source = tmp_path / "source"

    def body(_run: Any) -> None:
        artifacts = RunArtifacts(_run)
        assert artifacts
        for name, content in [("a.pt", b"1"), ("b.pt", b"2"), ("a.pt", b"3"), ("c.pt", b"4")]:
            source.write_bytes(content)
            assert artifacts.save(name, source)
            record = open_run(1, store=tmp_path / "runs")
            assert name in record.artifacts()
            assert record.open(name).read() == content
        artifacts.remove("b.pt")
        artifacts.remove("b.pt")
        artifacts.remove("never.pt")

    run(FileObserver(tmp_path / "runs"), body)
    record = open_run(1, store=tmp_path / "runs")
    assert record.artifacts() == ["a.pt", "c.pt"]
    assert record.local_path("a.pt").read_bytes() == b"3"
    assert not (tmp_path / "runs" / "1" / "b.pt").exists()
    assert record.entry["observer_failures"]["count"] == 0
    with pytest.raises(UserError, match=r"no artifact 'b.pt'; it has a.pt, c.pt"):
        record.open("b.pt")


def test_no_artifact_overwrites_the_record_or_leaves_its_folder(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("{}")

    def body(_run: Any) -> None:
        for name in ("run.json", "metrics.json", "../../escaped", ".hidden", "sub/sheet.png"):
            _run.add_artifact(source, name)

    run(FileObserver(tmp_path / "runs"), body)
    record = open_run(1, store=tmp_path / "runs")
    assert record.status == "COMPLETED"
    assert record.artifacts() == [
        "artifact_run.json",
        "artifact_metrics.json",
        "_.._escaped",
        "hidden",
        "sub_sheet.png",
    ]
    assert not (tmp_path / "escaped").exists()


def test_an_unobserved_run_keeps_nothing(tmp_path: Path) -> None:
    ex = experiment()

    @ex.main
    def main(_run: Any) -> None:
        artifacts = RunArtifacts(_run)
        assert not artifacts
        assert artifacts.save("a.pt", tmp_path / "absent")
        artifacts.remove("a.pt")

    ex.run(options={"--unobserved": True})


# Endings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        ("completed", "COMPLETED"),
        ("exception", "FAILED"),
        ("SIGINT", "INTERRUPTED"),
        ("SIGTERM", "INTERRUPTED"),
        ("SIGKILL", "DEAD"),
    ],
)
def test_the_status_is_true_for_every_ending(
    tmp_path: Path, finish_run: Callable[..., tuple[int, str]], ending: str, status: str
) -> None:
    finish_run("seconds=0.5", f"ending={ending}")
    record = open_run(1, store=tmp_path / "runs")
    assert record.status == status
    steps = record.metrics()["metric.0"].steps
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) > 10
    assert len(record.artifacts()) >= 1


def test_a_failed_run_keeps_its_last_words(tmp_path: Path) -> None:
    ex = experiment(FileObserver(tmp_path))

    @ex.main
    def main() -> None:
        for step in range(3):
            print(f"\rstep {step}", end="")
        print("\nlast words")
        raise RuntimeError("mongodb://ann:pw@host/db is away")

    made = ex._create_run()
    record_output(made)
    with pytest.raises(RuntimeError):
        made()
    record = open_run(1, store=tmp_path)
    assert record.status == "FAILED"
    assert record.captured_out.endswith("step 2\nlast words\n")
    assert "mongodb://***@host/db is away" in "".join(record.entry["fail_trace"])


def test_a_run_of_a_living_process_is_running(tmp_path: Path, start_run: Start) -> None:
    process = start_run("seconds=30", TELL="1")
    wait_for_save(process)
    assert open_run(1, store=tmp_path / "runs").status == "RUNNING"
    process.kill()
    process.wait()
    assert open_run(1, store=tmp_path / "runs").status == "DEAD"


def test_a_checkpoint_is_there_as_soon_as_save_returned(tmp_path: Path, start_run: Start) -> None:
    process = start_run("seconds=30", "checkpoint_every=1", "size=100000", TELL="1")
    saved = ""
    while saved.count("SAVED") < 5:
        saved += process.stdout.readline()
    process.kill()
    process.wait()
    last = saved.strip().splitlines()[-1].removeprefix("SAVED ")
    record = open_run(1, store=tmp_path / "runs")
    assert last in record.artifacts() or record.artifacts()[-1] > last
    assert 2 <= len(record.artifacts()) <= 3


# Torn reads ------------------------------------------------------------------------------------


def check_store(root: Path) -> tuple[int, list[str]]:
    """Look at everything as a stranger would: how many files were read, and what was invalid."""
    read, invalid = 0, []
    for path in root.glob("*/*.json"):
        try:
            text = path.read_text()
        except FileNotFoundError:
            continue
        read += 1
        try:
            json.loads(text)
        except ValueError as error:
            invalid.append(f"{path}: {error}")
    for path in root.glob(f"*/{JOURNAL}"):
        try:
            list(read_journal(path))
        except FileNotFoundError:
            continue
        except ValueError as error:
            invalid.append(f"{path}: {error}")
        read += 1
    for record in open_store(root) if root.is_dir() else []:
        for name in record.artifacts():
            try:
                size = len(record.open(name).read())
            except (UserError, FileNotFoundError):
                continue  # pruned between two lines of this test
            read += 1
            if size != 800128:
                invalid.append(f"{record.spec}/{name}: {size} bytes")
    return read, invalid


def torn_reads(root: Path, start_run: Start, kills: int) -> None:
    stop = threading.Event()
    read, invalid = [0], []

    def look() -> None:
        while not stop.is_set():
            count, found = check_store(root)
            read[0] += count
            invalid.extend(found)

    reader = threading.Thread(target=look)
    reader.start()
    chance = random.Random(0)
    for _ in range(kills):
        process = start_run(
            *("seconds=60", "checkpoint_every=3", "size=100000", "pause=0.005"),
            beat=0.02,
            INTERVAL="0.05",
            TELL="1",
        )
        wait_for_save(process)
        time.sleep(chance.uniform(0, 0.4))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    stop.set()
    reader.join()
    count, found = check_store(root)
    assert invalid + found == []
    assert read[0] > 50 * kills
    assert count >= 4 * kills
    records = open_store(root).records()
    assert [record.status for record in records] == ["DEAD"] * kills
    for record in records:
        for metric in record.metrics().values():
            assert metric.steps == list(range(1, len(metric.steps) + 1))
    print(f"{read[0]} reads during {kills} kills, none invalid")


def test_no_reader_ever_sees_a_torn_file(tmp_path: Path, start_run: Start) -> None:
    torn_reads(tmp_path / "runs", start_run, kills=3)


@pytest.mark.slow
def test_no_reader_ever_sees_a_torn_file_through_fifty_kills(
    tmp_path: Path, start_run: Start
) -> None:
    torn_reads(tmp_path / "runs", start_run, kills=50)


def test_leftovers_of_killed_writers_are_no_artifacts(tmp_path: Path) -> None:
    run(FileObserver(tmp_path), lambda _run: None)
    (tmp_path / "1" / f"{PREFIX}abc").write_text("half")
    record = open_run(1, store=tmp_path)
    assert record.artifacts() == []
    assert [record.id for record in open_store(tmp_path)] == [1]
