"""An experiment without a discriminator: short to write, recorded, killed and gone on with."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import torch
from kill_and_resume import (
    checkpoints,
    command,
    count_tensors,
    differences,
    environment,
    final_state,
    train,
    train_and_surely_kill,
)
from kinds import DRAWN, SMALL, TOTAL, Kind

from tmd.checkpoints import load_generator

SCRIPT = "../tests/experiments/supervised"
UPDATES = (*SMALL, *DRAWN, "schedule.pretrain=36it", "schedule.warmup=0", "schedule.adversarial=0")
KIND = Kind((*UPDATES, "losses.extra.gradient=0.1"), script=SCRIPT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return KIND.prepare(tmp_path_factory.mktemp("supervised"))


@pytest.fixture(scope="module")
def ended(folder: Path) -> Path:
    return train(SCRIPT, folder / "runs", *KIND.updates, folder=folder)


def test_it_takes_at_most_120_lines() -> None:
    lines = Path(__file__).with_name("supervised.py").read_text().splitlines()
    assert len(lines) <= 120


def test_its_record_is_that_of_the_others(ended: Path) -> None:
    metrics = json.loads((ended / "metrics.json").read_text())
    assert {"train.pixel", "train.gradient", "validation.psnr", "validation.ssim"} <= set(metrics)
    assert not {name for name in metrics if "loss_d" in name or "lr_d" in name}
    record = json.loads((ended / "run.json").read_text())
    assert record["experiment"]["name"] == "supervised"
    assert record["status"] == "COMPLETED"
    assert record["result"]["psnr"] == max(metrics["validation.psnr"]["values"])
    assert load_generator(ended / "best.pt").scale == 2


def test_killed_it_ends_with_the_same_bits(ended: Path, folder: Path) -> None:
    store = folder / "runs"
    killed, _ = train_and_surely_kill(SCRIPT, store, 10, TOTAL, *KIND.updates, folder=folder)
    assert 10 <= max(checkpoints(killed)) < TOTAL
    resumed = train(SCRIPT, store, f"resume={killed}", folder=folder)
    reference = final_state(ended)
    assert count_tensors(reference) > 50
    assert not differences(reference, final_state(resumed))
    begun = final_state(killed)["generator"]
    assert any(not torch.equal(begun[name], reference["generator"][name]) for name in begun)


def test_its_mistakes_are_answered_in_a_line(folder: Path) -> None:
    store = folder / "refused"
    for update, said in (
        ("scale=5", "scale=5: must be one of 1, 2, 3, 4, 8"),
        ("discriminator.name=unet", "discriminator"),
        ("losses.extra.gradient=-1", "losses.extra.gradient=-1"),
    ):
        words = command(SCRIPT, store, *KIND.updates, update)
        done = subprocess.run(
            words, cwd=folder, env=environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    assert not store.exists()
