"""Which generator: its config, its check before the run, its builder."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ingredients.base import Ingredient
from tmd.models import create_generator
from tmd.models.registry import check_mapping

ingredient = Ingredient("generator")


@ingredient.config
def config():
    name = "srresnet"  # srresnet, rrdb, compact
    n_blocks = 8  # residual blocks
    n_features = 32  # channels between them
    norm = "none"  # batch, none
    spectral_norm = False  # spectral normalisation of every convolution but the last
    global_skip = True  # add to the bicubic upscaling, beginning with nothing
    options = {}  # what only this architecture takes


@ingredient.named_config
def paper():
    """SRResNet as published (arXiv:1609.04802)."""
    name = "srresnet"
    n_blocks = 16
    n_features = 64
    norm = "batch"
    spectral_norm = False
    global_skip = False


@ingredient.named_config
def rrdb():
    """ESRGAN's generator as published (arXiv:1809.00219)."""
    name = "rrdb"
    n_blocks = 23
    n_features = 64
    norm = "none"
    spectral_norm = False
    global_skip = False


@ingredient.capture
def build(
    scale: int,
    channels: int,
    name: str,
    n_blocks: int,
    n_features: int,
    norm: str,
    spectral_norm: bool,
    global_skip: bool,
    options: dict[str, Any],
) -> nn.Module:
    """The generator of the config for the experiment's ``scale`` and the data's ``channels``."""
    check_mapping("generator.options", options)
    return create_generator(
        name=name,
        scale=scale,
        channels=channels,
        n_blocks=n_blocks,
        n_features=n_features,
        norm=norm,
        spectral_norm=spectral_norm,
        global_skip=global_skip,
        **options,
    )


def check(scale: int, channels: int) -> None:
    """Raise `UserError` for what can't be built, leaving the random numbers alone."""
    with torch.random.fork_rng(devices=[]):
        build(scale, channels)
