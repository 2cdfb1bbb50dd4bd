"""Files of any kind given to a network of any kind, or a line that says why they can't be."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from tmd.errors import UserError, check_number
from tmd.images import DTYPES, ImageKind, probe, split_name
from tmd.images.native import counted
from tmd.images.opening import is_tiff, opened
from tmd.images.stacks import images_in
from tmd.images.tiff import Traits, read_traits
from tmd.photos.generator import Bicubic, PhotoGenerator
from tmd.photos.photo import Photo
from tmd.photos.reading import read_bands, read_photo

PathLike = str | os.PathLike[str]
_ARRAYS = (".npy", ".npz")
_TIFF = (".tif", ".tiff")


@dataclass(frozen=True)
class Upscaler:
    """A network, and what is said of the files that it is given.

    Attributes:
        generator: made by `tmd.models.create_generator`; None: bicubic, which takes anything.
        scale: the factor.
        kind: of the images that the generator was trained on.
        bands: of each file, from 1, in the order of the generator's channels; None: those of the
            kind, else all.
        value_range: the numbers of a file that stand for 0 and 1; None: those of the kind, or all
            levels.
    """

    generator: nn.Module | None
    scale: int
    kind: ImageKind
    bands: Sequence[int] | None = None
    value_range: tuple[float, float] | None = None

    def read(self, path: PathLike) -> tuple[Photo, nn.Module]:
        """A file's image, or one of a stack's, and the generator for its channels.

        Raises:
            UserError: it can't be read, or is not for this network.
        """
        if self.generator is None:
            photo = self._read_anything(path)
            return photo, Bicubic(self.scale, len(photo.pixels))
        if self._takes_photos and probe(path).dtype != "float32":
            is_array = _suffix(path) in _ARRAYS
            photo = read_bands(path) if is_array else read_photo(path, self.scale)
            if not is_array or len(photo.pixels) in (1, 3):
                return photo, PhotoGenerator(self.generator, len(photo.pixels))
        photo = read_bands(path, self.bands or self.kind.bands, self.scale)
        photo = replace(photo, value_range=self._range(path, photo))
        found, wanted = len(photo.pixels), self.kind.channels
        if found == 1 and wanted == 3 and self.kind.bands is None:
            return photo, PhotoGenerator(self.generator, 1)
        if found != wanted:
            choice = f"bands={list(range(1, wanted + 1))}, say, chooses" if found > wanted else ""
            raise UserError(
                f"{path}: has {counted(found)}, the network takes {wanted}"
                + (f"; {choice}" if choice else "")
            )
        return photo, self.generator

    def _read_anything(self, path: PathLike) -> Photo:
        photo, more, _ = _traits(path)
        if self.bands is None and photo and not more:
            return read_photo(path, self.scale, visible=self.scale > 1)
        return read_bands(path, self.bands, self.scale)

    @property
    def _takes_photos(self) -> bool:
        """True where grey, RGB and alpha are what they are for people."""
        return (
            self.kind.channels in (1, 3)
            and _is_all_levels(self.kind)
            and self.kind.bands is self.bands is self.value_range is None
        )

    def _range(self, path: PathLike, photo: Photo) -> tuple[float, float] | None:
        if self.value_range is not None:
            return self.value_range
        if photo.dtype == self.kind.dtype:
            return self.kind.value_range
        if DTYPES[photo.dtype] is not None and _is_all_levels(self.kind):
            return None
        type = photo.type or photo.dtype
        raise UserError(
            f"{path}: holds {type}, the network was trained on {self.kind.dtype}; "
            "value_range=[LOW, HIGH] says which numbers are black and white"
        )


def check_meaning(bands: Any, value_range: Any) -> None:
    """Raise `UserError` unless `Upscaler` can take these.

    Args:
        bands: numbers from 1, or None.
        value_range: two numbers, the second larger, or None.
    """
    if bands is not None:
        if not isinstance(bands, (list, tuple)) or not bands:
            raise UserError(f"bands={bands!r}: must be a list of bands, like [3, 2, 1]")
        for band in bands:
            check_number("bands", band, 1, integer=True)
    if value_range is not None:
        if not isinstance(value_range, (list, tuple)) or len(value_range) != 2:
            raise UserError(f"value_range={value_range!r}: must be two numbers, [LOW, HIGH]")
        for end in value_range:
            check_number("value_range", end)
        if value_range[0] >= value_range[1]:
            raise UserError(f"value_range={value_range!r}: the second must be larger")


def _is_all_levels(kind: ImageKind) -> bool:
    return kind.value_range == (0, DTYPES[kind.dtype])


def _suffix(path: PathLike) -> str:
    return os.path.splitext(split_name(path)[0])[1].lower()


def _traits(path: PathLike) -> Traits:
    if _suffix(path) in _ARRAYS:
        return Traits(photo=False)
    if _suffix(path) in _TIFF:
        with opened(path) as file:
            if is_tiff(file):
                return read_traits(path, file)
    return Traits(photo=True)


def result_suffix(path: PathLike, all_bands: bool = False) -> str:
    """The suffix of the format that holds all of a file: of photos PNG, also of those in TIFF.

    It is TIFF for what says where on Earth it lies, for bands and numbers that no photo has, and
    for stacks; arrays stay arrays. What can't be read gets that of photos: reading it says why.

    Args:
        path: of the file.
        all_bands: bands beside colours and alpha are in the result, too.
    """
    if _suffix(path) in _ARRAYS:
        return _suffix(path)
    if _suffix(path) not in _TIFF:
        return ".png"
    try:
        photo, more, placed = _traits(path)
    except UserError:
        return ".png"
    photo = photo and not (more and all_bands)
    return ".png" if photo and not placed and len(images_in(path)) == 1 else ".tif"
