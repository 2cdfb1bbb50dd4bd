"""Saves what is needed to go on, keeps the newest two and the best."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ignite.engine import Engine, Events

from tmd.checkpoints import BEST, checkpoint_name
from tmd.training.events import TrainingEvents


class Checkpoints:
    """Attach last: what the other handlers of the same iteration do must be in the checkpoint.

    Args:
        contents: () -> a copy of everything an exact resume needs, or None where nothing is kept;
            raises rather than hand over a state that is broken, in which case nothing is saved and
            the older checkpoints stay. With ``completed=N``: of a state that an error left near
            iteration N.
        best: () -> the best generator, or None.
        save: writes the named checkpoint and says whether it is durable; while it is not, no older
            one is removed.
        remove: deletes the named checkpoint, if it is there.
        every: iterations between two checkpoints.
        last: the run's last iteration, after which one is saved whatever ``every`` says.
        keep: how many are kept. With one, a crash while it is replaced could lose it.
        background: calls what writes and removes, one after the other; without it, at once.
    """

    def __init__(
        self,
        contents: Callable[..., dict[str, Any] | None],
        best: Callable[[], dict[str, Any] | None],
        save: Callable[[str, dict[str, Any]], bool],
        remove: Callable[[str], None],
        every: int,
        last: int,
        keep: int = 2,
        background: Callable[..., None] | None = None,
    ) -> None:
        self.contents = contents
        self.best = best
        self.save_file = save
        self.remove_file = remove
        self.every = every
        self.last = last
        self.keep = keep
        self.background = background or _at_once
        self._newest: str | None = None
        self._kept: list[str] = []
        self._late: list[str] = []

    def attach(self, trainer: Engine) -> None:
        """Attach after everything whose state is saved."""
        trainer.add_event_handler(Events.STARTED, self._save_best)
        trainer.add_event_handler(TrainingEvents.VALIDATED, self._save_if_best)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._save_if_due)

    def _save_best(self, trainer: Engine) -> None:
        # A resumed run's store has no file yet of the best state that its parent reached.
        best = self.best()
        if best is not None:
            self.background(self.save_file, BEST, best)

    def _save_if_best(self, trainer: Engine) -> None:
        if trainer.state.is_best:
            self._save_best(trainer)

    def _save_if_due(self, trainer: Engine) -> None:
        if trainer.state.iteration % self.every == 0 or trainer.state.iteration == self.last:
            self.save(trainer)

    def save(self, trainer: Engine) -> None:
        """Save now, unless this iteration's checkpoint is there already."""
        self._save(trainer.state.iteration)

    def rescue(self, trainer: Engine, completed: int | None) -> str | None:
        """Save what an error has left, and return the checkpoint's name; None: there is no need.

        Args:
            completed: updates made, where the error came within one or after it; None: all is as
                at the end of the last iteration.
        """
        if completed is None:
            return self._save(trainer.state.iteration)
        return self._save(completed, completed=completed)

    def _save(self, iteration: int, **state: int) -> str | None:
        name = checkpoint_name(iteration)
        if name == self._newest or not iteration:
            return None
        contents = self.contents(**state)
        self._newest = name
        if contents is None:
            return None
        self.background(self._replace_oldest, name, contents)
        return name

    def _replace_oldest(self, name: str, contents: dict[str, Any]) -> None:
        if not self.save_file(name, contents):
            self._newest = None  # another try at the same iteration is welcome
            self._late.append(name)
            return
        # What was not durable at once may have become so since: it is older than this one.
        for late in {*self._late} - {name}:
            self.remove_file(late)
        self._late.clear()
        self._kept.append(name)
        while len(self._kept) > self.keep:
            self.remove_file(self._kept.pop(0))


def _at_once(function: Callable[..., Any], *arguments: Any) -> None:
    function(*arguments)
