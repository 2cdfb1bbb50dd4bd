"""Blank and nearly blank pictures among the held-out ones decide nothing, and are named."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from kill_and_resume import ROOT, SETTINGS, environment
from PIL import Image
from skimage import data

SHORT = [word for word in SETTINGS if not word.startswith("schedule.")]
PHASES = ["schedule.pretrain=24it", "schedule.warmup=4it", "schedule.adversarial=16it"]


def trained(folder: Path, held_out: Path) -> tuple[Path, str]:
    """The folder of a run that validates on ``held_out``, and what it printed to stderr."""
    store = folder / f"of_{held_out.name}"
    command = [sys.executable, str(ROOT / "experiments" / "srgan.py"), "-F", str(store), "with"]
    roots = [f"dataset.root={folder / 'photos'}", f"dataset.val_root={held_out}"]
    done = subprocess.run(
        [*command, *SHORT, *PHASES, *roots, "training.speed=float32"],
        cwd=folder,
        env=environment(ROOT),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return store / "1", done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("astronaut", "coffee", "chelsea", "rocket"):
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(getattr(data, name)()[:128, :128]).save(tmp_path / "photos" / f"{name}.png")
    for held_out in ("ordinary", "mixed"):
        (tmp_path / held_out).mkdir()
        for index in range(2):
            crop = data.retina()[400 + 100 * index :][:96, 400:496]
            Image.fromarray(crop).save(tmp_path / held_out / f"{index}.png")
    blank = np.full((96, 96, 3), 255, np.uint8)
    Image.fromarray(blank).save(tmp_path / "mixed" / "blank.png")
    blank[40, 40] = 250
    Image.fromarray(blank).save(tmp_path / "mixed" / "speck.png")
    return tmp_path


def test_a_run_validates_as_if_they_were_not_there(folder: Path) -> None:
    records = {}
    for name in ("ordinary", "mixed"):
        run, said = trained(folder, folder / name)
        curves = json.loads((run / "metrics.json").read_text())
        records[name] = {
            key: curve["values"] for key, curve in curves.items() if key.startswith("validation")
        }
        info = json.loads((run / "info.json").read_text())
        records[name]["result"] = json.loads((run / "run.json").read_text())["result"]
        named = ["blank.png", "speck.png"] if name == "mixed" else []
        assert [Path(each).name for each in info["left_out"]] == named
        lines = [line for line in said.splitlines() if "in no mean" in line]
        assert len(lines) == bool(named)
        assert all(each in lines[0] for each in named)
    assert records["mixed"] == records["ordinary"]
    assert len(set(records["mixed"]["validation.psnr"])) > 3
    assert records["mixed"]["result"]["best_iteration"] > 24
