"""What a killed process has left half written goes with the next run; a living one's stays."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from driver import Driver

from observers import FileObserver
from observers.scratch import PREFIX, Scratch, sweep_scratch
from observers.writing.sweeping import sweep_beside

# Stands in the middle of three files, and of two folders of its own, until it is killed.
WRITER = """
import sys, time
from pathlib import Path
from observers.scratch import Scratch
from tmd.files import replacing, replacing_path
run, sources = Path(sys.argv[1], "1"), Path(sys.argv[1], "_sources")
run.mkdir(parents=True), sources.mkdir()
temporary, kept, empty = Scratch(), Scratch(keep=True), Scratch(keep=True)
(temporary.path / "artifact").write_text("a copy")
(kept.path / "checkpoint.pt").write_text("the only one")
empty.path
with replacing(run / "run.json") as a, replacing_path(run / "c.pt") as b, replacing(sources / "s"):
    a.write(b"half")
    b.write_text("half")
    print("WRITING", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[str]]:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", WRITER, str(tmp_path / "runs")],
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "WRITING\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def half_written(root: Path) -> list[Path]:
    return sorted(root.rglob(".writing-*"))


def test_leftovers_of_the_killed_are_swept_and_of_the_living_are_not(
    tmp_path: Path, writer: subprocess.Popen[str]
) -> None:
    root, scratch = tmp_path / "runs", tmp_path / "tmp"
    assert len(half_written(root)) == 3
    assert len(list(scratch.glob(f"{PREFIX}*"))) == 3
    sweep_beside(root).join()
    assert len(half_written(root)) == 3
    assert len(list(scratch.glob(f"{PREFIX}*"))) == 3
    writer.kill()
    writer.wait()
    driver = Driver(FileObserver(root))  # the next run
    deadline = time.monotonic() + 10
    while half_written(root) or len(list(scratch.glob(f"{PREFIX}*"))) > 1:
        assert time.monotonic() < deadline, [*half_written(root), *scratch.iterdir()]
        time.sleep(0.05)
    # A checkpoint that its store had no room for is no leftover.
    (kept,) = scratch.glob(f"{PREFIX}*/checkpoint.pt")
    assert kept.read_text() == "the only one"
    driver.complete()


def test_what_is_not_ours_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / f"{PREFIX}notes").mkdir()
    (tmp_path / f"{PREFIX}notes" / "a.txt").write_text("somebody's")
    (tmp_path / f"{PREFIX}other").mkdir()
    for number, owner in enumerate(("", "[]", '{"machine": "elsewhere", "pid": 1, "keep": false}')):
        folder = tmp_path / f"{PREFIX}{number}"
        folder.mkdir()
        (folder / ".owner.json").write_text(owner)
    before = sorted(tmp_path.rglob("*"))
    assert sweep_scratch() == []
    assert sorted(tmp_path.rglob("*")) == before


def test_a_scratch_folder_goes_with_its_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    scratch = Scratch()
    (scratch.path / "file").write_text("")
    keeping = Scratch(keep=True)
    (keeping.path / "file").write_text("")
    kept = keeping.path
    assert len(list(tmp_path.iterdir())) == 2
    del scratch, keeping
    assert list(tmp_path.iterdir()) == [kept]
