"""RRDB, the generator of ESRGAN (arXiv:1809.00219, sec. 3.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tmd.errors import UserError, check_number
from tmd.models.layers import convolution, initialise_kaiming, normalise_spectrally
from tmd.models.registry import GENERATORS
from tmd.models.upsampling import (
    BicubicUpsampling,
    NearestStage,
    receptive_radius,
    upsampling_factors,
)

SLOPE = 0.2
CONVOLUTIONS = 5  # of a dense block
DENSE_BLOCKS = 3  # of a residual-in-residual block


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees what all before it gave, and a scaled residual."""

    def __init__(self, features: int, growth: int, scaling: float) -> None:
        super().__init__()
        self.scaling = scaling
        self.convolutions = nn.ModuleList(
            convolution(
                features + i * growth, growth if i < CONVOLUTIONS - 1 else features, kernel=3
            )
            for i in range(CONVOLUTIONS)
        )
        self.activation = nn.LeakyReLU(SLOPE, inplace=True)

    def forward(self, features: Tensor) -> Tensor:
        """(N, F, H, W) -> (N, F, H, W)."""
        *inner, last = self.convolutions
        known = features
        for layer in inner:
            known = torch.cat([known, self.activation(layer(known))], 1)
        return torch.add(features, last(known), alpha=self.scaling)


class ResidualInResidualBlock(nn.Module):
    """Three dense blocks and a scaled residual over them."""

    def __init__(self, features: int, growth: int, scaling: float) -> None:
        super().__init__()
        self.scaling = scaling
        self.blocks = nn.Sequential(
            *(DenseBlock(features, growth, scaling) for _ in range(DENSE_BLOCKS))
        )

    def forward(self, features: Tensor) -> Tensor:
        """(N, F, H, W) -> (N, F, H, W)."""
        return torch.add(features, self.blocks(features), alpha=self.scaling)


@GENERATORS.register("rrdb")
class RRDBNet(nn.Module):
    """ESRGAN's with 23 blocks and ``global_skip=False``: 16.7 M parameters at ×4.

    The upsampling stages' leaky ReLU has a slope that is learnt, starting from the paper's 0.2: a
    stage added by growth can then start as the identity.

    Args: see `tmd.models.create_generator`, and
        growth_channels: what each convolution of a dense block adds.
        residual_scaling: the factor of every residual (sec. 3.1: 0.2), in (0, 1].
    """

    after_stages = ("refinement", "output")

    def __init__(
        self,
        scale: int,
        channels: int,
        n_blocks: int,
        n_features: int,
        norm: str,
        spectral_norm: bool,
        global_skip: bool,
        growth_channels: int = 32,
        residual_scaling: float = 0.2,
    ) -> None:
        super().__init__()
        if norm != "none":
            raise UserError(f"generator.norm={norm!r}: rrdb has no normalisation, must be none")
        check_number("generator.options.growth_channels", growth_channels, minimum=1, integer=True)
        check_number("generator.options.residual_scaling", residual_scaling, above=0, maximum=1)
        self.head = convolution(channels, n_features, 3)
        self.body = nn.Sequential(
            *(
                ResidualInResidualBlock(n_features, growth_channels, residual_scaling)
                for _ in range(n_blocks)
            ),
            convolution(n_features, n_features, 3),
        )
        self.stages = nn.Sequential(
            *(
                NearestStage(n_features, factor, SLOPE, spectral_norm)
                for factor in upsampling_factors(scale)
            )
        )
        self.refinement = convolution(n_features, n_features, 3)
        self.activation = nn.LeakyReLU(SLOPE, inplace=True)
        self.output = convolution(n_features, channels, 3)
        self.skip = BicubicUpsampling(scale) if global_skip else None
        self.receptive_field = receptive_radius(
            scale,
            trunk=1 + n_blocks * DENSE_BLOCKS * CONVOLUTIONS + 1,
            stages=self.stages,
            output=2,
            skip=BicubicUpsampling.radius if global_skip else 0,
        )
        self._initialise(global_skip)
        if spectral_norm:
            normalise_spectrally(self, leave=[self.output])

    def _initialise(self, global_skip: bool) -> None:
        initialise_kaiming(self.modules(), SLOPE)
        # ESRGAN's supplement: "smaller initialization" of the residual branches.
        initialise_kaiming(self.body.modules(), factor=0.1)
        initialise_kaiming([self.output], slope=1.0)
        if global_skip:
            nn.init.zeros_(self.output.weight)

    def forward(self, lr: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] -> (N, C, scale·H, scale·W)."""
        features = self.head(lr)
        features = self.stages(features + self.body(features))
        sr = self.output(self.activation(self.refinement(features))).to(lr.dtype)
        return sr if self.skip is None else self.skip(lr) + sr
