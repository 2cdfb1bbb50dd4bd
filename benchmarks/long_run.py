"""Memory and time per iteration over a million iterations, which must both be flat.

    python benchmarks/long_run.py [--iterations 1000000] [--csv out/long_run.csv] [--plot out/l.png]

The run is `experiments/srgan.py with smoke` with all its handlers and its record, at the smallest
networks and with a step that only hands scalars over: scalars are logged every 10 iterations, and
each epoch ends with a validation on the held-out images and a checkpoint. Memory rises by what is
logged until the observer makes metrics.json, every two minutes, and falls then.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from reporting import add_outputs, show, surroundings
from simulated import simulate

from observers import run_folder
from tmd.session import TrainingSession

TENTHS = 10
SMALL = {
    "generator.n_blocks": 1,
    "generator.n_features": 4,
    "discriminator.features": [4, 4],
    "discriminator.strides": [2, 2],
    "training.log_interval": 10,
}


class Watch:
    """A row at the first iteration and at each tenth of the run that it is attached to."""

    def __init__(self, session: TrainingSession, iterations: int) -> None:
        self.rows: list[dict[str, Any]] = []
        self.record = run_folder(session.recorders[0].run)  # type: ignore[attr-defined]
        self._last = (0, 0.0, 0.0)
        session.trainer.add_event_handler(Events.ITERATION_COMPLETED(once=1), self._note)
        session.trainer.add_event_handler(
            Events.ITERATION_COMPLETED(every=iterations // TENTHS), self._note
        )

    def _note(self, trainer: Engine) -> None:
        now = (trainer.state.iteration, time.perf_counter(), time.process_time())
        done, clock, processor = (a - b for a, b in zip(now, self._last, strict=True))
        self._last = now
        first = not self.rows
        self.rows.append(
            {
                "iteration": trainer.state.iteration,
                "RSS MB": round(resident(), 1),
                "µs": None if first else round(1e6 * clock / done, 1),
                "processor µs": None if first else round(1e6 * processor / done, 1),
                "record MB": round(size(self.record), 1),
            }
        )


def resident() -> float:
    """Resident memory in MB; its peak where the present one is not told."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def size(folder: Path | None) -> float:
    """Of the files below, in MB."""
    if folder is None:
        return 0
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def measure(iterations: int, epochs: int) -> list[dict[str, Any]]:
    watches: list[Watch] = []
    epoch_length = iterations // epochs
    often = {"training.epoch_length": epoch_length, "training.checkpoint_every": epoch_length}
    with tempfile.TemporaryDirectory() as folder:
        simulate(
            Path(folder),
            iterations,
            lambda session, _: watches.append(Watch(session, iterations)),
            {**SMALL, **often},
        )
    return watches[0].rows


def plot(rows: list[dict[str, Any]], to: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2), layout="constrained")
    for axes, columns in zip(
        figure.subplots(1, 2), (["RSS MB"], ["µs", "processor µs"]), strict=True
    ):
        for column in columns:
            points = [(row["iteration"], row[column]) for row in rows if row[column] is not None]
            axes.plot(*zip(*points, strict=True), marker="o", label=column)
        axes.set(xlabel="iteration", ylim=(0, 1.1 * axes.get_ylim()[1]))
        axes.legend()
        axes.grid(alpha=0.3)
    to.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(to, dpi=120)


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--iterations", type=int, default=1_000_000)
    parser.add_argument("--epochs", type=int, default=20)
    add_outputs(parser)
    options = parser.parse_args(words)
    rows = measure(options.iterations, options.epochs)
    print(surroundings())
    show(rows, options.csv)
    if options.plot:
        plot(rows, options.plot)


if __name__ == "__main__":
    main()
