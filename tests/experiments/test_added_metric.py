"""A metric that somebody adds: one function with one line above it, and it is everywhere."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from kill_and_resume import ROOT, SETTINGS, environment

from observers import open_run
from observers.reading.listing import listed
from tmd.metrics import metric
from tmd.metrics.registry import INFO_KEY

#: All that is written to add one; the rest starts a script as its user would.
ADDED = """
from tmd.metrics import register

@register("sharpness", label="Sharpness", unit="%", decimals=1, higher_is_better=True)
def sharpness(sr, hr, border=0):
    inside = (..., slice(border, -border), slice(border, -border))
    sr, hr = (image[inside].diff().abs().mean((1, 2, 3)) for image in (sr, hr))
    return 100 * sr / (hr + 1e-6)

import importlib, sys
importlib.import_module(f"experiments.{sys.argv[1]}").ex.run_commandline(sys.argv[1:])
"""


def call(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", ADDED, *words],
        cwd=folder,
        env=environment(ROOT),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With run 1 in the store ``runs``."""
    folder = tmp_path_factory.mktemp("added")
    call(folder, "srgan", "with", *SETTINGS, "training.metrics=ssim,sharpness",
         "training.trackers=[tensorboard]")  # fmt: skip
    return folder


def test_it_is_validated_with_and_recorded(folder: Path) -> None:
    run = folder / "runs" / "1"
    values = json.loads((run / "metrics.json").read_text())["validation.sharpness"]["values"]
    assert len(values) == 8
    assert 0 < min(values) < max(values) < 200
    entry, info = (json.loads((run / f"{name}.json").read_text()) for name in ("run", "info"))
    assert entry["result"]["sharpness"] in values
    assert entry["result"]["bicubic_sharpness"] == info["bicubic"]["sharpness"]
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    read = events.EventAccumulator(str(run / "tensorboard")).Reload()
    points = [point.value for point in read.Scalars("validation/sharpness")]
    assert points == pytest.approx(values)


def test_it_is_said_with_its_unit_and_digits_beside_bicubics(folder: Path) -> None:
    output = open_run(1, store=str(folder / "runs")).captured_out
    lines = [line for line in output.splitlines() if line.startswith("iteration ")]
    assert len(lines) == 8
    for line in lines:
        said = line.partition("Sharpness ")[2].split(",")[0]
        value, unit, _, bicubic = said.split()
        assert unit == "%"
        assert all(len(n.rstrip(")").partition(".")[2]) == 1 for n in (value, bicubic))
    assert "Sharpness" in output.partition("held-out images")[2].splitlines()[0]


def test_a_program_that_does_not_know_it_lists_its_greatest_value_as_the_best(folder: Path) -> None:
    assert metric("validation.sharpness").higher_is_better is None
    record = open_run(1, store=str(folder / "runs"))
    known = metric("validation.sharpness", record.info[INFO_KEY])
    assert (known.label, known.unit, known.higher_is_better) == ("Sharpness", "%", True)
    values = record.metrics()["validation.sharpness"].values
    run = listed(record)
    shown = (run.metrics if hasattr(run, "metrics") else run.figures)["validation.sharpness"]
    assert shown.best == max(values)


def test_evaluate_has_a_column_of_it(folder: Path, shared_data: Path) -> None:
    benchmark = shared_data / "benchmarks" / "Set5"
    words = ("run=runs/1", "method=bicubic", f"benchmark={benchmark}", "metrics=psnr,sharpness")
    output = call(folder, "evaluate", "-F", "tables", "with", *words)
    head = next(line for line in output.splitlines() if line.startswith("| image"))
    assert "Sharpness bicubic" in head
    rows = list(csv.reader((folder / "tables" / "1" / "Set5.csv").read_text().splitlines()))
    mean = dict(zip(rows[0], rows[-1], strict=True))
    assert 40 < float(mean["Sharpness bicubic"]) < 100


def test_its_curve_is_drawn(folder: Path) -> None:
    words = ("run=1", "output=curves.png", "metrics=sharpness")
    assert "1 curve of run 1" in call(folder, "compare", "curves", "with", *words)
    assert (folder / "curves.png").stat().st_size > 5_000
