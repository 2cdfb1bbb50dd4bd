"""SRResNet, the generator of SRGAN (arXiv:1609.04802, sec. 2.1.1 and fig. 4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tmd.acceleration.layers import PReLU
from tmd.models.layers import convolution, initialise_residual, normalisation, normalise_spectrally
from tmd.models.registry import GENERATORS
from tmd.models.upsampling import (
    BicubicUpsampling,
    ShuffleStage,
    receptive_radius,
    upsampling_factors,
)

PRELU_SLOPE = 0.25


class ResidualBlock(nn.Module):
    """Convolution, PReLU, convolution, each with an optional batch normalisation, and the sum."""

    def __init__(self, features: int, norm: str) -> None:
        super().__init__()
        bias = norm == "none"  # a normalisation would take it away again
        self.layers = nn.Sequential(
            convolution(features, features, 3, bias=bias),
            *normalisation(norm, features),
            PReLU(),
            convolution(features, features, 3, bias=bias),
            *normalisation(norm, features),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(N, F, H, W) -> (N, F, H, W)."""
        return features + self.layers(features)


@GENERATORS.register("srresnet")
class SRResNet(nn.Module):
    """The paper's with ``norm="batch"`` and ``global_skip=False``: 1.547 M parameters at ×4.

    As in the paper (sec. 3.2) its last convolution works in [-1, 1]; ``forward`` gives [0, 1]. With
    ``global_skip`` that convolution starts at zero and its output is added to bicubic upscaling.
    Spectral normalisation leaves the last convolution alone.

    Args: see `tmd.models.create_generator`.
    """

    after_stages = ("output",)

    def __init__(
        self,
        scale: int,
        channels: int,
        n_blocks: int,
        n_features: int,
        norm: str,
        spectral_norm: bool,
        global_skip: bool,
    ) -> None:
        super().__init__()
        self.head = nn.Sequential(convolution(channels, n_features, 9), PReLU())
        self.body = nn.Sequential(
            *(ResidualBlock(n_features, norm) for _ in range(n_blocks)),
            convolution(n_features, n_features, 3, bias=norm == "none"),
            *normalisation(norm, n_features),
        )
        self.stages = nn.Sequential(
            *(
                ShuffleStage(n_features, factor, spectral_norm)
                for factor in upsampling_factors(scale)
            )
        )
        self.output = convolution(n_features, channels, 9)
        self.skip = BicubicUpsampling(scale) if global_skip else None
        self.receptive_field = receptive_radius(
            scale,
            trunk=4 + 2 * n_blocks + 1,
            stages=self.stages,
            output=4,
            skip=BicubicUpsampling.radius if global_skip else 0,
        )
        initialise_residual(self, self.body, self.output, PRELU_SLOPE, norm, global_skip)
        if spectral_norm:
            normalise_spectrally(self, leave=[self.output])

    def forward(self, lr: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] -> (N, C, scale·H, scale·W)."""
        features = self.head(lr)
        features = self.stages(features + self.body(features))
        sr = self.output(features).to(lr.dtype)
        if self.skip is None:
            return 0.5 * sr + 0.5
        return torch.add(self.skip(lr), sr, alpha=0.5)
