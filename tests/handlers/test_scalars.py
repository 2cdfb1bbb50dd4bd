from __future__ import annotations

import math

import pytest
import torch
from ignite.engine import Engine

from tmd.handlers import NonFiniteError, ScalarLog
from tmd.training import TrainingEvents


def engine_of(values: list[float], log: ScalarLog) -> tuple[Engine, list[tuple[int, dict]]]:
    trainer = Engine(
        lambda engine, batch: {"loss": torch.tensor(values[engine.state.iteration - 1])}
    )
    trainer.register_events(*TrainingEvents)
    log.attach(trainer)
    logged: list[tuple[int, dict]] = []
    trainer.add_event_handler(
        TrainingEvents.LOGGED,
        lambda engine: logged.append((engine.state.iteration, engine.state.scalars)),
    )
    return trainer, logged


def test_an_interval_gives_its_mean() -> None:
    log = ScalarLog(3)
    trainer, logged = engine_of([1.0, 2.0, 6.0, 10.0, 20.0, 30.0, 7.0], log)
    trainer.run(range(7), max_epochs=1)
    log.flush(trainer)
    assert logged == [(3, {"loss": 3.0}), (6, {"loss": 20.0}), (7, {"loss": 7.0})]


def test_terms_that_come_and_go_with_the_phase_are_averaged_over_where_they_were() -> None:
    outputs = [{"a": torch.tensor(1.0)}, {"a": torch.tensor(3.0)}, {"b": torch.tensor(5.0)}]
    trainer = Engine(lambda engine, batch: outputs[engine.state.iteration - 1])
    trainer.register_events(*TrainingEvents)
    ScalarLog(3).attach(trainer)
    trainer.run(range(3), max_epochs=1)
    assert trainer.state.scalars == {"a": 2.0, "b": 5.0}


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_broken_term_is_named_with_its_iteration(broken: float) -> None:
    trainer, logged = engine_of([1.0, broken, 3.0, 4.0], ScalarLog(4))
    trainer.logger.disabled = True
    with pytest.raises(NonFiniteError, match=rf"loss became {broken} at iteration 2 "):
        trainer.run(range(4), max_epochs=1)
    assert logged == []


def test_nothing_is_read_from_the_device_between_two_log_points(monkeypatch) -> None:
    reads = []
    for name in ("item", "tolist", "__float__", "__bool__", "cpu", "numpy"):
        original = getattr(torch.Tensor, name)

        def counted(self, *args, _original=original, _name=name, **kwargs):
            reads.append(_name)
            return _original(self, *args, **kwargs)

        monkeypatch.setattr(torch.Tensor, name, counted)
    trainer, _ = engine_of([1.0] * 10, ScalarLog(5))
    trainer.run(range(10), max_epochs=1)
    assert reads == ["tolist", "tolist"]


def test_what_was_pending_is_averaged_after_a_resume() -> None:
    values = [1.0, 2.0, 6.0]
    first = ScalarLog(3)
    trainer, _ = engine_of(values[:2], first)
    trainer.run(range(2), max_epochs=1)
    second = ScalarLog(3)
    second.load_state_dict(first.state_dict())
    resumed, logged = engine_of(values, second)
    resumed.load_state_dict({"iteration": 2, "epoch_length": 3, "max_epochs": 1})
    resumed.run([0], max_epochs=1, epoch_length=3)
    assert logged == [(3, {"loss": 3.0})]
