from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine

from tmd.handlers import LearningRate
from tmd.training import Phases


def rates(decay: str, phases: Phases, **options) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    seen = []

    def step(engine: Engine, batch: int) -> None:
        seen.append(round(optimizer.param_groups[0]["lr"], 6))
        assert engine.state.lr_g == optimizer.param_groups[0]["lr"]

    trainer = Engine(step)
    LearningRate({"lr_g": optimizer}, decay, phases=phases, **options).attach(trainer)
    trainer.run(range(phases.total), max_epochs=1)
    return seen


def test_exponential_reaches_the_ratio_over_the_run() -> None:
    seen = rates("exponential", Phases(2, 0, 2), ratio=0.0625, over="run")
    assert seen == [1.0, 0.5, 0.25, 0.125]  # and 0.0625 would be the fifth


def test_a_decay_by_phase_begins_anew() -> None:
    assert rates("exponential", Phases(2, 0, 2), ratio=0.25, over="phase") == [1, 0.5, 1, 0.5]


def test_cosine_is_torchs() -> None:
    phases = Phases(8, 0, 0)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    torchs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=8, eta_min=0.1)
    expected = []
    for _ in range(8):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        torchs.step()
    assert rates("cosine", phases, ratio=0.1) == pytest.approx(expected, abs=1e-6)


def test_steps_come_after_the_iterations_named() -> None:
    seen = rates("steps", Phases(0, 0, 6), ratio=0.1, steps=[2, 4])
    assert seen == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_off_and_halfway() -> None:
    assert rates("off", Phases(0, 0, 3), ratio=0.1) == [1, 1, 1]
    assert rates("halfway", Phases(0, 0, 4), ratio=0.1) == pytest.approx([1, 1, 0.1, 0.1])


def test_the_adversarial_phase_may_have_a_rate_of_its_own() -> None:
    seen = rates("off", Phases(2, 1, 2), ratio=0.1, adversarial={"lr_g": 0.25})
    assert seen == [1, 1, 1, 0.25, 0.25]


def test_steps_may_count_anew_in_each_phase() -> None:
    seen = rates("steps", Phases(3, 0, 3), ratio=0.5, steps=[1, 2, 4], over="phase")
    assert seen == [1, 0.5, 0.25, 1, 0.5, 0.5]


def test_the_rates_rise_at_the_start_of_the_run_only() -> None:
    seen = rates("halfway", Phases(4, 0, 4), ratio=0.5, over="phase", rise=3)
    assert seen == [0.25, 0.5, 0.375, 0.5, 1, 1, 0.5, 0.5]


def test_a_rise_is_torchs_linear_warm_up() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    torchs = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1 / 5, total_iters=4)
    expected = []
    for _ in range(8):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        torchs.step()
    assert rates("off", Phases(8, 0, 0), ratio=1.0, rise=4) == pytest.approx(expected, abs=1e-6)
