"""Kill training runs with SIGKILL, resume them, and compare every tensor with a run never killed.

    python tests/experiments/kill_and_resume.py --kills 30

The kills are spread over the three phases and over 0 and 2 loader workers. Prints a line a kill
and ends with the count of identical ones; the exit status is 0 if all were.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[2]

#: Small, but with everything on: each phase, averages, history, a schedule that goes back.
SETTINGS = [
    "smoke",
    "schedule.pretrain=24it",
    "schedule.warmup=12it",
    "schedule.adversarial=24it",
    "schedule.adv.patience=1",
    "history.every=2",
    "training.epoch_length=8",
    "training.checkpoint_every=5",
    "training.log_interval=3",
    "training.preview_images=0",
    "training.tensorboard=False",
]
TOTAL = 60


def command(script: str, store: Path, *updates: str) -> list[str]:
    return [
        sys.executable,
        str(ROOT / "experiments" / f"{script}.py"),
        "-F",
        str(store),
        "with",
        *updates,
    ]


def train(script: str, store: Path, *updates: str) -> Path:
    """Run to the end; the new run's folder.

    Raises:
        RuntimeError: it failed; the message has what it printed.
    """
    known = runs(store)
    done = subprocess.run(
        command(script, store, *updates), cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    (new,) = runs(store) - known
    return store / str(new)


def runs(store: Path) -> set[int]:
    if not store.is_dir():
        return set()
    return {int(path.name) for path in store.iterdir() if path.name.isdigit()}


def checkpoints(run: Path) -> list[int]:
    """The iterations of which a run has a checkpoint: a file that its record lists."""
    try:
        # The file is there a moment before it is listed, and counts from then on.
        names = json.loads((run / "run.json").read_text())["artifacts"]
    except FileNotFoundError:  # the run is just starting
        return []
    found = (re.fullmatch(r"checkpoint_(\d+)\.pt", name) for name in names)
    return sorted(int(match.group(1)) for match in found if match)


def train_and_kill(
    script: str,
    store: Path,
    iteration: int,
    *updates: str,
    number: int = signal.SIGKILL,
    delay: float = 0.0,
    timeout: float = 300,
) -> tuple[Path, int]:
    """Start a run and send it a signal once it has saved ``iteration`` or a later one.

    Args:
        delay: seconds to wait after that, so that the signal comes anywhere in an iteration.

    Returns:
        The run's folder and the exit status.
    """
    known = runs(store)
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command(script, store, *updates), cwd=ROOT, stdout=output, stderr=subprocess.STDOUT
        )
        deadline = time.monotonic() + timeout
        while process.poll() is None and time.monotonic() < deadline:
            new = runs(store) - known
            if new and max(checkpoints(store / str(max(new))), default=0) >= iteration:
                break
            time.sleep(0.01)
        time.sleep(delay)
        if process.poll() is None:
            os.kill(process.pid, number)
        status = process.wait(timeout=60)
        output.seek(0)
        text = output.read().decode()
    new = runs(store) - known
    if not new:
        raise RuntimeError(f"no run was started\n{text}")
    return store / str(max(new)), status


def final_state(run: Path) -> dict[str, Any]:
    newest = max(checkpoints(run))
    return torch.load(run / f"checkpoint_{newest:08d}.pt", weights_only=True)


def differences(a: Any, b: Any, path: str = "") -> list[str]:
    """Where two nested states differ by as much as a bit."""
    if isinstance(a, torch.Tensor) or isinstance(b, torch.Tensor):
        same = (
            isinstance(a, torch.Tensor)
            and isinstance(b, torch.Tensor)
            and a.dtype == b.dtype
            and torch.equal(a, b)
        )
        return [] if same else [path]
    if isinstance(a, dict) and isinstance(b, dict):
        missing = [f"{path}.{key}" for key in a.keys() ^ b.keys()]
        return missing + [
            d for k in a.keys() & b.keys() for d in differences(a[k], b[k], f"{path}.{k}")
        ]
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        if len(a) != len(b):
            return [path]
        return [
            d
            for i, (x, y) in enumerate(zip(a, b, strict=True))
            for d in differences(x, y, f"{path}[{i}]")
        ]
    return [] if a == b else [path]


def count_tensors(state: Any) -> int:
    if isinstance(state, torch.Tensor):
        return 1
    if isinstance(state, dict):
        return sum(map(count_tensors, state.values()))
    return sum(map(count_tensors, state)) if isinstance(state, (list, tuple)) else 0


def validation_points(run: Path) -> dict[int, float]:
    """The validation PSNR by iteration, from the run's record."""
    metrics = json.loads((run / "metrics.json").read_text())
    entry = metrics["validation.psnr"]
    return dict(zip(entry["steps"], entry["values"], strict=True))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--script", default="srgan")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("updates", nargs="*", help="like optimization.optimizer_g=muon")
    arguments = parser.parse_args()
    settings = [*SETTINGS, *arguments.updates]
    draw = random.Random(arguments.seed)
    identical = 0
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "runs"
        reference = final_state(train(arguments.script, store, *settings))
        print(f"reference: {count_tensors(reference)} tensors", flush=True)
        for kill in range(arguments.kills):
            workers = 2 * (kill % 2)
            updates = [*settings, f"dataset.workers={workers}"]
            # From the first checkpoint to just before the last, evenly.
            after = 5 + (TOTAL - 10) * kill // arguments.kills
            status = 0
            while status == 0:  # a run that ended before the signal came was not killed
                run, status = train_and_kill(
                    arguments.script, store, after, *updates, delay=draw.uniform(0, 0.3)
                )
            newest = max(checkpoints(run))
            phase = final_state(run)["phase"]
            resumed = train(arguments.script, store, f"resume={run}")
            different = differences(reference, final_state(resumed))
            identical += not different
            verdict = "identical" if not different else f"DIFFERENT: {different[:3]}"
            print(
                f"kill {kill + 1}: status {status}, workers {workers}, resumed from {newest} "
                f"({phase}): {verdict}",
                flush=True,
            )
    print(f"{identical} of {arguments.kills} identical")
    return 0 if identical == arguments.kills else 1


if __name__ == "__main__":
    sys.exit(main())
