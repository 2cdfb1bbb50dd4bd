"""The numbers of a run on their way to its recorders."""

from __future__ import annotations

from collections.abc import Sequence

from ignite.engine import Engine

from tmd.recorders import Recorder
from tmd.training.events import TrainingEvents

#: What handlers leave on the engine's state besides the averages of the trainer's output.
SCHEDULED = ("adv_weight", "lr_g", "lr_d")


class Recording:
    """Hands scalars (group ``train``) and held-out metrics (``validation``) to the recorders.

    What schedules leave on the state joins ``engine.state.scalars`` here.

    Args:
        recorders: called in their order.
    """

    def __init__(self, recorders: Sequence[Recorder]) -> None:
        self.recorders = recorders

    def attach(self, trainer: Engine) -> None:
        """Attach before what shows the scalars, after what leaves numbers on the state."""
        trainer.add_event_handler(TrainingEvents.LOGGED, self._scalars)
        trainer.add_event_handler(TrainingEvents.VALIDATED, self._validation)

    def _scalars(self, trainer: Engine) -> None:
        state = trainer.state
        present = {name: getattr(state, name, None) for name in SCHEDULED}
        scheduled = {name: value for name, value in present.items() if value is not None}
        state.scalars = {**state.scalars, **scheduled}
        self._hand_over("train", state.scalars, state.iteration)

    def _validation(self, trainer: Engine) -> None:
        self._hand_over("validation", trainer.state.validation, trainer.state.iteration)

    def _hand_over(self, group: str, values: dict[str, float], iteration: int) -> None:
        plain = {name: float(value) for name, value in values.items()}
        for recorder in self.recorders:
            recorder.metrics(group, plain, iteration)
