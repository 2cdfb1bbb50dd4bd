"""The workers that a command starts, watched until the study's trials have ended."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.support.engines import Engine, Worker, end
from experiments.support.engines.local import variables_in_place_of
from experiments.support.engines.waiting import ending
from experiments.support.saying import say
from experiments.support.sweeping.runs_of_trials import PATIENCE, last_line
from experiments.support.sweeping.studies import FINISHED, OpenStudy
from experiments.support.sweeping.tables import one_trial
from experiments.support.sweeping.worker import RUNNING
from tmd.errors import UserError

POLL = 1.0  # seconds between two looks at the study
#: Of the study's folder: what workers print.
OUTPUT = "workers"
#: Workers that were killed and replaced, with no trial ended in between, that are too many.
MOST_REPLACED = 20


class Crew:
    """Workers of one study.

    Args:
        study: that they work at.
        command: of a worker.
        environment: more variables for it.
        workers: their number.
        engine: that starts them.
        again: a shorter command that goes on with the study; "": there is none to be shown.
    """

    def __init__(
        self,
        study: OpenStudy,
        command: Sequence[str],
        environment: Mapping[str, str],
        workers: int,
        engine: Engine,
        again: str = "",
    ) -> None:
        self.study = study
        self.command = list(command)
        self.environment = dict(environment)
        self.count = workers
        self.engine = engine
        self.again = again
        self.said = {t.number for t in study.trials() if t.state in FINISHED}
        self.ended_before = len(self.said)
        self.began = time.monotonic()
        self.started = self.replaced = 0

    def work(self) -> None:
        """Return when all trials have ended; a worker that is killed is replaced.

        Raises:
            UserError: no worker is left, and trials are.
            KeyboardInterrupt: a signal came; the workers have left their trials to be gone on with.
        """
        if self.study.is_finished():
            return
        self.study.storage.be_patient()
        crew: list[Worker] = []
        try:
            crew = self._start(self.count, {})
            while crew:
                time.sleep(POLL)
                self._say_ended()
                crew = [each for old in crew for each in self._looked_at(old)]
            if not self.study.is_finished():
                raise UserError(f"study={self.study.name}: no worker is left; {self._going_on()}")
        except KeyboardInterrupt:
            say("stopping: trainings save a checkpoint; a second Ctrl-C does not wait for them")
            end(crew, PATIENCE)
            say(self._going_on())
            raise
        finally:
            end(crew, PATIENCE)
            self.engine.close()
        # Killed and interrupted trainings could not tidy up what they printed and reported.
        shutil.rmtree(self.study.storage.folder / RUNNING, ignore_errors=True)

    def _going_on(self) -> str:
        return "the same command goes on" + (f", or: {self.again}" if self.again else "")

    def _start(self, count: int, environment: Mapping[str, str]) -> list[Worker]:
        folder = self.study.storage.folder / OUTPUT / str(self.started)
        self.started += 1
        return self.engine.start(
            self.command, count, {**self.environment, **environment}, Path(folder).absolute()
        )

    def _looked_at(self, worker: Worker) -> list[Worker]:
        """The worker while it runs, the one that takes its place if it was killed, or none."""
        code = worker.poll()
        if code is None:
            return [worker]
        self._say_ended()
        if code == 0 or self.study.is_finished():
            return []
        if code > 0:
            said = last_line(worker.output) if worker.output.exists() else ""
            say(f"worker {worker.number} {ending(code)}: {said}")
            return []
        self.replaced += 1
        if self.replaced > MOST_REPLACED:
            say(f"worker {worker.number} {ending(code)}; it is not replaced again")
            return []
        say(f"worker {worker.number} {ending(code)}; another takes its place")
        variables = variables_in_place_of(self.engine, worker.number, self.count)
        (another,) = self._start(1, variables)
        another.number = worker.number
        return [another]

    def _say_ended(self) -> None:
        """A line for each trial that has ended since the last look."""
        for trial in self.study.trials():
            if trial.state in FINISHED and trial.number not in self.said:
                self.said.add(trial.number)
                self.replaced = 0
                print(f"{one_trial(self.study, trial)}{self._progress()}", flush=True)

    def _progress(self) -> str:
        """How many trials have ended, and how long the others will take as these did."""
        ended, left = len(self.said), self.study.asked - len(self.said)
        if left <= 0:
            return f"  [{ended} of {self.study.asked}]"
        pace = (time.monotonic() - self.began) / (ended - self.ended_before)
        minutes = max(1, round(pace * left / 60))
        said = f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"
        return f"  [{ended} of {self.study.asked}, about {said} left]"
