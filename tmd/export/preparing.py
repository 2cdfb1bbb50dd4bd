"""A copy of a generator as exporters understand it, which gives the same numbers."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from tmd.acceleration.speed import with_torchs_convolutions
from tmd.models.upsampling import BicubicUpsampling


def plain_copy(generator: nn.Module) -> nn.Module:
    """A copy on the CPU, in evaluation mode, with torch's own convolutions."""
    return with_torchs_convolutions(copy.deepcopy(generator)).cpu().eval()


def computed(generator: nn.Module) -> nn.Module:
    """A copy in which kernels that are computed at each call are numbers.

    Spectral normalisation's and those that are made of several: what they are in evaluation is
    fixed.
    """
    copied = plain_copy(generator)
    for module in list(copied.modules()):
        if parametrize.is_parametrized(module):
            _fix_parametrized(module)
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Conv2d) and hasattr(child, "merged"):
                setattr(module, name, _merged(child))
    return copied


@torch.no_grad()
def _fix_parametrized(module: Any) -> None:
    # torch's own way would take the weight from the class, which the original has, too.
    values = {name: getattr(module, name).clone() for name in module.parametrizations}
    del module.parametrizations
    module.__class__ = parametrize.type_before_parametrizations(module)
    for name, value in values.items():
        module.register_parameter(name, nn.Parameter(value))


@torch.no_grad()
def _merged(layer: Any) -> nn.Conv2d:
    kernel, bias = layer.merged()
    plain = nn.Conv2d(layer.in_channels, layer.out_channels, layer.kernel_size, 1, layer.padding)
    plain.weight.copy_(kernel)
    assert plain.bias is not None
    plain.bias.copy_(bias)
    return plain


class GroupedBicubic(nn.Module):
    """`BicubicUpsampling` of images of at least two pixels a side, by layers that ncnn has.

    Args:
        original: which it replaces.
        channels: of the images.
    """

    def __init__(self, original: BicubicUpsampling, channels: int) -> None:
        super().__init__()
        self.scale = original.scale
        outputs = channels * original.scale**2
        self.conv = nn.Conv2d(channels, outputs, 5, groups=channels, bias=False)
        self.conv.weight.data = original.kernel.repeat(channels, 1, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, scale·H, scale·W)."""
        x = images
        x = torch.cat([x[:, :, 1:2], x[:, :, :1], x, x[:, :, -1:], x[:, :, -2:-1]], 2)
        x = torch.cat([x[..., 1:2], x[..., :1], x, x[..., -1:], x[..., -2:-1]], 3)
        return F.pixel_shuffle(self.conv(x), self.scale)


def grouped(generator: nn.Module) -> nn.Module:
    """A copy whose bicubic skip is made of a grouped convolution, besides `computed`."""
    copied = computed(generator)
    channels = int(generator.channels)  # type: ignore[arg-type]
    for module in list(copied.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, BicubicUpsampling):
                setattr(module, name, GroupedBicubic(child, channels))
    return copied
