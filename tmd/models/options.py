"""Choices about the networks; the experiment's scale and the data's channels join them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from tmd.models.discriminators import create_discriminator
from tmd.models.generators import SIZES, check_own_sizes, create_generator, has_own_sizes
from tmd.models.registry import check_mapping


@dataclass(frozen=True)
class GeneratorOptions:
    """Arguments of `create_generator`; ``options`` are what only this architecture takes.

    ``weights`` names what it begins with: that is whose who opens files.
    """

    name: str = "srresnet"
    n_blocks: int = 8
    n_features: int = 32
    norm: str = "none"
    spectral_norm: bool = False
    global_skip: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: Any = None

    def create(self, scale: int, channels: int) -> nn.Module:
        """The generator for ``scale`` and images of ``channels``, freshly initialised."""
        check_mapping("generator.options", self.options)
        sizes: dict[str, Any] = {key: getattr(self, key) for key in SIZES}
        if has_own_sizes(self.name):
            check_own_sizes(self.name, sizes, vars(GeneratorOptions()))
            sizes = {}
        return create_generator(
            name=self.name, scale=scale, channels=channels, **sizes, **self.options
        )

    def check(self, scale: int, channels: int) -> nn.Module:
        """Raise `UserError` for what can't be built, leaving the random numbers alone.

        Returns:
            A generator without weights.
        """
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            return self.create(scale, channels)


@dataclass(frozen=True)
class DiscriminatorOptions:
    """Arguments of `create_discriminator`; ``options`` are what only this architecture takes.

    ``weights`` names what it begins with: that is whose who opens files.
    """

    name: str = "srgan"
    features: list[int] = field(default_factory=lambda: [32, 64, 64, 128, 128, 256])
    strides: list[int] = field(default_factory=lambda: [2, 2, 1, 2, 1, 2])
    norm: str = "auto"
    spectral_norm: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: Any = None

    def create(self, channels: int, **changes: Any) -> nn.Module:
        """The discriminator for images of ``channels``, freshly initialised.

        Args:
            changes: fields that differ from these.
        """
        check_mapping("discriminator.options", self.options)
        arguments = {
            "name": self.name,
            "features": self.features,
            "strides": self.strides,
            "norm": self.norm,
            "spectral_norm": self.spectral_norm,
            **changes,
        }
        return create_discriminator(channels=channels, **arguments, **self.options)

    def check(self, channels: int) -> nn.Module:
        """Raise `UserError` for what can't be built, leaving the random numbers alone.

        Returns:
            A discriminator without weights.
        """
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            return self.create(channels)
