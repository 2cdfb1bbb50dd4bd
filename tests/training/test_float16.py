"""Training in float16: losses scaled, updates of gradients that are not finite skipped."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from tmd.acceleration.speed import Speed
from tmd.optim.gradients import clip_norm
from tmd.optim.muon import Muon
from tmd.training.updates import LossScaling, Updater


def updater(kind: Any, rule: Any = None, **options: Any) -> tuple[nn.Linear, Updater]:
    torch.manual_seed(0)
    network = nn.Linear(4, 1)
    if kind is Muon:
        update = Updater(network, Muon(network, 0.1), rule)
    else:
        update = Updater(network, kind(network.parameters(), 0.1, **options), rule)
    update.scaling = LossScaling()
    return network, update


@pytest.mark.parametrize(
    ("kind", "options"),
    [(torch.optim.Adam, {"fused": True}), (torch.optim.SGD, {}), (Muon, {})],
)
def test_a_scaled_update_is_the_update_and_a_broken_one_is_none(kind, options) -> None:
    images = torch.rand(3, 4)
    network, update = updater(kind, clip_norm(0.5), **options)
    update(network(images).square().mean())
    plain, unscaled = updater(kind, clip_norm(0.5), **options)
    unscaled.scaling = None
    unscaled(plain(images).square().mean())
    assert all(map(torch.equal, network.parameters(), plain.parameters()))  # powers of two
    before = [p.clone() for p in network.parameters()]
    update(network(images).square().mean() * torch.inf)
    assert all(map(torch.equal, network.parameters(), before))
    assert update.scaling.skipped.item() == 1
    assert update.scaling.scaler.get_scale() == 2.0**15
    update(network(images).square().mean())
    assert not all(map(torch.equal, network.parameters(), before))
    assert update.scaling.skipped.item() == 1


def test_its_state_goes_on() -> None:
    network, update = updater(torch.optim.SGD)
    for factor in (1.0, torch.inf, 1.0, torch.inf, 1.0):
        update(network(torch.rand(3, 4)).mean() * factor)
    state = update.scaling.state_dict()
    other = LossScaling()
    other.load_state_dict(state)
    assert other.state_dict() == state
    assert (state["scale"], state["skipped"].item(), state["_growth_tracker"]) == (2.0**14, 2, 1)


def test_float16_is_a_precision() -> None:
    assert Speed.parse("float16+channels_last").autocast is torch.float16
