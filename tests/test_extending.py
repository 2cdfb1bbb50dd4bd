"""A loss, a content term, a term of G's loss, a metric, a tracker, an optimiser, a network and a
kind of dataset, added by a stranger's file through public registries, are trained by in one run.
"""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
ADDED = (
    "losses.pixel=fourth_power",
    "losses.content=edges+0.5*l1",
    "losses.extra.darkness=0.25",
    'training.metrics=["psnr", "spread"]',
    'training.trackers=["lines"]',
    "optimization.optimizer_g=signs",
    "generator.name=nearest",
    "generator.options.side=5",
    "dataset.name=gradients",
)
SMALL = (
    *("scale=2", "device=cpu", "dataset.batch_size=2", "dataset.patch_size=16"),
    *("schedule.pretrain=4it", "schedule.warmup=2it", "schedule.adversarial=4it"),
    *("schedule.score=spectral", "training.epoch_length=2", "training.log_interval=2"),
    *("training.preview_images=1", "training.tensorboard=False", "training.speed=float32"),
    *("discriminator.features=[4,8]", "discriminator.strides=[2,2]"),
    *("discriminator.options.grid=2", "discriminator.options.hidden=8"),
)


def strangers(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "tests" / "strangers.py"), *words],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("store")
    done = strangers("-F", str(store), "with", *SMALL, *ADDED)
    assert done.returncode == 0, done.stderr
    return store / "1"


@pytest.fixture(scope="module")
def metrics(run: Path) -> dict[str, Any]:
    return json.loads((run / "metrics.json").read_text())


@pytest.mark.parametrize(
    "name", ["train.pixel", "train.content", "train.darkness", "validation.spread"]
)
def test_every_loss_and_metric_is_recorded(metrics: dict[str, Any], name: str) -> None:
    values = metrics[name]["values"]
    assert values
    assert all(map(math.isfinite, values))


def test_the_pixel_loss_is_the_one_that_was_added(metrics: dict[str, Any]) -> None:
    assert min(metrics["train.pixel"]["values"]) > 7


def test_the_metric_is_described_and_the_best_of_it_is_the_least(run: Path) -> None:
    said = json.loads((run / "info.json").read_text())["metrics_meta"]["spread"]
    assert said["label"] == "spread of errors"
    assert said["higher_is_better"] is False
    shown = subprocess.run(
        [
            sys.executable,
            "experiments/runs.py",
            "with",
            f"store={run.parent}",
            "metrics=validation.spread",
        ],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    curve = json.loads((run / "metrics.json").read_text())["validation.spread"]
    value, step = min(zip(curve["values"], curve["steps"], strict=True))
    assert curve["values"][0] != curve["values"][-1]
    best = re.search(r"\(([\d.]+) @ (\d+)\)", shown)
    assert best, shown
    assert (float(best[1]), int(best[2])) == (pytest.approx(value, abs=6e-4), step)


def test_the_tracker_saw_scalars_sheets_and_the_end(run: Path) -> None:
    lines = [json.loads(line) for line in (run / "lines.jsonl").read_text().splitlines()]
    kinds = [line[0] for line in lines]
    assert {"info", "train", "validation", "image"} <= set(kinds)
    assert kinds[-1] == "close"
    assert any("spread" in line[1] for line in lines if line[0] == "validation")


def test_the_network_and_its_option_and_the_optimiser_are_in_the_checkpoint(run: Path) -> None:
    state = torch.load(run / "checkpoint_00000010.pt", weights_only=True)
    assert state["generator_config"]["name"] == "nearest"
    assert state["generator"]["convolution.weight"].shape == (3, 3, 5, 5)
    assert "etas" in state["trainer"]["optimizer_g"]["param_groups"][0]


REFUSED = {
    "losses.pixel=l3": ("fourth_power", "l1"),
    "losses.content=l3": ("edges", "vggNM"),
    "losses.extra.l3=1": ("darkness", "gradient"),
    'training.metrics=["l3"]': ("spread", "psnr"),
    'training.trackers=["l3"]': ("lines", "tensorboard"),
    "optimization.optimizer_g=l3": ("signs", "adam"),
    "generator.name=l3": ("nearest", "srresnet"),
    "dataset.name=l3": ("gradients", "folder"),
}
#: Types each line, as `strangers.py` would be typed, in one process.
TYPED = """
import sys
from tests.strangers import ex
for update in sys.argv[2:]:
    try:
        ex.run_commandline(["", "-F", sys.argv[1], "with", "device=cpu", update])
    except SystemExit as end:
        print("exit", end.code, file=sys.stderr)
"""


def test_their_names_are_listed_where_another_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TYPED, str(tmp_path / "none"), *REFUSED],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    said = done.stderr.splitlines()
    assert said[1::2] == ["exit 2"] * len(REFUSED), done.stderr
    for line, names in zip(said[::2], REFUSED.values(), strict=True):
        assert line.startswith("error: ")
        assert all(name in line for name in names), line
    assert not (tmp_path / "none").exists()
