"""Advice on the number of threads, or its change, while other programs use the machine."""

from __future__ import annotations

import sys

from ignite.engine import Engine
from tqdm import tqdm

from tmd.acceleration.threads import ThreadWatch
from tmd.training.events import TrainingEvents


class FollowLoad:
    """Looks at the load at the log points; says in a line what it finds, or changes.

    Args:
        adaptive: change the number of threads, which changes the bits; else advise, once.
        watch: for tests.
    """

    def __init__(self, adaptive: bool = False, watch: ThreadWatch | None = None) -> None:
        self.watch = watch or ThreadWatch(adaptive)

    def attach(self, trainer: Engine) -> None:
        """Look at each log point."""
        trainer.add_event_handler(TrainingEvents.LOGGED, self)

    def __call__(self, trainer: Engine) -> None:
        """Follow the load; costs nothing until it is due."""
        if line := self.watch.look():
            tqdm.write(line, file=sys.stderr)
