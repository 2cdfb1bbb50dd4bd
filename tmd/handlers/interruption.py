"""SIGINT and SIGTERM end a training run at the end of an iteration, with a checkpoint."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import FrameType

from ignite.engine import Engine, Events

from tmd.distributed import ALONE, Share
from tmd.errors import Interrupted, raise_interrupted


def _end_already(number: int, frame: FrameType | None) -> None:
    """A signal handler for a process that is ending."""


class Interruption:
    """While the engine runs, the first signal waits for the iteration's end, the second does not.

    Args:
        before: called before `Interrupted` is raised, to save what is there.
        share: of this process. Several stop together, and so ask each other now and then only.
        interval: iterations between two such questions.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(
        self, before: Callable[[Engine], None], share: Share = ALONE, interval: int = 1
    ) -> None:
        self.before = before
        self.share = share
        self.interval = interval if share.count > 1 else 1
        self.requested: int | None = None

    def attach(self, trainer: Engine) -> None:
        """Attach last: all that follows an update is done when it ends."""
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._stop_if_requested)

    def __enter__(self) -> Interruption:
        self._previous = {number: signal.signal(number, self._request) for number in self.SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        # When one of several processes fails, the others fail with it and are sent SIGTERM as well:
        # that must not cut short the record of the failure. The command line ends this state.
        failed = kind is not None and not issubclass(kind, KeyboardInterrupt)
        if failed and signal.getsignal(signal.SIGTERM) is raise_interrupted:
            signal.signal(signal.SIGTERM, _end_already)

    def _request(self, number: int, frame: FrameType | None) -> None:
        if self.requested is not None:
            raise Interrupted(number)
        self.requested = number
        if not self.share.is_main:
            return
        print(
            f"\n{signal.Signals(number).name}: saving a checkpoint after this iteration "
            "(once more: stop at once)",
            file=sys.stderr,
        )

    def _stop_if_requested(self, trainer: Engine) -> None:
        if trainer.state.iteration % self.interval == 0 and self.share.any(bool(self.requested)):
            self.before(trainer)
            raise Interrupted(self.requested or signal.SIGTERM)
