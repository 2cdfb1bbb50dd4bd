"""The networks that the step is timed with, and the batches they get."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torchvision
from torch import nn

from tmd.acceleration.layers import Dense, PReLU
from tmd.losses.content import ContentLoss, parse_spec
from tmd.models import create_discriminator, create_generator
from tmd.models.features import VGGFeatures

SCALE = 4
ADVERSARIAL_WEIGHT = 1e-2
REAL_LABEL = 0.9

#: Trains for as many iterations as it is called with.
Run = Callable[[int], None]


@dataclass(frozen=True)
class Setting:
    """Networks, and the batches they are trained with."""

    generator: dict[str, Any]
    discriminator: dict[str, Any]
    batch: int
    patch: int
    content: str


PAPER_GENERATOR = {"n_blocks": 16, "n_features": 64}
PAPER_DISCRIMINATOR = {
    "features": [64, 64, 128, 128, 256, 256, 512, 512],
    "strides": [1, 2, 1, 2, 1, 2, 1, 2],
}
SETTINGS = {
    # The defaults of experiments/srgan.py.
    "default": Setting(
        {"n_blocks": 8, "n_features": 32},
        {
            "features": [32, 64, 64, 128, 128, 256],
            "strides": [2, 2, 1, 2, 1, 2],
            "grid": 4,
            "hidden": 128,
        },
        batch=8,
        patch=72,
        content="l1",
    ),
    # SRGAN's own networks, without and with its content loss.
    "srgan": Setting(PAPER_GENERATOR, PAPER_DISCRIMINATOR, 8, 96, "l1"),
    "vgg54": Setting(PAPER_GENERATOR, PAPER_DISCRIMINATOR, 8, 128, "vgg54"),
}


def use_torchs_layers() -> None:
    """Let this process compute as torch does what is faster in `tmd.acceleration.layers`."""
    PReLU.forward = nn.PReLU.forward  # type: ignore[method-assign]
    Dense.forward = nn.Linear.forward  # type: ignore[method-assign]


def networks(setting: Setting) -> tuple[nn.Module, nn.Module, nn.Module]:
    """Generator, discriminator and content loss; VGG's weights are random, which costs the same."""
    torch.manual_seed(0)
    generator = create_generator(
        name="srresnet",
        scale=SCALE,
        channels=3,
        norm="none",
        spectral_norm=False,
        global_skip=True,
        **setting.generator,
    )
    discriminator = create_discriminator(
        name="srgan",
        channels=3,
        norm="none",
        spectral_norm=True,
        **setting.discriminator,
    )
    terms = parse_spec(setting.content)
    layers = [term.name for term in terms if term.name.startswith("vgg")]
    features = None
    if layers:
        weights = torchvision.models.vgg19(weights=None).features.state_dict()
        features = VGGFeatures("vgg19", layers, True, weights)
    return generator, discriminator, ContentLoss(terms, features)
