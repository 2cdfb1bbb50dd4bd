"""LR on the way to the trainer: HR images of a set, and the LR images that a measurement makes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tmd.data.training import TrainingData
from tmd.distributed import ALONE, Share
from tmd.images import EIGHT_BITS, ImageKind
from tmd.measurements import Measurement


class Pair(NamedTuple):
    """A held-out image: ``lr`` (1, C, h, w) and ``hr`` (1, C, H, W), both in [0, 1].

    ``hr`` is None where nobody has it.
    """

    name: str
    lr: Tensor
    hr: Tensor | None


def on_device(images: Tensor, device: torch.device | str, kind: ImageKind = EIGHT_BITS) -> Tensor:
    """Images (N, C, H, W) of ``kind``, as float in [0, 1] on ``device``; no wait for the copy."""
    return kind.to_float(images.to(device, non_blocking=True))


def measured_batches(
    batches: Iterable[Tensor],
    measure: Callable[[Tensor, int], Tensor] | Measurement,
    device: torch.device | str = "cpu",
    first: int = 0,
    kind: ImageKind = EIGHT_BITS,
) -> Iterator[tuple[Tensor, Tensor]]:
    """(LR, HR) on ``device`` of each HR batch (N, C, H, W).

    Args:
        batches: HR, those with the numbers ``first``, ``first`` + 1, ...
        measure: (HR in [0, 1], number of the batch) -> LR; a measurement may change HR too.
        kind: of the images.

    Example:
        >>> halved = lambda hr, index: hr[..., ::2, ::2]
        >>> hr = torch.full((1, 3, 4, 4), 255, dtype=torch.uint8)
        >>> [(lr.shape, hr.max()) for lr, hr in measured_batches([hr], halved)]
        [(torch.Size([1, 3, 2, 2]), tensor(1.))]
    """
    for index, batch in enumerate(batches, start=first):
        hr = on_device(batch, device, kind)
        if isinstance(measure, Measurement):
            yield measure.pair(hr, index)
        else:
            yield measure(hr, index), hr


def measured_pairs(
    images: Sequence[tuple[str, Tensor]],
    measure: Measurement,
    device: torch.device | str,
    kind: ImageKind = EIGHT_BITS,
) -> list[Pair]:
    """Held-out HR images (C, H, W) of ``kind``, with the LR that ``measure`` makes of them."""
    pairs = []
    for index, (name, image) in enumerate(images):
        height, width = (side - side % measure.scale for side in image.shape[-2:])
        hr = on_device(image[None, :, :height, :width], device, kind)
        pairs.append(Pair(name, measure(hr, index), hr))
    return pairs


class MeasuredData:
    """Endless batches of (LR, HR): HR images, and LR made of them on the device.

    Args:
        images: made by `create_dataset`.
        measure: of whole batches; each process applies its rows of it.
        device: of the batches.
        share: of this process.

    Attributes:
        images, measure: as given.
    """

    def __init__(
        self,
        images: TrainingData,
        measure: Measurement,
        device: torch.device | str = "cpu",
        share: Share = ALONE,
    ) -> None:
        self.images = images
        self.measure = measure
        self.device = torch.device(device)
        self._measure_rows = measure.of_share(share)

    @property
    def kind(self) -> ImageKind:
        """Kind of every image, LR and HR."""
        return self.images.kind

    @property
    def channels(self) -> int:
        """Channels of every image."""
        return self.images.channels

    @property
    def measurement(self) -> list[dict[str, Any]]:
        """Spec of the measurement that makes LR, for a checkpoint."""
        return self.measure.spec

    @property
    def batch_size(self) -> int:
        """Images in a batch, those of all processes together."""
        return self.images.batch_size

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Counts and digests of the images; see `TrainingData`."""
        return self.images.fingerprint

    @property
    def skipped(self) -> list[list[str]]:
        """[path, reason] of each image that can't be used."""
        return self.images.skipped

    @property
    def trained_on(self) -> dict[str, Any]:
        """The images learnt from, in this run and those before it; see `create_dataset`."""
        return self.images.trained_on

    def batches(self, first: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """(LR, HR) of the batches ``first``, ``first`` + 1, ... without an end."""
        batches = self.images.batches(first)
        return measured_batches(batches, self._measure_rows, self.device, first, self.kind)

    def held_out(self) -> list[Pair]:
        """The images to validate on."""
        images = self.images.validation_images()
        return measured_pairs(images, self.measure, self.device, self.kind)

    def close(self) -> None:
        """End the worker processes of all streams of batches."""
        self.images.close()
