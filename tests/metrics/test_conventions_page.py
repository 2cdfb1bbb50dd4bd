"""The page of conventions holds what the installed libraries give."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pytest

from tmd.evaluation import interpolation, open_benchmark, read_pair
from tmd.images import to_float

ROOT = Path(__file__).resolve().parents[2]
SCALE = 4


def table(name: str) -> list[dict[str, str]]:
    page = (ROOT / "docs" / "conventions.md").read_text(encoding="utf-8")
    text = page.partition(f"<!-- {name} -->")[2].partition(f"<!-- end {name} -->")[0]
    lines = [line.split("|")[1:-1] for line in text.strip().splitlines()]
    heads, _, *cells = [[cell.strip() for cell in line] for line in lines]
    return [dict(zip(heads, line, strict=True)) for line in cells]


def same_version(library: str) -> bool:
    name, _, told = library.partition(" ")
    try:
        return not name or version(name) == told
    except PackageNotFoundError:
        return False


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield __import__("conventions")
    sys.modules.pop("conventions")


def test_each_row_is_what_its_library_gives(benchmark, shared_data) -> None:
    pairs = []
    opened = open_benchmark(shared_data / "benchmarks" / "Set5", SCALE)
    for sample in opened.samples:
        lr, hr = read_pair(sample, SCALE)
        sr = interpolation("bicubic", SCALE)(sample, lr)
        pairs.append([to_float(image)[None] for image in (sr, hr)])
    rows = {(row.versioned, row.what): row for row in benchmark.rows(SCALE, None)}
    checked = 0
    for line in table("metrics"):
        row = rows.get((line.get("library", ""), line["called"]))
        if row is None or not same_version(line["library"]):
            continue
        assert line["reason"] == row.reason
        for metric, digits in (("psnr", 2), ("ssim", 4)):
            told = line[f"×{SCALE} {metric.upper()}"]
            if told:
                mean = np.mean([getattr(row, metric)(sr, hr) for sr, hr in pairs])
                assert float(told) == pytest.approx(mean, abs=0.51 * 10**-digits), row
                checked += 1
    # Ours in six ways, and at least one library.
    assert checked >= 14


def test_the_papers_row_comes_out_to_the_digit() -> None:
    """As published: arXiv:1511.04587, table 2."""
    (line,) = (row for row in table("metrics") if "the row of the papers" in row["reason"])
    published = {2: ("33.66", "0.9299"), 3: ("30.39", "0.8682"), 4: ("28.42", "0.8104")}
    for scale, figures in published.items():
        assert (line[f"×{scale} PSNR"], line[f"×{scale} SSIM"]) == figures


def test_lr_of_each_library_is_as_far_from_matlabs_as_told(benchmark, shared_data) -> None:
    told = {row["called"]: row for row in table("reductions")}
    (matlab,) = (row for row in told.values() if row["library"] == "MATLAB")
    assert matlab["from MATLAB's"] == "equal"
    found = benchmark.distances(shared_data / "benchmarks" / "Set5", {})
    checked = [row for row in found if same_version(row["library"]) and row["called"] in told]
    for row in checked:
        assert row.items() <= told[row["called"]].items()
    assert len(checked) >= 4
