"""Failures of an observer: said once, counted in the record, never raised into Sacred.

One exception from an observer and Sacred switches it off for the rest of the run.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from observers.credentials import without_credentials
from observers.names import printable

logger = logging.getLogger("observers")
F = TypeVar("F", bound=Callable[..., Any])


class Failures:
    """The failures of one run's observer."""

    def __init__(self) -> None:
        self.count = 0
        self.messages: list[str] = []
        self._said: set[str] = set()
        self._lock = threading.Lock()

    def add(self, doing: str, error: BaseException | str, once: str | None = None) -> None:
        """Count a failure, and say it if it is a new one.

        Args:
            doing: what failed.
            error: how.
            once: the kind of failure of which the first is said; by default those with the same
                message are of one kind.
        """
        what = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        message = printable(without_credentials(f"{doing}: {what}").replace("\n", " "))[:500]
        with self._lock:
            self.count += 1
            new = (once or message) not in self._said and len(self.messages) < 20
            if new:
                self._said.add(once or message)
                self.messages.append(message)
        if new:
            logger.warning("observer: %s (training goes on)", message)

    def entry(self) -> dict[str, Any]:
        """The failures as an entry of ``run.json``."""
        return {"count": self.count, "messages": list(self.messages)}


def guarded(method: F) -> F:
    """Decorator of a method that notes what it raises in ``self.failures`` instead."""

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except Exception as error:
            self.failures.add(method.__name__.replace("_", " "), error)
            return None

    return call  # type: ignore[return-value]
