"""Optimisers and gradient rules by name, and the options that choose among them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tmd.errors import UserError
from tmd.optim import GRADIENT_RULES, OPTIMIZERS
from tmd.optim.adam import Adam
from tmd.optim.muon import Muon
from tmd.registry import Registry
from tmd.session.optimization import OptimizationOptions
from tmd.training import Phases


def networks() -> dict[str, nn.Module]:
    return {"g": nn.Conv2d(1, 1, 3), "d": nn.Linear(2, 1)}


@pytest.mark.parametrize(("name", "kind"), [("adam", Adam), ("muon", Muon)])
def test_each_network_has_its_optimiser_and_its_rate(name, kind):
    options = OptimizationOptions(optimizer_g=name, lr_g=0.5, lr_d=0.25, betas=[0.5, 0.75])
    updaters = options.updaters(networks())
    assert type(updaters["g"].optimizer) is kind
    assert type(updaters["d"].optimizer) is Adam
    rates = [updaters[name].optimizer.param_groups[0]["lr"] for name in "gd"]
    assert rates == [0.5, 0.25]
    assert [u.optimizer.param_groups[0]["betas"] for u in updaters.values()] == [(0.5, 0.75)] * 2
    assert [u.gradient_rule for u in updaters.values()] == [None, None]


def test_a_network_without_a_discriminator_has_one_updater():
    assert list(OptimizationOptions().updaters({"g": nn.Linear(1, 1)})) == ["g"]


@pytest.mark.parametrize(
    ("clip_by", "expected"),
    [("norm", [0.6, 0.8]), ("value", [1.0, 1.0]), ("normalize", [0.6, 0.8])],
)
def test_gradients_are_limited_by_name(clip_by, expected):
    network = nn.Linear(2, 1, bias=False)
    updater = OptimizationOptions(clip=1.0, clip_by=clip_by).updaters({"g": network})["g"]
    updater((network.weight * torch.tensor([[3.0, 4.0]])).sum())
    assert network.weight.grad.flatten().tolist() == pytest.approx(expected)


def test_a_new_optimiser_and_a_new_rule_are_a_registry_line_each(monkeypatch):
    optimizers: Registry = Registry("optimization.optimizer_g")
    rules: Registry = Registry("optimization.clip_by")
    for registry, old in ((optimizers, OPTIMIZERS), (rules, GRADIENT_RULES)):
        for name in old:
            registry.register(name)(old[name])
    monkeypatch.setattr("tmd.optim.creation.OPTIMIZERS", optimizers)
    monkeypatch.setattr("tmd.session.optimization.GRADIENT_RULES", rules)

    @optimizers.register("sgd")
    def sgd(network, lr, betas):
        return torch.optim.SGD(network.parameters(), lr, momentum=betas[0])

    @rules.register("sign")
    def sign(limit):
        return lambda parameters: [p.grad.sign_().mul_(limit) for p in parameters]

    options = OptimizationOptions(optimizer_g="sgd", lr_g=1.0, clip=0.25, clip_by="sign")
    options.check()
    network = nn.Linear(2, 1, bias=False)
    before = network.weight.detach().clone()
    options.updaters({"g": network})["g"]((network.weight * torch.tensor([[3.0, -4.0]])).sum())
    assert torch.equal(network.weight, before - torch.tensor([[0.25, -0.25]]))


def test_the_learning_rates_follow_the_options():
    options = OptimizationOptions(
        decay="steps",
        decay_ratio=0.5,
        decay_over="run",
        decay_steps=[1, "6it"],
        adversarial_lr=0.1,
        lr_rise="1it",
    )
    updaters = options.updaters(networks())
    optimizers = {f"lr_{name}": updater.optimizer for name, updater in updaters.items()}
    handler = options.learning_rate(optimizers, Phases(5, 0, 5), epoch_length=4)
    assert [handler.factor(i) for i in (1, 2, 4, 5, 6, 7)] == [0.5, 1.0, 1.0, 0.5, 0.5, 0.25]
    assert handler.adversarial == {"lr_g": 0.1}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"optimizer_g": "adamw"},
            "optimization.optimizer_g='adamw': must be one of adam, muon, torch.CLASS, "
            "pytorch_optimizer.CLASS, schedulefree.CLASS",
        ),
        ({"lr_g": 0}, "optimization.lr_g=0: must be a number above 0"),
        ({"lr_d": -1}, "optimization.lr_d=-1: must be a number above 0"),
        ({"adversarial_lr": "x"}, "optimization.adversarial_lr='x': must be a number above 0"),
        ({"betas": 0.9}, "optimization.betas=0.9: must be two numbers, like [0.9, 0.999]"),
        ({"betas": [0.9, 1]}, "optimization.betas=1: must be a number at least 0 and below 1"),
        ({"decay_over": "runs"}, "optimization.decay_over='runs': must be one of phase, run"),
        ({"decay_steps": "4"}, "optimization.decay_steps='4': must be a list, like [4, '500it']"),
        ({"clip": 0}, "optimization.clip=0: must be a number above 0"),
        ({"clip_by": "l2"}, "optimization.clip_by='l2': must be one of norm, normalize, value"),
        ({"d_steps": 0}, "optimization.d_steps=0: must be an integer at least 1"),
        ({"ema": 1}, "optimization.ema=1: must be a number at least 0 and below 1"),
    ],
)
def test_what_can_not_be_is_told_in_one_line(options, message):
    with pytest.raises(UserError) as raised:
        OptimizationOptions(**options).check()
    assert str(raised.value) == message


def test_the_defaults_of_the_library_are_those_of_the_config():
    from ingredients import losses, optimization
    from tmd.losses.options import LossOptions

    for ingredient, kind in ((optimization, OptimizationOptions), (losses, LossOptions)):
        config = ingredient.ingredient.configurations[0]()
        ours = kind()
        assert {key: value for key, value in config.items() if value != getattr(ours, key)} in (
            {},
            {"betas": [0.9, 0.999], "decay_steps": []},  # Sacred has lists
        )
