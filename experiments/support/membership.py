"""A training run as a member of a study: what it knows of it, and what it tells its worker.

The worker, `experiments.support.sweeping.worker`, starts the training with `VARIABLE` in its
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
#: Key of that info under which a run that was not worth going on with says why.
PRUNED = "pruned"
SPEED = "images_per_second"


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
    """Recorder that appends lines of JSON for the worker: the run, sizes, speeds, validations.

    Args:
        path: of the file, which is appended to.
        run: Sacred's ``_run``.
        total: iterations of the whole training.
        images: of an iteration.
    """

    keeps_artifacts = False

    def __init__(self, path: Path, run: Run, total: int, images: int) -> None:
        self.path = path
        self.total = total
        self.images = images
        self._write({"run": run._id, "total": total})

    def info(self, values: Mapping[str, Any]) -> None:
        """Tell the networks' numbers of parameters."""
        if "parameters" in values:
            self._write({"parameters": values["parameters"]})

    def metrics(self, group: str, values: Mapping[str, float], iteration: int) -> None:
        """Tell of a validation, and of the speed."""
        if group == "validation":
            self._write(
                {"iteration": iteration, "metrics": {k: float(v) for k, v in values.items()}}
            )
        elif values.get(SPEED):
            self._write({"seconds_per_iteration": self.images / values[SPEED]})

    def result(self, values: Mapping[str, Any]) -> None:
        """Tell what came out, which the store of the runs may not have yet."""
        self._write({"result": dict(values)})

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


def study_report(run: Run, total: int, images: int) -> StudyReport | None:
    """The recorder that a worker waits for, if any; from now on its end is this process's too."""
    path = os.environ.get(REPORT_VARIABLE)
    if not path:
        return None
    threading.Thread(target=_end_with_worker, args=(run,), daemon=True, name="worker's end").start()
    return StudyReport(Path(path), run, total, images)


def _end_with_worker(run: Run) -> None:
    """Ask for the end, with a checkpoint, when the worker, who holds the other side, is gone.

    What the worker says before is why the trial was pruned, which the record then has.
    """
    said = b""
    try:
        while chunk := os.read(0, 4096):
            said += chunk
            if said.endswith(b"\n"):
                reason = said.decode("utf-8", "replace").strip()
                run.info[INFO_KEY] = {**run.info.get(INFO_KEY, {}), PRUNED: reason}
                break
    except OSError:
        return
    os.kill(os.getpid(), signal.SIGTERM)
