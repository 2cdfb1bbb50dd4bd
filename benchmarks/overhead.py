"""Cost of the framework: a run's engine, handlers and record against a bare loop over the step.

    python benchmarks/overhead.py [--csv out/overhead.csv]

The run is `experiments/srgan.py with smoke`, its step replaced by one that only hands scalars over;
the bare loop calls the same. Both run in turns in one process, a round of each after the other, and
the medians of the rounds are compared. A beat of Sacred's, in which the observer writes what was
logged, follows each round and is counted by iteration too, as is the averaging of the weights,
which is part of training, in a row of its own. The share is of the fastest step that the smoke
networks made between the rounds.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events
from reporting import add_outputs, report, surroundings
from simulated import Step, simulate, step

from tmd.session import TrainingSession

REAL_STEPS = 5


class Rounds:
    """Alternates the run that it is attached to with a bare loop and an engine without handlers.

    Attributes:
        costs: by what was run, its rounds: seconds an iteration (by the clock, of the processor).
    """

    def __init__(self, session: TrainingSession, real: Step, iterations: int) -> None:
        self.session = session
        self.real = real
        self.iterations = iterations
        self.batch = (next(session.data.batches()),)
        self.costs: dict[str, list[np.ndarray]] = {}
        self.engine = Engine(step)
        self._began = now()
        session.trainer.add_event_handler(
            Events.ITERATION_COMPLETED(every=iterations), self._end_of_round
        )

    def _end_of_round(self, trainer: Engine) -> None:
        self._note("run", now() - self._began, self.iterations)
        self._time("beat", self.session.recorders[0].run._emit_heartbeat)
        self._time("bare", lambda: self._loop(trainer))
        self._time("engine", self._engine_alone)
        for _ in range(REAL_STEPS):
            self._time("step", lambda: self.real(trainer, self.batch), 1)
        self._began = now()

    def _loop(self, trainer: Engine) -> None:
        for batch in itertools.repeat(self.batch, self.iterations):
            step(trainer, batch)

    def _engine_alone(self) -> None:
        self.engine.state.max_epochs = None  # a fresh run each time
        self.engine.run(itertools.repeat(self.batch), max_epochs=1, epoch_length=self.iterations)

    def _time(self, name: str, function: Callable[[], Any], count: int | None = None) -> None:
        began = now()
        function()
        self._note(name, now() - began, count or self.iterations)

    def _note(self, name: str, cost: np.ndarray, count: int) -> None:
        self.costs.setdefault(name, []).append(cost / count)

    def median(self, name: str, less: str | None = None) -> np.ndarray:
        """Of the rounds but the first, which warms up; ``less``: of the differences to another."""
        rounds = np.array(self.costs[name][1:])
        if less is not None:
            rounds = rounds - np.array(self.costs[less][1:])
        return np.median(rounds, axis=0)

    def fastest(self, name: str) -> np.ndarray:
        """Of all rounds."""
        return np.min(self.costs[name], axis=0)


def now() -> np.ndarray:
    return np.array([time.perf_counter(), time.process_time()])


def measure(
    options: argparse.Namespace, log_interval: int, ema: float, capture: bool = True
) -> Rounds:
    rounds: list[Rounds] = []
    # None of it falls due while rounds are timed: it depends on the networks, not on the framework.
    never = 10**9
    config = {
        "optimization.ema": ema,
        "training.log_interval": log_interval,
        "training.capture": capture,
        "training.epoch_length": never,
        "training.checkpoint_every": never,
        # The end of a run is a validation and a checkpoint.
        "training.preview_images": 0,
    }
    with tempfile.TemporaryDirectory() as folder:
        simulate(
            Path(folder),
            options.iterations * options.rounds,
            lambda session, real: rounds.append(Rounds(session, real, options.iterations)),
            config,
            beat_interval=0,
        )
    return rounds[0]


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--iterations", type=int, default=2000, help="a round")
    parser.add_argument("--rounds", type=int, default=15)
    add_outputs(parser)
    options = parser.parse_args(words)
    costs: dict[str, np.ndarray] = {}
    steps = []
    for log_interval, ema, capture in (
        *((5, 0, True), (10, 0, True), (10, 0.995, True)),
        (10, 0.995, False),
    ):
        rounds = measure(options, log_interval, ema, capture)
        steps.append(rounds.fastest("step"))
        costs.setdefault("bare loop", rounds.median("bare"))
        costs.setdefault("Ignite's engine alone", rounds.median("engine", less="bare"))
        name = f"run, log_interval={log_interval}" + (", averaged weights" if ema else "")
        name += "" if capture else ", capture=False"
        costs[name] = rounds.median("run", less="bare") + rounds.median("beat")
    real = np.min(steps, axis=0)
    rows = [
        {
            "what": name,
            "µs": round(1e6 * cost[0], 1),
            "processor µs": round(1e6 * cost[1], 1),
            "% of the step": round(100 * cost[0] / real[0], 3),
        }
        for name, cost in {"smoke networks' step": real, **costs}.items()
    ]
    print(surroundings())
    print(f"medians of {options.rounds - 1} rounds of {options.iterations} iterations")
    print("all but the first two rows: what comes on top of the bare loop, an iteration")
    report(rows, options, "µs")


if __name__ == "__main__":
    main()
