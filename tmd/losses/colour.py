"""Brightness and colour as losses of their own."""

from __future__ import annotations

import torch
from torch import Tensor

from tmd.images import rgb_to_y
from tmd.losses.extra import generator_term

#: Linear RGB -> cones -> Oklab (Ottosson 2020, the matrices of 2021-01-25).
_CONES = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
_OKLAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)
#: Light below which the cube root goes on as a straight line, without its infinite slope at 0:
#: a third of the darkest level but black of 8 bits.
TOE = 1e-4


@generator_term("luma", channels=3)
def luma(sr: Tensor, hr: Tensor) -> Tensor:
    """Mean |Y(SR) − Y(HR)|, the luma of BT.601 (16 to 235) that PSNR and SSIM are taken of."""
    return rgb_to_y(sr - hr).sub(16 / 255).abs().mean()


@generator_term("oklab", channels=3)
def oklab_colour(sr: Tensor, hr: Tensor) -> Tensor:
    """Mean distance of the colours (a, b) in Oklab, without lightness; of sRGB images.

    The distance √(Δa² + Δb² + ε²) − ε with ε = 10⁻⁴ is smooth at 0.
    """
    difference = (oklab(sr) - oklab(hr))[:, 1:]
    return ((difference.square().sum(1) + 1e-8).sqrt() - 1e-4).mean()


def oklab(images: Tensor) -> Tensor:
    """Lightness, a and b of sRGB images: (N, 3, H, W) -> (N, 3, H, W).

    Values beyond [0, 1] are gone on with, so that a gradient brings them back.
    """
    images = images.to(torch.promote_types(images.dtype, torch.float32))
    curved = ((images.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4
    light = _mixed(torch.where(images > 0.04045, curved, images / 12.92), _CONES)
    slope = TOE ** (-2 / 3) / 3
    roots = light.clamp(min=TOE) ** (1 / 3) + slope * (light - TOE).clamp(max=0)
    return _mixed(roots, _OKLAB)


def _mixed(channels: Tensor, rows: tuple[tuple[float, ...], ...]) -> Tensor:
    # Sums, not a product of matrices, which on GPUs may round to TF32.
    planes = channels.unbind(1)
    mixed = [sum(factor * plane for factor, plane in zip(row, planes, strict=True)) for row in rows]
    return torch.stack(mixed, 1)  # type: ignore[arg-type]
