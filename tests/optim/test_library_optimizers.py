"""Optimisers of libraries by name: what can't train or be resumed is told; what can, goes on."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from ignite.engine import Events
from torch import nn

from tmd.errors import UserError
from tmd.handlers import OptimizersAverage
from tmd.models import create_generator
from tmd.optim.creation import check_optimizer, create_optimizer
from tmd.session.optimization import OptimizationOptions
from tmd.training import Phases, Updater, create_supervised_trainer
from tmd.training.state import TrainingState

KEY = "optimization.optimizer_g"


def generator() -> nn.Module:
    torch.manual_seed(0)
    return create_generator("srresnet", 2, 3, 1, 4)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("torch.AdamW", {"weight_decay": 0.1, "fused": True}),
        ("pytorch_optimizer.Adan", {}),
        ("pytorch_optimizer.Lion", {"betas": [0.9, 0.95]}),
        ("pytorch_optimizer.SOAP", {}),
        ("schedulefree.RAdamScheduleFree", {}),
        ("muon", {"momentum": 0.9}),
    ],
)
def test_what_an_optimiser_has_seen_goes_on_and_how_it_is_set_stays(name, options) -> None:
    check_optimizer(KEY, name, options)

    def begin(lr: float) -> tuple[nn.Module, TrainingState, Updater]:
        network = generator()
        optimizer = create_optimizer(KEY, name, network, lr, (0.9, 0.99), options)
        parts: Any = {"generator": network, "optimizer_g": optimizer}
        return network, TrainingState(parts), Updater(network, optimizer)

    def steps(network: nn.Module, update: Updater, numbers: range) -> None:
        for number in numbers:
            lr = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(number))
            update((network(lr) - 0.5).square().mean())

    network, state, update = begin(1e-3)
    steps(network, update, range(3))
    kept = state.snapshot()
    steps(network, update, range(3, 6))
    other, state, update = begin(1e-3)
    assert state.load(kept) == []
    steps(other, update, range(3, 6))
    assert all(map(torch.equal, network.parameters(), other.parameters()))
    _, state, update = begin(5e-4)
    assert state.load(kept) == []
    assert {group["lr"] for group in update.optimizer.param_groups} == {5e-4}


def test_the_state_of_another_kind_is_left_out() -> None:
    def state(name: str) -> TrainingState:
        network = generator()
        optimizer = create_optimizer(KEY, name, network, 1e-3, (0.9, 0.99), {})
        Updater(network, optimizer)(network(torch.rand(1, 3, 8, 8)).mean())
        return TrainingState({"optimizer_g": optimizer})

    adam, adan = state("adam").snapshot(), state("pytorch_optimizer.Adan")
    assert adan.load(copy.deepcopy(adam)) == ["optimizer_g"]
    del adam["optimizer_g"]["kind"]  # as earlier builds saved it
    assert adan.load(copy.deepcopy(adam)) == ["optimizer_g"]
    assert state("adam").load(adam) == []


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("Adan", {}, "optimization.optimizer_g='Adan': must be one of adam, muon, torch.CLASS, "),
        (7, {}, "optimization.optimizer_g=7: must be one of adam, muon"),
        (
            "pytorch_optimizer.adam_p",
            {},
            "pytorch_optimizer has no such optimiser; did you mean pytorch_optimizer.AdamP",
        ),
        ("torch.LBFGS", {}, "can't train a network of convolutions by its gradients alone"),
        ("pytorch_optimizer.SAM", {}, "by its gradients alone .*base_optimizer"),
        ("pytorch_optimizer.Kron", {}, "going on from its saved state gives other bits"),
        ("torch.AdamW", {"momentum": 1}, "options_g.momentum=1: torch.AdamW takes amsgrad, betas"),
        ("torch.AdamW", {"betas": 3}, r"torch.AdamW, optimization.options_g={'betas': 3}: can't"),
        ("adam", {"weight_decay": 1}, "options_g.weight_decay=1: adam takes no options"),
        ("adam", 3, "optimization.options_g=3: must be a mapping of names to values"),
    ],
)
def test_what_can_not_be_is_one_line(name, options, message) -> None:
    with pytest.raises(UserError, match=message) as raised:
        OptimizationOptions(optimizer_g=name, options_g=options).check()
    assert "\n" not in str(raised.value)


def test_a_library_that_is_away_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "schedulefree", None)
    with pytest.raises(UserError, match=r"needs schedulefree; pip install -e '\.\[optimizers\]'"):
        check_optimizer(KEY, "schedulefree.AdamWScheduleFree", {})


def test_what_schedule_free_hands_over_is_its_average_and_what_it_trains_keeps_its_bits() -> None:
    options = OptimizationOptions(
        optimizer_g="schedulefree.AdamWScheduleFree", lr_g=1e-2, lr_rise="2it", decay_ratio=0.01
    )
    options.check()
    assert options.averages

    def run(look: bool) -> tuple[nn.Module, OptimizersAverage, list[float]]:
        network = generator()
        update = options.updaters({"g": network})["g"]
        trainer = create_supervised_trainer(network, update, nn.functional.l1_loss, 6)
        average = OptimizersAverage(network, update.optimizer)
        average.attach(trainer)
        rates: list[float] = []
        handler = options.learning_rate({"lr_g": update.optimizer}, Phases(6, 0, 0), 6)
        handler.attach(trainer)
        trainer.add_event_handler(
            Events.ITERATION_COMPLETED, lambda engine: rates.append(engine.state.lr_g)
        )
        if look:
            trainer.add_event_handler(
                Events.ITERATION_COMPLETED, lambda: average.averaged.state_dict()
            )
        draws = torch.Generator().manual_seed(1)
        data = [
            ((torch.rand(1, 3, 8, 8, generator=draws), torch.rand(1, 3, 16, 16, generator=draws)),)
            for _ in range(6)
        ]
        trainer.run(data, max_epochs=1, epoch_length=6)
        return network, average, rates

    network, average, rates = run(look=False)
    looked_at, _, _ = run(look=True)
    assert all(map(torch.equal, network.parameters(), looked_at.parameters()))
    assert rates == pytest.approx([1e-2 / 3, 2e-2 / 3, 1e-2, 1e-2, 1e-2, 1e-2])  # no decay
    shown = average.averaged.module
    before = [p.clone() for p in network.parameters()]
    sr = shown(torch.rand(1, 3, 8, 8))
    assert sr.isfinite().all()
    assert all(map(torch.equal, before, network.parameters()))
    # x = y + (1 - 1/β) (z - y), section 2 of arXiv:2405.15682, in float64.
    states = average.optimizer.state
    for own, p in zip(shown.parameters(), network.parameters(), strict=True):
        y, z = p.detach().double(), states[p]["z"].double()
        torch.testing.assert_close(own.double(), y + (1 - 1 / 0.9) * (z - y), rtol=0, atol=1e-7)
    assert not all(map(torch.equal, shown.parameters(), network.parameters()))
