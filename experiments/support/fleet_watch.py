"""The process that a fleet's user typed: it starts workers, shows how far all are, and sums up."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tqdm import tqdm

from experiments.support.engines import Engine, Worker, end
from experiments.support.engines.local import variables_in_place_of
from experiments.support.engines.waiting import ending
from experiments.support.fleet import Fleet
from experiments.support.fleet_worker import reason
from tmd.errors import UserError, printable

MODULE = "experiments.support.fleet_worker"
#: Seconds between two looks at the books.
INTERVAL = 0.2
#: Times that each worker, on average, may end without a chunk being done in between.
LOSSES = 3


def run_fleet(fleet: Fleet, engine: Engine, workers: int, device: str) -> int:
    """Have workers do what is left, beside those that others started.

    Returns:
        The number of images that have no result; each was named on stderr.

    Raises:
        UserError: a worker said that it can't, or one after the other ended.
    """
    with fleet.reading():
        seen = Seen(fleet)
        try:
            seen.look()
            if seen.left:
                with Crew(fleet, engine, min(workers, seen.left), device) as crew:
                    while seen.look():
                        crew.care(seen.left)
                        time.sleep(INTERVAL)
        finally:
            seen.bar.close()
        return seen.failed


class Seen:
    """All that was seen of a fleet's reports, shown in one line over all workers.

    Attributes:
        left: the number of chunks that are not done.
        failed: the number of images without a result.
    """

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.failed = 0
        self.left = len(fleet.chunks)
        self._chunks: set[int] = set()
        done = fleet.images_in(fleet.done())
        self.bar = tqdm(
            total=len(fleet.jobs), initial=done, unit="img", desc="upscale", leave=False
        )

    def look(self) -> int:
        """Read and show the reports that are new; the number of chunks that are left."""
        for chunk in sorted(self.fleet.done() - self._chunks):
            report = self.fleet.report(chunk)
            self.failed += len(report.failed)
            for line in [*report.notes, *(f"error: {said}" for _, said in report.failed)]:
                tqdm.write(printable(line), file=sys.stderr)
            self._chunks.add(chunk)
        self.left = len(self.fleet.chunks) - len(self._chunks)
        self.bar.update(self.fleet.images_in(self._chunks) - self.bar.n)
        return self.left


class Crew:
    """The workers that this process starts; they end with the block.

    One that ends takes nothing with it, and another takes its place.
    """

    def __init__(self, fleet: Fleet, engine: Engine, count: int, device: str) -> None:
        self.fleet = fleet
        self.engine = engine
        self.count = count
        self.name = f"worker-{secrets.token_hex(8)}"
        self.command = [sys.executable, "-m", MODULE, str(fleet.output), device, self.name]
        self._workers: list[Worker] = []
        self._started = 0
        self._lost = 0
        self._left = len(fleet.chunks)

    def care(self, left: int) -> None:
        """Start the workers, tell of those that ended, and have others take their places.

        Args:
            left: the number of chunks that are not done.

        Raises:
            UserError: a worker ended by an error that is everybody's, or all did again and again.
        """
        if left < self._left:
            self._left, self._lost = left, 0
        self._workers = [each for old in self._workers for each in self._looked_at(old)]
        if self._workers:
            return
        if self._lost >= LOSSES * self.count:
            raise UserError(
                f"all {self.count} workers ended, {LOSSES} times, before anything was done; the "
                f"last words of each are in {self._output}"
            )
        self._workers = self._start(self.count, {})

    def _looked_at(self, worker: Worker) -> list[Worker]:
        """The worker while it runs, then the one that takes its place, or none."""
        code = worker.poll()
        if code is None:
            return [worker]
        if code and (why := reason(self.fleet, self.name)):
            raise UserError(why)
        self._lost += 1
        if code == 0:  # it found nothing left to do
            return []
        last = self._lost >= LOSSES * self.count
        what = "it is not replaced again" if last else "another takes its place"
        tqdm.write(f"worker {worker.number} {ending(code)}; {what}", file=sys.stderr)
        if last:
            return []
        variables = variables_in_place_of(self.engine, worker.number, self.count)
        (another,) = self._start(1, variables)
        another.number = worker.number
        return [another]

    @property
    def _output(self) -> Path:
        return self.fleet.folder / "output"

    def _start(self, count: int, variables: Mapping[str, str]) -> list[Worker]:
        self._started += 1
        folder = self._output / str(self._started)
        return self.engine.start(self.command, count, variables, folder)

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        end(self._workers)
        self.engine.close()
