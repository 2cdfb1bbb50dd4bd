"""Weight of the adversarial loss, iteration by iteration."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tmd.errors import UserError
from tmd.registry import Registry
from tmd.training.phases import Phases

if TYPE_CHECKING:
    from ignite.engine import Engine

#: name -> class; its keyword arguments after ``target`` and ``phases`` are the settings.
ADVERSARIAL_WEIGHTS: Registry[Callable[..., AdversarialWeight]] = Registry("schedule.adv.name")


class AdversarialWeight:
    """Sets ``engine.state.adv_weight`` before each update; 0 outside the adversarial phase.

    Args:
        target: the weight that the user asked for (``adv_weight``).
        phases: of the run.
    """

    def __init__(self, target: float, phases: Phases) -> None:
        self.target = target
        self.phases = phases

    def attach(self, trainer: Engine) -> None:
        """Set the weight before each update."""
        from ignite.engine import (
            Events,  # which who only asks for a schedule's name need not wait for
        )

        trainer.add_event_handler(Events.ITERATION_STARTED, self._set)

    def _set(self, trainer: Engine) -> None:
        adversarial = trainer.state.phase == "adversarial"
        trainer.state.adv_weight = self.at(trainer.state.iteration) if adversarial else 0.0

    def at(self, iteration: int) -> float:
        """The weight for update ``iteration`` of the run."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """State of schedules that remember."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Most schedules are functions of the iteration and have nothing to load."""


@ADVERSARIAL_WEIGHTS.register("constant")
class ConstantWeight(AdversarialWeight):
    """``target`` from the first adversarial update on."""

    def at(self, iteration: int) -> float:
        """Return ``target``."""
        return self.target


class RampedWeight(AdversarialWeight):
    """From ``start`` times ``target`` to ``target``.

    Args:
        start: the first weight over the last.
        length: share of the adversarial phase that the ramp takes.
    """

    def __init__(
        self, target: float, phases: Phases, start: float = 0.01, length: float = 1.0
    ) -> None:
        super().__init__(target, phases)
        self.start = start
        self.length = length

    def progress(self, iteration: int) -> float:
        """0 at the phase's first update, 1 from the ramp's last on."""
        updates = max(1.0, self.phases.adversarial * self.length - 1)
        return min(1.0, (iteration - 1 - self.phases.start("adversarial")) / updates)


@ADVERSARIAL_WEIGHTS.register("linear")
class LinearWeight(RampedWeight):
    """Linear ramp; see `RampedWeight`."""

    def at(self, iteration: int) -> float:
        """Return the ramp's value."""
        return self.target * (self.start + (1 - self.start) * self.progress(iteration))


@ADVERSARIAL_WEIGHTS.register("exponential")
class ExponentialWeight(RampedWeight):
    """Exponential ramp; see `RampedWeight`."""

    def at(self, iteration: int) -> float:
        """Return the ramp's value."""
        return self.target * self.start ** (1 - self.progress(iteration))


@ADVERSARIAL_WEIGHTS.register("adaptive")
class AdaptiveWeight(AdversarialWeight):
    """Raised as long as the result gets better, lowered when it got worse.

    After each validation: if the state is the best so far (see `Best`), it is remembered and the
    weight is multiplied by ``raise_by``, up to ``target``. After ``patience`` validations in a row
    that were not, everything goes back to the remembered state and goes on with ``lower_by`` times
    the weight. The last update is followed by a return to the best state: what is handed over is
    never worse, by the score, than the pretrained generator.

    Args:
        target: the highest weight.
        phases: of the run.
        capture: () -> a copy of the networks' and optimisers' states.
        restore: puts such a copy back.
        start: the first weight over ``target``.
        raise_by: factor above 1.
        lower_by: factor below 1.
        patience: validations without a new best before going back.
    """

    def __init__(
        self,
        target: float,
        phases: Phases,
        capture: Callable[[], Any],
        restore: Callable[[Any], Any],
        start: float = 0.1,
        raise_by: float = 1.5,
        lower_by: float = 0.5,
        patience: int = 2,
    ) -> None:
        super().__init__(target, phases)
        self.capture = capture
        self.restore = restore
        self.raise_by = raise_by
        self.lower_by = lower_by
        self.patience = patience
        self.weight = start * target
        self.worse = 0
        self.best_state: Any = None

    def at(self, iteration: int) -> float:
        """Return the weight since the last validation."""
        return self.weight

    def attach(self, trainer: Engine) -> None:
        """Attach after `Best`, which says what each validation found."""
        from tmd.training.events import TrainingEvents

        super().attach(trainer)
        trainer.add_event_handler(TrainingEvents.VALIDATED, self._adapt)

    def _adapt(self, trainer: Engine) -> None:
        iteration = trainer.state.iteration
        if iteration < self.phases.start("adversarial") or not self.phases.adversarial:
            return
        if self.best_state is None:
            # Even if it isn't the best: a run resumed with another schedule has only this one.
            self.best_state = self.capture()
            return
        if trainer.state.is_best:
            self.weight = min(self.target, self.raise_by * self.weight)
            self.best_state = self.capture()
            self.worse = 0
            return
        self.worse += 1
        if self.worse >= self.patience or iteration == self.phases.total:
            self.restore(self.best_state)
            self.weight *= self.lower_by
            self.worse = 0

    def state_dict(self) -> dict[str, Any]:
        """Weight, count of validations without a new best, and the best state."""
        return {"weight": self.weight, "worse": self.worse, "best_state": self.best_state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        # A run resumed with another schedule finds nothing of its own here.
        """Go on as where the state was taken."""
        self.weight = state.get("weight", self.weight)
        self.worse = state.get("worse", 0)
        self.best_state = state.get("best_state")


def create_adversarial_weight(
    name: str,
    target: float,
    phases: Phases,
    capture: Callable[[], Any],
    restore: Callable[[Any], Any],
    **settings: Any,
) -> AdversarialWeight:
    """The schedule called ``name``.

    Args:
        settings: those the schedule takes; the others must be None, which also means its default.

    Raises:
        UserError: an unknown name, or a setting that this schedule does not take.
    """
    takes = ADVERSARIAL_WEIGHTS.parameters(name)
    given = {key: value for key, value in settings.items() if value is not None}
    for key in given:
        if key not in takes:
            allowed = ", ".join(k for k in takes if k in settings) or "none"
            raise UserError(f"schedule.adv.{key}: {name} has no such setting, it has: {allowed}")
    if "capture" in takes:
        given.update(capture=capture, restore=restore)
    return ADVERSARIAL_WEIGHTS[name](target, phases, **given)
