from __future__ import annotations

from typing import Any

import pytest
from ignite.engine import Engine, Events

from tmd.errors import UserError
from tmd.handlers import Best, create_adversarial_weight
from tmd.training import Phases, TrainingEvents


class Network:
    """Counts its updates: a state one can read."""

    def __init__(self) -> None:
        self.value = 0

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.value = state["value"]


def run(
    phases: Phases, name: str, scores: dict[int, tuple[float, float]] | None = None, **settings: Any
) -> tuple[list[float], Network, Any, Best]:
    """Weights by iteration; ``scores`` are (psnr, score) of validations by iteration."""
    network = Network()
    weights: list[float] = []
    trainer = Engine(lambda engine, batch: None)
    trainer.register_events(*TrainingEvents)

    @trainer.on(Events.ITERATION_STARTED)
    def phase(engine: Engine) -> None:
        engine.state.phase = phases.at(engine.state.iteration)

    best = Best(network, phases, max_psnr_loss=1.0)  # type: ignore[arg-type]
    best.attach(trainer)
    weight = create_adversarial_weight(
        name, 0.8, phases, network.state_dict, network.load_state_dict, **settings
    )
    weight.attach(trainer)

    @trainer.on(Events.ITERATION_COMPLETED)
    def update(engine: Engine) -> None:
        network.value += 1
        weights.append(round(engine.state.adv_weight, 6))
        if scores and engine.state.iteration in scores:
            psnr, score = scores[engine.state.iteration]
            engine.state.validation = {"psnr": psnr, "score": score}
            engine.fire_event(TrainingEvents.VALIDATED)

    trainer.run([0] * phases.total, max_epochs=1)
    return weights, network, weight, best


def test_outside_the_adversarial_phase_the_weight_is_zero() -> None:
    weights, *_ = run(Phases(2, 1, 2), "constant")
    assert weights == [0, 0, 0, 0.8, 0.8]


def test_a_linear_ramp_has_equal_steps() -> None:
    weights, *_ = run(Phases(0, 0, 5), "linear", start=0.25)
    assert weights == [0.2, 0.35, 0.5, 0.65, 0.8]


def test_an_exponential_ramp_has_equal_ratios() -> None:
    weights, *_ = run(Phases(1, 0, 4), "exponential", start=0.125)
    assert weights == [0, 0.1, 0.2, 0.4, 0.8]


def test_a_shorter_ramp_stays_at_its_end() -> None:
    weights, *_ = run(Phases(0, 0, 8), "linear", start=0.25, length=0.5)
    assert weights == [0.2, 0.4, 0.6, 0.8, 0.8, 0.8, 0.8, 0.8]


def test_adaptive_rises_while_the_result_gets_better_up_to_the_target() -> None:
    scores = {1: (30, 9.0), 2: (30, 8.0), 3: (30, 7.0), 4: (30, 6.0), 5: (30, 5.0), 6: (30, 4.0)}
    weights, network, *_ = run(Phases(1, 0, 5), "adaptive", scores, start=0.25, raise_by=2.0)
    assert weights == [0, 0.2, 0.4, 0.8, 0.8, 0.8]
    assert network.value == 6


def test_adaptive_goes_back_to_the_best_state_with_a_lower_weight() -> None:
    scores = {1: (30, 5.0), 2: (30, 4.0), 3: (30, 4.5), 4: (30, 4.2), 5: (30, 3.0)}
    weights, network, *_ = run(
        Phases(1, 0, 5), "adaptive", scores, start=0.5, raise_by=2.0, lower_by=0.5, patience=2
    )
    # 2 was better: raised. 3 and 4 were not: back to 2's state, half the weight.
    assert weights == [0, 0.4, 0.8, 0.8, 0.4, 0.8]
    # 2 updates to the best state, then updates 5 (value 3, the new best) and 6 (not validated).
    assert network.value == 4


def test_a_better_score_that_costs_too_much_psnr_is_not_better() -> None:
    scores = {1: (30, 5.0), 2: (28.9, 1.0), 3: (29.0, 4.0)}
    *_, best = run(Phases(1, 0, 2), "adaptive", scores, patience=5)
    assert best.iteration == 3
    assert best.metrics == {"psnr": 29.0, "score": 4.0}


def test_what_adaptive_hands_over_is_never_worse_than_the_pretrained() -> None:
    for later in (6.0, 5.1, 9.0):
        scores = {2: (30, 5.0), 3: (30, later), 4: (25, 1.0), 5: (30, later)}
        _, network, _, best = run(Phases(2, 0, 3), "adaptive", scores, patience=9)
        assert best.iteration == 2
        assert network.value == 2  # the state after the second update
        assert best.metrics == {"psnr": 30, "score": 5.0}


def test_the_last_state_stays_if_it_is_the_best() -> None:
    scores = {1: (30, 5.0), 2: (30, 6.0), 3: (30, 4.0)}
    _, network, *_ = run(Phases(1, 0, 2), "adaptive", scores)
    assert network.value == 3


def test_without_adversarial_training_the_best_is_the_highest_psnr() -> None:
    scores = {1: (30, 5.0), 2: (31, 9.0), 3: (30.5, 1.0)}
    *_, best = run(Phases(3, 0, 0), "constant", scores)
    assert best.iteration == 2


def test_adaptive_continues_from_its_state() -> None:
    scores = {1: (30, 5.0), 2: (30, 4.0)}
    _, network, weight, _ = run(Phases(1, 0, 1), "adaptive", scores)
    restored = create_adversarial_weight(
        "adaptive", 0.8, Phases(1, 0, 1), network.state_dict, network.load_state_dict
    )
    restored.load_state_dict(weight.state_dict())
    assert restored.at(3) == weight.at(3)
    assert restored.state_dict() == weight.state_dict()


def test_adaptive_goes_on_from_another_schedule() -> None:
    """What it finds, best or not, is what it goes back to."""
    phases = Phases(0, 0, 6)
    network = Network()
    weight = create_adversarial_weight(
        "adaptive", 0.8, phases, network.state_dict, network.load_state_dict
    )
    weight.load_state_dict({})
    trainer = Engine(lambda engine, batch: None)
    trainer.register_events(*TrainingEvents)
    weight.attach(trainer)
    trainer.state.phase = "adversarial"

    @trainer.on(Events.ITERATION_COMPLETED)
    def validated(engine: Engine) -> None:
        network.value = engine.state.iteration
        engine.state.is_best = False
        engine.fire_event(TrainingEvents.VALIDATED)

    trainer.run([0] * phases.total, max_epochs=1)
    assert network.value == 1
    # Lowered after the 3rd, the 5th and the last.
    assert weight.at(7) == pytest.approx(0.8 * 0.1 * 0.5**3)


def test_a_setting_of_another_schedule_is_an_error_that_lists_its_own() -> None:
    with pytest.raises(UserError, match=r"schedule\.adv\.patience: linear has no such setting"):
        create_adversarial_weight("linear", 1.0, Phases(0, 0, 1), dict, print, patience=2)
    with pytest.raises(UserError, match=r"schedule\.adv\.name='lineal': must be one of adaptive"):
        create_adversarial_weight("lineal", 1.0, Phases(0, 0, 1), dict, print)
