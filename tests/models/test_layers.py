"""The bicubic skip against `imresize`, spectral normalisation against an SVD, the initialisers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tmd.models.layers import convolution, initialise_kaiming, normalise_spectrally
from tmd.models.upsampling import BicubicUpsampling, NearestStage, ShuffleStage
from tmd.resize import imresize


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (2, 3), (13, 40)])
@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_bicubic_upsampling_equals_imresize(scale, size):
    images = torch.rand(2, 3, *size, dtype=torch.float64)
    upsampled = BicubicUpsampling(scale).double()(images)
    assert (upsampled - imresize(images, scale)).abs().max() < 1e-6


def test_bicubic_upsampling_stays_exact_under_autocast():
    images = torch.rand(1, 3, 9, 9)
    layer = BicubicUpsampling(4)
    with torch.autocast("cpu", torch.bfloat16):
        upsampled = layer(images)
    assert upsampled.dtype == torch.float32
    assert torch.equal(upsampled, layer(images))


def test_bicubic_upsampling_has_no_weights_to_store():
    layer = BicubicUpsampling(4)
    assert not layer.state_dict()
    assert not list(layer.parameters())


def test_bicubic_upsampling_is_differentiable():
    images = torch.rand(1, 1, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(BicubicUpsampling(2).double(), images)


def test_spectral_normalisation_leaves_singular_values_of_at_most_one():
    network = nn.Sequential(
        convolution(3, 8, 3), convolution(8, 8, 3), nn.Flatten(), nn.LazyLinear(4)
    )
    network(torch.rand(1, 3, 6, 6))
    normalise_spectrally(network, leave=[network[0]])
    for _ in range(50):  # each forward in training mode is one power iteration
        network(torch.rand(1, 3, 6, 6))
    network.eval()
    for layer in (network[1], network[3]):
        assert torch.linalg.svdvals(layer.weight.flatten(1)).max().item() == pytest.approx(
            1, abs=1e-3
        )
    assert "parametrizations.weight.original" not in dict(network[0].named_parameters())
    assert {"1.parametrizations.weight.0._u", "1.parametrizations.weight.0._v"} <= set(
        network.state_dict()
    )


@pytest.mark.parametrize("kind", [ShuffleStage, NearestStage])
def test_a_spectrally_normalised_stage_can_be_the_same_interpolation(kind):
    """Its gain makes up for the singular value that the normalisation divides by."""
    slope = {"slope": 0.2} if kind is NearestStage else {}
    plain, normalised = (kind(4, 2, **slope, spectral_norm=on) for on in (False, True))
    normalise_spectrally(normalised)
    weights = 3 * torch.randn(4, len(plain.interpolating_taps()), 4)
    for stage in (plain, normalised):
        stage.become_linear(weights)
        stage.eval()
    features = torch.randn(1, 4, 5, 5)
    assert normalised.gain > 2
    assert torch.allclose(normalised(features), plain(features), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", [ShuffleStage, NearestStage])
def test_interpolating_stages_are_bilinear(kind):
    slope = {"slope": 0.2} if kind is NearestStage else {}
    stage = kind(3, 2, **slope)
    taps = stage.interpolating_taps()
    stage.become_linear(torch.kron(torch.eye(3), taps[:, None].float()).reshape(3, len(taps), 3))
    features = torch.randn(2, 3, 6, 7)
    expected = F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
    inside = (..., slice(2, -2), slice(2, -2))
    assert torch.allclose(stage(features)[inside], expected[inside], atol=1e-5)


def test_power_iteration_runs_in_training_mode_only():
    network = nn.Sequential(convolution(3, 8, 3))
    normalise_spectrally(network)
    estimate = network[0].parametrizations.weight[0]._u.clone()
    network.eval()(torch.rand(1, 3, 6, 6))
    assert torch.equal(estimate, network[0].parametrizations.weight[0]._u)
    network.train()(torch.rand(1, 3, 6, 6))
    assert not torch.equal(estimate, network[0].parametrizations.weight[0]._u)


def test_kaiming_initialisation_keeps_the_second_moment_through_a_leaky_relu():
    layer = convolution(64, 256, 3)
    initialise_kaiming([layer], slope=0.2, factor=0.1)
    expected = 0.1 * math.sqrt(2 / (1 + 0.2**2) / (64 * 9))
    assert layer.weight.std().item() == pytest.approx(expected, rel=0.02)
    assert not layer.bias.any()
