from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from tmd.models import create_generator
from tmd.optim.muon import Muon, orthogonalised
from tmd.training.state import TrainingState


def network() -> nn.Module:
    torch.manual_seed(0)
    return create_generator("subpixel", scale=2, n_blocks=1, n_features=8)


def gradients(module: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def kernels(module: nn.Module) -> list[nn.Parameter]:
    return [p for p in module.parameters() if p.ndim == 4][1:-1]


def test_kernels_go_where_torchs_muon_goes() -> None:
    module = network()
    ours = Muon(module, lr=0.01)
    before = [k.detach().flatten(1).clone() for k in kernels(module)]
    matrices = [nn.Parameter(k.clone()) for k in before]
    theirs = torch.optim.Muon(matrices, lr=0.01, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    for seed in range(4):
        gradients(module, seed)
        for matrix, kernel in zip(matrices, kernels(module), strict=True):
            matrix.grad = kernel.grad.flatten(1).clone()
        ours.step()
        theirs.step()
    for kernel, matrix, start in zip(kernels(module), matrices, before, strict=True):
        moved = matrix.detach() - start
        assert moved.norm() > 0.01
        # torch's works in bfloat16
        assert (kernel.detach().flatten(1) - matrix.detach()).norm() < 0.02 * moved.norm()


def test_all_else_goes_where_adam_goes() -> None:
    module = network()
    twin = copy.deepcopy(module)
    chosen = {id(k) for k in kernels(twin)}
    ours = Muon(module, lr=0.01, betas=(0.8, 0.9))
    theirs = torch.optim.Adam(
        (p for p in twin.parameters() if id(p) not in chosen), 0.01, (0.8, 0.9)
    )
    for seed in range(3):
        gradients(module, seed)
        gradients(twin, seed)
        ours.step()
        theirs.step()
    for ours_now, theirs_now in zip(module.parameters(), twin.parameters(), strict=True):
        if id(theirs_now) not in chosen:
            torch.testing.assert_close(ours_now, theirs_now, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("shape", [(3, 8, 72), (2, 72, 8), (1, 5, 5)])
def test_the_directions_are_kept_and_the_singular_values_become_alike(shape) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    result = orthogonalised(matrices)
    assert result.shape == shape
    u, s, v = torch.linalg.svd(matrices, full_matrices=False)
    aligned = u.mT @ result @ v.mT  # diagonal if the singular vectors are the same
    diagonal = aligned.diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(aligned, torch.diag_embed(diagonal), atol=1e-3, rtol=0)
    assert (s.amax() / s.amin()) > 1.5
    assert diagonal.amin() > 0.5
    assert diagonal.amax() < 1.25


def test_a_zero_gradient_moves_nothing() -> None:
    assert orthogonalised(torch.zeros(2, 4, 9)).abs().max() == 0


def test_parameters_without_a_gradient_stay() -> None:
    module = network()
    optimizer = Muon(module, lr=0.1)
    gradients(module, 0)
    still = {id(module.body[0].layers[0].weight), id(module.head[0].bias)}
    before = {id(p): p.detach().clone() for p in module.parameters()}
    for parameter in module.parameters():
        if id(parameter) in still:
            parameter.grad = None
    optimizer.step()
    for parameter in module.parameters():
        same = torch.equal(parameter, before[id(parameter)])
        assert same == (id(parameter) in still)


def test_a_snapshot_continues_to_the_bit() -> None:
    module = network()
    optimizer = Muon(module, lr=0.01)
    state = TrainingState({"network": module, "optimizer": optimizer})
    gradients(module, 0)
    optimizer.step()
    snapshot = state.snapshot()
    gradients(module, 1)
    optimizer.step()
    expected = [p.detach().clone() for p in module.parameters()]

    other = network()
    again = TrainingState({"network": other, "optimizer": Muon(other, lr=0.01)})
    assert again.load(snapshot) == []
    gradients(other, 1)
    again.parts["optimizer"].step()
    for ours, theirs in zip(other.parameters(), expected, strict=True):
        assert torch.equal(ours, theirs)


def test_a_loaded_state_is_all_on_the_device_of_the_network() -> None:
    module = network()
    optimizer = Muon(module, lr=0.01)
    gradients(module, 0)
    optimizer.step()
    elsewhere = Muon(network().to("meta"), lr=0.01)
    elsewhere.load_state_dict(optimizer.state_dict())
    states = [value for state in elsewhere.state.values() for value in state.values()]
    assert len(states) > len(elsewhere.state)
    assert {value.device.type for value in states} == {"meta"}


def test_settings_are_those_of_the_run_that_goes_on() -> None:
    """Those the config names now, and those a state from before they were added lacks."""
    module = network()
    optimizer = Muon(module, lr=0.01)
    gradients(module, 0)
    optimizer.step()
    snapshot = TrainingState({"optimizer": optimizer}).snapshot()
    for group in snapshot["optimizer"]["param_groups"]:
        del group["fused"]
    again = Muon(module, lr=0.5, betas=(0.1, 0.2), momentum=0.7)
    assert TrainingState({"optimizer": again}).load(snapshot) == []
    for group in again.param_groups:
        assert (group["lr"], group["betas"], group["momentum"]) == (0.5, (0.1, 0.2), 0.7)
    seen = again.state_dict()["state"]
    for name, values in snapshot["optimizer"]["state"].items():
        assert all(torch.equal(seen[name][key], value) for key, value in values.items())
    before = [p.detach().clone() for p in module.parameters()]
    again.step()
    assert all(not torch.equal(p, b) for p, b in zip(module.parameters(), before, strict=True))


def test_another_kind_of_optimizer_begins_anew() -> None:
    module = network()
    adam = torch.optim.Adam(module.parameters(), 0.01)
    gradients(module, 0)
    adam.step()
    snapshot = TrainingState({"network": module, "optimizer": adam}).snapshot()
    muon = Muon(module, lr=0.02)
    assert TrainingState({"network": module, "optimizer": muon}).load(snapshot) == ["optimizer"]
    assert [group["lr"] for group in muon.param_groups] == [0.02, 0.02]
    assert not muon.state
