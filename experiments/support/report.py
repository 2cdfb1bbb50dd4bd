"""The end of a training script's output: metrics beside bicubic's, and what to type next."""

from __future__ import annotations

import math
import sys
from pathlib import Path

from sacred.run import Run

import tmd.session
from observers import run_folder, run_spec
from tmd.metrics.registry import metric
from tmd.training.phases import PHASES


def print_report(session: tmd.session.TrainingSession, run: Run, script: str) -> None:
    """Print the session's table and the commands that go on from the run."""
    table = session.table()
    names = list(session.bicubic)
    if names:
        width = max(13, *(len(metric(name).label) + 2 for name in names))
        heads = "".join(f"{metric(name).label:>{width}}" for name in names)
        print(f"\n{'held-out images':24}{heads}")
        for title, row in table.items():
            cells = "".join(
                f"{metric(name).text(row[name]):>{width}}" for name in names if name in row
            )
            print(f"{title:24}{cells}")
    if run._id is None:
        return
    folder = run_folder(run)
    spec = run_spec(run)
    last = next(phase for phase in reversed(PHASES) if session.phases.length(phase))
    longer = math.ceil(session.phases.length(last) / session.options.training.epoch_length) + 4
    print(f"\nrun {run._id}" + (f" in {folder}" if folder else ""))
    print(f"resume:       {typed(script)} with resume={spec} schedule.{last}={longer}")
    print(f"evaluate:     {evaluation(spec)}")
    events = Path(folder or "") / "tensorboard"
    if folder and events.is_dir():
        print(f"TensorBoard:  tensorboard --logdir {events}")


def typed(script: str) -> str:
    """The words that start ``script``, in the form in which this process was started."""
    return f"tmd {script}" if by_command() else f"python experiments/{script}.py"


def evaluation(spec: object) -> str:
    """The words that evaluate run ``spec``, in the form in which this process was started."""
    words = f"FOLDER with run={spec}" if by_command() else f"with run={spec} benchmark=FOLDER"
    return f"{typed('evaluate')} {words}"


def by_command() -> bool:
    """True where this process was started by the command ``tmd``."""
    return Path(sys.argv[0]).name == "tmd"
