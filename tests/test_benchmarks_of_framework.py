"""The benchmarks that make their own data do what they say, whatever the figures."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


def rows_of(tmp_path: Path, name: str, *words: str) -> tuple[list[dict[str, str]], str]:
    """The CSV's rows and what was printed."""
    table = tmp_path / "out" / "table.csv"
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / name), *words, "--csv", str(table)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert f"Python {sys.version.split()[0]}" in done.stdout
    assert len(done.stdout.splitlines()) > len(rows)
    return rows, done.stdout


def test_listing_finds_the_same_images_first_and_later(tmp_path):
    words = ("--images", "300", "--folders", "9", "--distinct", "100", "--rounds", "2")
    rows, printed = rows_of(
        tmp_path, "listing.py", *words, "--settle", "0", "--folder", str(tmp_path)
    )
    assert [row["start"] for row in rows] == [
        *("first", "later", "later", "first, far away", "later, far away", "changed", "later")
    ]
    # Links to the ten images that are held out are not trained on.
    assert [int(row["images"]) for row in rows[:5]] == [270] * 5
    assert all(float(row["seconds"]) > 0 for row in rows)
    assert "300 images in 9 folders" in printed
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_overhead_is_told_for_each_kind_of_run(tmp_path):
    rows, printed = rows_of(tmp_path, "overhead.py", "--iterations", "30", "--rounds", "3")
    names = [row["what"] for row in rows]
    assert names[:3] == ["smoke networks' step", "bare loop", "Ignite's engine alone"]
    assert sum(name.startswith("run, ") for name in names) == 4
    assert rows[0]["% of the step"] == "100.0"
    costs = {row["what"]: float(row["µs"]) for row in rows}
    assert costs["smoke networks' step"] > costs["bare loop"] > 0
    assert "medians of 2 rounds of 30 iterations" in printed
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_long_run_tells_memory_and_time_of_each_tenth(tmp_path):
    picture = tmp_path / "plots" / "run.png"
    words = ("--iterations", "40", "--epochs", "1", "--plot", str(picture))
    rows, _ = rows_of(tmp_path, "long_run.py", *words)
    assert [int(row["iteration"]) for row in rows] == [1, *range(4, 41, 4)]
    assert all(float(row["RSS MB"]) > 10 for row in rows)
    assert rows[0]["µs"] == ""
    assert all(float(row["µs"]) > 0 for row in rows[1:])
    assert float(rows[-1]["record MB"]) > 0
    with Image.open(picture) as image:
        assert image.format == "PNG"


def test_optimizers_are_timed_beside_adam(tmp_path):
    words = ("--blocks", "1", "--features", "8", "--patch", "16", "--updates", "2", "--rounds", "2")
    rows, _ = rows_of(tmp_path, "optimizers.py", *words)
    assert [row["optimiser"] for row in rows] == ["Adam, fused", "Muon", "torch's Muon"]
    assert rows[0]["of Adam's time"] == "1.0"
    assert all(float(row["ms an update"]) > 0 for row in rows)


def test_layers_are_compared_and_agree(tmp_path):
    rows, _ = rows_of(tmp_path, "layers.py", "--rounds", "1", "--batch", "4")
    kinds = [row["layer"].split()[0] for row in rows]
    assert kinds == ["winograd"] * 10 + ["rows"] * 2 + ["PReLU"] * 2 + ["dense"]
    for row in rows:
        assert float(row["difference"]) < 1e-5
        assert (float(row["difference"]) == 0) == row["layer"].startswith("PReLU")
        assert float(row["alone: ratio"]) > 0


def test_a_profile_tells_where_the_step_goes(tmp_path):
    trace, picture = tmp_path / "traces" / "step.json", tmp_path / "bars.png"
    words = ("--iterations", "2", "--rows", "5", "--batch", "1", "--patch", "48")
    more = ("--speed", "float32", "--trace", str(trace), "--plot", str(picture))
    rows, printed = rows_of(tmp_path, "profile_step.py", *words, *more)
    assert len(rows) == 6
    assert rows[0]["operation"].startswith("aten::")
    assert sum(float(row["share"].rstrip("%")) for row in rows) == pytest.approx(100, abs=0.5)
    times = [float(row["ms"]) for row in rows[:-1]]
    assert times == sorted(times, reverse=True)
    assert "default, 1 × 48², float32" in printed
    assert any(
        event["name"] == "aten::conv2d" for event in json.loads(trace.read_text())["traceEvents"]
    )
    with Image.open(picture) as image:
        assert image.format == "PNG"


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ([(0, 4), (1, 2), (8, 10)], (0.6, 4)),
        ([(8, 10), (0, 4), (4, 8)], (1.0, 0)),
        ([(0, 10), (2, 3), (5, 12)], (1.0, 0)),
        ([(0, 1), (2, 3), (7, 10)], (0.5, 4)),
    ],
)
def test_gaps_between_kernels_are_those_that_none_fills(intervals, expected, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    profile_step = importlib.import_module("profile_step")
    assert profile_step.gaps(intervals) == pytest.approx(expected)


@pytest.mark.slow
def test_the_step_is_timed_beside_a_plain_one(tmp_path):
    words = ("--networks", "default", "--batch", "2", "--patch", "48", "--iterations", "1")
    speeds = ("float32+channels_last", "bfloat16+channels_last")
    picture = tmp_path / "step.png"
    more = ("--rounds", "2", "--plot", str(picture), "--speeds", *speeds)
    rows, _ = rows_of(tmp_path, "step.py", *words, *more)
    assert [row["step"] for row in rows] == ["plain", *speeds]
    assert rows[0]["over plain"] == "1.0"
    assert all(float(row["images/s"]) > 0 and float(row["MB"]) > 100 for row in rows)
    with Image.open(picture) as image:
        assert image.format == "PNG"


@pytest.mark.slow
def test_data_is_set_beside_the_need_of_the_step(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for number in range(6):
        Image.effect_noise((160, 120), 50).save(images / f"{number}.jpg")
    words = ("--seconds", "0.3", "--rounds", "1", "--workers", "1")
    rows, printed = rows_of(tmp_path, "data.py", str(images), *words)
    assert [row["storage"] for row in rows] == [
        *("plain", "disk, 1 workers", "disk, 0 workers"),
        *("memory, 1 workers", "memory, 0 workers", "device"),
    ]
    assert rows[0]["over plain"] == "1.0"
    assert all(float(row["over the step's need"]) > 0 for row in rows)
    assert "the default networks' step takes" in printed


@pytest.mark.slow
def test_upscaling_is_timed_and_compared_with_the_whole(tmp_path):
    Image.effect_noise((90, 70), 50).convert("RGB").save(tmp_path / "photo.png")
    words = ("--tiles", "24", "32", "--crop", "60", "--n-blocks", "1", "--n-features", "8")
    rows, printed = rows_of(tmp_path, "upscale.py", str(tmp_path / "photo.png"), *words)
    assert [row["tiles"] for row in rows] == ["24²", "32²"]
    assert all(float(row["seconds"]) > 0 and int(row["peak MB"]) > 100 for row in rows)
    differences = re.findall(r"differs by at most (\S+)", printed)
    assert len(differences) == 2
    assert all(float(difference) < 1e-6 for difference in differences)


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("step.py", ("--peers", "basicsr"), "--peers basicsr: is not installed; benchmarks/peers"),
        ("step.py", ("--speeds", "fast"), "--speeds='fast': must be auto, or one of float32"),
        ("profile_step.py", ("--speed", "fast"), "--speed='fast': must be auto, or one of float32"),
    ],
)
def test_mistakes_end_a_benchmark_with_a_line(tmp_path, name, words, said):
    if "basicsr" in words and importlib.util.find_spec("basicsr"):
        pytest.skip("basicsr is installed")
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / name), *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def on_gpu(folder: Path, *words: str) -> tuple[str, int]:
    """The report of a trial on a CPU, and the exit status."""
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "on_gpu.py", folder, "--device", "cpu", "--small", *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    report = folder / "report.md"
    return done.stderr if done.returncode == 2 else report.read_text(), done.returncode


def test_what_a_gpu_is_asked_is_kept_part_by_part(tmp_path):
    report, status = on_gpu(tmp_path / "out", "--parts", "profile", "training")
    assert status == 1
    assert "default, 2 × 48²" in report
    assert re.search(r"\| 2 × 48² \| aten::\w+", report)
    assert "left out: --photos was not given" in report
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("report.md", "log.txt", "profile.csv")
    }
    said, status = on_gpu(tmp_path / "out")
    assert status == 2
    assert said.splitlines()[-1].endswith("out holds a report: name another folder")


def test_a_gpu_that_is_soon_taken_back_leaves_what_was_found(tmp_path):
    report, status = on_gpu(tmp_path / "out", "--parts", "kills", "steps", "--minutes", "0.02")
    assert status == 1
    assert len(re.findall(r"ended after the [01] s that were left for it", report)) == 2


@pytest.mark.slow
def test_all_parts_for_a_gpu_come_to_their_end_on_a_cpu(tmp_path):
    data = Path(os.environ.get("TMD_TEST_DATA", BENCHMARKS.parents[1] / "shared" / "data"))
    if not data.is_dir():
        pytest.skip(f"{data}: no such folder")
    words = ["--photos", str(data / "train/BSDS500/train"), "--set5", str(data / "benchmarks/Set5")]
    words += ["--lpips", str(data / "weights"), "--minutes", "60"]
    report, status = on_gpu(tmp_path / "out", *words, "--words", "dataset.shrink=1")
    assert status == 0, report
    assert report.count("\n## ") == 6
    assert re.search(r"1 of 1 identical", report)
    assert re.search(r"updates CUDA graphs lie [\d.e+-]+ of the parameters' norm", report)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("report.md", "log.txt", "steps.csv", "steps.png", "profile.csv", "curve.png", "best.pt")
    }
