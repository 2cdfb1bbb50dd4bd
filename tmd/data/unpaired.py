"""Two sets of images of different scenes: LR images to enlarge, HR images to learn to look like.

The HR images that LR images are measured from end here: no batch and no score holds any of them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tmd.data.files import without
from tmd.data.framing import centre
from tmd.data.measured import Pair, measured_pairs, on_device
from tmd.data.numbers import settled
from tmd.data.options import DatasetOptions
from tmd.data.sources import FileSource, ImageSource
from tmd.data.training import TrainingData, create_dataset
from tmd.distributed import ALONE, Share
from tmd.errors import UnreachableError, UserError, check_flag, check_number
from tmd.measurements import Measurement
from tmd.seeding import derive_seed, generator

#: What of the unpaired HR images is said apart from ``dataset``; the rest is common to both.
OWN_OPTIONS = ("name", "root", "list_file", "crop")
# What `two_sides` moves, and where from.
_TYPED = {
    "dataset.root": "dataset.lr_root",
    "dataset.val_root": "dataset.val_lr_root",
    **{f"unpaired.{key}": f"dataset.{key}" for key in OWN_OPTIONS},
}


@dataclass(frozen=True)
class UnpairedOptions:
    """HR images of other scenes than those of the LR images.

    Attributes:
        root: a folder, or several; None: the images of the dataset are split in two halves.
        name: kind of dataset; None: folder.
        list_file: text file that names the images of ``root`` to use.
        crop: side, or [height, width], of a centre crop of every image of ``root``.
        lr_given: whether the dataset holds LR images of which nobody has HR.
    """

    root: str | Sequence[str] | None = None
    name: str | None = None
    list_file: str | None = None
    crop: int | Sequence[int] | None = None
    lr_given: bool = False

    @property
    def own(self) -> dict[str, Any]:
        """The entries that the HR side has of its own."""
        return {name: getattr(self, name) for name in OWN_OPTIONS}

    def check(self, dataset: Mapping[str, Any], scale: int) -> None:
        """Raise `UserError` for the first thing wrong that can be seen without decoding images.

        Args:
            dataset: options of the LR side.
        """
        check_flag("unpaired.lr_given", self.lr_given)
        check_unpaired_options(dataset, self.own, scale, self.lr_given)

    def check_numbers(self, dataset: Mapping[str, Any]) -> None:
        """Raise `UserError` unless the images of ``root`` are of the kind of the LR side's.

        Args:
            dataset: options of the LR side, settled.
        """
        if is_separate(self.own):
            try:
                settled(DatasetOptions(**_hr_options(dataset, self.own)))
            except UserError as problem:
                raise _said_of_unpaired(problem) from None


class UnpairedBatch(NamedTuple):
    """``lr`` (N, C, h, w) and ``hr`` (N, C, H, W) of other scenes, float in [0, 1]."""

    lr: Tensor
    hr: Tensor


class UnpairedData:
    """Endless batches of LR images and of unpaired HR images; made by `create_unpaired_data`.

    Args:
        lr: the images that LR ones are measured from, or LR images where ``measure`` is None.
        hr: the unpaired ones.
        measure: what LR images are made by.
        device: of the batches.
        share: of this process.

    Attributes:
        kind, channels: of every image.
        batch_size: LR images in a batch, and HR images, those of all processes together.
        fingerprint: of both sets.
    """

    def __init__(
        self,
        lr: TrainingData,
        hr: TrainingData,
        measure: Measurement | None,
        device: torch.device | str = "cpu",
        share: Share = ALONE,
    ) -> None:
        self.lr = lr
        self.hr = hr
        self.measure = measure
        self._measure_rows = None if measure is None else measure.of_share(share)
        self.device = torch.device(device)
        self.kind = lr.kind
        self.channels = lr.channels
        self.batch_size = lr.batch_size
        self.fingerprint = {**lr.fingerprint, "unpaired": hr.fingerprint["train"]}

    @property
    def skipped(self) -> list[list[str]]:
        """[path, reason] of each image of either set that can't be used."""
        return self.lr.skipped + self.hr.skipped

    @property
    def trained_on(self) -> dict[str, Any]:
        """The images that LR was made of, in this run and those before it."""
        return self.lr.trained_on

    def batches(self, first: int = 0) -> Iterator[UnpairedBatch]:
        """Batches ``first``, ``first`` + 1, ... without an end; batch i depends on (seed, i)."""
        streams = zip(self.lr.batches(first), self.hr.batches(first), strict=True)
        for index, (seen, unpaired) in zip(itertools.count(first), streams, strict=False):
            lr = on_device(seen, self.device, self.kind)
            if self._measure_rows is not None:
                lr = self._measure_rows(lr, index)
            yield UnpairedBatch(lr, on_device(unpaired, self.device, self.kind))

    def held_out(self) -> list[Pair]:
        """The images to validate on, with HR where anybody has it."""
        images = self.lr.validation_images()
        if self.measure is not None:
            return measured_pairs(images, self.measure, self.device, self.kind)
        return [
            Pair(name, on_device(lr[None], self.device, self.kind), None) for name, lr in images
        ]

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
            except UnreachableError:
                raise
            except UserError:
                continue  # counted among the skipped when a batch wants it
            image = torch.from_numpy(centre(pixels, (side, side)).copy())
            images.append(on_device(image[None], self.device, self.kind))
        return images

    def close(self) -> None:
        """End the worker processes of both sets."""
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
    measure: Measurement,
    scale: int,
    seed: int,
    device: torch.device | str = "cpu",
    lr_given: bool = False,
    share: Share = ALONE,
    trained_on: Mapping[str, Any] | None = None,
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
        trained_on: of the LR side of a run that this one goes on from; see `create_dataset`.

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
        trained_on=trained_on,
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
    return UnpairedData(lr, hr, None if lr_given else measure, device, share)


def two_sides(
    dataset: DatasetOptions, unpaired: UnpairedOptions
) -> tuple[DatasetOptions, UnpairedOptions]:
    """Options of the LR side and of the HR side.

    ``dataset.root=HR dataset.lr_root=LR`` are LR images of which nobody has HR, and HR images of
    other scenes; they become ``dataset.root=LR unpaired.root=HR unpaired.lr_given=True``. Without
    ``lr_root`` both are returned as they are.

    Raises:
        UserError: keys that are for pairs, or that say it in both ways.
    """
    if dataset.lr_root is None:
        return dataset, unpaired
    lr_root = dataset.lr_root
    if is_separate(unpaired.own) or unpaired.lr_given:
        raise UserError(
            f"dataset.lr_root={lr_root}: dataset.root has the HR images then; leave out unpaired.*"
        )
    if dataset.root is None:
        raise UserError(f"dataset.lr_root={lr_root}: needs dataset.root, HR of other scenes")
    for key in ("lr_pattern", "made", "align", "val_root"):
        if value := getattr(dataset, key):
            raise UserError(
                f"dataset.{key}={value}: is for pairs, and here LR images have no HR; "
                "dataset.val_lr_root=FOLDER holds LR images out"
            )
    lr = replace(
        dataset,
        root=lr_root,
        val_root=dataset.val_lr_root,
        lr_root=None,
        val_lr_root=None,
        list_file=None,
        crop=None,
    )
    hr = UnpairedOptions(dataset.root, dataset.name, dataset.list_file, dataset.crop, lr_given=True)
    return replace(lr, name="folder"), hr


@contextmanager
def said_as_typed(dataset: DatasetOptions) -> Iterator[None]:
    """Let errors on the sides that `two_sides` made name the keys that the user typed.

    Args:
        dataset: as the user chose it.
    """
    try:
        yield
    except UnreachableError:
        raise
    except UserError as problem:
        if dataset.lr_root is None:
            raise
        keys = "|".join(map(re.escape, _TYPED))
        said = re.sub(rf"\b(?:{keys})\b", lambda key: _TYPED[key[0]], str(problem))
        raise UserError(said) from None


def is_separate(unpaired: Mapping[str, Any]) -> bool:
    """Return whether the HR images are a set of their own."""
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
