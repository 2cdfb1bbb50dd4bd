"""Metrics as Ignite's `Metric`: means over all images of an evaluation run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from ignite.exceptions import NotComputableError
from ignite.metrics import Metric
from ignite.metrics.metric import reinit__is_reduced, sync_all_reduce
from torch import Tensor

from tmd.images import EIGHT_BITS, ImageKind
from tmd.metrics.fidelity import TooSmallError, is_flat, psnr, ssim
from tmd.metrics.perceptual import LPIPS
from tmd.metrics.spectral import spectral_distance


class ImageMean(Metric):
    """Mean over images of ``function(sr, hr) -> (N,)``, over all processes.

    Both images are compared as files of their kind would hold them, so that the value is the one
    that `experiments/evaluate.py` gives. Images whose reference is flat (`tmd.metrics.is_flat`) are
    left out, unless all are; so are those that are too small for the function.

    Args:
        function: takes two (N, C, H, W) in [0, 1].
        kind: of the images.
        **options: Ignite's own (``output_transform``, ``device``).
    """

    _state_dict_all_req_keys = ("_sums", "_counts")

    def __init__(
        self,
        function: Callable[[Tensor, Tensor], Tensor],
        kind: ImageKind = EIGHT_BITS,
        **options: Any,
    ) -> None:
        self.function = function
        self.kind = kind
        super().__init__(**options)

    @reinit__is_reduced
    def reset(self) -> None:
        """Begin anew."""
        # Of all images, and of those that are not flat.
        self._sums = torch.zeros(2, dtype=torch.float64, device=self._device)
        self._counts = torch.zeros(2, dtype=torch.float64, device=self._device)

    @reinit__is_reduced
    @torch.no_grad()
    def update(self, output: tuple[Tensor, Tensor]) -> None:
        """Add a batch: ``(sr, hr)``."""
        sr, hr = (self.kind.rounded(images) for images in output)
        try:
            values = self.function(sr, hr).double().to(self._device)
        except TooSmallError:
            return
        counted = torch.tensor([[1.0, not is_flat(image, self.kind.step)] for image in hr]).to(
            values
        )
        self._sums += values @ counted
        self._counts += counted.sum(0)

    @sync_all_reduce("_sums", "_counts")
    def compute(self) -> float:
        """Mean over the images added since `reset`.

        Raises:
            NotComputableError: there is none.
        """
        if not self._counts[0]:
            raise NotComputableError(f"{type(self).__name__}: no image to take the mean of")
        kind = int(self._counts[1] > 0)
        return float(self._sums[kind] / self._counts[kind])


class PSNR(ImageMean):
    """Mean `tmd.metrics.psnr` in dB.

    Example:
        >>> from ignite.engine import Engine
        >>> evaluator = Engine(lambda engine, batch: batch)  # gives (sr, hr)
        >>> PSNR(border=4).attach(evaluator, "psnr")
        >>> hr = torch.full((2, 3, 32, 32), 0.5)
        >>> state = evaluator.run([(hr + 0.1, hr)])
        >>> round(state.metrics["psnr"], 1)
        21.5
    """

    def __init__(self, border: int = 0, channel: str = "y", **options: Any) -> None:
        super().__init__(lambda sr, hr: psnr(sr, hr, border, channel), **options)


class SSIM(ImageMean):
    """Mean `tmd.metrics.ssim`."""

    def __init__(self, border: int = 0, channel: str = "y", **options: Any) -> None:
        super().__init__(lambda sr, hr: ssim(sr, hr, border, channel), **options)


class SpectralDistance(ImageMean):
    """Mean `tmd.metrics.spectral_distance` in dB."""

    def __init__(self, border: int = 0, channel: str = "y", **options: Any) -> None:
        super().__init__(lambda sr, hr: spectral_distance(sr, hr, border, channel), **options)


class MeanLPIPS(ImageMean):
    """Mean of the distances that an `LPIPS` network gives."""

    def __init__(self, network: LPIPS, **options: Any) -> None:
        super().__init__(network, **options)
