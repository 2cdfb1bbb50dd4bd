"""The patch discriminator of pix2pix (arXiv:1611.07004, sec. 3.2.2): a logit for every patch."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from tmd.models.layers import block, initialise_kaiming, initialise_normal, normalise_spectrally
from tmd.models.registry import DISCRIMINATORS

KERNEL = 4
SLOPE = 0.2


@DISCRIMINATORS.register("patch")
class PatchDiscriminator(nn.Module):
    """4 × 4 convolutions; pix2pix's 70 × 70 one: features 64, 128, 256, 512, strides 2, 2, 2, 1.

    Args: see `tmd.models.create_discriminator`; ``norm="auto"`` is batch without spectral
        normalisation, none with it.
    """

    def __init__(
        self,
        channels: int,
        features: Sequence[int],
        strides: Sequence[int],
        norm: str,
        spectral_norm: bool,
    ) -> None:
        super().__init__()
        if norm == "auto":
            norm = "none" if spectral_norm else "batch"
        self.minimum_size = _input_size([*strides, 1])
        norms = ["none", *[norm] * (len(features) - 1)]
        self.layers = nn.Sequential(
            *(
                block(
                    nn.Conv2d(inputs, outputs, KERNEL, stride, padding=1, bias=own == "none"),
                    own,
                    SLOPE,
                )
                for inputs, outputs, stride, own in zip(
                    [channels, *features], features, strides, norms, strict=False
                )
            )
        )
        self.output = nn.Conv2d(features[-1], 1, KERNEL, stride=1, padding=1)
        if norm == "batch":
            initialise_normal(self.modules())
        else:
            initialise_kaiming(self.modules(), SLOPE)
        if spectral_norm:
            normalise_spectrally(self)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] -> logits (N, 1, h, w)."""
        return self.output(self.layers(2 * images - 1))


def _input_size(strides: Sequence[int]) -> int:
    """The smallest input that leaves one pixel."""
    size = 1
    for stride in reversed(strides):
        size = max(1, (size - 1) * stride + KERNEL - 2)
    return size
