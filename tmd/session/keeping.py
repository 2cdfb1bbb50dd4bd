"""Checkpoints of a session on their way to those who keep them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ignite.engine import Engine

from tmd.checkpoints import captured_name, save_checkpoint
from tmd.handlers import Background, Checkpoints, NonFiniteError, ScalarLog
from tmd.recorders import Recorder
from tmd.session.capture import Broken
from tmd.session.contents import Contents
from tmd.session.data import Data


class Keeping:
    """Contents of a session's checkpoints, handed to every recorder.

    Args:
        contents: of checkpoints.
        recorders: of which some keep files, or none.
        trainer: whose iteration a checkpoint is of.
        scalars: checked for numbers that are not finite before anything is kept.
        data: that the run learns from.
        say: prints a line for a person.
    """

    def __init__(
        self,
        contents: Contents,
        recorders: Sequence[Recorder],
        trainer: Engine,
        scalars: ScalarLog,
        data: Data,
        say: Callable[[str], None],
    ) -> None:
        self.contents = contents
        self.recorders = recorders
        self.keeps = any(each.keeps_artifacts for each in recorders)
        self._trainer = trainer
        self._scalars = scalars
        self._data = data
        self._say = say

    def training(self, completed: int | None = None) -> dict[str, Any] | None:
        """Contents of a checkpoint to go on from, or None where nobody keeps any.

        Args:
            completed: updates made, where an error came during the next or after it; None: all is
                as after an iteration.

        Raises:
            NonFiniteError: a loss, or the weights, are not finite.
        """
        self._scalars.check()
        if not self.keeps:
            return None
        iteration = self._trainer.state.iteration if completed is None else completed
        trained_on = self._data.trained_on
        return self.contents.of_training(iteration, completed is None, trained_on=trained_on)

    def best(self) -> dict[str, Any] | None:
        """Contents of the best generator's file; None before there is one, or a keeper."""
        return self.contents.of_best() if self.keeps else None

    def save(self, name: str, contents: dict[str, Any]) -> bool:
        """Hand a checkpoint to every recorder; is it durable in all of them?"""

        def write(path: Path) -> None:
            save_checkpoint(path, contents)

        return all([recorder.artifact(name, write) for recorder in self.recorders])

    def remove(self, name: str) -> None:
        """Have every recorder remove a checkpoint."""
        for recorder in self.recorders:
            recorder.remove(name)

    def rescue(
        self, checkpoints: Checkpoints, background: Background, completed: int | None
    ) -> None:
        """Save what an error has left: exact between two updates, else near to it, and say so."""
        try:
            name = checkpoints.rescue(self._trainer, completed)
            background.wait()
        except NonFiniteError:
            return
        except Exception as second:
            self._say(f"no checkpoint could be saved before the error below: {second}")
            return
        if name:
            self._say(f"saved {name} before the error below")

    def keep_broken(self, broken: Broken, **more: Any) -> Path:
        """Save an update that broke, with all that makes it again, and return where to.

        Args:
            more: entries of the file.
        """
        name = captured_name(broken.iteration)
        self.save(name, self.contents.of_broken(broken, **more))
        folders = [getattr(each, "folder", None) for each in self.recorders]
        return next((Path(folder) / name for folder in folders if folder), Path(name))
