"""The layers that architectures share: upsampling stages, the bicubic skip, initialisers."""

from __future__ import annotations

import math
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


def initialise_kaiming(
    layers: Iterable[nn.Module], slope: float = 0.0, factor: float = 1.0
) -> None:
    """He's initialisation (arXiv:1502.01852) before a leaky ReLU of ``slope``; biases zero.

    Args:
        factor: scales the weights; 0.1 is ESRGAN's, for residual branches without normalisation.
    """
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, a=slope, mode="fan_in")
            with torch.no_grad():
                layer.weight.mul_(factor)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def initialise_normal(layers: Iterable[nn.Module], std: float = 0.02) -> None:
    """DCGAN's initialisation (arXiv:1511.06434, sec. 4): N(0, std), normalisations N(1, std)."""
    for layer in layers:
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


def cubic(distance: Tensor) -> Tensor:
    """Keys' cubic kernel with a = -0.5, MATLAB's."""
    x = distance.abs()
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return torch.where(x <= 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


def cubic_phases(scale: int) -> Tensor:
    """The taps of bicubic upscaling in one dimension.

    Returns:
        (scale, 5), float64: row p holds the weights of the source pixels -2..2 around the one that
        the output pixel with remainder p lies in (half-pixel centres).
    """
    centres = (torch.arange(scale, dtype=torch.float64) + 0.5) / scale - 0.5
    return cubic(centres[:, None] - torch.arange(-2, 3, dtype=torch.float64))


def symmetric_indices(size: int, margin: int) -> Tensor:
    """The indices that extend a row by mirroring it with its edge pixel repeated, like MATLAB."""
    indices = torch.arange(size + 2 * margin) - margin
    indices = torch.where(indices < 0, -1 - indices, indices)
    indices = torch.where(indices >= size, 2 * size - 1 - indices, indices)
    return indices.clamp(min=0).clamp(max=size - 1)


class BicubicUpsampling(nn.Module):
    """Bicubic upscaling by a whole number, equal to `tmd.resize.imresize`.

    As one fixed convolution it works under tracing and export with sizes that are not known.

    Args:
        scale: the factor.

    Example:
        >>> BicubicUpsampling(4)(torch.rand(1, 3, 5, 7)).shape
        torch.Size([1, 3, 20, 28])
    """

    radius = 2
    kernel: Tensor

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        phases = cubic_phases(scale)
        kernel = phases[:, None, :, None] * phases[None, :, None, :]
        self.register_buffer("kernel", kernel.reshape(-1, 1, 5, 5).float(), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, scale·H, scale·W), in the precision of ``images``."""
        device = images.device
        if torch.is_autocast_enabled(device.type):
            # bfloat16 has fewer digits than an image.
            with torch.autocast(device.type, enabled=False):
                return self._upsample(images)
        return self._upsample(images)

    def _upsample(self, images: Tensor) -> Tensor:
        device = images.device
        rows = symmetric_indices(images.shape[-2], self.radius).to(device)
        columns = symmetric_indices(images.shape[-1], self.radius).to(device)
        padded = images.index_select(-2, rows).index_select(-1, columns)
        planes = padded.flatten(0, 1).unsqueeze(1)
        phases = F.conv2d(planes, self.kernel.to(images.dtype))
        return F.pixel_shuffle(phases, self.scale).reshape(
            images.shape[0], images.shape[1], images.shape[2] * self.scale, -1
        )


class ShuffleStage(nn.Module):
    """Sub-pixel upsampling (arXiv:1609.05158): convolution, pixel shuffle, PReLU.

    Args:
        features: channels in and out; the convolution has ``factor²`` times as many.
        factor: 2 or 3.
    """

    def __init__(self, features: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.conv = convolution(features, factor**2 * features, 3)
        self.activation = nn.PReLU()

    def forward(self, features: Tensor) -> Tensor:
        """(N, F, H, W) -> (N, F, factor·H, factor·W)."""
        return self.activation(F.pixel_shuffle(self.conv(features), self.factor))

    def input_range(self, first: int, last: int) -> tuple[int, int]:
        """The input pixels that the output pixels ``first..last`` of a row depend on."""
        return first // self.factor - 1, last // self.factor + 1


class NearestStage(nn.Module):
    """ESRGAN's upsampling: nearest neighbour, convolution, leaky ReLU with a learnt slope.

    Args:
        features: channels in and out.
        factor: 2 or 3.
        slope: of the leaky ReLU at the start.
    """

    def __init__(self, features: int, factor: int, slope: float) -> None:
        super().__init__()
        self.factor = factor
        self.conv = convolution(features, features, 3)
        self.activation = nn.PReLU(init=slope)

    def forward(self, features: Tensor) -> Tensor:
        """(N, F, H, W) -> (N, F, factor·H, factor·W)."""
        larger = F.interpolate(features, scale_factor=float(self.factor), mode="nearest")
        return self.activation(self.conv(larger))

    def input_range(self, first: int, last: int) -> tuple[int, int]:
        """The input pixels that the output pixels ``first..last`` of a row depend on."""
        return (first - 1) // self.factor, (last + 1) // self.factor


def upsampling_factors(scale: int) -> list[int]:
    """The factors of the stages that make ``scale``: 8 is 2, 2, 2.

    >>> upsampling_factors(3)
    [3]
    """
    return [3] if scale == 3 else [2] * round(math.log2(scale))


def receptive_radius(
    scale: int, trunk: int, stages: Iterable[nn.Module], output: int, skip: int = 0
) -> int:
    """How far, in LR pixels, an input pixel can be from the pixels it has an influence on.

    Args:
        trunk: the radius of what comes before the stages, in LR pixels.
        stages: the upsampling stages, each with ``input_range``.
        output: the radius of what comes after them, in HR pixels.
        skip: the radius of a parallel path.
    """
    first, last = -output, scale - 1 + output
    for stage in reversed(list(stages)):
        first, last = stage.input_range(first, last)  # type: ignore[operator]
    return max(trunk + max(-first, last), skip)
