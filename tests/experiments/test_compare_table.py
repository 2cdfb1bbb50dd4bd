"""`tmd compare table`: recorded values are taken, others measured, seeds are one row."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import sacred
from PIL import Image
from trained_files import checkpoint

from experiments.compare import ex as compare
from experiments.evaluate import ex as evaluate
from experiments.support.evaluating import Evaluation
from observers import RunArtifacts, create_observers, open_run
from tmd.errors import UserError

IMAGES = 6


def training(path: Path, seed: int, rate: float) -> int:
    """A run of the store whose config has a seed and a rate."""
    trained = sacred.Experiment("srgan", save_git_info=False)
    trained.observers.extend(create_observers(file_storage="runs"))
    trained.add_config({"rate": rate})

    @trained.main
    def main(_run):
        RunArtifacts(_run).save("best.pt", path)

    return trained.run(config_updates={"seed": seed})._id


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two systems of two seeds each, runs 1 to 4, and a benchmark."""
    folder = tmp_path_factory.mktemp("table")
    draws = np.random.default_rng(0)
    (folder / "Toy").mkdir()
    for number in range(IMAGES):
        small = draws.integers(0, 256, (8, 9, 3), dtype=np.uint8)
        Image.fromarray(small).resize((36, 32), Image.BICUBIC).save(folder / f"Toy/{number}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for number, (seed, rate) in enumerate(((1, 0.1), (2, 0.1), (1, 0.2), (2, 0.2)), 1):
            file = checkpoint(Path(f"{number}.pt"), seed=number, n_features=4)
            assert training(file, seed, rate) == number
    return folder


@pytest.fixture(autouse=True)
def _there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TORCH_HOME", str(folder / "torch"))
    monkeypatch.delenv("TMD_MONGO_URL", raising=False)


def rows(**updates) -> dict[tuple[str, str], dict[str, str]]:
    """(system, metric) -> the row that the table's CSV has of it."""
    given = {"output": "table.csv", "overwrite": True, "device": "cpu", **updates}
    compare.run("table", config_updates=given)
    with open("table.csv", newline="") as file:
        return {(row["system"], row["metric"]): row for row in csv.DictReader(file)}


def test_seeds_are_one_row_beside_bicubic_and_recorded_values_are_the_measured_ones(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = {"run": [1, 2, 3, 4], "benchmark": "Toy", "metrics": "psnr,ssim", "baseline": "bicubic"}
    measured = rows(**asked)
    assert "evaluated now, which `tmd evaluate` would keep: bicubic, run 1, run 2" in (
        capsys.readouterr().err
    )
    first, second = "runs 1, 2, rate=0.1", "runs 3, 4, rate=0.2"
    assert list(dict.fromkeys(name for name, _ in measured)) == ["bicubic", first, second]
    evaluate.run(
        config_updates={"run": [1, 2, 3, 4], "method": "bicubic", "benchmark": "Toy"},
        options={"--file_storage": "runs"},
    )
    record = open_run(5)
    with record.open("Toy.csv") as file:
        mean = list(csv.DictReader(file.read().decode().splitlines()))[-1]
    both = [float(mean["PSNR run 1"]), float(mean["PSNR run 2"])]
    found = measured[first, "psnr"]
    assert float(found["mean"]) == pytest.approx(sum(both) / 2, abs=1e-6)
    assert float(found["deviation"]) == pytest.approx(abs(both[0] - both[1]) / 2**0.5, abs=1e-5)
    difference = float(found["mean"]) - float(mean["PSNR bicubic"])
    assert float(found["difference_mean"]) == pytest.approx(difference, abs=1e-6)
    assert (found["seeds"], found["images"]) == ("2", str(IMAGES))

    def not_again(*args, **kwargs):
        raise AssertionError("measured again")

    monkeypatch.setattr(Evaluation, "tables", not_again)
    for benchmark in ("Toy", "./Toy/", None):
        assert rows(**{**asked, "benchmark": benchmark}) == measured
    again = rows(run="4.pt", metrics="psnr", benchmark="Toy")  # run 4's file by another name
    assert (
        again["4.pt", "psnr"]["mean"]
        == rows(run=4, group=False, metrics="psnr", benchmark="Toy")["run 4", "psnr"]["mean"]
    )
    apart = rows(**{**asked, "group": False, "names": "b,one,two,three,four", "baseline": 1})
    assert float(apart["two", "psnr"]["difference_mean"]) == pytest.approx(
        both[1] - both[0], abs=1e-6
    )
    given = rows(run=5, baseline="bicubic", metrics="psnr")  # the evaluation itself
    assert given["run 2", "psnr"]["mean"] == apart["two", "psnr"]["mean"]
    # Another convention is no record of this one.
    with pytest.raises(AssertionError, match="measured again"):
        rows(**asked, border=0)
    Path("runs/1/best.pt").write_bytes(Path("4.pt").read_bytes())  # as if run 1 had gone on
    try:
        moved = rows(run=1, metrics="psnr", benchmark="Toy")
        assert moved["run 1", "psnr"]["mean"] == again["4.pt", "psnr"]["mean"]
    finally:
        Path("runs/1/best.pt").write_bytes(Path("1.pt").read_bytes())
    digest = hashlib.sha256(Path("1.pt").read_bytes()).hexdigest()
    assert (
        json.loads(Path("runs/5/info.json").read_text())["evaluated"]["systems"]["run_1"]["sha256"]
        == digest
    )


def test_both_forms_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    given = {"run": [1, 2], "benchmark": "Toy", "metrics": "psnr", "device": "cpu"}
    compare.run("table", config_updates=given)
    said = capsys.readouterr().out
    assert "| Toy ×2" in said
    assert r"\toprule" in said
    assert "Trainings with other seeds: runs 1, 2 2." in said
    assert "Toy ×2 has 6 images" in said


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"run": None}, "run=None: give a run"),
        ({"method": "magic"}, "method='magic': must be one of"),
        ({"group": "rate"}, "group='rate': must be seeds, False or runs"),
        ({"group": [[1, 9]]}, "9 is no run of run=1,2"),
        ({"group": [[1, 1]]}, "names a run twice"),
        ({"names": "one"}, "names: 1 for 2 rows, bicubic, runs 1, 2"),
        ({"names": "one,one"}, "names=one,one: one for two rows"),
        ({"benchmark": "Nowhere"}, "no such folder"),
        ({"baseline": 77}, "77"),
        ({"output": "table.pdf"}, "output's suffix='.pdf': must be one of"),
        ({"metrics": "beauty"}, "beauty"),
        ({"border": -1}, "border=-1"),
    ],
)
def test_mistakes_get_one_line(changes: dict, message: str) -> None:
    given = {"run": [1, 2], "benchmark": "Toy", "metrics": "psnr", "device": "cpu", **changes}
    with pytest.raises(UserError) as problem:
        compare.run("table", config_updates=given)
    assert message in str(problem.value)
    assert "\n" not in str(problem.value)


def test_a_benchmark_that_an_evaluation_has_not_is_named() -> None:
    evaluated = evaluate.run(
        config_updates={"benchmark": "Toy", "method": ["nearest", "bicubic"], "metrics": "psnr"},
        options={"--file_storage": "runs"},
    )
    asked = {"run": [evaluated._id], "benchmark": ["Toy", "Other"], "metrics": "psnr"}
    with pytest.raises(
        UserError, match=r"^benchmark=Other: not all that is compared was evaluated"
    ):
        rows(**asked)
    assert rows(**{**asked, "benchmark": "Toy"})
