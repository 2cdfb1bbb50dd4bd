"""Fast layers are torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from tmd.acceleration.layers import Dense, PReLU


@pytest.mark.parametrize("bias", [True, False])
def test_a_dense_layers_spectral_normalisation_is_torchs(bias: bool) -> None:
    torch.manual_seed(0)
    ours = Dense(12, 8, bias=bias)
    theirs = nn.Linear(12, 8, bias=bias)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(5, 12)
    torch.testing.assert_close(ours(x), theirs(x))
    for network in (ours, theirs):
        torch.manual_seed(1)
        parametrizations.spectral_norm(network)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    optimizers = [torch.optim.SGD(network.parameters(), 0.1) for network in (ours, theirs)]
    for training in (True, True, False, True):
        results = []
        for network, optimizer in zip((ours, theirs), optimizers, strict=True):
            network.train(training)
            features = x.clone().requires_grad_()
            result = network(features)
            if training:
                network(features)  # another use before the gradient is asked for
            optimizer.zero_grad()
            result.square().sum().backward()
            results.append((result, features.grad))
            optimizer.step()
        torch.testing.assert_close(results[0], results[1])
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
    torch.testing.assert_close(ours.weight, theirs.weight)  # still to be had


def test_the_power_method_leaves_nothing_for_autocast_to_keep(monkeypatch) -> None:
    """What autocast keeps of a weight that is used without a gradient has none later either."""
    dense = parametrizations.spectral_norm(Dense(12, 8))
    seen = []
    iterate = parametrizations._SpectralNorm._power_method

    def method(self, weight, steps):
        seen.append(weight.requires_grad)
        return iterate(self, weight, steps)

    monkeypatch.setattr(parametrizations._SpectralNorm, "_power_method", method)
    dense(torch.randn(5, 12)).sum().backward()
    assert seen == [False]
    assert dense.parametrizations.weight.original.grad.abs().max() > 0


@pytest.mark.parametrize("slope", [0.25, -0.5, 0.0, 2.0])
@pytest.mark.parametrize("shape", [(2, 8, 5, 7), (3, 4), (2, 8, 0, 7)])
def test_a_prelu_is_torchs_to_the_bit(slope: float, shape: tuple[int, ...]) -> None:
    results = []
    x = torch.randn(shape)
    x.view(-1)[:3] = 0.0  # where the slope has a say in the gradient, and the image none
    for layer in (PReLU(init=slope), nn.PReLU(init=slope)):
        features = x.clone().requires_grad_()
        result = layer(features)
        result.backward(torch.cos(x))
        with torch.no_grad():
            assert torch.equal(layer(features), result)
        results.append((result.detach(), features.grad))
        slope_gradient = layer.weight.grad
        expected = (x.double().clamp(max=0) * torch.cos(x).double()).sum()
        torch.testing.assert_close(slope_gradient, expected.float().view(1))
    for ours, theirs in zip(*results, strict=True):
        assert torch.equal(ours, theirs)


def test_a_prelu_in_bfloat16_keeps_a_float32_slope() -> None:
    layer = PReLU(init=0.123)
    features = torch.randn(4, 8, 16, 16).bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        result = layer(features)
    result.backward(torch.ones_like(result))
    exact = F.leaky_relu(features.detach().float(), 0.123)
    assert torch.equal(result, exact.bfloat16())
    assert layer.weight.grad.dtype == torch.float32
    expected = features.detach().double().clamp(max=0).sum().float().view(1)
    torch.testing.assert_close(layer.weight.grad, expected, rtol=1e-5, atol=0)


def test_a_prelu_has_second_derivatives() -> None:
    layer = PReLU(init=0.3).double()
    features = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)

    def function(images: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(layer, {"weight": slope}, (images,)) ** 2

    slope = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(function, (features, slope))
    assert torch.autograd.gradgradcheck(function, (features, slope))


def test_a_prelu_without_gradients_of_its_own_still_passes_them_on() -> None:
    layer = PReLU().requires_grad_(False)
    features = torch.tensor([-4.0, 4.0], requires_grad=True)
    layer(features).sum().backward()
    assert features.grad.tolist() == [0.25, 1.0]
    assert layer.weight.grad is None
    trained = PReLU()
    trained(features.detach()).sum().backward()
    assert trained.weight.grad.tolist() == [-4.0]


def test_a_traced_prelu_follows_its_weight() -> None:
    layer = PReLU()
    traced = torch.jit.trace(layer, torch.randn(1, 3, 4, 4))
    layer.weight.data.fill_(0.5)
    assert traced(torch.tensor([-4.0])).tolist() == [-2.0]
    exported = torch.export.export(layer, (torch.randn(2, 3),)).module()
    assert exported(torch.full((2, 3), -4.0)).tolist() == [[-2.0] * 3] * 2
