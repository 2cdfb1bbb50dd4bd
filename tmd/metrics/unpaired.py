"""Distance of a set of images from a set of others, when no image has a partner."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tmd.errors import UserError
from tmd.metrics.fidelity import compared
from tmd.metrics.spectral import PATCH, SECTORS, spectral_levels


class UnpairedSpectrum:
    """Distance of the mean log power spectra of two sets, where the measurement lets nothing pass.

    Scenes differ in contrast, and what an LR image shows of its scene is not to be judged by
    other scenes. So the difference of the spectra (see `tmd.metrics.spectral_distance`) is taken
    relative to its mean below the Nyquist frequency of the LR images, and the mean of its absolute
    value above that frequency is the distance: in dB, 0 for sets with equal detail, large for
    blurred as for noisy ones.

    Args:
        reference: HR images, (N, C, H, W) in [0, 1] each, of at least 32×32 pixels.
        scale: between LR and HR. At 1, where everything passes, the upper half of the frequencies
            is compared, as at 2.
        channel: as for `tmd.metrics.psnr`.

    Example:
        >>> spectrum = UnpairedSpectrum([torch.rand(1, 1, 64, 64)], scale=2)
        >>> bool(spectrum([torch.rand(1, 1, 96, 96)]) < 1)
        True
    """

    def __init__(self, reference: Sequence[Tensor], scale: int, channel: str = "y") -> None:
        self.channel = channel
        self.scale = scale
        self.reference = self._mean_levels(reference)

    def __call__(self, images: Sequence[Tensor]) -> Tensor:
        """Distance of ``images``, given as ``reference`` was, as a scalar.

        Raises:
            UserError: no image is large enough.
        """
        difference = (self._mean_levels(images) - self.reference).unflatten(0, (-1, SECTORS))
        passes = (PATCH // 2) // max(2, self.scale)  # rings below the LR images' Nyquist frequency
        return (difference[passes:] - difference[:passes].mean()).abs().mean()

    def _mean_levels(self, images: Sequence[Tensor]) -> Tensor:
        levels = [self._levels(image) for image in images if min(image.shape[-2:]) >= PATCH]
        if not levels:
            raise UserError(f"spectrum: no image is as large as {PATCH}×{PATCH}")
        # Each image counts once, whatever its size.
        return torch.stack(levels).double().mean(0)

    def _levels(self, image: Tensor) -> Tensor:
        luma = compared(image, self.channel)
        return spectral_levels(luma).mean((0, 1, 2))
