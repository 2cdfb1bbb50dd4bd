"""Images a second, measured over each interval and recorded with it."""

from __future__ import annotations

import time
from collections.abc import Callable

from ignite.engine import Engine, Events

from tmd.training.events import TrainingEvents


class Throughput:
    """Adds ``images_per_second`` of the interval that ends to ``engine.state.scalars``.

    Attach before whatever records `TrainingEvents.LOGGED`. Left out of the measurement are the
    first update after a start, in which kernels are chosen and workers begin, and validation with
    all that follows it; an interval of which nothing is left records no speed.

    Args:
        images_per_iteration: over all processes.
        clock: seconds, as `time.perf_counter` gives them.
    """

    def __init__(
        self, images_per_iteration: int, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.images_per_iteration = images_per_iteration
        self.clock = clock

    def attach(self, trainer: Engine) -> None:
        """Measure from the trainer's start on."""
        trainer.add_event_handler(Events.STARTED, self._start)
        trainer.add_event_handler(Events.GET_BATCH_STARTED, self._begin)
        trainer.add_event_handler(TrainingEvents.LOGGED, self._add)
        trainer.add_event_handler(TrainingEvents.VALIDATED, self._pause)

    def _start(self, trainer: Engine) -> None:
        self._since: tuple[int, float] | None = None
        self._first = trainer.state.iteration + 1

    def _pause(self, trainer: Engine) -> None:
        self._since = None

    def _begin(self, trainer: Engine) -> None:
        if self._since is None and trainer.state.iteration >= self._first:
            self._since = (trainer.state.iteration, self.clock())

    def _add(self, trainer: Engine) -> None:
        if self._since is None:
            return
        iteration, then = self._since
        now = self.clock()
        made = (trainer.state.iteration - iteration) * self.images_per_iteration
        if made and now > then:
            trainer.state.scalars["images_per_second"] = made / (now - then)
        self._since = (trainer.state.iteration, now)
