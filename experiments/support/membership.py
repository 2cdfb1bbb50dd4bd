"""A training run as a member of a study: what it knows of it, and what it tells its worker.

The worker, `experiments.support.sweeping.trial_runs`, starts the training with `VARIABLE` in its
environment; the record of the run then says which trial it is of, validations reach the worker as
they are made, and the training ends, with a checkpoint, when its worker is gone.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image
from sacred.run import Run

from tmd.errors import UserError

#: Holds, as JSON, ``name``, ``trial``, ``repeat`` and ``params`` of the study's trial.
VARIABLE = "TMD_STUDY"
#: Names the file that is told of the run; with it, standard input ends when the worker does.
REPORT_VARIABLE = "TMD_STUDY_REPORT"
#: Key of a run's info under which its membership lies.
INFO_KEY = "study"

KEYS = ("name", "trial", "repeat", "params")


def membership() -> dict[str, Any] | None:
    """``{"name", "trial", "repeat", "params"}`` of the run that this process makes, if any.

    Raises:
        UserError: the environment says something else.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        return None
    try:
        content = json.loads(text)
        return {key: content[key] for key in KEYS}
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f"{VARIABLE}: must be JSON with {', '.join(KEYS)}; it is set by `tmd sweep`"
        ) from None


class StudyReport:
    """Recorder that appends a line of JSON for the worker: the run, then each validation.

    Args:
        path: of the file, which is appended to.
        run: Sacred's ``_run``.
        total: iterations of the whole training.
    """

    keeps_artifacts = False

    def __init__(self, path: Path, run: Run, total: int) -> None:
        self.path = path
        self.total = total
        self._write({"run": run._id, "total": total})

    def info(self, values: Mapping[str, Any]) -> None:
        """Nothing: the record has it."""

    def metrics(self, group: str, values: Mapping[str, float], iteration: int) -> None:
        """Tell of a validation."""
        if group == "validation":
            self._write(
                {"iteration": iteration, "metrics": {k: float(v) for k, v in values.items()}}
            )

    def image(self, name: str, image: Image.Image, iteration: int) -> None:
        """Nothing: the record has it."""

    def artifact(self, name: str, write: Callable[[Path], None]) -> bool:
        """Nothing that anybody need wait for: the record has it."""
        return True

    def remove(self, name: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing: each line is complete."""

    def _write(self, line: Mapping[str, Any]) -> None:
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def study_report(run: Run, total: int) -> StudyReport | None:
    """The recorder that a worker waits for, if any; from now on its end is this process's too."""
    path = os.environ.get(REPORT_VARIABLE)
    if not path:
        return None
    threading.Thread(target=_end_with_worker, daemon=True, name="worker's end").start()
    return StudyReport(Path(path), run, total)


def _end_with_worker() -> None:
    """Ask for the end, with a checkpoint, when the worker, who holds the other side, is gone."""
    try:
        while os.read(0, 4096):
            pass
    except OSError:
        return
    os.kill(os.getpid(), signal.SIGTERM)
