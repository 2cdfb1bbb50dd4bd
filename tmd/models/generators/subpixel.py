"""A residual network that works at LR size to its end (sub-pixel output, arXiv:1609.05158)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from tmd.acceleration.layers import PReLU
from tmd.models.generators.srresnet import PRELU_SLOPE, ResidualBlock
from tmd.models.layers import convolution, initialise_residual, normalisation, normalise_spectrally
from tmd.models.registry import GENERATORS
from tmd.models.upsampling import BicubicUpsampling

# A body that starts smaller is slower to be used: 26.30 instead of 26.14 dB on held-out photos of
# BSDS500 after 1,200 updates (×4, 8 blocks, 64 features), 26.66 instead of 26.60 after 3,400. It
# wants the learning rate to rise slowly, and gradients limited.
BODY_FACTOR = 0.4


@GENERATORS.register("subpixel")
class SubPixel(nn.Module):
    """SRResNet's trunk between 3×3 convolutions, the last of which gives every sub-pixel.

    SRResNet spends most of a small network's time on features of HR size; here all of it goes into
    the trunk. It can't grow, having no upsampling stages.

    Args: see `tmd.models.create_generator`.
    """

    def __init__(
        self,
        scale: int,
        channels: int,
        n_blocks: int,
        n_features: int,
        norm: str,
        spectral_norm: bool,
        global_skip: bool,
    ) -> None:
        super().__init__()
        self.factor = scale
        self.head = nn.Sequential(convolution(channels, n_features, 3), PReLU())
        self.body = nn.Sequential(
            *(ResidualBlock(n_features, norm) for _ in range(n_blocks)),
            convolution(n_features, n_features, 3, bias=norm == "none"),
            *normalisation(norm, n_features),
        )
        self.output = convolution(n_features, scale**2 * channels, 3)
        self.skip = BicubicUpsampling(scale) if global_skip else None
        self.receptive_field = 1 + 2 * n_blocks + 1 + 1
        initialise_residual(
            self, self.body, self.output, PRELU_SLOPE, norm, global_skip, body_factor=BODY_FACTOR
        )
        if spectral_norm:
            normalise_spectrally(self, leave=[self.output])

    def forward(self, lr: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] -> (N, C, scale·H, scale·W)."""
        features = self.head(lr)
        sr = self.output(features + self.body(features)).to(lr.dtype)
        sr = F.pixel_shuffle(sr, self.factor)
        return sr if self.skip is None else self.skip(lr) + sr
