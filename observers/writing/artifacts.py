"""Files that a running experiment keeps in its record and may take back: checkpoints, sheets."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from observers.writing.waiting import Source


@runtime_checkable
class KeepsArtifacts(Protocol):
    """An observer of ours; Sacred's own can add an artifact, but never remove it."""

    def save_artifact(self, name: str, source: Source) -> bool:
        """Keep the artifact; returns whether it is durable."""

    def remove_artifact(self, name: str) -> None:
        """Drop the artifact."""

    def undelivered(self) -> list[str]:
        """Places of the artifacts that are not durable."""


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
        """Return whether anything is kept."""
        return bool(self._observers)

    def save(self, name: str, source: Source) -> bool:
        """Keep a file as ``name``, replacing one of that name.

        A store without room for it keeps it on the temporary file system, or in memory where that
        is full too, and tries again at every beat and with every further artifact; of names that
        differ in the eight digits of an iteration only, the newest.

        Args:
            name: of the artifact; one path component.
            source: a file to copy, or a function that writes the file at the path it is given. It
                may be called again later, from another thread, and must write the same then.

        Returns:
            Whether it is durable: it outlives this process, and a loss of power, from now
            on. Remove what it supersedes only then.
        """
        return all([each.save_artifact(name, source) for each in self._observers])

    def remove(self, name: str) -> None:
        """Drop an artifact from the record and its bytes from the store; absent ones are fine."""
        for each in self._observers:
            each.remove_artifact(name)

    def undelivered(self) -> list[str]:
        """Places of what is not durable, after one more try; empty if all is.

        It stays there when the process ends, and the run's last line says where.
        """
        return [place for each in self._observers for place in each.undelivered()]
