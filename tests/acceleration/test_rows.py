"""Compared with torch's own convolution, in float64."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from tmd.acceleration.rows import row_by_row, use_rows


def goes_by_rows(layer: nn.Conv2d) -> bool:
    return vars(layer).get("_conv_forward") is row_by_row


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("size", [(12, 17), (3, 2), (1, 1)])  # also smaller than the kernel
@pytest.mark.parametrize(("outputs", "kernel"), [(3, 9), (1, 5), (4, 7)])
def test_the_result_and_all_gradients_are_torchs(outputs, kernel, size, bias) -> None:
    torch.manual_seed(0)
    theirs = nn.Conv2d(6, outputs, kernel, padding=kernel // 2, bias=bias).double()
    ours = use_rows(copy.deepcopy(theirs))
    assert goes_by_rows(ours)
    x = torch.randn(2, 6, *size, dtype=torch.float64)
    found = []
    for network in (ours, theirs):
        images = x.clone().requires_grad_()
        result = network(images)
        (slope,) = torch.autograd.grad(result.pow(3).sum(), images, create_graph=True)
        (slope.square().sum() + result.sum()).backward()  # the second derivatives as well
        found.append([result, slope, images.grad, *(p.grad for p in network.parameters())])
    for mine, other in zip(*found, strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(6, 5, 9, padding=4),
        nn.Conv2d(6, 3, 3, padding=1),
        nn.Conv2d(6, 3, (9, 5), padding=(4, 2)),
        nn.Conv2d(6, 3, 9, padding=3),
        nn.Conv2d(6, 3, 9, padding=4, stride=2),
        nn.Conv2d(6, 3, 9, padding=4, groups=3),
        nn.Conv2d(6, 3, 5, padding=2, dilation=2),
        nn.Conv2d(6, 3, 9, padding=4, padding_mode="reflect"),
        nn.Conv2d(6, 3, 6, padding=3),
    ],
)
def test_other_convolutions_stay_as_they_are(layer) -> None:
    assert not goes_by_rows(use_rows(layer))


def test_an_autocast_convolution_is_still_one() -> None:
    layer = use_rows(nn.Conv2d(6, 3, 9, padding=4))
    images = torch.randn(1, 6, 8, 8, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        result = layer(images)
    assert result.dtype == torch.bfloat16
    result.float().sum().backward()
    torch.testing.assert_close(result.float(), layer(images), atol=0.05, rtol=0.05)
    assert images.grad.dtype == torch.float32


def test_the_rows_of_an_autocast_convolution_are_added_exactly() -> None:
    layer = nn.Conv2d(64, 3, 9, padding=4)
    images = torch.randn(2, 64, 40, 40)
    exact = layer.double()(images.double())
    layer.float()
    errors = []
    for network in (layer, use_rows(copy.deepcopy(layer))):
        with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
            errors.append(((network(images) - exact).norm() / exact.norm()).item())
    # Each of nine parts is rounded, which torch's one sum is only once.
    assert errors[1] < 1.5 * errors[0]
