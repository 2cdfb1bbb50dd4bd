"""A training that really diverges leaves the update that broke, and `tmd replay` makes it again."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import torch
from kill_and_resume import command, environment
from kinds import DRAWN, KINDS, SRGAN

from experiments.replay import ex
from tmd.errors import UserError

#: Steps of several batches, a penalty's draws, a history: all that an update hangs on.
DIVERGING = (
    *SRGAN,
    *DRAWN,
    "optimization.lr_d=1e15",
    "losses.adversarial=wgan-gp",
    "discriminator.norm=none",
    "optimization.d_steps=2",
    "optimization.accumulate=2",
    "history.every=1",
)


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a run that diverged, and what it printed."""
    folder = KINDS["srgan"].prepare(tmp_path_factory.mktemp("diverging"))
    done = subprocess.run(
        command("srgan", folder / "runs", *DIVERGING),
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    return folder / "runs" / "1", done.stderr.splitlines()[-1]


def captured(run: Path) -> Path:
    (file,) = run.glob("nonfinite_*.pt")
    return file


def test_the_run_ends_with_the_line_and_keeps_its_checkpoints(broken: tuple[Path, str]) -> None:
    run, line = broken
    file = captured(run)
    assert line.startswith("error: training stopped: loss_d became ")
    assert line.endswith(f"tmd replay {file}")
    record = json.loads((run / "run.json").read_text())
    assert record["status"] == "FAILED"
    assert {file.name, "checkpoint_00000010.pt", "best.pt"} <= set(record["artifacts"])
    iteration = int(re.search(r"at iteration (\d+)", line)[1])
    assert int(file.stem.rpartition("_")[2]) == iteration > 10


def test_it_is_made_again_to_the_bit_and_the_first_layer_is_named(
    broken: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ex.run(config_updates={"file": str(captured(broken[0]))}).status == "COMPLETED"
    said = capsys.readouterr().out
    assert re.search(r"^srgan, update 1\d \(float32 on cpu\)$", said, re.MULTILINE)
    assert re.search(r"^not finite: loss_d=(nan|-?inf)", said, re.MULTILINE)
    assert re.search(r"^first the output of discriminator\.\S+ \(\w+\): \d+ of \d+", said, re.M)
    assert "every scalar is the captured one, to the bit" in said


def test_other_numbers_are_told(broken: tuple[Path, str], tmp_path: Path) -> None:
    state = torch.load(captured(broken[0]), weights_only=True)
    state["captured"]["output"]["loss_d"] += 1  # NaN stays NaN, but the others'
    state["captured"]["output"]["content"] = torch.tensor(0.25)
    torch.save(state, tmp_path / "other.pt")
    with pytest.raises(UserError, match="not the captured numbers"):
        ex.run(config_updates={"file": str(tmp_path / "other.pt")})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("checkpoint_00000010.pt", "a checkpoint, and no update that broke"),
        ("absent.pt", "no such file"),
        (None, "file: give the file of a run"),
    ],
)
def test_what_is_no_such_file_is_one_line(broken: tuple[Path, str], name, message) -> None:
    file = None if name is None else str(broken[0] / name)
    with pytest.raises(UserError, match=message) as raised:
        ex.run(config_updates={"file": file})
    assert "\n" not in str(raised.value)
