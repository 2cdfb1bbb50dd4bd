"""Advice on the number of threads, or its change, while other programs use the machine."""

from __future__ import annotations

import sys

from ignite.engine import Engine, Events
from tqdm import tqdm

from tmd.acceleration.threads import ThreadWatch


class FollowLoad:
    """Looks at the load every few seconds; says in a line what it finds, or changes.

    After any iteration, not at the log points alone: on a machine that has become busy these can
    be minutes apart.

    Args:
        adaptive: change the number of threads, which changes the bits; else advise, once.
        watch: for tests.
    """

    def __init__(self, adaptive: bool = False, watch: ThreadWatch | None = None) -> None:
        self.watch = watch or ThreadWatch(adaptive)

    def attach(self, trainer: Engine) -> None:
        """Look after each iteration."""
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, trainer: Engine) -> None:
        """Follow the load; costs a microsecond until it is due."""
        if line := self.watch.look():
            tqdm.write(line, file=sys.stderr)
