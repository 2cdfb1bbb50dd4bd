"""Parts of a network are frozen, or learn at rates of their own, by patterns of their names."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tmd.errors import UserError
from tmd.handlers import WeightAverage
from tmd.models import create_generator
from tmd.models.parts import matched_parameters
from tmd.session.optimization import OptimizationOptions
from tmd.training import Phases
from tmd.training.state import TrainingState


def generator(**changes) -> nn.Module:
    torch.manual_seed(0)
    return create_generator(scale=2, n_blocks=1, n_features=8, global_skip=False, **changes)


def trained(network: nn.Module, updates: int = 3, **options):
    """Three updates by the options; the updater."""
    updater = OptimizationOptions(**options).updaters({"g": network})["g"]
    for _ in range(updates):
        updater((network.train()(torch.rand(2, 3, 6, 6)) - 0.5).abs().mean())
    return updater


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
@pytest.mark.parametrize("patterns", ["body", ["body.*", "head.*.original"]])
def test_what_is_frozen_stays_to_the_bit_and_the_rest_learns(optimizer, patterns):
    network = generator(norm="batch", spectral_norm=True)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    average = WeightAverage(network, 0.5)
    options = {"optimizer_g": optimizer, "lr_g": 0.1, "freeze_g": patterns}
    updater = trained(network, **options)
    network(torch.rand(1, 3, 6, 6))
    same = {n for n, value in network.state_dict().items() if torch.equal(value, before[n])}
    frozen = matched_parameters("", [patterns] if isinstance(patterns, str) else patterns, network)
    learnt = {name for name, _ in network.named_parameters()} - set(frozen)
    # Batch statistics and estimates of spectral norms of whole frozen layers among them.
    assert {name for name in before if name.startswith("body.")} <= same
    assert set(frozen) <= same
    assert not learnt & same
    assert not [p for p in updater.optimizer.state if not p.requires_grad]
    assert average.averaged.module is not network


def test_a_part_moves_by_its_own_rate():
    """Adam's first step is as long as its rate."""
    network = generator()
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    scales = {"stages": {"*": 10}, "head.0.weight": 0.1}  # nested as Sacred makes it of a dot
    trained(network, 1, lr_g=1e-3, lr_scale_g=scales)
    steps = {n: (p - before[n]).abs().max().item() for n, p in network.named_parameters()}
    assert steps["stages.0.conv.weight"] == pytest.approx(1e-2, rel=1e-3)
    assert steps["head.0.weight"] == pytest.approx(1e-4, rel=1e-3)
    assert steps["head.0.bias"] == pytest.approx(1e-3, rel=1e-3)
    assert steps["body.0.layers.0.weight"] == pytest.approx(1e-3, rel=1e-3)


def test_the_decay_keeps_the_proportion_and_shows_the_rate_of_the_others():
    from ignite.engine import Engine

    network = generator()
    options = OptimizationOptions(
        lr_g=1.0, lr_scale_g={"head": 0.5}, decay="exponential", decay_ratio=0.01
    )
    optimizer = options.updaters({"g": network})["g"].optimizer
    engine = Engine(lambda engine, batch: None)
    options.learning_rate({"lr_g": optimizer}, Phases(2, 0, 0), 2).attach(engine)
    engine.run([0, 0], max_epochs=1)
    rates = {g.get("lr_scale", 1): g["lr"] for g in optimizer.param_groups}
    assert rates[0.5] == pytest.approx(0.5 * rates[1])
    assert rates[1] == pytest.approx(0.1)
    assert engine.state.lr_g == pytest.approx(0.1)


def test_moments_of_other_parts_are_not_taken_for_these():
    first, second = (
        trained(generator(), 1, lr_scale_g={part: 2.0}) for part in ("head.0.weight", "output")
    )
    third = trained(generator(), 1, lr_scale_g={"head.0.weight": 3.0})
    state = TrainingState({"optimizer": first.optimizer}).snapshot()
    assert TrainingState({"optimizer": first.optimizer}).load(state) == []
    for other in (second, third):
        assert TrainingState({"optimizer": other.optimizer}).load(state) == ["optimizer"]


def test_without_patterns_nothing_is_other():
    groups = trained(generator(), 1).optimizer.param_groups
    assert len(groups) == 1
    assert "lr_scale" not in groups[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"freeze_g": 3}, "optimization.freeze_g=3: must be names of layers or patterns"),
        ({"freeze_g": [""]}, "optimization.freeze_g=['']: must be names of layers or patterns"),
        ({"lr_scale_g": ["a"]}, "optimization.lr_scale_g=['a']: must map patterns to factors"),
        ({"lr_scale_d": {"a": {"b": 0}}}, "optimization.lr_scale_d.a.b=0: must be a number above"),
        ({"lr_scale_g": {"a": "x"}}, "optimization.lr_scale_g.a='x': must be a number above 0"),
    ],
)
def test_what_is_no_pattern_is_told_in_a_line(options, message):
    with pytest.raises(UserError) as raised:
        OptimizationOptions(**options).check()
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"freeze_g": "bodi.*"}, "freeze_g: bodi.* matches nothing; did you mean body or "),
        ({"freeze_g": "q"}, "freeze_g: q matches nothing; the network has head, body, stages, out"),
        ({"freeze_g": ["*"]}, "freeze_g=['*']: freezes all; nothing is left to learn"),
        (
            {"lr_scale_g": {"body.0.layer.0.weight": 2}},
            "lr_scale_g: body.0.layer.0.weight matches nothing; did you mean body.0.layers.0.weig",
        ),
        (
            {"lr_scale_g": {"body": 2, "*.bias": 3}},
            "lr_scale_g: body.0.layers.0.bias is matched by body and by *.bias, which have differ",
        ),
    ],
)
def test_a_pattern_that_matches_nothing_is_told_with_what_is_near(options, message):
    for run in ("check_parts", "updaters"):
        with pytest.raises(UserError) as raised:
            getattr(OptimizationOptions(**options), run)({"g": generator()})
        assert str(raised.value).startswith(f"optimization.{message}")
