"""Disks that are really full, at several moments of a run."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from driver import Driver

from observers import FileObserver, RunArtifacts, open_run
from observers.scratch import PREFIX
from tmd.checkpoints import load_checkpoint
from tmd.errors import UserError

CHECKPOINT = 400_000  # bytes; several fit on a disk of 4 MB


class Disk:
    """A small file system of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(path)],
            capture_output=True,
            check=False,
        )
        if mounted.returncode:
            pytest.skip(f"no file system may be mounted: {mounted.stderr.decode().strip()}")

    def fill(self, leave: int = 0) -> None:
        """Leave no more than ``leave`` bytes."""
        with contextlib.suppress(OSError), open(self.path / "filler", "ab", 0) as file:
            while True:
                file.write(bytes(4096))
        if leave:
            size = (self.path / "filler").stat().st_size
            os.truncate(self.path / "filler", size - leave)

    def free(self) -> None:
        (self.path / "filler").unlink(missing_ok=True)

    def unmount(self) -> None:
        subprocess.run(["umount", "-l", str(self.path)], check=True)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "store")
    yield disk
    disk.unmount()


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """What `tempfile` uses."""
    disk = Disk(tmp_path / "temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(disk.path))
    yield disk
    disk.unmount()


class Training:
    """An observed run that saves checkpoints as a training does; `i` is the iteration."""

    def __init__(self, root: Path) -> None:
        self.observer = FileObserver(root)
        self.driver = Driver(self.observer)
        self.observers = [self.observer]
        self.artifacts = RunArtifacts(self)
        self.kept: list[str] = []
        self.written = 0

    def write(self, i: int) -> Callable[[Path], None]:
        def save(path: Path) -> None:
            self.written += 1
            np.save(path, np.full(CHECKPOINT // 8, i, float))

        return save

    def save(self, i: int, best: bool = False) -> bool:
        self.driver.log(5)
        if best:
            self.artifacts.save("best.npy", self.write(i))
        durable = self.artifacts.save(f"checkpoint_{i:08d}.npy", self.write(i))
        if durable:
            self.kept.append(f"checkpoint_{i:08d}.npy")
            while len(self.kept) > 2:
                self.artifacts.remove(self.kept.pop(0))
        return durable

    def end(self) -> list[str]:
        """Places of what is not durable."""
        left = self.artifacts.undelivered()
        self.driver.complete(result=1.0)
        assert {*left} <= {*self.artifacts.undelivered()}
        return self.artifacts.undelivered()


def value(path: str | Path) -> float:
    return float(np.load(path)[0])


def scratch_files(temporary: Disk) -> list[str]:
    return sorted(path.name for path in temporary.path.glob(f"{PREFIX}*/[!.]*"))


def test_a_store_that_is_full_to_the_end(
    store: Disk, temporary: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "observers"):
        training = Training(store.path / "runs")
        assert training.save(10, best=True)
        store.fill()
        for i in (20, 30, 40, 50, 60, 70, 80):
            assert not training.save(i, best=i == 30)
            # The newest replaces the older ones: two files wait, not eight.
            assert (
                scratch_files(temporary)
                == ["best.npy", f"checkpoint_{i:08d}.npy"][0 if i >= 30 else 1 :]
            )
        left = training.end()
    places = [place for place in left if place.endswith(".npy")]
    assert sorted(value(place) for place in places) == [30.0, 80.0]
    said = [record.getMessage() for record in caplog.records]
    assert sum("save artifact" in line for line in said) == 1  # once, not seven times
    assert all(place in said[-1] for place in left)
    assert "had no room" in said[-1]
    # What is in the store is whole, and what does not fit into it is beside the checkpoint.
    record = open_run(store.path / "runs" / "1")
    assert value(record.local_path("checkpoint_00000010.npy")) == 10
    # As the line says: copied there, when there is room, all of it is part of the record.
    store.free()
    for place in left:
        (store.path / "runs" / "1" / Path(place).name).write_bytes(Path(place).read_bytes())
    record = open_run(store.path / "runs" / "1")
    assert record.status == "COMPLETED"
    assert record.metrics()["loss"].steps == list(range(1, 41))
    assert value(record.local_path("checkpoint_00000080.npy")) == 80
    assert value(record.local_path("best.npy")) == 30


def test_a_store_that_is_full_for_a_while(store: Disk, temporary: Disk) -> None:
    training = Training(store.path / "runs")
    training.save(10, best=True)
    store.fill()
    assert not training.save(20, best=True)
    assert not training.save(30)
    store.free()
    training.driver.beat()  # tried again
    record = open_run(store.path / "runs" / "1")
    assert value(record.local_path("checkpoint_00000030.npy")) == 30
    assert value(record.local_path("best.npy")) == 20
    assert "checkpoint_00000020.npy" not in record.artifacts()
    assert scratch_files(temporary) == []
    assert training.save(40)
    assert training.end() == []
    assert open_run(store.path / "runs" / "1").metrics()["loss"].steps == list(range(1, 21))
    assert list(temporary.path.iterdir()) == []


def test_a_newer_checkpoint_that_is_durable_takes_the_waiting_ones_place(
    store: Disk, temporary: Disk
) -> None:
    training = Training(store.path / "runs")
    store.fill()
    training.save(10)
    store.free()
    training.artifacts.save("checkpoint_00000020.npy", training.write(20))
    names = open_run(store.path / "runs" / "1").artifacts()
    assert names == ["checkpoint_00000020.npy"]
    assert training.end() == []


def test_a_disk_that_has_room_again_when_all_is_over(store: Disk, temporary: Disk) -> None:
    """As another process leaves it: what waits, the record itself too, is delivered."""
    training = Training(store.path / "runs")
    store.fill()
    training.save(10)
    left = {Path(place).name for place in training.end()}
    assert left == {"checkpoint_00000010.npy", "metrics.json", "run.json"}
    store.free()
    assert training.artifacts.undelivered() == []
    record = open_run(store.path / "runs" / "1")
    assert record.artifacts() == ["checkpoint_00000010.npy"]
    assert record.entry["artifacts"] == ["checkpoint_00000010.npy"]
    assert (record.status, record.result) == ("COMPLETED", 1.0)
    assert record.metrics()["loss"].steps == [1, 2, 3, 4, 5]
    assert scratch_files(temporary) == []


def test_a_full_temporary_folder_costs_nothing(store: Disk, temporary: Disk) -> None:
    temporary.fill()
    training = Training(store.path / "runs")
    for i in (10, 20, 30):
        assert training.save(i, best=True)
    assert training.end() == []
    record = open_run(store.path / "runs" / "1")
    assert record.artifacts() == [
        "best.npy",
        "checkpoint_00000020.npy",
        "checkpoint_00000030.npy",
    ]
    assert record.entry["observer_failures"]["count"] == 0


def test_with_both_full_the_newest_is_kept_in_memory_until_there_is_room(
    store: Disk, temporary: Disk
) -> None:
    training = Training(store.path / "runs")
    training.save(10)
    store.fill()
    training.save(20)  # to the temporary folder
    temporary.fill()
    assert not training.save(30)
    assert not training.save(40)
    waiting = training.artifacts.undelivered()
    assert [Path(place).name for place in waiting] == [
        "checkpoint_00000040.npy (in no file)",
        "checkpoint_00000020.npy",
    ]
    store.free()
    training.driver.beat()
    assert training.end() == []
    record = open_run(store.path / "runs" / "1")
    assert value(record.local_path("checkpoint_00000040.npy")) == 40
    assert scratch_files(temporary) == []


def test_both_full_to_the_end_is_said(
    store: Disk, temporary: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    training = Training(store.path / "runs")
    store.fill()
    temporary.fill()
    training.save(10)
    assert "checkpoint_00000010.npy (in no file)" in training.end()
    last = caplog.records[-1].getMessage()
    assert "no disk had any for checkpoint_00000010.npy" in last
    assert "kept in" not in last


def test_pictures_that_are_no_series_all_wait(store: Disk, temporary: Disk) -> None:
    training = Training(store.path / "runs")
    store.fill()
    names = [f"Set5_model_img_{number:03}.npy" for number in range(6)]
    for number, name in enumerate(names):
        training.artifacts.save(name, training.write(number))
    assert scratch_files(temporary) == names
    temporary.fill()
    for number in range(6, 20):  # bounded where there is no room at all, and told
        training.artifacts.save(f"Set5_model_img_{number:03}.npy", training.write(number))
    left = training.artifacts.undelivered()
    assert len(left) == 20
    assert len([place for place in left if place.endswith("(in no file)")]) == 14
    store.free()
    (store.path / "filler").write_bytes(bytes(100_000))
    training.driver.beat()
    kept = {path.name for path in (store.path / "runs" / "1").glob("*.npy")}
    assert kept <= {f"Set5_model_img_{number:03}.npy" for number in range(20)}
    assert len(kept) >= 8


def test_a_disk_with_room_for_a_part_keeps_no_torn_file(store: Disk, temporary: Disk) -> None:
    training = Training(store.path / "runs")
    training.save(10)
    store.fill(leave=CHECKPOINT // 2)
    temporary.fill(leave=CHECKPOINT // 2)
    assert not training.save(20)
    for disk in (store, temporary):
        torn = [path for path in disk.path.rglob("*.npy") if path.stat().st_size < CHECKPOINT]
        assert torn == []
        assert list(disk.path.rglob(".writing-*")) == []
    assert json.loads((store.path / "runs" / "1" / "run.json").read_text())["status"] == "RUNNING"


def test_a_run_on_a_full_disk_does_not_begin(store: Disk, temporary: Disk) -> None:
    (store.path / "runs").mkdir()
    store.fill()
    with pytest.raises(UserError, match=r"file storage .*: No space left on device"):
        Training(store.path / "runs")
    assert list((store.path / "runs").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["first checkpoint", "in the middle", "last checkpoint"])
def test_a_real_training_on_a_disk_that_fills(tmp_path: Path, store: Disk, moment: str) -> None:
    """Exit code 1, the place as the last line, and a network there that loads."""
    root = Path(__file__).resolve().parents[3]
    room = {"first checkpoint": 1_500_000, "in the middle": 2_800_000, "last checkpoint": 3_500_000}
    store.fill(leave=room[moment])
    (tmp_path / "tmp").mkdir()
    ended = subprocess.run(
        [
            *(sys.executable, str(root / "experiments" / "srgan.py"), "-F", str(store.path / "r")),
            *("with", "smoke", "schedule.pretrain=20it", "schedule.warmup=5it"),
            *("schedule.adversarial=15it", "training.checkpoint_every=10"),
        ],
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp"), "PYTHONWARNINGS": "ignore"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    last = (ended.stdout + ended.stderr).strip().splitlines()[-1]
    kept = [Path(place) for place in last.partition(": ")[2].split(", ")]
    (newest,) = [path for path in kept if path.name.startswith("checkpoint_")]
    assert load_checkpoint(newest)["iteration"] == 40
