from __future__ import annotations

import torch
from torch import nn

from tmd.optim.gradients import clip_norm, clip_value, normalize
from tmd.training.steps import (
    Updater,
    all_finite,
    discriminate,
    frozen,
    without_gradients,
)


def parameters_with_gradients(*gradients: list[float]) -> list[nn.Parameter]:
    result = []
    for gradient in gradients:
        parameter = nn.Parameter(torch.zeros(len(gradient)))
        parameter.grad = torch.tensor(gradient)
        result.append(parameter)
    return result


def gradients(parameters: list[nn.Parameter]) -> list[list[float]]:
    return [[round(x, 4) for x in p.grad.tolist()] for p in parameters if p.grad is not None]


def test_clipping_by_norm_scales_all_together_and_only_down() -> None:
    parameters = parameters_with_gradients([3.0, 0.0], [4.0])  # norm 5
    clip_norm(2.5)(parameters)
    assert gradients(parameters) == [[1.5, 0.0], [2.0]]
    clip_norm(100.0)(parameters)
    assert gradients(parameters) == [[1.5, 0.0], [2.0]]


def test_clipping_by_value_clamps_each_component() -> None:
    parameters = parameters_with_gradients([3.0, -0.5], [-4.0])
    clip_value(1.0)(parameters)
    assert gradients(parameters) == [[1.0, -0.5], [-1.0]]


def test_normalizing_scales_up_too() -> None:
    parameters = parameters_with_gradients([0.3, 0.0], [0.4])
    normalize(5.0)(parameters)
    assert gradients(parameters) == [[3.0, 0.0], [4.0]]


def test_the_updater_moves_down_the_loss_after_the_rule() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 1.0)
    update = Updater(network, torch.optim.SGD(network.parameters(), lr=0.1), clip_value(2.0))
    update(10 * network.weight.sum())
    torch.testing.assert_close(network.weight.item(), 0.8)


def test_gradients_flow_through_a_network_that_gets_none() -> None:
    network = nn.Linear(2, 1)
    network.bias.requires_grad_(False)  # frozen before, and to stay so
    x = torch.ones(1, 2, requires_grad=True)
    with without_gradients(network):
        network(x).sum().backward()
    assert x.grad is not None
    assert network.weight.grad is None
    assert network.weight.requires_grad
    assert not network.bias.requires_grad


def test_a_frozen_network_keeps_its_batch_statistics_and_its_mode() -> None:
    network = nn.BatchNorm1d(2)
    before = network.running_mean.clone()
    with frozen(network):
        assert not network(torch.randn(4, 2)).requires_grad
    assert torch.equal(network.running_mean, before)
    assert network.training


def test_one_batch_gives_the_logits_of_two() -> None:
    network = nn.Conv2d(1, 1, 4)
    real, fake = torch.randn(3, 1, 4, 4), torch.randn(5, 1, 4, 4)
    for logits, images in zip(discriminate(network, real, fake), (real, fake), strict=True):
        torch.testing.assert_close(logits, network(images))


def test_batch_statistics_of_real_and_fake_stay_apart() -> None:
    calls: list[int] = []

    class Counting(nn.Module):
        batch_statistics = True

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            calls.append(len(images))
            return images.mean((1, 2, 3))[:, None]

    discriminate(Counting(), torch.randn(3, 1, 4, 4), torch.randn(5, 1, 4, 4))
    assert calls == [3, 5]


def test_finiteness_is_that_of_every_number() -> None:
    assert all_finite([torch.ones(2), torch.tensor([1])])
    assert not all_finite([torch.ones(2), torch.tensor([1.0, float("nan")])])
    assert all_finite([])
