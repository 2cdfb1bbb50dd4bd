"""Discriminators: published sizes, any input, normalisations, what their logits depend on."""

from __future__ import annotations

import itertools
import json

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tmd.errors import UserError
from tmd.models import DISCRIMINATORS, create_discriminator
from tmd.models.discriminators.srgan import pool_to_grid

REAL_ESRGAN = {"features": [64, 128, 256, 512], "strides": [1, 2, 2, 2], "spectral_norm": True}
PIX2PIX = {"features": [64, 128, 256, 512], "strides": [2, 2, 2, 1]}
SMALL = {"features": [4, 6, 8], "strides": [1, 2, 2]}
NAMES = ["srgan", "unet", "patch"]


def small(name: str = "srgan", **changes) -> nn.Module:
    options = {"hidden": 8} if name == "srgan" else {}
    return create_discriminator(name, **{**SMALL, **options, **changes})


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_papers_discriminator_by_hand():
    """arXiv:1609.04802, fig. 4, on 96 × 96 images, whose features are 512 × 6 × 6."""
    discriminator = create_discriminator("srgan")
    widths = [3, 64, 64, 128, 128, 256, 256, 512, 512]
    convolutions = sum(9 * a * b for a, b in itertools.pairwise(widths))
    normalisations = 2 * sum(widths[2:])
    dense = 512 * 6 * 6 * 1024 + 1024 + 1024 + 1
    assert parameters(discriminator) == convolutions + 64 + normalisations + dense
    features = discriminator.features(torch.rand(1, 3, 96, 96))
    assert features.shape == (1, 512, 6, 6)
    assert pool_to_grid(features, 6) is features


def test_unet_has_real_esrgans_number_of_parameters():
    assert parameters(create_discriminator("unet", **REAL_ESRGAN)) == 4_376_897


def test_patch_has_pix2pixs_number_of_parameters_and_reach():
    """2.769 M in pix2pix, whose D sees 6 channels: 3 × 64 × 4 × 4 fewer with 3."""
    discriminator = create_discriminator("patch", **PIX2PIX, norm="batch")
    assert parameters(discriminator) == 2_768_705 - 3 * 64 * 16
    discriminator = create_discriminator("patch", **PIX2PIX, norm="none")
    images = torch.rand(1, 3, 142, 142, requires_grad=True)
    logits = discriminator(images)
    logits[0, 0, logits.shape[-2] // 2, logits.shape[-1] // 2].backward()
    seen = images.grad.abs().amax((0, 1))
    assert int((seen.amax(1) > 0).sum()) == 70
    assert int((seen.amax(0) > 0).sum()) == 70


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 3, 13])
@pytest.mark.parametrize("spectral_norm", [False, True])
def test_any_size_from_the_minimum(name, channels, spectral_norm):
    discriminator = small(name, channels=channels, spectral_norm=spectral_norm)
    smallest = discriminator.minimum_size
    for size in ((smallest, smallest), (smallest + 1, smallest + 6), (40, 33)):
        logits = discriminator(torch.rand(2, channels, *size))
        assert logits.shape[:2] == (2, 1)
        assert logits.isfinite().all()
        if name == "unet":
            assert logits.shape[2:] == size


def test_unets_decoder_sees_the_encoders_features():
    """Without the skips, detail of one pixel would be lost in the encoder."""
    discriminator = create_discriminator("unet", features=[4, 4, 4], strides=[1, 2, 2]).eval()
    with torch.no_grad():
        for layer in [*discriminator.encoder, *discriminator.decoder]:
            layer[0].weight.zero_()
    images = torch.rand(1, 3, 8, 8)
    assert not torch.equal(discriminator(images), discriminator(images.flip(-1)))


@pytest.mark.parametrize(("size", "grid"), [((7, 13), 6), ((24, 24), 6), ((3, 4), 6), ((9, 5), 1)])
def test_pooling_to_a_grid_equals_adaptive_pooling(size, grid):
    features = torch.rand(2, 3, *size)
    assert torch.allclose(pool_to_grid(features, grid), F.adaptive_avg_pool2d(features, grid))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("spectral_norm", [False, True])
@pytest.mark.parametrize("norm", ["auto", "batch", "none"])
def test_batch_statistics_says_whether_images_of_a_batch_depend_on_each_other(
    name, norm, spectral_norm
):
    discriminator = small(name, norm=norm, spectral_norm=spectral_norm)
    images = torch.rand(4, 3, 24, 24)
    state = {key: value.clone() for key, value in discriminator.state_dict().items()}
    together = discriminator(images)[:2]
    discriminator.load_state_dict(state)  # a forward moves spectral estimates and statistics
    alone = discriminator(images[:2])
    expected = norm == "batch" or (norm == "auto" and name != "unet" and not spectral_norm)
    assert discriminator.batch_statistics == expected
    assert torch.allclose(together, alone, atol=1e-6) != expected


@pytest.mark.parametrize("name", NAMES)
def test_spectral_normalisation_on_every_layer_but_those_of_the_paper(name):
    layers = [
        layer
        for layer in small(name, spectral_norm=True).modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    ]
    without = [i for i, layer in enumerate(layers) if not hasattr(layer, "parametrizations")]
    assert without == ([0, len(layers) - 1] if name == "unet" else [])


@pytest.mark.parametrize("name", NAMES)
def test_config_builds_the_same_network(name):
    discriminator = small(name, spectral_norm=True)
    again = create_discriminator(**json.loads(json.dumps(discriminator.config)))
    again.load_state_dict(discriminator.state_dict(), strict=True)
    images = torch.rand(2, 3, 24, 24)
    assert again.config == discriminator.config
    assert torch.equal(again.eval()(images), discriminator.eval()(images))


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_the_images_and_every_parameter(name):
    discriminator = small(name)
    images = torch.rand(3, 3, 24, 24, requires_grad=True)
    discriminator(images).square().sum().backward()
    assert images.grad.any()
    assert all(parameter.grad.any() for parameter in discriminator.parameters())


def test_the_papers_discriminator_starts_from_dcgans_weights():
    discriminator = create_discriminator("srgan", features=[64, 128], strides=[1, 2], hidden=64)
    for layer in discriminator.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.weight.numel() > 1000:
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.1)
        elif isinstance(layer, nn.BatchNorm2d):
            assert layer.weight.mean().item() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "vgg"}, "discriminator.name='vgg': must be one of patch, srgan, unet"),
        ({"channels": 0}, "channels=0: must be an integer at least 1"),
        ({"features": []}, "discriminator.features=[]: must be a list of integers"),
        ({"features": 64}, "discriminator.features=64: must be a list of integers"),
        ({"features": [64, 0]}, "discriminator.features=0: must be an integer at least 1"),
        ({"features": [64, "x"]}, "discriminator.features='x': must be an integer at least 1"),
        ({"strides": [1, 3]}, "discriminator.strides=3: must be one of 1, 2"),
        (
            {"features": [8, 8], "strides": [1]},
            "discriminator.strides=[1]: must be as many as discriminator.features, 2",
        ),
        ({"norm": "layer"}, "discriminator.norm='layer': must be one of auto, batch, none"),
        ({"spectral_norm": 0}, "discriminator.spectral_norm=0: must be True or False"),
        ({"grid": 0}, "discriminator.options.grid=0: must be an integer at least 1"),
        ({"pool": 2}, "discriminator.options.pool=2: srgan takes grid, hidden"),
        ({"name": "unet", "grid": 2}, "discriminator.options.grid=2: unet takes no options"),
    ],
)
def test_bad_arguments_are_named_in_one_line(arguments, message):
    with pytest.raises(UserError) as error:
        create_discriminator(**arguments)
    assert str(error.value) == message


def test_every_registered_discriminator_is_tested_here():
    assert set(DISCRIMINATORS) == set(NAMES)
