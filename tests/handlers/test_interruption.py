from __future__ import annotations

import contextlib
import os
import signal

import pytest
from ignite.engine import Engine

from tmd.errors import raise_interrupted
from tmd.handlers import Interrupted, Interruption


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_the_iteration_it_came_in_and_after_saving(number: int) -> None:
    done: list[int] = []
    saved: list[int] = []

    def step(engine: Engine, batch: int) -> None:
        if engine.state.iteration == 3:
            os.kill(os.getpid(), number)
        done.append(engine.state.iteration)

    trainer = Engine(step)
    trainer.logger.disabled = True
    interruption = Interruption(lambda engine: saved.append(engine.state.iteration))
    interruption.attach(trainer)
    before = signal.getsignal(number)
    with interruption, pytest.raises(Interrupted) as raised:
        trainer.run(range(10), max_epochs=1)
    assert raised.value.signal == number
    assert done == [1, 2, 3]
    assert saved == [3]
    assert signal.getsignal(number) is before


def test_the_second_signal_does_not_wait() -> None:
    def step(engine: Engine, batch: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("the second signal should have ended the step")

    trainer = Engine(step)
    trainer.logger.disabled = True
    interruption = Interruption(lambda engine: None)
    interruption.attach(trainer)
    with interruption, pytest.raises(Interrupted):
        trainer.run(range(2), max_epochs=1)


def test_without_a_signal_nothing_happens() -> None:
    trainer = Engine(lambda engine, batch: None)
    interruption = Interruption(lambda engine: pytest.fail("nothing to save"))
    interruption.attach(trainer)
    with interruption:
        trainer.run(range(2), max_epochs=1)
    assert trainer.state.iteration == 2


@pytest.mark.parametrize(
    ("problem", "interrupts"), [(None, True), (KeyboardInterrupt, True), (RuntimeError, False)]
)
def test_sigterm_does_not_cut_short_what_a_failure_leaves_to_do(problem, interrupts) -> None:
    previous = signal.signal(signal.SIGTERM, raise_interrupted)
    try:
        with contextlib.suppress(problem or ()), Interruption(before=lambda engine: None):
            if problem is not None:
                raise problem
        if interrupts:
            with pytest.raises(Interrupted):
                os.kill(os.getpid(), signal.SIGTERM)
        else:
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, previous)
