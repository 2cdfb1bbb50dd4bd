"""NPY and NPZ: numpy's arrays as images, of which one of a stack is read without the others.

A file says nothing of its axes. Two are (H, W). Three are (H, W, C), or (C, H, W) where the first
is less than a quarter of either other one, as rasterio and torch have them. Four are a stack of
these, (N, H, W, C) or (N, C, H, W).
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from tmd.errors import UserError
from tmd.images.formats import PathLike

NPY_MAGIC, ZIP_MAGIC = b"\x93NUMPY", b"PK\3\4"


class Layout(NamedTuple):
    """Sizes of the images in an array, and the order of its axes.

    Attributes:
        images: how many, None where the array has no axis for them.
        size: (H, W).
        bands: of each image.
        axes: "HW", "HWC" or "CHW", of one image.
    """

    images: int | None
    size: tuple[int, int]
    bands: int
    axes: str


class StoredArray(NamedTuple):
    """An array's header; the place of the file is where its numbers begin."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran_order: bool


def is_array(file: BinaryIO) -> bool:
    """Return whether the file is NPY or a zip archive; its place is the start then."""
    file.seek(0)
    start = file.read(6)
    file.seek(0)
    return start == NPY_MAGIC or start[:4] == ZIP_MAGIC


def layout(path: PathLike, shape: tuple[int, ...]) -> Layout:
    """Return what the axes of an array mean.

    Raises:
        UserError: there are fewer than two or more than four, or one has no length.

    Example:
        >>> layout("a.npy", (100, 120, 13))
        Layout(images=None, size=(100, 120), bands=13, axes='HWC')
        >>> layout("a.npy", (5, 13, 100, 120))
        Layout(images=5, size=(100, 120), bands=13, axes='CHW')
    """
    if len(shape) not in (2, 3, 4) or not math.prod(shape):
        raise UserError(
            f"{path}: an array of shape {shape} is no image; (H, W), (H, W, C) or, for a stack, "
            "(N, H, W, C) is"
        )
    images = shape[0] if len(shape) == 4 else None
    one = shape[-3:]
    if len(shape) == 2:
        return Layout(images, (one[0], one[1]), 1, "HW")
    if one[-1] > one[0] and 4 * one[0] < min(one[1:]):
        return Layout(images, (one[1], one[2]), one[0], "CHW")
    return Layout(images, (one[0], one[1]), one[2], "HWC")


def read_header(path: PathLike, file: BinaryIO) -> StoredArray:
    """Return the header of an NPY at the file's place, which is then where its numbers begin.

    Raises:
        UserError: it holds Python objects, or records of several numbers.
        ValueError: it is broken.
    """
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, fortran_order, dtype = np.lib.format.read_array_header_2_0(file)
    else:
        raise UserError(f"{path}: an NPY of version {version}, which names fields, is no image")
    if dtype.hasobject:
        raise UserError(f"{path}: holds Python objects; an image is an array of numbers")
    if dtype.kind not in "uif":
        raise UserError(f"{path}: numbers of type {dtype} are no image's; convert them to float32")
    return StoredArray(tuple(int(side) for side in shape), dtype, bool(fortran_order))


def count_arrays(path: PathLike, file: BinaryIO) -> int:
    """The number of images in an NPY or NPZ, by its headers."""
    return sum(layout(path, array.shape).images or 1 for array, _ in _members(path, file))


def probe_array(path: PathLike, file: BinaryIO, number: int | None) -> tuple[Layout, np.dtype[Any]]:
    """The layout and type of the array that holds an image.

    Raises:
        UserError: it is no image's, or there are fewer images.
    """
    with _holding(path, file, number or 0) as (array, _, _):
        return layout(path, array.shape), array.dtype


def read_array(path: PathLike, file: BinaryIO, number: int | None) -> np.ndarray:
    """(H, W, C) of one image, of the type that the file has.

    Only its own numbers are read, unless the archive is compressed or the file in Fortran's order.

    Raises:
        UserError: as `probe_array`.
        ValueError: the file is cut off.
    """
    with _holding(path, file, number or 0) as (array, stored, within):
        found = layout(path, array.shape)
        shape = array.shape
        if found.images is not None and not array.fortran_order:
            shape = shape[1:]
            stored.seek(within * math.prod(shape) * array.dtype.itemsize, 1)
        numbers = _numbers(stored, shape, array)
        if found.images is not None and array.fortran_order:
            numbers = numbers[within]
    native = numbers.astype(array.dtype.newbyteorder("="), copy=False)
    if found.axes == "CHW":
        return np.moveaxis(native, 0, -1)
    return native[..., None] if found.axes == "HW" else native


def _numbers(stored: BinaryIO, shape: tuple[int, ...], array: StoredArray) -> np.ndarray:
    numbers = np.empty(math.prod(shape), array.dtype)
    view = memoryview(numbers.view(np.uint8))  # type: ignore[arg-type]
    filled = 0
    while filled < len(view):
        if not (got := stored.readinto(view[filled:])):  # type: ignore[attr-defined]
            raise ValueError("it is cut off")
        filled += got
    return numbers.reshape(shape, order="F" if array.fortran_order else "C")


@contextmanager
def _holding(
    path: PathLike, file: BinaryIO, number: int
) -> Iterator[tuple[StoredArray, BinaryIO, int]]:
    """The array of image ``number``, its numbers to be read, and the image's place in it."""
    before = 0
    for array, stored in _members(path, file):
        images = layout(path, array.shape).images or 1
        if number < before + images:
            yield array, stored, number - before
            return
        before += images
    raise UserError(f"{path}: holds {before} images, counted from 0")


def _members(path: PathLike, file: BinaryIO) -> Iterator[tuple[StoredArray, BinaryIO]]:
    file.seek(0)
    if file.read(4) != ZIP_MAGIC:
        file.seek(0)
        array = read_header(path, file)
        start = file.tell()
        _check_length(array, file.seek(0, 2) - start)
        file.seek(start)
        yield array, file
        return
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if member.filename.endswith(".npy"):
                with archive.open(member) as stored:
                    array = read_header(path, stored)  # type: ignore[arg-type]
                    _check_length(array, member.file_size - stored.tell())
                    yield array, stored  # type: ignore[misc]


def _check_length(array: StoredArray, available: int) -> None:
    if math.prod(array.shape) * array.dtype.itemsize > available:
        raise ValueError("it is cut off")
