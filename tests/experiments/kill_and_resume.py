"""Kill training runs with SIGKILL, resume them, and compare every tensor with a run never killed.

    python tests/experiments/kill_and_resume.py --kills 30
    python tests/experiments/kill_and_resume.py --kills 30 --settings all
    python tests/experiments/kill_and_resume.py --kills 8 --settings muon,unpaired

The kills are spread over the three phases and over 0 and 2 loader workers; with several settings,
those of `kinds.py`, they take turns. Prints a line a kill and ends with the count of identical
ones; the exit status is 0 if all were.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from kinds import KINDS, LATER, Kind
from kinds import TOTAL as SMALL_TOTAL

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


def command(script: str, store: Path, *updates: str, root: Path = ROOT) -> list[str]:
    """Return what a user types, with the script of the build in ``root``.

    The number of threads is not left to the load of the machine: the bits depend on it.
    """
    if root == ROOT and not any(
        update.startswith(("resume=", "training.threads")) for update in updates
    ):
        updates = (*updates, "training.threads=1")
    return [
        sys.executable,
        str(root / "experiments" / f"{script}.py"),
        "-F",
        str(store),
        "with",
        *updates,
    ]


def environment(root: Path = ROOT) -> dict[str, str]:
    """Variables by which a process imports the build in ``root``, whatever is installed."""
    # A run's number of threads depends on the load when it begins, and its bits on that number.
    return {"OMP_NUM_THREADS": "1", **os.environ, "PYTHONPATH": str(root)}


def train(
    script: str, store: Path, *updates: str, root: Path = ROOT, folder: Path | None = None
) -> Path:
    """Run to the end; the new run's folder.

    Args:
        root: of the build that trains.
        folder: to train in; None: ``root``.

    Raises:
        RuntimeError: it failed; the message has what it printed.
    """
    known = runs(store)
    done = subprocess.run(
        command(script, store, *updates, root=root),
        cwd=folder or root,
        env=environment(root),
        capture_output=True,
        text=True,
        check=False,
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
    root: Path = ROOT,
    folder: Path | None = None,
) -> tuple[Path, int]:
    """Start a run and send it a signal once it has saved ``iteration`` or a later one.

    Args:
        delay: seconds to wait after that, so that the signal comes anywhere in an iteration.
        root, folder: as for `train`.

    Returns:
        The run's folder and the exit status.
    """
    known = runs(store)
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command(script, store, *updates, root=root),
            cwd=folder or root,
            env=environment(root),
            stdout=output,
            stderr=subprocess.STDOUT,
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


def train_and_surely_kill(
    script: str, store: Path, iteration: int, total: int, *updates: str, **options: Any
) -> tuple[Path, int]:
    """`train_and_kill`, again while the signal comes after the checkpoint of ``total``."""
    for _ in range(20):
        run, status = train_and_kill(script, store, iteration, *updates, **options)
        if status and max(checkpoints(run)) < total:
            return run, status
    raise RuntimeError("every run ended before it could be killed")


@dataclass
class Subject:
    """A kind of run that is killed again and again, and how it ends when nobody does that."""

    name: str
    kind: Kind
    total: int
    folder: Path
    reference: dict[str, Any]

    @classmethod
    def begin(cls, name: str, kind: Kind, total: int, folder: Path) -> Subject:
        """Train the run that is never killed, in ``folder``."""
        kind.prepare(folder)
        if kind.parent is not None:
            begin_parent(kind, folder)
        run = train(kind.script, folder / "runs", *kind.updates, folder=folder)
        reference = final_state(run)
        print(f"{name}: {count_tensors(reference)} tensors", flush=True)
        return cls(name, kind, total, folder, reference)

    def kill_and_resume(self, share: float, workers: int, delay: float) -> tuple[bool, str]:
        """Kill a run past ``share`` of it and resume it: are the tensors equal; what happened."""
        store, script = self.folder / "runs", self.kind.script
        # From the first checkpoint to just before the last.
        after = 5 + int((self.total - 10) * share)
        updates = (*self.kind.updates, f"dataset.workers={workers}")
        run, status = train_and_surely_kill(
            script, store, after, self.total, *updates, delay=delay, folder=self.folder
        )
        newest, phase = max(checkpoints(run)), final_state(run)["phase"]
        resumed = train(script, store, f"resume={run}", folder=self.folder)
        different = differences(self.reference, final_state(resumed))
        verdict = "identical" if not different else f"DIFFERENT: {different[:3]}"
        return not different, (
            f"{self.name}, status {status}, workers {workers}, resumed from {newest} "
            f"({phase}): {verdict}"
        )


def begin_parent(kind: Kind, folder: Path, root: Path = ROOT) -> None:
    """Train the run that ``kind`` grows from, and put its best network where `Kind` says."""
    assert kind.parent is not None
    run = train(kind.script, folder / "parents", *kind.parent, root=root, folder=folder)
    shutil.copy(run / "best.pt", folder / "parent.pt")


def main() -> int:
    kinds = {**KINDS, **LATER}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--script", default="srgan", help="without --settings")
    parser.add_argument("--kills", type=int, default=30, help="of all settings together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--settings", help=f"small runs: all, or of {','.join(kinds)}")
    parser.add_argument("updates", nargs="*", help="like optimization.optimizer_g=muon")
    arguments = parser.parse_args()
    if arguments.settings is None:
        chosen, total = {arguments.script: Kind(tuple(SETTINGS), arguments.script)}, TOTAL
    elif arguments.settings == "all":
        chosen, total = kinds, SMALL_TOTAL
    else:
        chosen = {name: kinds[name] for name in arguments.settings.split(",")}
        total = SMALL_TOTAL
    draw = random.Random(arguments.seed)
    identical = 0
    with tempfile.TemporaryDirectory() as folder:
        subjects = [
            Subject.begin(
                name,
                replace(kind, updates=(*kind.updates, *arguments.updates)),
                total,
                Path(folder) / name,
            )
            for name, kind in chosen.items()
        ]
        for kill in range(arguments.kills):
            turn, subject = kill // len(subjects), subjects[kill % len(subjects)]
            turns = -(-arguments.kills // len(subjects))
            same, line = subject.kill_and_resume(turn / turns, 2 * (turn % 2), draw.uniform(0, 0.3))
            identical += same
            print(f"kill {kill + 1}: {line}", flush=True)
    print(f"{identical} of {arguments.kills} identical")
    return 0 if identical == arguments.kills else 1


if __name__ == "__main__":
    sys.exit(main())
