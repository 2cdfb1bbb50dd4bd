"""Given pairs in the scripts: learnt from, validated on, evaluated and compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from kill_and_resume import differences, final_state, train
from kinds import SRGAN, draw

from experiments import compare, evaluate, srgan
from experiments.support.values import parse_updates
from observers import open_run
from tmd.checkpoints import load_checkpoint
from tmd.errors import UserError
from tmd.images import read_image, to_float, write_image
from tmd.measurements import create_measurement
from tmd.resize import imresize_uint8

TRAINED = (
    *SRGAN,
    "dataset.root=HR",
    "dataset.validation=2",
    "dataset.mode=whole",
    # Of a mirrored image the sums are taken in another order, and a half may be rounded otherwise.
    "dataset.augment=False",
    "training.epoch_length=4",
    "schedule.pretrain=4it",
    "schedule.warmup=2it",
    "schedule.adversarial=4it",
    "training.checkpoint_every=10",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pairs whose LR is what we make, and six whose LR is something else."""
    folder = tmp_path_factory.mktemp("pairs")
    measure = create_measurement(["bicubic"], 2, 1)
    for number in range(6):
        (folder / "HR").mkdir(exist_ok=True)
        draw(number).save(folder / "HR" / f"{number}.png")
        hr = read_image(folder / "HR" / f"{number}.png")
        write_image(folder / "LR" / f"{number}x2.png", measure(to_float(hr)[None])[0])
        write_image(folder / "matlab" / f"{number}x2.png", imresize_uint8(hr, 0.5))
        write_image(folder / "other" / f"{number}x2.png", 255 - imresize_uint8(hr, 0.5))
    return folder


@pytest.fixture(scope="module")
def given(folder: Path) -> Path:
    return train("srgan", folder / "given", *TRAINED, "dataset.lr_root=LR", folder=folder)


def test_given_lr_that_is_what_we_make_trains_to_the_same_bits(folder: Path, given: Path) -> None:
    made = train("srgan", folder / "made", *TRAINED, folder=folder)
    ours, theirs = final_state(given), final_state(made)
    for name in ("generator", "discriminator", "ema", "trainer"):
        assert not differences(ours[name], theirs[name])
    one, other = (json.loads((run / "metrics.json").read_text()) for run in (given, made))
    for name in ("validation.psnr", "train.pixel"):
        assert one[name]["values"] == other[name]["values"]


def test_a_run_of_given_pairs_says_so_everywhere(given: Path) -> None:
    config = json.loads((given / "config.json").read_text())
    assert config["measurement"]["operators"] == ["given"]
    assert config["dataset"]["lr_root"] == "LR"
    pairs = json.loads((given / "info.json").read_text())["data"]["pairs"]
    assert pairs["count"] == 4
    assert pairs["bicubic_db"] > 45  # but for the rounding between the axes
    for name in ("best.pt", "checkpoint_00000010.pt"):
        assert load_checkpoint(given / name)["measurement"] == [{"name": "given"}]


def evaluated(folder: Path, **changes: Any) -> dict[str, Any]:
    run = evaluate.ex.run(
        config_updates={"benchmark": str(folder / "HR"), "scale": 2, "metrics": "psnr", **changes},
        options={"--file_storage": str(folder / "evaluations")},
    )
    ((_, means),) = run.result.items()
    return {**means, "id": run._id}


def test_evaluate_measures_on_the_given_lr(folder: Path, given: Path, capsys: Any) -> None:
    shown = {"run": str(given), "method": "bicubic"}
    made = evaluated(folder, **shown)
    same = evaluated(folder, **shown, lr_root=str(folder / "matlab"))
    assert "not MATLAB's" not in capsys.readouterr().err
    other = evaluated(folder, **shown, lr_root=str(folder / "other"))
    assert "the given LR is not MATLAB's bicubic of HR" in capsys.readouterr().err
    for system in {*made} - {"id"}:
        assert same[system] == made[system]
        assert other[system] != made[system]
    info = open_run(other["id"], store=str(folder / "evaluations")).info
    ((_, facts),) = info["evaluated"]["pairs"].items()
    assert facts["bicubic_db"] < 20


def test_lr_as_in_training_can_not_be_made_where_it_was_given(folder: Path, given: Path) -> None:
    with pytest.raises(UserError, match=r"learnt from given LR images; lr_root=FOLDER gives some"):
        evaluated(folder, run=str(given), measurement="run")


def test_compare_shows_the_given_lr(folder: Path, given: Path, capsys: Any) -> None:
    def compared(name: str, **changes: Any) -> dict[str, dict[str, float]]:
        entries = {
            "run": str(given),
            "input": str(folder / "HR"),
            "output": str(folder / name),
            "lpips": False,
        }
        return compare.ex.run(config_updates={**entries, **changes}).result

    plain = compared("sheets/plain")
    assert "learnt from given LR, and is shown LR by bicubic" in capsys.readouterr().err
    own = compared("sheets/own", lr_root=str(folder / "LR"))
    other = compared("sheets/other", lr_root=str(folder / "other"))
    assert own == plain
    assert other["Bicubic"]["psnr"] < own["Bicubic"]["psnr"] - 3
    assert len(list((folder / "sheets/other").glob("*.png"))) == 6


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["dataset.lr_root=absent"], "dataset.lr_root=absent: no such folder"),
        (["dataset.lr_root=other", "dataset.lr_pattern={}x3"], "6 HR images have no partner"),
        (
            ["dataset.lr_root=LR", 'measurement.operators=["decimate"]'],
            "all LR is given by dataset.lr_root",
        ),
        (['measurement.operators=["given"]'], "measurement.operators=['given']: needs"),
    ],
)
def test_mistakes_are_one_line_before_a_run_exists(
    folder: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(folder)
    given, _ = parse_updates([*TRAINED, *words])
    with pytest.raises(UserError) as problem:
        srgan.ex.run(config_updates=given, options={"--file_storage": "none"})
    assert said in str(problem.value)
    assert "\n" not in str(problem.value)
    assert not (folder / "none").exists()


def test_the_first_batch_is_of_the_given_folder(folder: Path) -> None:
    from tmd.data import create_paired_data

    options = {"name": "folder", "root": str(folder / "HR"), "lr_root": str(folder / "other")}
    data = create_paired_data({**options, "mode": "whole", "batch_size": 1, "workers": 0}, 2)
    lr, hr = next(data.batches())
    data.close()
    assert torch.corrcoef(torch.stack([lr.flatten(), hr[..., ::2, ::2].flatten()]))[0, 1] < -0.3
