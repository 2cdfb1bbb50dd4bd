"""The end of a training script's output: metrics beside bicubic's, and what to type next."""

from __future__ import annotations

import math
from pathlib import Path

from sacred.run import Run

from observers import run_folder
from tmd.metrics.registry import metric
from tmd.session import TrainingSession


def print_report(session: TrainingSession, run: Run, script: str) -> None:
    """Print the session's table and the commands that go on from the run."""
    table = session.table()
    names = list(session.bicubic)
    if names:
        heads = "".join(f"{metric(name).label:>13}" for name in names)
        print(f"\n{'held-out images':24}{heads}")
        for title, row in table.items():
            cells = "".join(f"{metric(name).text(row[name]):>13}" for name in names if name in row)
            print(f"{title:24}{cells}")
    if run._id is None:
        return
    folder = run_folder(run)
    spec = folder if folder is not None else run._id
    longer = math.ceil(session.phases.adversarial / session.options.training.epoch_length) + 4
    print(f"\nrun {run._id}" + (f" in {folder}" if folder else ""))
    command = f"python experiments/{script}.py"
    print(f"resume:       {command} with resume={spec} schedule.adversarial={longer}")
    print(f"evaluate:     python experiments/evaluate.py with run={spec} benchmark=FOLDER")
    events = Path(folder or "") / "tensorboard"
    if folder and events.is_dir():
        print(f"TensorBoard:  tensorboard --logdir {events}")
