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

logger = logging.getLogger("observers")
F = TypeVar("F", bound=Callable[..., Any])


class Failures:
    """What went wrong in one run's record."""

    def __init__(self) -> None:
        self.count = 0
        self.messages: list[str] = []
        self._lock = threading.Lock()

    def add(self, doing: str, error: BaseException | str) -> None:
        what = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        message = without_credentials(f"{doing}: {what}").replace("\n", " ")[:500]
        with self._lock:
            self.count += 1
            new = message not in self.messages and len(self.messages) < 20
            if new:
                self.messages.append(message)
        if new:
            logger.warning("observer: %s (training goes on)", message)

    def entry(self) -> dict[str, Any]:
        return {"count": self.count, "messages": list(self.messages)}


def guarded(method: F) -> F:
    """For a method of an object with ``failures``: what it raises is noted there instead."""

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except Exception as error:
            self.failures.add(method.__name__.replace("_", " "), error)
            return None

    return call  # type: ignore[return-value]
