"""A user's choices about a dataset, and what is wrong with them at a glance."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tmd.data.files import check_roots
from tmd.data.framing import Framing
from tmd.data.matching import pattern_of
from tmd.data.ranges import FULL, check_bands, check_value_range
from tmd.data.registry import DATASETS, Dataset, Request
from tmd.data.roots import check_lr, folders
from tmd.data.sources import shrunk_size
from tmd.errors import UserError, check_choice, check_flag, check_number
from tmd.images import DTYPES, ImageKind, set_max_pixels
from tmd.images.opening import name_max_pixels
from tmd.places import DEFAULT_GIGABYTES, set_cache_size

STORAGES = ("auto", "disk", "memory", "device")
MODES = ("patches", "whole")


@dataclass(frozen=True)
class DatasetOptions:
    """A dataset as its user chooses it.

    Attributes:
        name: a kind of dataset, a key of `tmd.data.DATASETS`.
        root: a folder, tar shards (``train-{000000..000099}.tar``), an address of either
            (``s3://``, ``gs://``, ``hf://``, ``http://``, ``https://``), or several as a list (or
            separated by commas).
        batch_size: images in a batch.
        patch_size: side of the square patches in HR pixels; None for what fits the dataset.
        channels: of every image: 3 for RGB, 1 for grey, or the number of bands; None for those of
            ``bands``, else what the dataset has.
        bands: which bands of the files, in which order, counted from 1; None: all.
        dtype: ``uint8``, ``uint16`` or ``float32``; None for what the files hold. As ``uint8``,
            with 1 or 3 channels, files of any bits are read as photos.
        value_range: [low, high], the numbers that stand for 0 and 1; ``{"percentiles": [a, b]}``
            for those of the set; None for all levels of the type, [0, 1] of floats.
        shown: one or three of the bands, which sheets show, and VGG and LPIPS see; None for the
            first three.
        mode: ``patches`` cuts them at random places; ``whole`` uses whole images, all of one size.
        shrink: what the sides of every image are divided by before all else, by MATLAB's bicubic:
            photos straight from a camera are blurred at their full size. Of several factors each
            gives the set once more to learn from; images to validate on are shrunk by the first.
        crop: side, or (height, width), of a centre crop taken of every image first; None for none.
        augment: flips and right-angle turns of patches; whole images are mirrored left-right only,
            as aligned sets would no longer be aligned.
        lr_root: folder of given LR images, or one for each of ``root`` in the same order; where
            ``root`` is one folder, several hold versions of LR, and each gives the set once more
            (images to validate on have the first). None: LR is made.
        lr_pattern: name of an LR image, see `tmd.data.matching.pattern_of`, or a list of them for
            versions; None: as the field writes it.
        val_lr_root: the same as ``lr_root`` for ``val_root``.
        made: share of the LR images to learn from that are made of given pairs' HR all the same.
        align: whether LR images that lie whole HR pixels beside their HR images are moved there.
        val_root: folders with the images to validate on; None to hold out some of the set. An image
            that is in both is not trained on.
        validation: how many images to validate on, or which share of the set (0 < share < 1); None
            for all of ``val_root``, else for what the dataset recommends, at most a fifth.
        list_file: text file with the images to use, a path relative to the root on each line.
        storage: ``disk`` (decoded when drawn), ``memory`` (decoded once, shared by the workers),
            ``device`` (on the device), ``auto`` (the fastest with room to spare).
        workers: processes that make batches; None for what fits the storage.
        strict: whether an image that can't be used is an error, found by decoding every image at
            the start, instead of being skipped.
        max_pixels: the most that an image may have to be read, in this process from then on; None
            for what is set already, about 89 million by default.
        download: whether images that are not in the root are downloaded, where that is possible.
        cache: gigabytes of disk that images from addresses may take, in this process from then on.
    """

    name: str = "demo"
    root: str | Sequence[str] | None = None
    batch_size: int = 16
    patch_size: int | None = None
    channels: int | None = None
    bands: Sequence[int] | None = None
    dtype: str | None = None
    value_range: Any = None
    shown: Sequence[int] | None = None
    mode: str = "patches"
    shrink: float | Sequence[float] = 1
    crop: int | Sequence[int] | None = None
    augment: bool = True
    lr_root: Any = None
    lr_pattern: str | Sequence[str] | None = None
    val_lr_root: Any = None
    made: float = 0
    align: bool = False
    val_root: str | Sequence[str] | None = None
    validation: float | None = None
    list_file: str | None = None
    storage: str = "auto"
    workers: int | None = None
    strict: bool = False
    max_pixels: int | None = None
    download: bool = False
    cache: float = DEFAULT_GIGABYTES

    @property
    def kind(self) -> Dataset:
        """The kind of dataset of that name."""
        return DATASETS[self.name]()

    @property
    def request(self) -> Request:
        """Request for the images: where they are, and which."""
        return Request(
            folders(self.root),
            self.image_kind,
            None if self.list_file is None else os.path.expanduser(str(self.list_file)),
            self.download,
        )

    @property
    def image_kind(self) -> ImageKind:
        """Kind of every image, 8 bits and the type's whole range unless others are said."""
        channels = len(self.bands) if self.bands else self.kind.channels
        kind = ImageKind.of_dtype(
            channels if self.channels is None else self.channels, self.dtype or "uint8"
        )
        given = isinstance(self.value_range, (list, tuple))
        return replace(
            kind,
            value_range=tuple(self.value_range) if given else kind.value_range,
            bands=None if self.bands is None else tuple(self.bands),
            shown=None if self.shown is None else tuple(self.shown),
        )

    @property
    def factors(self) -> list[Any]:
        """The factors that images are shrunk by, one or several."""
        return list(self.shrink) if isinstance(self.shrink, (list, tuple)) else [self.shrink]

    @property
    def lr_patterns(self) -> list[str | None]:
        """Patterns of LR images' names, one a version; None is any that the field writes."""
        value = self.lr_pattern
        several = list(value) if isinstance(value, (list, tuple)) else [value]
        return [None if one is None else pattern_of("dataset.lr_pattern", one) for one in several]

    @property
    def crop_size(self) -> tuple[int, int] | None:
        """(height, width) of the centre crop of every image."""
        if self.crop is None:
            return None
        sides = list(self.crop) if isinstance(self.crop, Sequence) else [self.crop]
        return sides[0], sides[-1]

    @property
    def image_channels(self) -> int:
        """Channels of every image."""
        return self.request.channels

    @property
    def patch_side(self) -> int:
        """Side of a patch in HR pixels."""
        return self.kind.patch_size if self.patch_size is None else self.patch_size

    def check(self, scale: int = 1) -> None:
        """Raise `UserError` for the first thing wrong that can be seen without decoding images."""
        check_choice("dataset.name", self.name, list(DATASETS))
        check_number("dataset.batch_size", self.batch_size, 1, integer=True)
        self._check_numbers()
        check_choice("dataset.mode", self.mode, MODES)
        check_choice("dataset.storage", self.storage, STORAGES)
        if self.workers is not None:
            check_number("dataset.workers", self.workers, 0, integer=True)
        if not self.factors:
            raise UserError("dataset.shrink=[]: must be a number, or a list of some")
        for factor in self.factors:
            check_number("dataset.shrink", factor, 1)
        name_max_pixels("dataset.max_pixels")
        if self.max_pixels is not None:
            set_max_pixels(self.max_pixels, "dataset.max_pixels")
        check_number("dataset.cache", self.cache, 0)
        set_cache_size(self.cache)
        for flag in ("augment", "strict", "download"):
            check_flag(f"dataset.{flag}", getattr(self, flag))
        self._check_sizes(scale)
        self._check_validation()
        check_lr(self)
        if self.kind.needs_root and not self.request.roots:
            raise UserError(f"dataset.root=None: {self.name} needs the folder of its images")
        if not self.kind.needs_root and self.root is not None:
            raise UserError(f"dataset.root={self.root!r}: {self.name} brings its own images")
        if self.download and not self.kind.downloads:
            listed = ", ".join(name for name in DATASETS if DATASETS[name].downloads)
            raise UserError(f"dataset.download=True: {self.name} can't be; {listed} can")
        self.kind.check(
            self.request,
            lambda *size: self.framing(scale, *shrunk_size(size, self.factors[0])),
        )

    def _check_numbers(self) -> None:
        if self.channels is not None:
            check_number("dataset.channels", self.channels, 1, integer=True)
        check_choice("dataset.dtype", self.dtype, (None, *DTYPES))
        for key in ("bands", "shown"):
            check_bands(f"dataset.{key}", getattr(self, key))
        if self.bands is not None and self.channels not in (None, len(self.bands)):
            raise UserError(
                f"dataset.channels={self.channels}: dataset.bands={list(self.bands)} are "
                f"{len(self.bands)}"
            )
        kind = self.image_kind
        if self.shown is not None:
            bands = list(kind.bands or range(1, kind.channels + 1))
            if len(self.shown) not in (1, 3) or not set(self.shown) <= set(bands):
                raise UserError(
                    f"dataset.shown={list(self.shown)}: must be one or three of the bands {bands}"
                )
        check_value_range(self.value_range, self.dtype)
        if not self.kind.of_any_numbers and (not kind.is_photo or self.value_range not in FULL):
            raise UserError(
                f"dataset.name={self.name}: its images are grey or RGB of 8 bits; channels, bands, "
                "dtype and value_range are for files"
            )

    def _check_sizes(self, scale: int) -> None:
        if self.patch_size is not None:
            check_number("dataset.patch_size", self.patch_size, 1, integer=True)
        if self.mode == "patches" and self.patch_side % scale:
            nearest = max(1, round(self.patch_side / scale)) * scale
            raise UserError(
                f"dataset.patch_size={self.patch_side}: must be a multiple of scale={scale}, "
                f"for example {nearest}"
            )
        if self.crop is None:
            return
        sides = (self.crop,) if not isinstance(self.crop, Sequence) else self.crop
        if isinstance(sides, str) or len(sides) not in (1, 2):
            raise UserError(f"dataset.crop={self.crop!r}: must be a side or [height, width]")
        for side in sides:
            check_number("dataset.crop", side, scale, integer=True)

    def _check_validation(self) -> None:
        if self.val_root is not None:
            check_roots(folders(self.val_root), "dataset.val_root")
        value = self.validation
        count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        share = isinstance(value, float) and 0 < value < 1
        if value is not None and not count and not share:
            raise UserError(
                f"dataset.validation={value!r}: must be a number of images, or a share above 0 "
                "and below 1"
            )

    def framing(self, scale: int, height: int, width: int) -> Framing:
        """The framing of all images if (height, width) is the first one's size.

        Raises:
            Unusable: an image of that size can't be used.
        """
        crop = self.crop_size
        if self.mode == "patches":
            framing = Framing((self.patch_side, self.patch_side), crop)
        else:
            framing = Framing.whole_images(crop or (height, width), crop, scale)
        framing.framed_size(height, width)
        return framing
