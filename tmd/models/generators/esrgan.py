"""ESRGAN's generator (arXiv:1809.00219) by the names that its weights have in the field.

`rrdb` is the same network with what this framework adds: growth, spectral normalisation and an
output that is added to bicubic upscaling. This one's files open in other programs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tmd.errors import UserError, check_flag, check_number
from tmd.models.contract import GeneratorContract
from tmd.models.layers import convolution, initialise_kaiming
from tmd.models.published import reaches
from tmd.models.registry import GENERATORS

SLOPE = 0.2
GROWTH = 32  # channels that each convolution of a dense block adds; programs take it for granted
SCALING = 0.2  # of every residual
DENSE_BLOCKS, CONVOLUTIONS = 3, 5
SCALES = (1, 2, 4, 8)


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees what all before it gave, and a scaled residual."""

    def __init__(self, features: int) -> None:
        super().__init__()
        for i in range(CONVOLUTIONS):
            outputs = GROWTH if i < CONVOLUTIONS - 1 else features
            self.add_module(f"conv{i + 1}", convolution(features + i * GROWTH, outputs, 3))

    def forward(self, features: Tensor) -> Tensor:
        """(N, F, H, W) -> (N, F, H, W)."""
        *inner, last = self.children()
        known = features
        for layer in inner:
            known = torch.cat([known, F.leaky_relu(layer(known), SLOPE, inplace=True)], 1)
        return torch.add(features, last(known), alpha=SCALING)


class ResidualInResidualBlock(nn.Module):
    """Three dense blocks and a scaled residual over them."""

    def __init__(self, features: int) -> None:
        super().__init__()
        for i in range(DENSE_BLOCKS):
            self.add_module(f"rdb{i + 1}", DenseBlock(features))

    def forward(self, features: Tensor) -> Tensor:
        """(N, F, H, W) -> (N, F, H, W)."""
        result = features
        for block in self.children():
            result = block(result)
        return torch.add(features, result, alpha=SCALING)


@GENERATORS.register("esrgan")
class ESRGAN(nn.Module):
    """RRDBNet with 23 blocks, as ESRGAN and Real-ESRGAN have it: 16.7 M parameters at ×4.

    The scale and the channels are those of `tmd.models.create_generator`.

    Args:
        num_feat: channels of the features.
        num_block: residual-in-residual blocks; 6 in Real-ESRGAN's for anime.
        unshuffle: for scales 1 and 2, work at a quarter and at half of the LR size and enlarge
            four times, as Real-ESRGAN does; else by one stage, or none, as ESRGAN of old.
    """

    has_sizes_of_its_own = True

    def __init__(
        self,
        scale: int,
        channels: int,
        num_feat: int = 64,
        num_block: int = 23,
        unshuffle: bool = True,
    ) -> None:
        super().__init__()
        if scale not in SCALES:
            raise UserError(f"scale={scale}: esrgan is made for {', '.join(map(str, SCALES))}")
        for key, value in (("num_feat", num_feat), ("num_block", num_block)):
            check_number(f"generator.options.{key}", value, minimum=1, integer=True)
        check_flag("generator.options.unshuffle", unshuffle)
        self.fold = max(4 // scale, 1) if unshuffle else 1
        self.factor = scale
        self.doublings = (scale * self.fold).bit_length() - 1
        self.conv_first = convolution(channels * self.fold**2, num_feat, 3)
        self.body = nn.Sequential(*(ResidualInResidualBlock(num_feat) for _ in range(num_block)))
        self.conv_body = convolution(num_feat, num_feat, 3)
        for i in range(self.doublings):
            self.add_module(f"conv_up{i + 1}", convolution(num_feat, num_feat, 3))
        self.conv_hr = convolution(num_feat, num_feat, 3)
        self.conv_last = convolution(num_feat, channels, 3)
        self.contract = GeneratorContract(
            scale,
            channels,
            receptive_field=reaches.esrgan(num_block, self.fold, scale),
            multiple=self.fold,
        )
        initialise_kaiming(self.modules(), SLOPE)
        initialise_kaiming(self.body.modules(), factor=0.1)
        initialise_kaiming([self.conv_last], slope=1.0)

    def forward(self, lr: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] -> (N, C, scale·H, scale·W)."""
        height, width = lr.shape[-2:]
        images = lr
        if self.fold > 1:
            down, right = -height % self.fold, -width % self.fold
            mirrored = "reflect" if right < width and down < height else "replicate"
            images = F.pixel_unshuffle(F.pad(lr, (0, right, 0, down), mirrored), self.fold)
        features = self.conv_first(images)
        features = features + self.conv_body(self.body(features))
        for i in range(self.doublings):
            features = F.interpolate(features, scale_factor=2.0, mode="nearest")
            features = F.leaky_relu(self.get_submodule(f"conv_up{i + 1}")(features), SLOPE, True)
        features = F.leaky_relu(self.conv_hr(features), SLOPE, inplace=True)
        with torch.autocast(lr.device.type, enabled=False):  # else the image is of 8 bits' grain
            sr = self.conv_last(features.to(lr.dtype))
        if self.fold == 1:
            return sr
        return sr[..., : self.factor * height, : self.factor * width]
