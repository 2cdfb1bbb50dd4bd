"""Files that a running experiment keeps in its record and may take back: checkpoints, sheets."""

from __future__ import annotations

import os
from typing import Any, Protocol, runtime_checkable

from observers.failures import Failures


@runtime_checkable
class KeepsArtifacts(Protocol):
    """An observer of ours; Sacred's own can add an artifact, but never remove it."""

    failures: Failures

    def save_artifact(self, name: str, source: str | os.PathLike[str]) -> bool: ...

    def remove_artifact(self, name: str) -> None: ...


class RunArtifacts:
    """The artifacts of a Sacred run, in every store of ours that observes it.

    No method raises: a store that is away or a full disk is said once, counted in the record
    and tried again.

    Args:
        run: Sacred's ``_run``. One that nobody observes keeps nothing.
    """

    def __init__(self, run: Any) -> None:
        self._observers = [each for each in run.observers if isinstance(each, KeepsArtifacts)]

    def __bool__(self) -> bool:
        """Whether anything is kept."""
        return bool(self._observers)

    def save(self, name: str, path: str | os.PathLike[str]) -> bool:
        """Keep a copy of the file ``path`` as ``name``, replacing one of that name.

        Returns:
            Whether the copy is durable: it outlives this process, and a loss of power, from now
            on. Remove what it supersedes only then.
        """
        return all([each.save_artifact(name, path) for each in self._observers])

    def remove(self, name: str) -> None:
        """Drop an artifact from the record and its bytes from the store; absent ones are fine."""
        for each in self._observers:
            each.remove_artifact(name)

    def failed(self, name: str, error: Exception) -> None:
        """Say and count that there is no file to keep as ``name``, for want of room say."""
        for each in self._observers:
            each.failures.add(f"make {name}", error)
