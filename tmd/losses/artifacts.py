"""Locally discriminative learning: where SR errs in a ragged way, it is held to HR."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tmd.losses.extra import generator_term

#: Side in pixels of the window in which the errors' variance is taken.
WINDOW = 7


@generator_term("ldl", minimum_size=WINDOW // 2 + 1)
def ldl(sr: Tensor, hr: Tensor, averaged: Tensor) -> Tensor:
    """Mean of M · |SR − HR| with the map of artifacts M (arXiv:2203.09195, eq. 3 to 6).

    M is the errors' variance around a pixel, times the fifth root of their variance in the image,
    and 0 where SR is nearer to HR than the averaged generator's. It gets no gradient: it says
    where, not what to do.

    Args:
        averaged: SR by the average of the generator's weights, (N, C, H, W).
    """
    return (artifacts(sr.detach(), hr, averaged.detach()) * (sr - hr).abs()).mean()


def artifacts(sr: Tensor, hr: Tensor, averaged: Tensor) -> Tensor:
    """Map of artifacts, at least 0: (N, 1, H, W)."""
    errors = (sr - hr).abs().sum(1, keepdim=True)
    averaged_errors = (averaged - hr).abs().sum(1, keepdim=True)
    whole = errors.var((-3, -2, -1), keepdim=True) ** 0.2
    count = WINDOW**2
    padded = F.pad(errors, [WINDOW // 2] * 4, mode="reflect")
    mean = F.avg_pool2d(padded, WINDOW, 1)
    # About the image's mean: of large numbers' squares little would be left of a variance.
    centre = errors.mean((-2, -1), keepdim=True)
    squares = F.avg_pool2d((padded - centre).square(), WINDOW, 1)
    local = (squares - (mean - centre).square()).clamp(min=0) * count / (count - 1)
    return torch.where(errors < averaged_errors, torch.zeros_like(errors), whole * local)
