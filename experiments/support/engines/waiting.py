"""Waiting for workers: the dead are seen and told of, and nobody outlives who waits."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence

from experiments.support.engines.contract import Worker
from experiments.support.engines.process import GRACE
from experiments.support.saying import say

#: Seconds between two looks at the workers.
INTERVAL = 0.2


def wait_for(
    workers: Sequence[Worker],
    each: Callable[[], object] | None = None,
    grace: float = GRACE,
    interval: float = INTERVAL,
) -> list[int]:
    """Wait until all workers have ended; a line says where each is, and one tells of a dead one.

    However the waiting ends, by Ctrl-C, SIGTERM or an exception of ``each``, the workers have
    ended: they are asked by SIGTERM, and killed where they take longer than ``grace``.

    Args:
        each: called after every look, to show progress say.
        grace: seconds.
        interval: seconds between two looks.

    Returns:
        Exit codes in the order of the workers, negative for the number of a signal.
    """
    codes: dict[int, int] = {}
    try:
        for worker in workers:
            say(f"worker {worker.number}: {worker.place}, output in {worker.output}")
        while True:
            for index, worker in enumerate(workers):
                if index not in codes and (code := worker.poll()) is not None:
                    codes[index] = code
                    if code:
                        say(f"worker {worker.number} {ending(code)}: see {worker.output}")
            if each is not None:
                each()
            if len(codes) == len(workers):
                return [codes[index] for index in range(len(workers))]
            time.sleep(interval)
    finally:
        end(workers, grace)


def end(workers: Sequence[Worker], grace: float = GRACE) -> None:
    """Ask the workers to end, and kill those that have not after ``grace`` seconds."""
    for worker in workers:
        worker.terminate()
    deadline = time.monotonic() + grace
    try:
        while any([w.poll() is None for w in workers]) and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:  # a second Ctrl-C does not wait
        for worker in workers:
            worker.kill()


def ending(code: int) -> str:
    """An exit code in words.

    Example:
        >>> ending(2), ending(-9)
        ('ended with exit code 2', 'was ended by SIGKILL')
    """
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
