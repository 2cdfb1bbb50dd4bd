"""SPAN, the Swift Parameter-free Attention Network (arXiv:2311.12770), to be trained.

Each of its 3 × 3 convolutions is trained as three of them one after another, with one more beside.
Spandrel's class computes these in training, 4.5 times the products of the one kernel that they
amount to, and has that kernel for inference as parameters without a gradient. Here the kernel is
made of its parts in every step, with their gradients, and applied. Names in the state are the
field's.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tmd.errors import check_flag, check_number
from tmd.models.contract import GeneratorContract
from tmd.models.layers import convolution
from tmd.models.registry import GENERATORS

RGB_MEAN = (0.4488, 0.4371, 0.4040)  # of DIV2K
HIGHEST = 255.0  # images come in [0, 1]
GAIN = 2  # widening between the convolutions that one kernel is made of
BLOCKS = 6


class Kernel(nn.Module):
    """A kernel and its biases as entries of the state that nothing trains."""

    weight: Tensor
    bias: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(outputs, inputs, 3, 3))
        self.register_buffer("bias", torch.zeros(outputs))


class MergedConvolution(nn.Conv2d):
    """A 3 × 3 convolution whose kernel is made of those of smaller and wider ones.

    ``conv`` is 1 × 1, 3 × 3, 1 × 1 one after another with ``GAIN`` times the channels between
    them, and ``sk`` is 1 × 1 beside it; ``eval_conv`` is what they amount to, brought up to date
    when the state is asked for.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)
        del self.weight, self.bias
        self.sk = convolution(inputs, outputs, 1)
        self.conv = nn.Sequential(
            convolution(inputs, GAIN * inputs, 1),
            convolution(GAIN * inputs, GAIN * outputs, 3),
            convolution(GAIN * outputs, outputs, 1),
        )
        self.eval_conv = Kernel(inputs, outputs)
        self.register_state_dict_pre_hook(_bring_up_to_date)

    def merged(self) -> tuple[Tensor, Tensor]:
        """The kernel (outputs, inputs, 3, 3) and its biases (outputs,), with their gradients.

        The convolutions do not pad between them, so that the biases count at the border as well.
        """
        parts: Any = self.conv
        first, middle, last = parts
        with torch.autocast(self.sk.weight.device.type, enabled=False):
            wide = (last.weight[..., 0, 0] @ middle.weight.flatten(1)).unflatten(1, (-1, 9))
            kernel = (wide.transpose(1, 2) @ first.weight[..., 0, 0]).transpose(1, 2)
            kernel = kernel.unflatten(2, (3, 3)) + F.pad(self.sk.weight, (1, 1, 1, 1))
            bias = middle.weight.sum((2, 3)) @ first.bias + middle.bias
            bias = last.weight[..., 0, 0] @ bias + last.bias
            assert self.sk.bias is not None
            bias = bias + self.sk.bias
        return kernel, bias

    def forward(self, features: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H, W)."""
        return self._conv_forward(features, *self.merged())


@torch.no_grad()
def _bring_up_to_date(module: Any, *_: Any) -> None:
    kernel, bias = module.merged()
    module.eval_conv.weight.copy_(kernel)
    module.eval_conv.bias.copy_(bias)


class Block(nn.Module):
    """Three convolutions, whose last one's output tells by how much it and the input count."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.c1_r = MergedConvolution(features, features)
        self.c2_r = MergedConvolution(features, features)
        self.c3_r = MergedConvolution(features, features)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(N, F, H, W) -> the same shape, and what the first convolution gave, activated."""
        first = F.silu(self.c1_r(features))
        last = self.c3_r(F.silu(self.c2_r(first)))
        return (last + features) * (torch.sigmoid(last) - 0.5), first


@GENERATORS.register("span")
class SPAN(nn.Module):
    """Six blocks at LR size, four of their maps side by side, and every sub-pixel of them.

    The scale and the channels are those of `tmd.models.create_generator`.

    Args:
        feature_channels: of the features; 48 for the paper's SPAN-S, 52 for its SPAN.
        rgb_norm: take the mean of DIV2K's colours from the images and multiply by 255, as
            published; for three channels only.
    """

    has_sizes_of_its_own = True

    def __init__(
        self, scale: int, channels: int, feature_channels: int = 48, rgb_norm: bool = True
    ) -> None:
        super().__init__()
        check_number(
            "generator.options.feature_channels", feature_channels, minimum=1, integer=True
        )
        check_flag("generator.options.rgb_norm", rgb_norm)
        self.contract = GeneratorContract(scale, channels, receptive_field=3 * BLOCKS + 3)
        self.mean: Tensor | None
        if rgb_norm and channels == len(RGB_MEAN):
            mean = torch.tensor(RGB_MEAN).view(1, -1, 1, 1)
            self.register_buffer("mean", mean, persistent=False)
        else:
            self.mean = None
            self.register_buffer("no_norm", torch.zeros(1))
        self.conv_1 = MergedConvolution(channels, feature_channels)
        for number in range(1, BLOCKS + 1):
            self.add_module(f"block_{number}", Block(feature_channels))
        self.conv_cat = convolution(4 * feature_channels, feature_channels, 1)
        self.conv_2 = MergedConvolution(feature_channels, feature_channels)
        self.upsampler = nn.Sequential(
            convolution(feature_channels, channels * scale**2, 3), nn.PixelShuffle(scale)
        )

    def forward(self, lr: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] -> (N, C, scale·H, scale·W)."""
        images = lr if self.mean is None else (lr - self.mean) * HIGHEST
        first = features = self.conv_1(images)
        outputs, inner = [], first
        for number in range(1, BLOCKS + 1):
            features, inner = self.get_submodule(f"block_{number}")(features)
            outputs.append(features)
        features = self.conv_2(features)
        features = self.conv_cat(torch.cat([first, features, outputs[0], inner], 1))
        with torch.autocast(lr.device.type, enabled=False):  # else the image is of 8 bits' grain
            return self.upsampler(features.to(lr.dtype))
