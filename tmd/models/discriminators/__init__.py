"""Discriminators by name. A new architecture is one file in this folder that registers itself."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from typing import Any

from torch import nn

from tmd.errors import UserError, check_choice, check_flag, check_number
from tmd.models.registry import DISCRIMINATORS, complete_options

NORMS = ("auto", "batch", "none")
COMMON = ("channels", "features", "strides", "norm", "spectral_norm")
PAPER_FEATURES = (64, 64, 128, 128, 256, 256, 512, 512)
PAPER_STRIDES = (1, 2, 1, 2, 1, 2, 1, 2)

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def create_discriminator(
    name: str = "srgan",
    channels: int = 3,
    features: Sequence[int] = PAPER_FEATURES,
    strides: Sequence[int] = PAPER_STRIDES,
    spectral_norm: bool = False,
    norm: str = "auto",
    **options: Any,
) -> nn.Module:
    """A discriminator with freshly initialised weights.

    Args:
        name: a name in `DISCRIMINATORS`.
        channels: of the images.
        features: the channels after each convolution.
        strides: of each convolution, 1 or 2; as many as ``features``.
        spectral_norm: put spectral normalisation on the convolutions.
        norm: ``"batch"``, ``"none"``, or ``"auto"``: what the architecture's paper has, and none
            with spectral normalisation.
        options: what only the architecture ``name`` takes.

    Returns:
        A module (N, C, H, W) in [0, 1] -> logits (N, 1) or (N, 1, h, w), with the attributes
        ``minimum_size`` (smallest height and width), ``batch_statistics`` (whether an image's logit
        depends on the others in its batch: real and fake ones must then go through it apart) and
        ``config`` (the arguments that build it again).

    Raises:
        UserError: an argument is out of range, or an option is not the architecture's.
    """
    check_choice("discriminator.name", name, list(DISCRIMINATORS))
    check_number("channels", channels, minimum=1, integer=True)
    _check_layers(features, strides)
    check_choice("discriminator.norm", norm, NORMS)
    check_flag("discriminator.spectral_norm", spectral_norm)
    arguments = {
        "channels": channels,
        "features": list(features),
        "strides": list(strides),
        "spectral_norm": spectral_norm,
        "norm": norm,
        **complete_options(DISCRIMINATORS, name, COMMON, options),
    }
    discriminator: Any = DISCRIMINATORS[name](**arguments)
    discriminator.config = {"name": name, **arguments}
    discriminator.batch_statistics = any(
        isinstance(layer, nn.BatchNorm2d) for layer in discriminator.modules()
    )
    return discriminator


def _check_layers(features: Sequence[int], strides: Sequence[int]) -> None:
    for key, values in (("features", features), ("strides", strides)):
        if not isinstance(values, list | tuple) or not values:
            raise UserError(f"discriminator.{key}={values!r}: must be a list of integers")
    for width in features:
        check_number("discriminator.features", width, minimum=1, integer=True)
    for stride in strides:
        check_choice("discriminator.strides", stride, (1, 2))
    if len(features) != len(strides):
        raise UserError(
            f"discriminator.strides={list(strides)}: must be as many as discriminator.features, "
            f"{len(features)}"
        )
