"""Adam without the compiler's wrappers computes what torch's does, and takes over its state."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import nn

from tmd.optim.adam import adam
from tmd.optim.state import go_on, with_kind


def update(network: nn.Module, optimizer: torch.optim.Optimizer, times: int = 3) -> None:
    for number in range(times):
        optimizer.zero_grad(set_to_none=False)
        x = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(number))
        network(x).square().mean().backward()
        optimizer.step()


def networks() -> tuple[nn.Module, nn.Module]:
    made = []
    for _ in range(2):
        torch.manual_seed(1)
        made.append(nn.Sequential(nn.Conv2d(3, 4, 3), nn.PReLU(), nn.Conv2d(4, 1, 1)))
    return made[0], made[1]


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_its_updates_are_torchs_to_the_bit() -> None:
    ours, theirs = networks()
    # First, so that torch has wrapped its class further before ours makes a step.
    update(theirs, torch.optim.Adam(theirs.parameters(), 1e-2, (0.8, 0.9), fused=True))
    begun = [parameter.clone() for parameter in ours.parameters()]
    update(ours, adam(ours, 1e-2, (0.8, 0.9)))
    assert same(ours, theirs)
    assert not any(torch.equal(a, b) for a, b in zip(begun, ours.parameters(), strict=True))


def test_it_goes_on_from_the_state_of_torchs_and_back() -> None:
    ours, theirs = networks()
    before = torch.optim.Adam(theirs.parameters(), 1e-2, (0.8, 0.9), fused=True)
    update(theirs, before)
    ours.load_state_dict(theirs.state_dict())
    mine = adam(ours, 1e-2, (0.8, 0.9))
    assert go_on(mine, with_kind(before, deepcopy(before.state_dict())))
    update(ours, mine)
    update(theirs, before)
    assert same(ours, theirs)
    assert go_on(before, with_kind(mine, mine.state_dict()))
