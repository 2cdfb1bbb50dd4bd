"""The generator's and the discriminator's ingredients, and how a new architecture is added."""

from __future__ import annotations

import pytest
import torch
from sacred import Experiment
from torch import nn
from torch.nn import functional as F

from ingredients import discriminator, generator
from tmd.errors import UserError
from tmd.models import DISCRIMINATORS, GENERATORS

FEATURES = {"discriminator.features": [4, 8], "discriminator.strides": [1, 2]}


def run(function, named_configs=(), **updates):
    """What ``function(scale)`` gives inside a run with the config ``updates``."""
    experiment = Experiment(
        "test", ingredients=[generator.ingredient, discriminator.ingredient], save_git_info=False
    )

    experiment.add_config(scale=4)

    @experiment.main
    def main(scale):
        captured.append(function(scale))

    captured: list = []
    experiment.run(config_updates=updates, named_configs=named_configs)
    return captured[0]


def build_both(scale):
    return generator.options().create(scale, 3), discriminator.options().create(3)


def test_the_config_reaches_the_networks():
    g, d = run(
        build_both,
        **FEATURES,
        **{
            "scale": 2,
            "generator.n_blocks": 2,
            "generator.n_features": 8,
            "generator.norm": "batch",
            "generator.spectral_norm": True,
            "generator.global_skip": False,
            "discriminator.spectral_norm": True,
            "discriminator.norm": "none",
            "discriminator.options": {"hidden": 16, "grid": 2},
        },
    )
    assert g.config == {
        "name": "srresnet",
        "scale": 2,
        "channels": 3,
        "n_blocks": 2,
        "n_features": 8,
        "norm": "batch",
        "spectral_norm": True,
        "global_skip": False,
    }
    assert d.config == {
        "name": "srgan",
        "channels": 3,
        "features": [4, 8],
        "strides": [1, 2],
        "norm": "none",
        "spectral_norm": True,
        "hidden": 16,
        "grid": 2,
    }


def test_the_papers_networks():
    g, d = run(build_both, ["generator.paper", "discriminator.paper"])
    assert sum(p.numel() for p in g.parameters()) == 1_547_350
    assert d.batch_statistics


def test_esrgans_and_real_esrgans_networks():
    g, d = run(build_both, ["generator.rrdb", "discriminator.unet"])
    assert sum(p.numel() for p in g.parameters()) == 16_697_989
    assert sum(p.numel() for p in d.parameters()) == 4_376_897


def test_pix2pixs_discriminator():
    _, d = run(build_both, ["discriminator.patch"], **{"generator.n_blocks": 1})
    assert d.config["name"] == "patch"
    assert d.config["strides"] == [2, 2, 2, 1]


def test_options_of_one_architecture_go_through_options():
    updates = {"generator.name": "rrdb", "generator.n_blocks": 1}
    g, _ = run(build_both, **FEATURES, **updates, **{"generator.options.growth_channels": 4})
    assert g.config["growth_channels"] == 4


@pytest.mark.parametrize(
    ("updates", "message"),
    [
        ({"generator.n_blocks": 0}, "generator.n_blocks=0: must be an integer at least 1"),
        ({"generator.norm": "layer"}, "generator.norm='layer': must be one of batch, none"),
        ({"scale": 5}, "scale=5: must be one of 1, 2, 3, 4, 8"),
        ({"generator.name": "x"}, "generator.name='x': must be one of atd, compact, craft, dat, "),
        (
            {"generator.name": "rrdb", "generator.options.depth": 4},
            "generator.options.depth=4: rrdb takes growth_channels, residual_scaling",
        ),
        ({"generator.options": 3}, "generator.options=3: must be a mapping of names to values"),
        (
            {"discriminator.features": [64, 64], "discriminator.strides": [1]},
            "discriminator.strides=[1]: must be as many as discriminator.features, 2",
        ),
        (
            {"discriminator.options": [3]},
            "discriminator.options=[3]: must be a mapping of names to values",
        ),
    ],
)
def test_bad_config_is_one_line_before_the_run_starts(updates, message):
    def check(scale):
        generator.options().check(scale, 3)
        discriminator.options().check(3)

    with pytest.raises(UserError) as error:
        run(check, **updates)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_checks_leave_the_random_numbers_alone():
    def check(scale):
        before = torch.get_rng_state()
        generator.options().check(scale, 3)
        discriminator.options().check(3)
        return torch.equal(before, torch.get_rng_state())

    assert run(check, **FEATURES, **{"generator.n_blocks": 1})


def test_a_misspelt_key_is_an_error():
    with pytest.raises(Exception, match="n_block"):
        run(build_both, **{"generator.n_block": 3})


def test_a_new_architecture_is_one_class_and_one_line():
    """Nothing else is edited: not the ingredients, not the package, not the experiment."""

    @GENERATORS.register("test-only")
    class Nearest(nn.Module):
        receptive_field = 0

        def __init__(
            self,
            scale,
            channels,
            n_blocks,
            n_features,
            norm,
            spectral_norm,
            global_skip,
            contrast: float = 1.0,
        ):
            super().__init__()
            self.contrast = nn.Parameter(torch.tensor(contrast))

        def forward(self, lr):
            return self.contrast * F.interpolate(lr, scale_factor=self.scale)

    @DISCRIMINATORS.register("test-only")
    class Mean(nn.Module):
        minimum_size = 1

        def __init__(self, channels, features, strides, norm, spectral_norm):
            super().__init__()

        def forward(self, images):
            return images.mean((1, 2, 3))[:, None]

    names = {"generator.name": "test-only", "discriminator.name": "test-only"}
    try:
        g, d = run(build_both, **names, **{"generator.options.contrast": 2.0})
        assert g(torch.ones(1, 3, 2, 2)).shape == (1, 3, 8, 8)
        assert g.config["contrast"] == 2
        assert d(torch.ones(1, 3, 2, 2)).item() == 1
        assert not d.batch_statistics
    finally:
        del GENERATORS._builders["test-only"], DISCRIMINATORS._builders["test-only"]
