"""Layers and initialisers that architectures share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations


def convolution(
    inputs: int, outputs: int, kernel: int, stride: int = 1, bias: bool = True
) -> nn.Conv2d:
    """A convolution that keeps the size (or divides it by ``stride``), for odd kernels."""
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=bias)


def normalisation(norm: str, features: int) -> list[nn.Module]:
    """No layer for ``"none"``, a batch normalisation for ``"batch"``: to be spliced into a list."""
    return [nn.BatchNorm2d(features)] if norm == "batch" else []


def block(layer: nn.Conv2d, norm: str, slope: float) -> nn.Sequential:
    """A convolution, its normalisation if any, and a leaky ReLU of ``slope``.

    Named and not numbered, so that a weight keeps its name when the normalisation is another.
    """
    layers = OrderedDict[str, nn.Module](conv=layer)
    if norm == "batch":
        layers["norm"] = nn.BatchNorm2d(layer.out_channels)
    layers["activation"] = nn.LeakyReLU(slope, inplace=True)
    return nn.Sequential(layers)


def _is_hollow(layer: nn.Conv2d | nn.Linear | nn.BatchNorm2d) -> bool:
    """Has the layer no memory for its weights? To draw these, torch would import its compiler."""
    return layer.weight.is_meta


def initialise_kaiming(
    layers: Iterable[nn.Module], slope: float = 0.0, factor: float = 1.0
) -> None:
    """He's initialisation (arXiv:1502.01852) before a leaky ReLU of ``slope``; biases zero.

    Args:
        factor: scales the weights; 0.1 is ESRGAN's, for residual branches without normalisation.
    """
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.Linear) and not _is_hollow(layer):
            nn.init.kaiming_normal_(layer.weight, a=slope, mode="fan_in")
            with torch.no_grad():
                layer.weight.mul_(factor)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def initialise_residual(
    network: nn.Module,
    body: nn.Module,
    output: nn.Conv2d,
    slope: float,
    norm: str,
    to_zero: bool,
    body_factor: float = 0.1,
) -> None:
    """He's initialisation of ``network``, which adds ``body`` to what it is given.

    Args:
        output: the last convolution, which no activation follows.
        slope: of the activations.
        norm: the network's; without one the body starts small, as nothing else keeps the sum over
            its blocks from doubling its variance at each.
        to_zero: the output's weights are zero: training starts at what it is added to.
        body_factor: how small.
    """
    initialise_kaiming(network.modules(), slope)
    if norm == "none":
        initialise_kaiming(body.modules(), slope, factor=body_factor)
    initialise_kaiming([output], slope=1.0)
    if to_zero:
        nn.init.zeros_(output.weight)


def initialise_normal(layers: Iterable[nn.Module], std: float = 0.02) -> None:
    """DCGAN's initialisation (arXiv:1511.06434, sec. 4): N(0, std), normalisations N(1, std)."""
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.Linear | nn.BatchNorm2d) and _is_hollow(layer):
            continue
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.normal_(layer.weight, 0.0, std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, std)
            nn.init.zeros_(layer.bias)


def normalise_spectrally(module: nn.Module, leave: Collection[nn.Module] = ()) -> None:
    """Put spectral normalisation (arXiv:1802.05957) on every convolution and dense layer.

    The estimate of the largest singular value takes one power iteration a forward in training
    mode, and none in evaluation mode; its vectors are buffers, so they are in checkpoints.
    Initialise the weights first: the estimate starts from them.

    Args:
        leave: layers that stay as they are; one whose weights are all zero must be among them
            (it would be divided by its norm).
    """
    for layer in list(module.modules()):
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer not in leave:
            parametrizations.spectral_norm(layer)


def padded(images: Tensor, minimum: int, multiple: int) -> Tensor:
    """``images`` continued to the right and below: mirrored as far as they reach, then repeated.

    Args:
        minimum: which height and width become at least.
        multiple: of which they become one.
    """
    if minimum == multiple == 1:
        return images
    height, width = images.shape[-2:]
    down, right = (
        -(-max(length, minimum) // multiple) * multiple - length for length in (height, width)
    )
    if not (down or right):
        return images
    mirrored = (min(right, width - 1), min(down, height - 1))
    images = F.pad(images, (0, mirrored[0], 0, mirrored[1]), "reflect")
    return F.pad(images, (0, right - mirrored[0], 0, down - mirrored[1]), "replicate")
