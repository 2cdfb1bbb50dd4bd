"""A worker: takes one trial after another, those that others left first, until all have ended."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState

from experiments.support.sweeping.runs_of_trials import (
    Ended,
    Training,
    finished_result,
    seconds_since,
    where_to_begin,
)
from experiments.support.sweeping.samplers import WHOLE, draw
from experiments.support.sweeping.starting import Starter
from experiments.support.sweeping.storage import Taken, patiently
from experiments.support.sweeping.studies import OpenStudy, repeat_of
from observers import open_run, without_credentials
from tmd.errors import UnreachableError, UserError

#: Seconds between two looks for a trial where others are at work at the last ones.
IDLE = 1.0
#: Ends by a signal, without a checkpoint in between, after which a trial counts as failed.
KILLS = 3
RUNNING = "training"
THREADS = "threads"


class TrialFailed(Exception):
    """An end of a trial that another try would not change; the message says why."""


class TrialPruned(Exception):
    """An end of a trial that is not worth going on with."""


class TrialLost(Exception):
    """A trial that another worker may have taken, as this one stood still too long."""


@dataclass(frozen=True)
class StoreOptions:
    """The store of the runs.

    Attributes:
        words: options that name it, without credentials: an address of a database is in the
            environment.
        spec: as `observers.open_run` finds runs in it.
    """

    words: Sequence[str]
    spec: str


class Worker:
    """See the module's docstring.

    Args:
        study: to work at.
        store: that runs are recorded to.
        stale_after: seconds without a sign of life after which a worker counts as dead.
    """

    def __init__(self, study: OpenStudy, store: StoreOptions, stale_after: float) -> None:
        study.storage.be_patient()
        self.study = study
        self.store = store
        self.leases = study.storage.leases(study.name, stale_after)
        self.starter = Starter(study.spec.experiment)

    def work(self) -> int:
        """Work until no trial is left and return how many this worker ended.

        Raises:
            KeyboardInterrupt: a signal asked for the end; the trial is left to be gone on with.
        """
        try:
            return self._work()
        finally:
            self.starter.close()

    def _work(self) -> int:
        done = 0
        while True:
            claimed = self._claim()
            if claimed is not None:
                trial, lease = claimed
                try:
                    one = OneTrial(self.study, self.store, trial, lease, self.starter)
                    done += one.carry_out()
                finally:
                    lease.release()
            elif self.study.is_finished():
                return done
            else:
                time.sleep(IDLE)

    def _claim(self) -> tuple[FrozenTrial, Taken] | None:
        """A trial that nobody alive works at, those begun by others first."""
        trials = self.study.trials()
        for state in (TrialState.RUNNING, TrialState.WAITING):
            for trial in trials:
                if trial.state is not state:
                    continue
                take = partial(self.leases.take, _lease_name(trial))
                if lease := patiently(take, self.study.storage.place):
                    try:
                        if self._is_ours(trial):
                            return trial, lease
                    except BaseException:
                        lease.release()
                        raise
                    lease.release()
        return None

    def _is_ours(self, trial: FrozenTrial) -> bool:
        """Begin the trial, whose lease is had, unless it has ended since it was looked at."""
        storage = self.study.storage.optuna
        state = storage.get_trial(trial._trial_id).state
        if state is TrialState.WAITING:
            return storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
        return state is TrialState.RUNNING


def _lease_name(trial: FrozenTrial) -> str:
    return f"trial-{trial.number:05}"


class OneTrial:
    """A trial in the hands of a worker.

    Args:
        trial: that is running.
        lease: of it.
        starter: of its trainings.
    """

    def __init__(
        self,
        study: OpenStudy,
        store: StoreOptions,
        trial: FrozenTrial,
        lease: Taken,
        starter: Starter,
    ) -> None:
        self.study = study
        self.spec = study.spec
        self.store = store
        self.lease = lease
        self.starter = starter
        self.number = trial.number
        # The trial that there is: its sampler draws what has not been drawn yet.
        self.trial = Trial(study.optuna, trial._trial_id)
        self.pruned = ""  # else why

    def carry_out(self) -> bool:
        """Run every repeat that has no result yet and tell the study; was that still ours to do?"""
        try:
            results = self._results(self._draw())
        except TrialFailed as problem:
            return self._tell(TrialState.FAIL, reason=str(problem))
        except TrialPruned as problem:
            return self._tell(TrialState.PRUNED, reason=str(problem))
        except TrialLost:
            return False
        means = [
            statistics.fmean(each["values"][objective] for each in results)
            for objective in self.spec.objectives
        ]
        return self._tell(TrialState.COMPLETE, means)

    def _draw(self) -> dict[str, Any]:
        """The trial's values, by key."""
        is_grid = self.spec.sampler == "grid"
        drawn: dict[str, Any] = {}
        for each in self.spec.space:
            if each.applies(drawn):
                drawn[each.key] = draw(self.trial, each, is_grid)
        return drawn

    def _results(self, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        results = []
        for repeat in range(self.spec.repeats):
            found = repeat_of(self.trial.user_attrs, repeat)
            if not found:
                found = self._repeat(params, repeat)
                self.trial.set_user_attr(f"repeat_{repeat}", found)
            results.append(found)
        return results

    def _repeat(self, params: Mapping[str, Any], repeat: int) -> dict[str, Any]:
        """The result of a repeat, which goes on where it was left."""
        self.repeat = repeat
        kills, stopped_at = 0, -1
        while True:
            began = time.time()
            runs = self._runs()
            begin = patiently(
                partial(where_to_begin, runs, self.store.spec), without_credentials(self.store.spec)
            )
            if begin.result is not None:
                return self._result(begin.run, begin.result, 0.0)
            words = self.spec.words(params, repeat)
            training = Training(
                self.starter,
                words if begin.resume is None else [f"resume={begin.resume}"],
                self.store.words,
                {"name": self.study.name, "trial": self.number, "repeat": repeat, "params": params},
                self.study.storage.folder / RUNNING,
                f"{self.number:05}-{repeat}-{len(runs)}",
                self._threads(),
            )
            self.training = training
            if begin.resume is not None and not self.pruned:
                self.pruned = self._should_end()
            ended = training.watch(
                self._told, lambda: self.lease.held and not self.pruned, lambda: self.pruned
            )
            result = ended.result or (None if self.pruned else self._finished(ended))
            if self.pruned and result is None:
                raise TrialPruned(self.pruned)
            if not self.lease.held:
                raise TrialLost
            if result is not None:
                return self._result(ended.run, result, seconds_since(began))
            if not ended.was_killed:
                raise TrialFailed(ended.reason or f"its training ended with status {ended.code}")
            kills = kills + 1 if begin.iteration == stopped_at else 1
            stopped_at = begin.iteration
            if kills >= KILLS:
                raise TrialFailed(
                    f"its training was ended {kills} times by a signal ({ended.code}), each time "
                    f"before it saved a checkpoint after iteration {stopped_at}; {ended.reason}"
                )

    def _threads(self) -> int:
        """Number of threads of the worker that began: the bits hang on it, wherever it goes on."""
        found = self.trial.user_attrs.get(THREADS)
        if found is None:
            found = self.starter.threads()
            self.trial.set_user_attr(THREADS, found)
        return int(found)

    def _finished(self, ended: Ended) -> Mapping[str, Any] | None:
        """The result that the record of a training has, if it has one."""
        if ended.run is None:
            return None
        try:
            return patiently(
                lambda: finished_result(open_run(ended.run, store=self.store.spec)),
                without_credentials(self.store.spec),
            )
        except UnreachableError:
            raise
        except UserError as problem:
            if ended.was_killed:  # before a database was told of it
                return None
            raise TrialFailed(str(problem)) from None

    def _runs(self) -> list[Any]:
        return list(self.trial.user_attrs.get(f"runs_{self.repeat}", ()))

    def _result(self, run: Any, result: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        values = {}
        for objective in self.spec.objectives:
            value = result.get(objective.rpartition(".")[2])
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                names = ", ".join(k for k, v in result.items() if isinstance(v, (int, float)))
                raise TrialFailed(f"run {run} has no {objective}; it has {names}")
            if not math.isfinite(value):
                raise TrialFailed(f"run {run}: {objective} is {value}")
            values[objective] = float(value)
        others = {k: v for k, v in result.items() if isinstance(v, (int, float)) and v - v == 0}
        return {"run": run, "values": values, "result": others, "seconds": seconds}

    def _told(self, line: Mapping[str, Any]) -> None:
        """Take in what the training tells."""
        if "run" in line:
            self.trial.set_user_attr(f"runs_{self.repeat}", [*self._runs(), line["run"]])
        elif "metrics" in line and self.repeat == 0 and self.spec.pruner != "none":
            self._consider(line["iteration"], line["metrics"])
        elif not self.pruned:
            self.pruned = self.spec.limits.exceeded(line)

    def _consider(self, iteration: int, metrics: Mapping[str, float]) -> None:
        """Give the study a validation of the first repeat; it may say that this is not worth it."""
        value = metrics.get(self.spec.objectives[0].rpartition(".")[2])
        if value is None or not math.isfinite(value):
            return
        step = WHOLE * iteration // self.training.total
        if (
            step
            not in self.study.storage.optuna.get_trial(self.trial._trial_id).intermediate_values
        ):
            self.trial.report(value, step)
        if step < WHOLE:
            self.pruned = self.pruned or self._should_end()

    def _should_end(self) -> str:
        """Why the first repeat is not worth going on with, by its validations so far; or ""."""
        if self.repeat or self.spec.pruner == "none" or not self.trial.should_prune():
            return ""
        step = max(self.study.storage.optuna.get_trial(self.trial._trial_id).intermediate_values)
        return f"others were better after {step} % of their training ({self.spec.pruner})"

    def _tell(
        self, state: TrialState, values: Sequence[float] | None = None, reason: str = ""
    ) -> bool:
        if not self.lease.held:
            return False
        try:
            if reason:
                self.trial.set_user_attr("reason", reason)
            self.study.optuna.tell(self.trial, values, state=state)
        except UpdateFinishedTrialError:  # told by one who took it over a moment ago, the same
            return False
        return True
