"""The speed that is recorded with an interval is that interval's own."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine, Events

from tmd.handlers import ScalarLog, Throughput
from tmd.training import TrainingEvents


class Clock:
    """Seconds that pass where the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def recorded(
    seconds: dict[int, float], *, iterations: int, interval: int = 2, validate: tuple[int, ...] = ()
) -> dict[int, float]:
    """What a recorder that is attached after `Throughput` finds, by iteration; 8 images each.

    Args:
        seconds: that each update takes.
        validate: after these iterations, for 50 seconds, followed by 7 of another handler.
    """
    clock = Clock()

    def update(engine: Engine, batch: int) -> dict[str, torch.Tensor]:
        clock.now += seconds[engine.state.iteration]
        return {"loss_g": torch.tensor(1.0)}

    trainer = Engine(update)
    trainer.register_events(*TrainingEvents)
    found: dict[int, float] = {}

    def record(engine: Engine) -> None:
        if "images_per_second" in engine.state.scalars:
            found[engine.state.iteration] = engine.state.scalars["images_per_second"]

    def wait(engine: Engine) -> None:
        clock.now += 7

    def validation(engine: Engine) -> None:
        if engine.state.iteration in validate:
            clock.now += 50
            engine.fire_event(TrainingEvents.VALIDATED)

    Throughput(8, clock).attach(trainer)
    ScalarLog(interval).attach(trainer)
    trainer.add_event_handler(TrainingEvents.LOGGED, record)
    trainer.add_event_handler(TrainingEvents.VALIDATED, wait)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, validation)
    first = min(seconds)
    trainer.load_state_dict({"iteration": first - 1, "epoch_length": iterations, "max_epochs": 1})
    trainer.run(range(iterations), max_epochs=1)
    return found


def test_each_interval_has_its_own_speed() -> None:
    found = recorded({1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4}, iterations=6)
    assert found == {2: 8.0, 4: 4.0, 6: 2.0}


def test_the_first_update_after_a_start_does_not_count() -> None:
    assert recorded({1: 30, 2: 1, 3: 1, 4: 1}, iterations=4) == {2: 8.0, 4: 8.0}
    # After a resume at iteration 3, the interval that ends with 4 has nothing else.
    assert recorded({4: 30, 5: 2, 6: 2}, iterations=6) == {6: 4.0}


@pytest.mark.parametrize("iteration", [2, 3])
def test_validation_and_what_follows_it_does_not_count(iteration: int) -> None:
    found = recorded(dict.fromkeys(range(1, 7), 1.0), iterations=6, validate=(iteration,))
    assert found == {2: 8.0, 4: 8.0, 6: 8.0}
