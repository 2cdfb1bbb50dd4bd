"""Progress of a trainer in an update, and functions that are called when one is completed."""

from __future__ import annotations

from collections.abc import Callable

from ignite.engine import Engine, Events


class Underway:
    """Progress of the trainer, for whoever has to save after an error; attach it first.

    Attributes:
        completed: updates made while an update, or what follows one, is under way; None between
            two, when all is as a checkpoint needs it.
    """

    def __init__(self) -> None:
        self.completed: int | None = None

    def attach(self, trainer: Engine) -> None:
        """Attach first; `over` is to be called last."""
        trainer.add_event_handler(Events.ITERATION_STARTED, self._began)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._updated)

    def _began(self, trainer: Engine) -> None:
        self.completed = trainer.state.iteration - 1

    def _updated(self, trainer: Engine) -> None:
        self.completed = trainer.state.iteration

    def over(self, trainer: Engine) -> None:
        """Note that all that follows an update is done."""
        self.completed = None


class AtIterationsEnd:
    """A function of the trainer as a handler: called when an iteration is completed.

    Args:
        function: of the engine.
    """

    def __init__(self, function: Callable[[Engine], None]) -> None:
        self.function = function

    def attach(self, trainer: Engine) -> None:
        """Attach in the order in which it is to be called."""
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self.function)
