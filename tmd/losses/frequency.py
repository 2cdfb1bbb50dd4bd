"""Distance of spectra as a loss."""

from __future__ import annotations

import torch
from torch import Tensor

from tmd.losses.extra import generator_term


@generator_term("ffl")
def focal_frequency_loss(sr: Tensor, hr: Tensor) -> Tensor:
    """Focal frequency loss (arXiv:2012.12821, eq. 8, α = 1) over whole images.

    The mean of w · |F(SR) − F(HR)|², F the unitary discrete Fourier transform; w, which gets no
    gradient, is |F(SR) − F(HR)| over its largest value in the image's channel.
    """
    difference = sr - hr  # of images, since the transform is linear
    difference = difference.to(torch.promote_types(difference.dtype, torch.float32))
    spectrum = torch.view_as_real(torch.fft.fft2(difference, norm="ortho"))
    power = spectrum.square().sum(-1)
    size = power.detach().sqrt()
    largest = size.amax((-2, -1), keepdim=True)
    weight = torch.where(largest > 0, size / largest, torch.zeros_like(size))
    return (weight * power).mean()
