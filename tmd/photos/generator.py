"""Generators for what photos have: grey, colour, transparency; and one that learns nothing."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from tmd.models.contract import contract_of
from tmd.models.upsampling import BicubicUpsampling

LUMA = (0.299, 0.587, 0.114)


class PhotoGenerator(nn.Module):
    """Generator for what photos have: grey for an RGB network, RGB for a grey one, alpha.

    Grey images are shown to an RGB network as RGB, and the luma of its result is taken. A grey
    network gets the luma of RGB images, whose colours are upscaled by bicubic, and so is alpha.

    Args:
        generator: made by `tmd.models.create_generator`.
        channels: 1 to 4, as in `Photo`.
    """

    luma: Tensor

    def __init__(self, generator: nn.Module, channels: int) -> None:
        super().__init__()
        self.generator = generator
        self.channels = channels
        self.colours = 3 if channels >= 3 else 1
        self.scale = int(generator.scale)  # type: ignore[arg-type]
        self.bicubic = BicubicUpsampling(self.scale)
        device = next(generator.parameters(), torch.empty(0)).device
        self.register_buffer("luma", torch.tensor(LUMA).view(1, 3, 1, 1), persistent=False)
        self.to(device)
        radius = generator.receptive_field
        self.receptive_field = None if radius is None else max(int(radius), self.bicubic.radius)  # type: ignore[arg-type]
        self.contract = replace(
            contract_of(generator), channels=channels, receptive_field=self.receptive_field
        )

    def forward(self, lr: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] -> (N, C, scale·H, scale·W)."""
        colours = self._colours(lr[:, : self.colours])
        if self.channels == self.colours:
            return colours
        return torch.cat([colours, self.bicubic(lr[:, self.colours :])], 1)

    def _colours(self, lr: Tensor) -> Tensor:
        if self.generator.channels == self.colours:
            return self.generator(lr)
        if self.colours == 1:
            return (self.generator(lr.expand(-1, 3, -1, -1)) * self.luma).sum(1, keepdim=True)
        luma = (lr * self.luma).sum(1, keepdim=True)
        return self.generator(luma) + self.bicubic(lr - luma)


class Bicubic(nn.Module):
    """Bicubic upscaling of each band, as a generator; by a factor of 1 the image itself.

    Args:
        scale: the factor.
        channels: of the images.
    """

    def __init__(self, scale: int, channels: int) -> None:
        super().__init__()
        self.scale = scale
        self.channels = channels
        self.upsampling = nn.Identity() if scale == 1 else BicubicUpsampling(scale)
        self.receptive_field = 0 if scale == 1 else BicubicUpsampling.radius

    def forward(self, lr: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, scale·H, scale·W)."""
        return self.upsampling(lr)
