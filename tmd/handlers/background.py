"""Work beside the training: what is written to disk need not hold up the next update."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class Background:
    """Calls functions one after the other in a thread of its own.

    What a function raised is raised by the next call of any method.

    Args:
        most: calls that may wait or be under way; one more waits for the first of them, so that
            what they hold does not pile up.

    Example:
        >>> done = []
        >>> background = Background()
        >>> background(done.append, 1)
        >>> background.close()
        >>> done
        [1]
    """

    def __init__(self, most: int = 3) -> None:
        self.most = most
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="background")
        self._pending: deque[Future] = deque()

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Call ``function(*arguments)`` when all before it are done."""
        while self._pending and (self._pending[0].done() or len(self._pending) >= self.most):
            self._pending.popleft().result()
        self._pending.append(self._thread.submit(function, *arguments))

    def wait(self) -> None:
        """Return when all is done."""
        while self._pending:
            self._pending.popleft().result()

    def close(self) -> None:
        """Wait, and end the thread."""
        try:
            self.wait()
        finally:
            self._thread.shutdown()
