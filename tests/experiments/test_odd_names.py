"""Names of files that steer a terminal, or that no UTF-8 holds, are printed and kept as escapes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from kill_and_resume import ROOT, environment
from kinds import draw
from record_earlier import EARLIER

NAMES = ["red\x1b[31m.png", "two\nlines.png", os.fsdecode(b"latin\xe9.png")]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for number, name in enumerate(NAMES):
        draw(number).save(folder / name)
    return folder


def typed(folder: Path, script: str, *words: str) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(
        [sys.executable, str(ROOT / "experiments" / f"{script}.py"), *words],
        cwd=folder,
        env=environment(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert b"\x1b" not in done.stdout + done.stderr
    assert b"\xe9" not in done.stdout + done.stderr
    return done


@pytest.mark.parametrize("script", ["upscale", "compare"])
def test_results_keep_the_names_and_nothing_steers_the_terminal(
    script: str, photos: Path, tmp_path: Path
) -> None:
    network = EARLIER / "exported" / "best.pt"
    key = {"upscale": "checkpoint", "compare": "run"}[script]
    typed(tmp_path, script, "with", f"{key}={network}", f"input={photos}", "output=out")
    assert sorted(os.listdir(tmp_path / "out")) == sorted(NAMES)


def test_one_result_is_told_with_its_name_escaped(photos: Path, tmp_path: Path) -> None:
    only = tmp_path / "only"
    only.mkdir()
    (only / NAMES[0]).write_bytes((photos / NAMES[0]).read_bytes())
    network = EARLIER / "exported" / "best.pt"
    done = typed(tmp_path, "upscale", "with", f"checkpoint={network}", f"input={only}")
    assert rb"red\x1b[31m.png" in done.stdout


def test_an_evaluation_of_such_names_is_whole(photos: Path, tmp_path: Path) -> None:
    words = ("with", "method=bicubic", f"benchmark={photos}", "scale=2")
    done = typed(tmp_path, "evaluate", "-F", "runs", *words)
    rows = [line for line in done.stdout.decode().splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + len(NAMES) + 1  # head, rule, images, mean
    run = tmp_path / "runs" / "1"
    assert json.loads((run / "run.json").read_text())["status"] == "COMPLETED"
    assert r"two\nlines" in (run / f"{photos.name}.csv").read_text()
