"""The engine that every trainer of ours is: a step a phase, and what handlers find on its state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ignite.engine import Engine, Events
from torch import Tensor

from tmd.training.events import TrainingEvents
from tmd.training.phases import Phases

Step = Callable[[Engine, Any], dict[str, Tensor]]


def phased_engine(steps: Mapping[str, Step], phases: Phases) -> Engine:
    """An engine that calls the step of the phase that the iteration belongs to.

    Args:
        steps: by phase, (engine, batch) -> detached scalars on the device.
        phases: when which step is called.

    Returns:
        An engine with ``state.phase`` and ``state.adv_weight`` (0 until a handler says otherwise).
    """

    def step(engine: Engine, batch: Any) -> dict[str, Tensor]:
        return steps[engine.state.phase](engine, batch)

    trainer = Engine(step)
    # For `engine_again`.
    trainer.step, trainer.steps, trainer.phases = step, steps, phases
    trainer.register_events(*TrainingEvents)
    trainer.state.adv_weight = 0.0

    @trainer.on(Events.ITERATION_STARTED)
    def enter_phase(engine: Engine) -> None:
        engine.state.phase = phases.at(engine.state.iteration)

    return trainer


def engine_again(trainer: Engine) -> Engine:
    """Another engine of a trainer's steps, which no handler is attached to."""
    return phased_engine(trainer.steps, trainer.phases)
