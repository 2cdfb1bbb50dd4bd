"""Blocks computed again: the same bits, less memory, for every generator."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from models.small_networks import SMALL
from torch import Tensor, nn

from tmd.acceleration.recompute import blocks_of, check_recompute, recompute_blocks
from tmd.errors import UserError
from tmd.models import create_generator
from tmd.models.registry import GENERATORS
from tmd.session.options import TrainingOptions

#: Enough blocks of each to leave some out; `compact` has none.
SIZES: dict[str, dict[str, Any]] = {
    **{name: dict(size) for name, size in SMALL.items() if name != "compact"},
    **{name: {"n_blocks": 4, "n_features": 8} for name in ("srresnet", "subpixel", "rrdb")},
}
SIZES["drct"]["depths"] = [6]
SIZES["esrgan"]["num_block"] = 2
SIZES["rcan"]["n_resgroups"] = 4


def step(network: nn.Module, lr: Tensor) -> tuple[list[Tensor], int]:
    """SR, all gradients and buffers; and the bytes that the backward pass was kept."""
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    torch.manual_seed(1)  # of what is dropped at random
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        sr = network(lr)
    sr.square().mean().backward()
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    return [sr.detach(), *gradients, *network.buffers()], sum(kept.values())


@pytest.mark.parametrize("name", SIZES)
def test_a_step_has_the_same_bits_and_keeps_less(name: str) -> None:
    network = create_generator(name, 2, 3, **SIZES[name]).train()
    other = copy.deepcopy(network)
    assert recompute_blocks(other) == len(blocks_of(network)) > 1
    assert list(other.state_dict()) == list(network.state_dict())
    lr = torch.rand(2, 3, 16, 16)
    (plain, memory), (again, less) = step(network, lr), step(other, lr)
    assert all(map(torch.equal, plain, again))
    assert less < 0.6 * memory


@pytest.mark.parametrize(("norm", "spectral_norm"), [("batch", False), ("none", True)])
def test_what_blocks_do_to_themselves_is_done_once(norm: str, spectral_norm: bool) -> None:
    network = create_generator("srresnet", 2, 3, 3, 8, norm, spectral_norm).train()
    nn.init.normal_(network.output.weight, std=0.1)
    other = copy.deepcopy(network)
    recompute_blocks(other)
    for number in range(3):
        lr = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(number))
        (plain, _), (again, _) = step(network, lr), step(other, lr)
        assert all(map(torch.equal, plain, again))


def test_every_generator_is_tried_or_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(GENERATORS) - set(SIZES) == {"compact"}
    compact = create_generator("compact", 2, 3, num_feat=8, num_conv=2)
    with pytest.raises(UserError, match=r"training.recompute=True: compact has no blocks"):
        check_recompute(compact)
    with pytest.raises(UserError, match=r"not with training.speed=…\+compile"):
        TrainingOptions(recompute=True, speed="float32+compile").check()
    TrainingOptions().check_generator(compact)


def test_in_evaluation_mode_nothing_is_computed_again() -> None:
    network = create_generator("srresnet", 2, 3, 2, 8).eval()
    plain = network(torch.ones(1, 3, 8, 8))
    recompute_blocks(network)
    assert torch.equal(network(torch.ones(1, 3, 8, 8)), plain)
