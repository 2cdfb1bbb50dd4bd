"""Two sets of images of different scenes: LR images to enlarge, HR images to learn to look like.

The HR images that LR images are measured from end here: no batch and no score holds any of them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tmd.data.files import without
from tmd.data.framing import centre
from tmd.data.options import DatasetOptions
from tmd.data.sources import FileSource, ImageSource
from tmd.data.training import TrainingData, create_dataset
from tmd.distributed import ALONE, Share
from tmd.errors import UserError, check_number
from tmd.seeding import derive_seed, generator

Measure = Callable[[Tensor, int], Tensor]

#: What of the unpaired HR images is said apart from ``dataset``; the rest is common to both.
OWN_OPTIONS = ("name", "root", "list_file", "crop")


class UnpairedBatch(NamedTuple):
    """``lr`` (N, C, h, w), float in [0, 1], and ``hr`` (N, C, H, W), uint8, of other scenes."""

    lr: Tensor
    hr: Tensor


class UnpairedData:
    """Endless batches of LR images and of unpaired HR images; made by `create_unpaired_data`.

    Args:
        lr: the images that LR ones are measured from, or LR images where ``measure`` is None.
        hr: the unpaired ones.
        measure: (HR in [0, 1], number of the batch) -> LR.
        device: where LR images are made.

    Attributes:
        channels: 1 or 3.
        fingerprint: of both sets.
    """

    def __init__(
        self,
        lr: TrainingData,
        hr: TrainingData,
        measure: Measure | None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.lr = lr
        self.hr = hr
        self.measure = measure
        self.device = torch.device(device)
        self.channels = lr.channels
        self.fingerprint = {**lr.fingerprint, "unpaired": hr.fingerprint["train"]}

    @property
    def skipped(self) -> list[list[str]]:
        """[path, reason] of each image of either set that can't be used."""
        return self.lr.skipped + self.hr.skipped

    def batches(self, first: int = 0) -> Iterator[UnpairedBatch]:
        """Batches ``first``, ``first`` + 1, ... without an end; batch i depends on (seed, i)."""
        streams = zip(self.lr.batches(first), self.hr.batches(first), strict=True)
        for index, (seen, unpaired) in zip(itertools.count(first), streams, strict=False):
            yield UnpairedBatch(self._measured(seen, index), unpaired)

    def _measured(self, images: Tensor, index: int) -> Tensor:
        images = images.to(self.device, non_blocking=True).float().div_(255)
        return images if self.measure is None else self.measure(images, index)

    def validation_images(self) -> list[tuple[str, Tensor]]:
        """(name, (C, H, W) uint8) of held-out images: HR ones, or LR where ``measure`` is None."""
        return self.lr.validation_images()

    def reference_images(self, count: int, seed: int, side: int = 512) -> list[Tensor]:
        """Up to ``count`` of the unpaired images, at most their central square of ``side`` pixels.

        Returns:
            (1, C, H, W) each, in [0, 1].
        """
        source = self.hr.train
        order = torch.randperm(len(source), generator=generator(seed, "reference")).tolist()
        images: list[Tensor] = []
        for index in order:
            if len(images) == count:
                break
            try:
                pixels = source.read(index).numpy()
            except UserError:
                continue  # counted among the skipped when a batch wants it
            image = torch.from_numpy(centre(pixels, (side, side)).copy())
            images.append(image[None].to(self.device).float().div(255))
        return images

    def close(self) -> None:
        self.lr.close()
        self.hr.close()


def halves(source: ImageSource, seed: int) -> tuple[ImageSource, ImageSource]:
    """Two parts of about equal size, drawn by the seed, that share no image and no scene.

    Raises:
        UserError: there is only one.
    """
    scene_of = getattr(source, "scene", source.name)
    scenes: dict[str, list[int]] = {}
    for index in range(len(source)):
        scenes.setdefault(scene_of(index), []).append(index)
    if len(scenes) < 2:
        raise UserError(
            "dataset: one image to learn from can't be split in two halves; "
            "unpaired.root=FOLDER gives the HR images"
        )
    groups = list(scenes.values())
    order = torch.randperm(len(groups), generator=generator(seed, "halves")).tolist()
    middle = (len(order) + 1) // 2
    first, second = (
        source.subset(sorted(index for group in part for index in groups[group]))
        for part in (order[:middle], order[middle:])
    )
    return first, _apart(second, first)


def _apart(source: ImageSource, other: ImageSource) -> ImageSource:
    """``source`` without the images of ``other``, under whatever name."""
    if isinstance(source, FileSource) and isinstance(other, FileSource):
        source = without(source, other)
    if not len(source):
        raise UserError("unpaired: each of its images is one of dataset too")
    return source


def create_unpaired_data(
    options: Mapping[str, Any],
    unpaired: Mapping[str, Any],
    measure: Measure,
    scale: int,
    seed: int,
    device: torch.device | str = "cpu",
    lr_given: bool = False,
    share: Share = ALONE,
) -> UnpairedData:
    """Find, check and prepare both sets.

    Args:
        options: of `tmd.data.create_dataset`, for the LR side.
        unpaired: those of `OWN_OPTIONS` that the HR side has of its own. Without a ``root`` or a
            ``name`` the images of ``options`` are split in two halves by the seed.
        measure: makes LR images of HR images.
        scale: between the two.
        seed: what the split and every batch are drawn from.
        device: where batches will be used.
        lr_given: the images of ``options`` are LR images themselves, of which nobody has HR;
            ``patch_size`` still counts HR pixels.
        share: which rows of each batch are made: those of this process.

    Raises:
        UserError: an option that makes no sense, or no images that can be used.
    """
    others: list[ImageSource] = []

    def keep_half(source: ImageSource) -> ImageSource:
        mine, rest = halves(source, seed)
        others.append(rest)
        return mine

    separate = is_separate(unpaired)
    lr = create_dataset(
        **_lr_options(options, scale, lr_given),
        scale=1 if lr_given else scale,
        seed=seed,
        device=device,
        choose=None if separate else keep_half,
        share=share,
    )

    def hr_images(source: ImageSource) -> ImageSource:
        # A half is drawn from what was left when validation images had been set apart.
        return _apart(_apart(source, lr.train), lr.validation) if separate else others[0]

    try:
        hr = create_dataset(
            **_hr_options(options, unpaired),
            scale=scale,
            seed=derive_seed(seed, "unpaired"),
            device=device,
            choose=hr_images,
            share=share,
        )
    except UserError as problem:
        raise _said_of_unpaired(problem) if separate else problem from None
    _check_shapes(lr, hr, scale if lr_given else 1)
    return UnpairedData(lr, hr, None if lr_given else measure, device)


def is_separate(unpaired: Mapping[str, Any]) -> bool:
    """Whether the HR images are a set of their own."""
    return unpaired.get("root") is not None or unpaired.get("name") is not None


def check_unpaired_options(
    options: Mapping[str, Any], unpaired: Mapping[str, Any], scale: int, lr_given: bool
) -> None:
    """Raise `UserError` for the first thing wrong that can be seen without decoding images."""
    DatasetOptions(**_lr_options(options, scale, lr_given)).check(1 if lr_given else scale)
    if lr_given and not is_separate(unpaired):
        raise UserError(
            "unpaired.lr_given=True: dataset has no HR images then; unpaired.root=FOLDER gives them"
        )
    if is_separate(unpaired):
        try:
            DatasetOptions(**_hr_options(options, unpaired)).check(scale)
        except UserError as problem:
            raise _said_of_unpaired(problem) from None
        return
    for key in ("list_file", "crop"):
        if unpaired.get(key) is not None:
            raise UserError(f"unpaired.{key}={unpaired[key]!r}: needs unpaired.root")


def _lr_options(options: Mapping[str, Any], scale: int, lr_given: bool) -> dict[str, Any]:
    if not lr_given:
        return dict(options)
    side = DatasetOptions(**options).patch_side
    check_number("dataset.patch_size", side, scale, integer=True)
    if side % scale:
        raise UserError(f"dataset.patch_size={side}: must be a multiple of scale={scale}")
    return {**options, "patch_size": side // scale}


def _hr_options(options: Mapping[str, Any], unpaired: Mapping[str, Any]) -> dict[str, Any]:
    common = {**options, "validation": 0, "val_root": None}
    if not is_separate(unpaired):
        return common
    own = {key: unpaired.get(key) for key in OWN_OPTIONS}
    return {**common, **own, "name": own["name"] or "folder", "download": False}


def _said_of_unpaired(problem: UserError) -> UserError:
    """The message with the keys that the user knows these options by."""
    keys = "|".join(OWN_OPTIONS)
    return UserError(re.sub(rf"\bdataset(?=\.(?:{keys})\b|:)", "unpaired", str(problem)))


def _check_shapes(lr: TrainingData, hr: TrainingData, factor: int) -> None:
    seen = [factor * side for side in lr.resolved["patch"]]
    if seen != hr.resolved["patch"]:
        sizes = " and ".join(f"{w}×{h}" for h, w in (seen, hr.resolved["patch"]))
        raise UserError(
            f"unpaired: whole images of {sizes} can't be compared by one discriminator; "
            "unpaired.crop makes them equal"
        )
