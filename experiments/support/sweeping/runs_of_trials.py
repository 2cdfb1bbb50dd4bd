"""One run of a trial: an ordinary training in a process of its own, begun or gone on with."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from experiments.support.membership import REPORT_VARIABLE, VARIABLE
from experiments.support.sweeping.starting import Starter, TrainingProcess
from observers import open_run
from observers.reading.records import RunRecord
from tmd.errors import UnreachableError, UserError, printable

POLL = 0.2  # seconds between two looks at a training
#: Seconds that a training has to save its checkpoint and end when it is asked to.
PATIENCE = 120.0
#: Status that a record has at the end of a run that came to it.
COMPLETED = "COMPLETED"


class Begin(NamedTuple):
    """Beginning of a repeat.

    Attributes:
        resume: spec of the run to go on with; None: afresh.
        iteration: of its newest checkpoint.
        result: of a run that came to its end before anybody knew.
        run: number of the run with that result.
    """

    resume: str | None = None
    iteration: int = 0
    result: Mapping[str, Any] | None = None
    run: Any = None


@dataclass
class Ended:
    """End of a training.

    Attributes:
        code: the process's, negative for a signal.
        run: its number, if it got one.
        reason: the last line that it said.
        result: that it told, if it came to its end.
    """

    code: int
    run: Any
    reason: str
    result: Mapping[str, Any] | None = None

    @property
    def was_killed(self) -> bool:
        """Did a signal end it?"""
        return self.code < 0 or self.code in (128 + signal.SIGTERM, 128 + signal.SIGINT)


def where_to_begin(runs: Sequence[Any], store: str) -> Begin:
    """The newest state of those that ``runs`` left.

    Args:
        runs: numbers, oldest first, each the one before gone on with.
        store: they are in.

    Raises:
        UnreachableError: it is away.
    """
    for number in reversed(runs):
        try:
            record = open_run(number, store=store)
            result = finished_result(record)
            if result is not None:
                return Begin(result=result, run=number)
            found = _from_checkpoint(record)
        except UnreachableError:
            raise
        except UserError:  # it had not begun to be a run
            continue
        if found is not None:
            return found._replace(run=number)
    return Begin()


def finished_result(record: RunRecord) -> Mapping[str, Any] | None:
    """The result of a run that came to its end."""
    result = record.entry.get("result")
    done = record.entry.get("status") == COMPLETED and isinstance(result, Mapping)
    return result if done else None


def _from_checkpoint(record: RunRecord) -> Begin | None:
    from tmd.checkpoints import newest_checkpoint  # it takes torch

    state = newest_checkpoint(record.artifacts(), record.local_path)
    if state is None:
        return None
    phases = record.info.get("phases")
    total = sum(phases.values()) if isinstance(phases, Mapping) else None
    best = state["trainer"].get("best") or {}
    if total is not None and state["iteration"] >= total and best.get("figures"):
        # Killed between its last checkpoint and its end.
        return Begin(result={**best["figures"], "best_iteration": best["iteration"]})
    return Begin(resume=str(record.spec), iteration=int(state["iteration"]))


@dataclass
class Training:
    """A training that a worker runs and watches.

    Attributes:
        starter: starts it.
        words: what follows ``with``.
        store: options that name the store that it is recorded to.
        study: what the run's record says of its study.
        folder: for its report and its output, while it runs.
        label: of these files, unlike any other's.
        threads: that torch takes unless the config says another number.
    """

    starter: Starter
    words: Sequence[str]
    store: Sequence[str]
    study: Mapping[str, Any]
    folder: Path
    label: str
    threads: int
    run: Any = field(default=None, init=False)
    total: int = field(default=0, init=False)
    result: Mapping[str, Any] | None = field(default=None, init=False)
    _read: int = field(default=0, init=False)

    @property
    def report(self) -> Path:
        """The file that the training tells of itself in."""
        return self.folder / f"{self.label}.jsonl"

    @property
    def log(self) -> Path:
        """The file with what the training prints."""
        return self.folder / f"{self.label}.log"

    def watch(
        self,
        told: Callable[[Mapping[str, Any]], None],
        is_wanted: Callable[[], bool],
        farewell: Callable[[], str],
    ) -> Ended:
        """Run to the end, or until it is no longer wanted.

        Args:
            told: is given each line of the report.
            is_wanted: asked all the time; once it is False, the training is asked to save and end.
            farewell: why it was not worth going on with, for its record; "" where that is not why.

        Raises:
            KeyboardInterrupt: it came while this was waiting; the training has saved and ended.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.report.unlink(missing_ok=True)
        words = [*self.store, "with", *self.words]
        process = self.starter.start(words, self.threads, self._environment(), self.log)
        try:
            while process.wait(POLL) is None:
                self._tell(told)
                if not is_wanted():
                    if said := farewell():
                        process.tell(said)
                        process.wait(PATIENCE)
                    break
        finally:
            code = _end(process)
        self._tell(told)
        ended = Ended(code, self.run, last_line(self.log), self.result if code in (0, 1) else None)
        self.report.unlink(missing_ok=True)
        self.log.unlink(missing_ok=True)
        return ended

    def _environment(self) -> dict[str, str]:
        return {
            VARIABLE: json.dumps(self.study),
            REPORT_VARIABLE: str(self.report.absolute()),
            "TQDM_DISABLE": "1",
        }

    def _tell(self, told: Callable[[Mapping[str, Any]], None]) -> None:
        for line in self._new_lines():
            if "run" in line:
                self.run, self.total = line["run"], line["total"]
            self.result = line.get("result", self.result)
            told(line)

    def _new_lines(self) -> Iterator[dict[str, Any]]:
        """Whole lines that have come since the last call."""
        try:
            with open(self.report, "rb") as file:
                file.seek(self._read)
                content = file.read()
        except FileNotFoundError:
            return
        for line in content.splitlines(keepends=True):
            if line.endswith(b"\n"):
                self._read += len(line)
                yield json.loads(line)


def _end(process: TrainingProcess) -> int:
    """Have the training save a checkpoint and end, if it runs; kill it if it won't."""
    try:
        if (code := process.wait(0)) is None:
            process.send_signal(signal.SIGTERM)
            code = process.wait(PATIENCE)
    finally:
        while (code := process.wait(POLL)) is None:
            process.send_signal(signal.SIGKILL)
        process.close()
    return code


def last_line(log: Path) -> str:
    """The line by which a training that failed said why."""
    try:
        text = log.read_text("utf-8", "replace")
    except FileNotFoundError:  # the study has ended, and this was of a trial that another has done
        text = ""
    lines = [line.strip() for line in text.splitlines()]
    said = [line for line in lines if line.startswith("error: ")]
    last = (said or [line for line in lines if line] or [""])[-1]
    return printable(last.removeprefix("error: "))[:300]


def seconds_since(began: float) -> float:
    """Seconds since ``began``, a time of `time.time`, to a tenth."""
    return round(time.time() - began, 1)
