"""Upsampling in networks: the stages that learn it, and the bicubic one that is fixed."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tmd.acceleration.layers import PReLU
from tmd.models.layers import convolution

POWER_ITERATIONS = 100


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
    # Where networks are made without memory, their factories would import torch's compiler.
    whole = {"dtype": torch.float64, "device": "cpu"}
    centres = (torch.arange(scale, **whole) + 0.5) / scale - 0.5  # type: ignore[call-overload]
    return cubic(centres[:, None] - torch.arange(-2, 3, **whole))  # type: ignore[call-overload]


def symmetric_indices(size: int, margin: int, device: torch.device | str = "cpu") -> Tensor:
    """The indices that extend a row by mirroring it with its edge pixel repeated, like MATLAB.

    They are made on ``device``: a copy to it would be waited for.
    """
    indices = torch.arange(-margin, size + margin, device=device)
    indices = torch.maximum(indices, -1 - indices)
    indices = torch.minimum(indices, 2 * size - 1 - indices)
    return indices.clamp(0, size - 1)


class BicubicUpsampling(nn.Module):
    """Bicubic upscaling by a whole number, equal to `tmd.resize.imresize`; by 1, the identity.

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
        if self.scale == 1:
            return images
        device = images.device
        if torch.is_autocast_enabled(device.type):
            # bfloat16 has fewer digits than an image.
            with torch.autocast(device.type, enabled=False):
                return self._upsample(images)
        return self._upsample(images)

    def _upsample(self, images: Tensor) -> Tensor:
        rows = symmetric_indices(images.shape[-2], self.radius, images.device)
        columns = symmetric_indices(images.shape[-1], self.radius, images.device)
        padded = images.index_select(-2, rows).index_select(-1, columns)
        planes = padded.flatten(0, 1).unsqueeze(1)
        phases = F.conv2d(planes, self.kernel.to(images.dtype))
        return F.pixel_shuffle(phases, self.scale).reshape(
            images.shape[0], images.shape[1], images.shape[2] * self.scale, -1
        )


class UpsamplingStage(nn.Module):
    """Common part of the stages: a convolution, an activation whose slope is learnt, a gain.

    Args:
        conv: the stage's convolution.
        factor: 2 or 3.
        slope: of the activation at the start.
        spectral_norm: whether the convolution is going to have spectral normalisation. The stage
            then has a fixed gain before it, 1 until growth sets it: with all singular values at
            most 1, a convolution cannot be an interpolation.
    """

    gain: Tensor | None
    taps: int

    def __init__(self, conv: nn.Conv2d, factor: int, slope: float, spectral_norm: bool) -> None:
        super().__init__()
        self.factor = factor
        self.conv = conv
        self.activation = PReLU(init=slope)
        self.register_buffer("gain", torch.ones(()) if spectral_norm else None)

    def amplified(self, features: Tensor) -> Tensor:
        """Features times the gain, where there is one."""
        return features if self.gain is None else features * self.gain

    def input_range(self, first: int, last: int) -> tuple[int, int]:
        """The input pixels that the output pixels ``first..last`` of a row depend on."""
        raise NotImplementedError

    def tap_responses(self, image: Tensor) -> Tensor:
        """Response of each weight, alone and of size 1, to an image of one channel.

        Args:
            image: (H, W).

        Returns:
            (taps, factor·H, factor·W).
        """
        raise NotImplementedError

    def interpolating_taps(self) -> Tensor:
        """The (taps,) weights, float64, with which one channel is upsampled."""
        raise NotImplementedError

    def become_linear(self, weights: Tensor) -> None:
        """Take ``weights`` (outputs, taps, inputs); no bias, no bend, the gain that these need."""
        with torch.no_grad():
            self._set_weights(weights.to(self.conv.weight))
            self.activation.weight.fill_(1.0)
            if self.conv.bias is not None:
                self.conv.bias.zero_()

    def _set_weights(self, weights: Tensor) -> None:
        kernels = self._kernels(weights)
        if self.gain is None:
            self.conv.weight.copy_(kernels)
            return
        self.conv.weight = kernels  # the parametrisation's original
        mode = self.conv.training
        self.conv.train()
        for _ in range(POWER_ITERATIONS):
            normalised = self.conv.weight  # each look is a power iteration
        self.conv.train(mode)
        self.gain.copy_(kernels.norm() / normalised.norm())

    def _kernels(self, weights: Tensor) -> Tensor:
        raise NotImplementedError


class ShuffleStage(UpsamplingStage):
    """Sub-pixel upsampling (arXiv:1609.05158): convolution, pixel shuffle, PReLU.

    Args:
        features: channels in and out; the convolution has ``factor²`` times as many.
        factor: 2 or 3.
        spectral_norm: see `UpsamplingStage`.
    """

    def __init__(self, features: int, factor: int, spectral_norm: bool = False) -> None:
        conv = convolution(features, factor**2 * features, 3)
        super().__init__(conv, factor, 0.25, spectral_norm)

    def forward(self, features: Tensor) -> Tensor:
        """(N, F, H, W) -> (N, F, factor·H, factor·W)."""
        larger = F.pixel_shuffle(self.conv(self.amplified(features)), self.factor)
        return self.activation(larger)

    def input_range(self, first: int, last: int) -> tuple[int, int]:
        """See `UpsamplingStage.input_range`."""
        return first // self.factor - 1, last // self.factor + 1

    def tap_responses(self, image: Tensor) -> Tensor:
        """See `UpsamplingStage.tap_responses`."""
        phases = torch.eye(self.factor**2).to(image).reshape(-1, 1, self.factor, self.factor)
        return torch.kron(_shifted(image)[None], phases).flatten(0, 1)

    def interpolating_taps(self) -> Tensor:
        """See `UpsamplingStage.interpolating_taps`."""
        positions = (torch.arange(self.factor, dtype=torch.float64) + 0.5) / self.factor - 0.5
        phases = (1 - (positions[:, None] - torch.arange(-1.0, 2.0)).abs()).clamp(min=0)
        return torch.einsum("pd,qe->pqde", phases, phases).flatten()

    def _kernels(self, weights: Tensor) -> Tensor:
        # (outputs, phases · 9, inputs) -> (outputs · phases, inputs, 3, 3)
        inputs = weights.shape[-1]
        return weights.reshape(-1, 9, inputs).transpose(1, 2).reshape(-1, inputs, 3, 3)


class NearestStage(UpsamplingStage):
    """ESRGAN's upsampling: nearest neighbour, convolution, leaky ReLU with a learnt slope.

    Args:
        features: channels in and out.
        factor: 2 or 3.
        slope: of the leaky ReLU at the start.
        spectral_norm: see `UpsamplingStage`.
    """

    def __init__(
        self, features: int, factor: int, slope: float, spectral_norm: bool = False
    ) -> None:
        super().__init__(convolution(features, features, 3), factor, slope, spectral_norm)

    def forward(self, features: Tensor) -> Tensor:
        """(N, F, H, W) -> (N, F, factor·H, factor·W)."""
        larger = F.interpolate(
            self.amplified(features), scale_factor=float(self.factor), mode="nearest"
        )
        return self.activation(self.conv(larger))

    def input_range(self, first: int, last: int) -> tuple[int, int]:
        """See `UpsamplingStage.input_range`."""
        return (first - 1) // self.factor, (last + 1) // self.factor

    def tap_responses(self, image: Tensor) -> Tensor:
        """See `UpsamplingStage.tap_responses`."""
        return _shifted(torch.kron(image, torch.ones(self.factor, self.factor).to(image)))

    def interpolating_taps(self) -> Tensor:
        """See `UpsamplingStage.interpolating_taps`."""
        # After nearest neighbour by 2 this is bilinear interpolation.
        triangle = torch.tensor([0.25, 0.5, 0.25], dtype=torch.float64)
        return torch.outer(triangle, triangle).flatten()

    def _kernels(self, weights: Tensor) -> Tensor:
        outputs, _, inputs = weights.shape
        return weights.transpose(1, 2).reshape(outputs, inputs, 3, 3)


def _shifted(image: Tensor) -> Tensor:
    """(H, W) -> (9, H, W): response of each weight of a 3 × 3 convolution, of size 1."""
    taps = torch.eye(9).to(image).reshape(9, 1, 3, 3)
    return F.conv2d(image[None, None], taps, padding=1)[0]


def upsampling_factors(scale: int) -> list[int]:
    """The factors of the stages that make ``scale``: 8 is 2, 2, 2, and 1 none.

    >>> upsampling_factors(3)
    [3]
    """
    return [3] if scale == 3 else [2] * round(math.log2(scale))


def receptive_radius(
    scale: int, trunk: int, stages: Iterable[nn.Module], output: int, skip: int = 0
) -> int:
    """Largest distance, in LR pixels, from an input pixel to those it has an influence on.

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
