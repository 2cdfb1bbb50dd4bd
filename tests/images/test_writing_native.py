"""Images of any kind are read by other libraries as the numbers that were written."""

from __future__ import annotations

import os
import zipfile

import imagecodecs
import numpy as np
import pytest
import rasterio
import tifffile
import torch

from tmd.errors import UserError
from tmd.images import DTYPES, ImageKind, images_in, read_native, write_image, write_native
from tmd.images.encoding import tiff_writer, write_npy_header, write_npy_rows, write_page

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def numbers(bands: int, dtype: str, height: int = 300, width: int = 37) -> torch.Tensor:
    """(C, H, W) over the type's range."""
    rng = np.random.default_rng(bands)
    top = DTYPES[dtype]
    if top is None:
        return torch.from_numpy(rng.normal(size=(bands, height, width)).astype(np.float32))
    return torch.from_numpy(rng.integers(0, top, (bands, height, width), dtype, endpoint=True))


def read_by_others(path) -> np.ndarray:
    """(H, W, C) by the library that the format belongs to."""
    if path.suffix == ".npy":
        image = np.load(path)
    elif path.suffix == ".npz":
        (image,) = np.load(path).values()
    elif path.suffix == ".png":
        image = imagecodecs.png_decode(path.read_bytes())
    else:
        with rasterio.open(path) as file:
            image = np.moveaxis(file.read(), 0, -1)
        assert np.array_equal(tifffile.imread(path).reshape(image.shape), image)
    return image.reshape(*image.shape[:2], -1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bands", [1, 2, 3, 4, 13])
@pytest.mark.parametrize("suffix", [".tif", ".npy", ".npz", ".png"])
def test_other_libraries_read_what_was_written(tmp_path, suffix, bands, dtype):
    if suffix == ".png" and (bands > 4 or dtype == "float32"):
        return
    image, kind = numbers(bands, dtype), ImageKind.of_dtype(bands, dtype)
    path = tmp_path / f"new/a{suffix}"
    write_native(path, image, kind)
    assert np.array_equal(read_by_others(path), image.permute(1, 2, 0).numpy())
    found = read_native(path, ImageKind.of_dtype(bands, dtype, tuple(range(1, bands + 1))))
    assert found.dtype == image.dtype
    assert np.array_equal(found.numpy(), image.numpy())
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (256, 256), (257, 511)])
def test_tiles_of_any_image_join(tmp_path, size):
    image = numbers(2, "uint16", *size)
    for rows in (1, 7, 256, 300):
        with open(tmp_path / "a.tif", "w+b") as file, tiff_writer(file, image.nbytes) as writer:
            strips = np.split(image.permute(1, 2, 0).numpy(), range(rows, size[0], rows))
            write_page(writer, strips, (2, *size), "uint16")
        assert np.array_equal(read_by_others(tmp_path / "a.tif"), image.permute(1, 2, 0).numpy())


def test_what_32_bits_cannot_address_is_a_big_tiff(tmp_path):
    for size, version in ((2**31, 42), (2**32, 43)):
        with open(tmp_path / "a.tif", "w+b") as file, tiff_writer(file, size) as writer:
            write_page(writer, [np.zeros((4, 4, 1), np.uint8)], (1, 4, 4), "uint8")
        assert int.from_bytes((tmp_path / "a.tif").read_bytes()[2:4], "little") == version


@pytest.mark.parametrize("axes", ["HWC", "CHW"])
def test_arrays_are_written_in_rows_in_either_order(tmp_path, axes):
    stack = [numbers(5, "float32", 31, 12), numbers(5, "float32", 31, 12) * 2]
    size = (5, 31, 12)
    shape = tuple(size["CHW".index(axis)] for axis in axes)
    with open(tmp_path / "a.npy", "w+b") as file:
        write_npy_header(file, (2, *shape), "float32")
        for image in stack:
            strips = np.split(image.permute(1, 2, 0).numpy(), (4, 20))
            write_npy_rows(file, strips, size, axes)
    found = np.load(tmp_path / "a.npy")
    expected = torch.stack(stack).numpy()
    assert np.array_equal(found, expected if axes == "CHW" else np.moveaxis(expected, 1, -1))
    assert len(images_in(tmp_path / "a.npy")) == 2


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("a.png", ImageKind.of_dtype(3, "float32"), "PNG holds no 3 bands of float32; use .tif"),
        ("a.png", ImageKind(5), "PNG holds no 5 bands of uint8; use .tif or .npy"),
        ("a.jpg", ImageKind.of_dtype(3, "uint16"), "JPEG holds no 3 bands of uint16"),
        ("a.webp", ImageKind(4), "WEBP holds no 4 bands of uint8"),
        ("a.xyz", ImageKind.of_dtype(3, "uint16"), ".xyz names no image format; use .png"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(tmp_path, name, kind, reason):
    with pytest.raises(UserError) as caught:
        write_native(tmp_path / name, numbers(kind.channels, kind.dtype), kind)
    assert str(caught.value) == f"{tmp_path / name}: {reason}" or reason in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_what_fails_half_way_leaves_the_old_file(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    image, kind = numbers(5, "uint16"), ImageKind.of_dtype(5, "uint16")
    write_native(tmp_path / "a.npy", image, kind)
    before = (tmp_path / "a.npy").read_bytes()
    monkeypatch.setattr("tmd.images.writing.write_npy_rows", full)
    with pytest.raises(OSError, match="No space left"):
        write_native(tmp_path / "a.npy", image, kind)
    assert (tmp_path / "a.npy").read_bytes() == before
    assert os.listdir(tmp_path) == ["a.npy"]


def test_photos_of_8_bits_are_written_as_ever(tmp_path):
    image = numbers(3, "uint8")
    for name in ("a.jpg", "a.bmp", "a.npy"):
        write_native(tmp_path / name, image, ImageKind())
        write_image(tmp_path / f"b{name}", image)
        assert (tmp_path / name).read_bytes() == (tmp_path / f"b{name}").read_bytes()
    with pytest.raises(ValueError, match="not of ImageKind"):
        write_native(tmp_path / "c.npy", image, ImageKind(4))
    write_native(tmp_path / "a.npz", image, ImageKind())
    assert zipfile.ZipFile(tmp_path / "a.npz").namelist() == ["arr_0.npy"]
