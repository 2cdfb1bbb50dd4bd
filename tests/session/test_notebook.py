"""The example of `docs/howto/notebook.md`: trained, killed, gone on with, without Sacred."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[2]
LAST = "checkpoint_00000120.pt"


def example() -> str:
    """The page's code."""
    (code,) = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs/howto/notebook.md").read_text(), re.S
    )
    return code


def start(folder: Path) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-c", example() + "\nimport sys; assert 'sacred' not in sys.modules"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def tensors(state: Any, path: str = "") -> dict[str, torch.Tensor]:
    if isinstance(state, torch.Tensor):
        return {path: state}
    pairs = state.items() if isinstance(state, dict) else ()
    if isinstance(state, (list, tuple)):
        pairs = enumerate(state)  # type: ignore[assignment]
    return {k: v for key, value in pairs for k, v in tensors(value, f"{path}.{key}").items()}


def test_the_example_is_short() -> None:
    assert len([line for line in example().splitlines() if line.strip()]) <= 35


def test_a_notebook_that_was_killed_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    whole = start(tmp_path / "whole")
    printed, _ = whole.communicate(timeout=300)
    assert whole.returncode == 0, printed
    killed = start(tmp_path / "killed")
    deadline = time.monotonic() + 300
    seen = tmp_path / "killed" / "first" / "checkpoint_00000060.pt"
    while killed.poll() is None and not seen.exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed" / "first" / LAST).exists()
    again = start(tmp_path / "killed")
    printed, _ = again.communicate(timeout=300)
    assert again.returncode == 0, printed
    states = [
        tensors(torch.load(tmp_path / name / "first" / LAST, weights_only=True))
        for name in ("whole", "killed")
    ]
    assert len(states[0]) > 60
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
