"""The discriminator of SRGAN (arXiv:1609.04802, sec. 2.1.1 and fig. 4)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tmd.acceleration.layers import Dense
from tmd.errors import check_number
from tmd.models.layers import (
    block,
    convolution,
    initialise_kaiming,
    initialise_normal,
    normalise_spectrally,
)
from tmd.models.registry import DISCRIMINATORS

SLOPE = 0.2


def pool_to_grid(features: Tensor, grid: int) -> Tensor:
    """Adaptive average pooling to (N, C, grid, grid).

    As two matrix products, because torch's own has no deterministic backward on a GPU.
    """

    def averages(size: int) -> Tensor:
        # On the device from the start: a copy to it would be waited for.
        cells = torch.arange(grid, device=features.device)[:, None]
        pixels = torch.arange(size, device=features.device)
        inside = (pixels >= cells * size // grid) & (pixels < -(-(cells + 1) * size // grid))
        return (inside / inside.sum(1, keepdim=True)).to(features)

    height, width = features.shape[-2:]
    if (height, width) == (grid, grid):
        return features
    return averages(height) @ features @ averages(width).T


@DISCRIMINATORS.register("srgan")
class SRGANDiscriminator(nn.Module):
    """Convolutions, then two dense layers on a grid; (N, 1) logits.

    The paper's network for 96-pixel images, whose features there are 6 × 6; those of any other size
    are averaged to that grid. 512 × 6 × 6 features make the first dense layer 18.9 M of its 23.6 M
    parameters: ``grid=1`` (global pooling) is the light choice.

    Args: see `tmd.models.create_discriminator`, and
        grid: height and width the features are averaged to.
        hidden: width of the first dense layer.
    """

    def __init__(
        self,
        channels: int,
        features: Sequence[int],
        strides: Sequence[int],
        norm: str,
        spectral_norm: bool,
        grid: int = 6,
        hidden: int = 1024,
    ) -> None:
        super().__init__()
        check_number("discriminator.options.grid", grid, minimum=1, integer=True)
        check_number("discriminator.options.hidden", hidden, minimum=1, integer=True)
        if norm == "auto":
            norm = "none" if spectral_norm else "batch"
        self.grid = grid
        self.minimum_size = math.prod(strides)
        norms = ["none", *[norm] * (len(features) - 1)]
        self.features = nn.Sequential(
            *(
                block(convolution(inputs, outputs, 3, stride, bias=own == "none"), own, SLOPE)
                for inputs, outputs, stride, own in zip(
                    [channels, *features], features, strides, norms, strict=False
                )
            )
        )
        self.dense = nn.Sequential(
            nn.Flatten(),
            Dense(features[-1] * grid**2, hidden),
            nn.LeakyReLU(SLOPE, inplace=True),
            Dense(hidden, 1),
        )
        if norm == "batch":
            initialise_normal(self.modules())
        else:
            initialise_kaiming(self.modules(), SLOPE)
        if spectral_norm:
            normalise_spectrally(self)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] -> logits (N, 1)."""
        return self.dense(pool_to_grid(self.features(2 * images - 1), self.grid))
