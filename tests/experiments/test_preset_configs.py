"""Degradations by name, as they are typed: `tmd srgan with measurement.realesrgan`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments import ambientgan, srgan
from tmd.measurements import PRESETS

#: Patches of 12 pixels, and the fewest updates that meet all phases.
TINY = [
    "smoke",
    "dataset.patch_size=12",
    "dataset.batch_size=2",
    "dataset.workers=0",
    "schedule.pretrain=2it",
    "schedule.warmup=2it",
    "schedule.adversarial=2it",
    "training.epoch_length=2",
    "training.preview_images=0",
    "training.tensorboard=False",
    "training.threads=1",
]


def train(script, store: Path, *words: str) -> tuple[dict, dict]:
    """Config and record of a run to its end."""
    script.ex.run_commandline([f"{script.ex.path}.py", "-F", str(store), "with", *TINY, *words])
    (run,) = store.glob("[0-9]*")
    return tuple(json.loads((run / f"{name}.json").read_text()) for name in ("config", "run"))


def assert_trained(script, store: Path, name: str, *words: str) -> None:
    config, record = train(script, store, f"measurement.{name}", *words)
    assert record["status"] == "COMPLETED"
    # All of the list, whatever a later version calls by the name.
    assert config["measurement"]["operators"] == json.loads(json.dumps(PRESETS[name]()))


def test_srgan_trains_on_real_esrgans_degradations(tmp_path: Path) -> None:
    assert_trained(srgan, tmp_path, "realesrgan", "scale=4")


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize("name", sorted(PRESETS))
def test_srgan_trains_on_every_preset(tmp_path: Path, name: str, scale: int) -> None:
    assert_trained(srgan, tmp_path, name, f"scale={scale}", "dataset.channels=1")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(PRESETS))
def test_without_hr_a_network_trains_on_every_preset(tmp_path: Path, name: str) -> None:
    assert_trained(ambientgan, tmp_path, name, "scale=2")


def test_operators_that_are_typed_win_over_the_preset(capsys: pytest.CaptureFixture[str]) -> None:
    typed = ["measurement.operators=['bicubic']", "measurement.bsrgan"]
    srgan.ex.run_commandline(["srgan.py", "print_config", "with", *typed])
    assert "operators = ['bicubic']" in capsys.readouterr().out
    srgan.ex.run_commandline(["srgan.py", "print_config", "with", "measurement.bsrgan"])
    assert "operators = [{'name': 'bsrgan'}]" in capsys.readouterr().out
