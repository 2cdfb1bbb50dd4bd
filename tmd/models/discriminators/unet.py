"""The U-Net discriminator of Real-ESRGAN (arXiv:2107.10833, sec. 3.4), a logit for every pixel."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from tmd.models.layers import (
    block,
    convolution,
    initialise_kaiming,
    initialise_normal,
    normalise_spectrally,
)
from tmd.models.registry import DISCRIMINATORS

SLOPE = 0.2


def _layer(inputs: int, outputs: int, stride: int, norm: str) -> nn.Sequential:
    # 4 × 4 covers every pixel equally often at stride 2.
    kernel = 4 if stride == 2 else 3
    return block(nn.Conv2d(inputs, outputs, kernel, stride, padding=1, bias=False), norm, SLOPE)


@DISCRIMINATORS.register("unet")
class UNetDiscriminator(nn.Module):
    """An encoder of any features and strides, its mirror image with skips, two more convolutions.

    Real-ESRGAN's with features 64, 128, 256, 512, strides 1, 2, 2, 2 and spectral normalisation
    (on all but the first and last convolution): 4.38 M parameters.

    Args: see `tmd.models.create_discriminator`; ``norm="auto"`` is none.

    Attributes:
        names_elsewhere: layers of it by their names in Real-ESRGAN, with its number of features.
    """

    names_elsewhere: Mapping[str, str] = {
        "conv0": "head.conv",
        **{f"conv{i + 1}": f"encoder.{i}.conv" for i in range(3)},
        **{f"conv{i + 4}": f"decoder.{i}.conv" for i in range(3)},
        **{f"conv{i + 7}": f"tail.{i}.conv" for i in range(2)},
        "conv9": "output",
    }

    def __init__(
        self,
        channels: int,
        features: Sequence[int],
        strides: Sequence[int],
        norm: str,
        spectral_norm: bool,
    ) -> None:
        super().__init__()
        norm = "none" if norm == "auto" else norm
        self.minimum_size = math.prod(strides)
        head = convolution(channels, features[0], 3, strides[0])
        self.head = block(head, "none", SLOPE)
        pairs = list(zip(features, features[1:], strides[1:], strict=False))
        self.encoder = nn.ModuleList(
            _layer(inputs, outputs, stride, norm) for inputs, outputs, stride in pairs
        )
        self.decoder = nn.ModuleList(
            _layer(outputs, inputs, 1, norm) for inputs, outputs, _ in reversed(pairs)
        )
        self.tail = nn.Sequential(*(_layer(features[0], features[0], 1, norm) for _ in range(2)))
        self.output = convolution(features[0], 1, 3)
        if norm == "batch":
            initialise_normal(self.modules())
        else:
            initialise_kaiming(self.modules(), SLOPE)
        if spectral_norm:
            normalise_spectrally(self, leave=[head, self.output])

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] -> logits (N, 1, H / strides[0], W / strides[0])."""
        skips = [self.head(images)]
        for layer in self.encoder:
            skips.append(layer(skips[-1]))
        features = skips.pop()
        for layer in self.decoder:
            skip = skips.pop()
            if features.shape[-2:] != skip.shape[-2:]:
                features = F.interpolate(
                    features, size=skip.shape[-2:], mode="bilinear", align_corners=False
                )
            features = layer(features) + skip
        return self.output(self.tail(features))
