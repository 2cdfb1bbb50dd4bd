"""A run recorded in a folder: whole files, and what goes on where it was killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tmd.recorders import Folder, recording


def points(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_all_kinds_of_entries(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "a"
    recorder = Folder(folder)
    picture = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    with recording([recorder]):
        recorder.info({"phases": {"pretrain": 4}, "device": "cpu"})
        recorder.info({"device": "cuda"})
        recorder.metrics("train", {"pixel": 0.5, "odd": float("nan")}, 10)
        recorder.metrics("validation", {"psnr": 28.5}, 10)
        recorder.image("sheet_00000010.png", picture, 10)
        assert recorder.artifact("best.pt", lambda path: path.write_bytes(b"weights"))
        assert recorder.artifact("old.pt", lambda path: path.write_bytes(b""))
        recorder.remove("old.pt")
        recorder.remove("never.pt")
    assert json.loads((folder / "info.json").read_text()) == {
        "phases": {"pretrain": 4},
        "device": "cuda",
    }
    assert points(folder) == [
        {"iteration": 10, "group": "train", "pixel": 0.5, "odd": None},
        {"iteration": 10, "group": "validation", "psnr": 28.5},
    ]
    assert np.array_equal(np.asarray(Image.open(folder / "sheet_00000010.png")), picture)
    assert (folder / "best.pt").read_bytes() == b"weights"
    assert sorted(os.listdir(folder)) == [
        "best.pt",
        "info.json",
        "metrics.jsonl",
        "sheet_00000010.png",
    ]


def test_a_session_that_goes_on_replaces_the_points_after_its_checkpoint(tmp_path: Path) -> None:
    first = Folder(tmp_path)
    for iteration in (10, 20, 30):
        first.metrics("train", {"pixel": iteration}, iteration)
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"iteration": 40, "gro')  # killed here
    second = Folder(tmp_path)
    second.metrics("train", {"pixel": -20}, 20)
    second.metrics("validation", {"psnr": 1.0}, 20)
    second.close()
    assert [(p["iteration"], p.get("pixel")) for p in points(tmp_path)] == [
        (10, 10),
        (20, -20),
        (20, None),
    ]


def test_a_file_that_fails_half_way_leaves_the_former_one(tmp_path: Path, capsys) -> None:
    recorder = Folder(tmp_path)
    recorder.artifact("best.pt", lambda path: path.write_bytes(b"first"))

    def fails(path: Path) -> None:
        path.write_bytes(b"half")
        raise RuntimeError("PytorchStreamWriter failed writing file")

    assert recorder.artifact("best.pt", fails) is False
    assert recorder.artifact("best.pt", fails) is False
    assert (tmp_path / "best.pt").read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["best.pt"]
    assert capsys.readouterr().err.count("\n") == 1


def test_names_stay_in_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="without folders"):
        Folder(tmp_path / "a").artifact("../b", lambda path: path.touch())


FILLS_AND_EMPTIES = """
import resource, sys
from tmd.recorders import Folder

hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, hard))
recorder = Folder(sys.argv[1])
for iteration in range(400):
    if iteration == 350:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    recorder.metrics("train", {"pixel": 0.5}, iteration)
recorder.close()
"""


def test_a_disk_that_fills_and_is_emptied_costs_no_point(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FILLS_AND_EMPTIES, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1
    assert [point["iteration"] for point in points(tmp_path)] == list(range(400))
