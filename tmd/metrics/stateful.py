"""The metrics as Ignite metrics: means over all images of an evaluation run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from ignite.exceptions import NotComputableError
from ignite.metrics import Metric
from ignite.metrics.metric import reinit__is_reduced, sync_all_reduce
from torch import Tensor

from tmd.images import as_8_bit
from tmd.metrics.fidelity import psnr, ssim
from tmd.metrics.perceptual import LPIPS
from tmd.metrics.spectral import spectral_distance


class ImageMean(Metric):
    """Mean over images of ``function(sr, hr) -> (N,)``, over all processes.

    Both images are compared as 8-bit files would hold them, so that the value is the one that
    `experiments/evaluate.py` gives.

    Args:
        function: takes two (N, C, H, W) in [0, 1].
        **options: Ignite's own (``output_transform``, ``device``).
    """

    _state_dict_all_req_keys = ("_sum", "_count")

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], **options: Any) -> None:
        self.function = function
        super().__init__(**options)

    @reinit__is_reduced
    def reset(self) -> None:
        self._sum = torch.zeros((), dtype=torch.float64, device=self._device)
        self._count = 0

    @reinit__is_reduced
    @torch.no_grad()
    def update(self, output: tuple[Tensor, Tensor]) -> None:
        """Add a batch: ``(sr, hr)``."""
        values = self.function(*(as_8_bit(images) for images in output))
        self._sum += values.double().sum().to(self._device)
        self._count += len(values)

    @sync_all_reduce("_sum", "_count")
    def compute(self) -> float:
        if self._count == 0:
            raise NotComputableError(f"{type(self).__name__}: no image to take the mean of")
        return float(self._sum) / self._count


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
