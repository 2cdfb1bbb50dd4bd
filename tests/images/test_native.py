"""Files of any bands and bits are read as the numbers that other libraries wrote, or refused."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import rasterio
import tifffile
import torch
from PIL import Image

from tmd.data.files import find_files, without
from tmd.errors import UserError
from tmd.images import ImageKind, images_in, probe, read_native, read_pixels, read_size, split_name
from tmd.images.formats import FORMATS

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

HEIGHT, WIDTH = 11, 17
TYPES = {"uint8": np.uint8, "uint16": np.uint16, "float32": np.float32}


def numbers(bands: int, dtype: object, seed: int = 0, size=(HEIGHT, WIDTH)) -> np.ndarray:
    """(H, W, bands) over the type's whole range, or around 0."""
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return rng.normal(size=(*size, bands)).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, (*size, bands), dtype, endpoint=True)


def kind_of(path: Path, bands: tuple[int, ...] | None = None) -> ImageKind:
    probed = probe(path)
    return ImageKind.of_dtype(len(bands) if bands else probed.bands, probed.dtype, bands)


def read(path: Path | str, bands: tuple[int, ...] | None = None) -> np.ndarray:
    """(H, W, C) as the file's own kind."""
    return read_native(path, kind_of(path, bands)).permute(1, 2, 0).numpy()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("bands", [1, 2, 3, 4, 13])
def test_tiff_of_any_layout_is_what_tifffile_wrote(tmp_path, bands, dtype):
    image = numbers(bands, TYPES[dtype])
    path = tmp_path / "a.tif"
    layouts = (
        {"compression": "lzw"},
        {"compression": "zstd", "predictor": True},
        {"tile": (16, 16)},
        {"bigtiff": True, "byteorder": ">"},
        {"rowsperstrip": 3, "compression": "deflate"},
    )
    for planar, options in itertools.product(("contig", "separate"), layouts):
        stored = np.moveaxis(image, -1, 0) if planar == "separate" else image
        if bands == 1:
            stored, options = image[..., 0], dict(options)
        else:
            options = {**options, "planarconfig": planar}
        tifffile.imwrite(path, stored, photometric="minisblack", metadata=None, **options)
        assert probe(path) == (bands, dtype, (HEIGHT, WIDTH))
        if (bands, dtype) == (3, "uint8"):  # of a photo three colours are wanted, which they aren't
            assert np.array_equal(read(path, (1, 2, 3)), image)
        else:
            assert np.array_equal(read(path), image)
            assert read_native(path, kind_of(path)).dtype == getattr(torch, dtype)


@pytest.mark.parametrize("file", ["RGB.byte.tif", "RGBA.uint16.tif", "shade.tif"])
def test_geotiffs_of_the_field_are_what_gdal_reads(shared_data, file):
    path = shared_data / "bands" / file
    with rasterio.open(path) as dataset:
        expected, nodata = dataset.read(), dataset.nodata
        assert probe(path) == (dataset.count, dataset.dtypes[0], dataset.shape)
    found = read(path, tuple(range(1, len(expected) + 1)))
    data = expected != nodata
    assert data.mean() > 0.1
    assert np.array_equal(np.moveaxis(found, -1, 0)[data], expected[data])


def test_all_of_sentinels_bands_one_scene_at_a_time(shared_data):
    path = shared_data / "bands/sentinel2_13bands.npy"
    scenes = np.load(path)
    assert images_in(path) == [f"{path}[{i}]" for i in range(5)]
    for i, scene in enumerate(scenes):
        assert probe(f"{path}[{i}]") == (13, "float32", (101, 100))
        assert np.array_equal(read(f"{path}[{i}]"), scene)
    assert np.array_equal(read(f"{path}[3]", (4, 3, 2, 8)), scenes[3][..., [3, 2, 1, 7]])


@pytest.mark.parametrize("colour", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_png_of_all_colours(tmp_path, colour, dtype):
    image = numbers(colour, TYPES[dtype])
    path = tmp_path / "a.png"
    path.write_bytes(imagecodecs.png_encode(image if colour > 1 else image[..., 0]))
    assert probe(path) == (colour, dtype, (HEIGHT, WIDTH))
    assert np.array_equal(read(path, tuple(range(1, colour + 1))), image)
    assert np.array_equal(read(path, (colour, 1)), image[..., [colour - 1, 0]])


def test_photos_are_probed_as_they_are_read(tmp_path):
    image = Image.fromarray(numbers(3, np.uint8))
    palette = image.quantize(8)
    transparent = palette.copy()
    transparent.info["transparency"] = 0
    for name, picture, bands in (
        ("a.jpg", image, 3),
        ("b.jpg", image.convert("L"), 1),
        ("c.jpg", image.convert("CMYK"), 3),
        ("d.png", palette, 3),
        ("e.png", transparent, 4),
        ("f.gif", palette, 3),
        ("g.webp", Image.fromarray(numbers(4, np.uint8)), 4),
        ("h.bmp", image, 3),
        ("i.tif", palette, 3),
        ("j.tif", image.convert("CMYK"), 3),
        ("k.png", image.convert("1"), 1),
        ("l.png", Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).quantize(4), 3),
    ):
        picture.save(tmp_path / name)
        assert probe(tmp_path / name) == (bands, "uint8", (HEIGHT, WIDTH)), name
        assert read(tmp_path / name, tuple(range(1, bands + 1))).shape[-1] == bands, name


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_8_bit_photos_are_read_as_ever(tmp_path, suffix, channels):
    Image.fromarray(numbers(3, np.uint8)).save(tmp_path / f"a{suffix}")
    path = tmp_path / f"a{suffix}"
    found = read_native(path, ImageKind(channels))
    assert torch.equal(found, read_pixels(path, channels))
    assert found.stride() == read_pixels(path, channels).stride()


AXES = {
    (9, 14): (1, (9, 14)),
    (9, 14, 1): (1, (9, 14)),
    (9, 14, 3): (3, (9, 14)),
    (9, 14, 13): (13, (9, 14)),
    (3, 19, 14): (3, (19, 14)),
    (13, 60, 61): (13, (60, 61)),
    (20, 21, 224): (224, (20, 21)),
    (12, 12, 12): (12, (12, 12)),
}


@pytest.mark.parametrize("shape", AXES)
@pytest.mark.parametrize("order", ["C", "F"])
def test_axes_of_arrays(tmp_path, shape, order):
    bands, size = AXES[shape]
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    np.save(tmp_path / "a.npy", np.asarray(array, order=order))
    expected = array.reshape(*size, bands) if shape[:2] == size else np.moveaxis(array, 0, -1)
    assert probe(tmp_path / "a.npy") == (bands, "float32", size)
    assert np.array_equal(read(tmp_path / "a.npy"), expected)
    if len(shape) == 3:
        stack = np.stack([array, array + 1, array * 2])
        np.save(tmp_path / "a.npy", np.asarray(stack, order=order))
        names = images_in(tmp_path / "a.npy")
        assert len(names) == 3
        for name, times, more in zip(names, (1, 1, 2), (0, 1, 0), strict=True):
            assert np.array_equal(read(name), expected * times + more)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_archives_of_arrays(tmp_path, save):
    one, several = numbers(4, np.uint16), np.stack([numbers(4, np.uint16, i) for i in (1, 2)])
    save(tmp_path / "a.npz", first=one, second=several, third=one[::-1])
    names = images_in(tmp_path / "a.npz")
    assert names == [f"{tmp_path}/a.npz[{i}]" for i in range(4)]
    for name, expected in zip(names, (one, *several, one[::-1]), strict=True):
        assert np.array_equal(read(name), expected)


@pytest.mark.parametrize(
    ("type", "scale", "kept"),
    [
        (np.float64, 1 / 3, True),
        (np.float16, 1, True),
        (np.int16, 1, True),
        (np.int8, 1, True),
        (np.uint32, 2**-8, True),
        (np.int32, 2**-8, True),
        (np.uint32, 1, False),
        (np.int32, 1, False),
    ],
)
@pytest.mark.parametrize("suffix", [".npy", ".tif"])
def test_other_numbers_become_float32_or_are_refused(tmp_path, suffix, type, scale, kept):
    image = (numbers(2, type) * scale).astype(type)
    path = tmp_path / f"a{suffix}"
    if suffix == ".npy":
        np.save(path, image)
    else:
        tifffile.imwrite(path, image, photometric="minisblack", planarconfig="contig")
    assert probe(path).dtype == "float32"
    if kept:
        assert np.array_equal(read(path), image.astype(np.float32))
    else:
        with pytest.raises(UserError, match=r"int32 beyond ±16777216, which float32 can't hold"):
            read(path)


def test_bits_that_fill_no_byte_have_the_whole_range(tmp_path):
    levels = numbers(3, np.uint16) >> 4
    tifffile.imwrite(tmp_path / "a.tif", levels, photometric="rgb", bitspersample=12)
    assert np.array_equal(read(tmp_path / "a.tif"), np.rint(levels / 4095 * 65535))
    grey = numbers(1, np.uint16)[..., 0]
    tifffile.imwrite(tmp_path / "a.tif", grey, photometric="miniswhite")
    assert np.array_equal(read(tmp_path / "a.tif")[..., 0], 65535 - grey)


# Stacks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"byteorder": ">"}, {"imagej": True}])
def test_a_tiffs_pages_are_images(tmp_path, options):
    pages = np.stack([numbers(1, np.uint16, i)[..., 0] for i in range(4)])
    path = tmp_path / "cells.tif"
    tifffile.imwrite(path, pages, photometric="minisblack", **options)
    assert images_in(path) == [f"{path}[{i}]" for i in range(4)]
    for i, page in enumerate(pages):
        assert probe(f"{path}[{i}]") == (1, "uint16", (HEIGHT, WIDTH))
        assert read_size(f"{path}[{i}]") == (HEIGHT, WIDTH)
        assert np.array_equal(read(f"{path}[{i}]")[..., 0], page)
    assert np.array_equal(read(path)[..., 0], pages[0])


def test_previews_and_masks_are_no_images(tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        for i, subfiletype in enumerate((0, 1, 1, 0)):
            file.write(numbers(3, np.uint8, i), subfiletype=subfiletype, metadata=None)
    assert images_in(path) == [f"{path}[0]", f"{path}[3]"]
    assert np.array_equal(read(f"{path}[3]"), numbers(3, np.uint8, 3))
    one = tmp_path / "one.tif"
    with tifffile.TiffWriter(one) as file:
        file.write(numbers(3, np.uint8), metadata=None)
        file.write(numbers(3, np.uint8)[::2], subfiletype=1, metadata=None)
    assert images_in(one) == [str(one)]
    options = {"driver": "GTiff", "height": HEIGHT, "width": WIDTH, "count": 1, "dtype": "uint8"}
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(one, "w", **options) as file:
        file.write(numbers(1, np.uint8)[None, ..., 0])
        file.write_mask(np.eye(HEIGHT, WIDTH, dtype=bool))
    with tifffile.TiffFile(one) as file:
        assert len(file.pages) == 2
    assert images_in(one) == [str(one)]


def test_a_folder_lists_each_image_of_its_stacks(tmp_path):
    Image.fromarray(numbers(3, np.uint8)).save(tmp_path / "a.png")
    np.save(tmp_path / "b.npy", np.stack([numbers(3, np.uint8, i) for i in range(12)]))
    tifffile.imwrite(tmp_path / "c.tif", numbers(3, np.uint8), photometric="rgb")
    (tmp_path / "d.npy").write_bytes(b"nothing")
    source = find_files((str(tmp_path),), 3)
    expected = ["a.png", *(f"b.npy[{i}]" for i in range(12)), "c.tif", "d.npy"]
    assert [source.label(i) for i in range(len(source))] == expected
    assert np.array_equal(source.read(11).permute(1, 2, 0), numbers(3, np.uint8, 10))
    lengths = [os.path.getsize(split_name(name)[0]) for name in source.names()]
    assert source.bytes_each().tolist() == lengths
    some = tmp_path / "list.txt"
    some.write_text("b.npy[4]\na.png\n")
    chosen = find_files((str(tmp_path),), 3, str(some))
    assert [chosen.label(i) for i in range(2)] == ["b.npy[4]", "a.png"]
    left = without(source, chosen)
    assert {*expected} - {"b.npy[4]", "a.png"} == {left.label(i) for i in range(len(left))}


def test_an_image_of_a_large_stack_is_read_without_the_others(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((400, 256, 256, 3), np.uint8))
    pages = np.zeros((400, 256, 256), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", pages, photometric="minisblack")

    def seconds(path: Path, image: int) -> float:
        started = time.perf_counter()
        for _ in range(5):
            read(f"{path}[{image}]")
        return time.perf_counter() - started

    for name in ("a.npy", "a.tif"):
        whole = time.perf_counter()
        (np.load if name == "a.npy" else tifffile.imread)(tmp_path / name)
        assert seconds(tmp_path / name, 390) / 5 < (time.perf_counter() - whole) * 2
    os.truncate(tmp_path / "a.npy", 128 + 400 * 256 * 256 * 3 - 1)
    with pytest.raises(UserError, match=r"a\.npy\[0\]: broken image \(it is cut off\)"):
        read_native(f"{tmp_path}/a.npy[0]", ImageKind())


# Nodata -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("nodata", [-9999.0, float("nan"), -3.4028234663852886e38])
@pytest.mark.parametrize("type", ["float32", "float64"])
def test_pixels_without_data_get_the_nearest_data_of_their_band(tmp_path, nodata, type):
    image = np.moveaxis(numbers(3, type), -1, 0)
    image[0, 2:5, 3:9] = nodata
    image[1, :, -1] = nodata
    path = tmp_path / "a.tif"
    profile = {"driver": "GTiff", "height": HEIGHT, "width": WIDTH, "count": 3, "dtype": type}
    with rasterio.open(path, "w", nodata=nodata, **profile) as file:
        file.write(image)
    found = np.moveaxis(read(path), -1, 0)
    expected = image.astype(np.float32)
    expected[1, :, -1] = image[1, :, -2]
    outside = np.ones((HEIGHT, WIDTH), bool)
    outside[2:5, 3:9] = False
    assert np.array_equal(found[1:], expected[1:])
    assert np.array_equal(found[0][outside], expected[0][outside])
    assert np.array_equal(found[0, 2, 4:8], expected[0, 1, 4:8])
    assert np.array_equal(found[0, 4, 4:8], expected[0, 5, 4:8])


def test_gdals_own_nodata_of_float64_is_known(tmp_path):
    image = np.moveaxis(numbers(1, np.float64), -1, 0)
    image[0, 0, 0] = np.finfo(np.float64).min
    profile = {"driver": "GTiff", "height": HEIGHT, "width": WIDTH, "count": 1, "dtype": "float64"}
    with rasterio.open(tmp_path / "a.tif", "w", nodata=image[0, 0, 0], **profile) as file:
        file.write(image)
    assert read(tmp_path / "a.tif")[0, 0, 0] in image[0, :2, :2].astype(np.float32)


# Refusals ---------------------------------------------------------------------------------------


def bad_files(folder: Path) -> dict[str, str]:
    """Names of files in ``folder`` and the reason for which each is refused."""
    np.save(folder / "objects.npy", np.array([[1, "a"], [None, 2]], dtype=object))
    np.save(folder / "five.npy", np.zeros((2, 3, 4, 5, 6), np.uint8))
    np.save(folder / "one.npy", np.zeros(7, np.uint8))
    np.save(folder / "none.npy", np.zeros((0, 7, 3), np.uint8))
    np.save(folder / "complex.npy", np.zeros((7, 8), np.complex64))
    np.save(folder / "flags.npy", np.zeros((7, 8), bool))
    np.save(folder / "text.npy", np.full((7, 8), "a"))
    np.save(folder / "records.npy", np.zeros((7, 8), [("a", "u1")]))
    np.savez(folder / "empty.npz")
    gaps = numbers(2, np.float32)
    gaps[3, 4, 1], gaps[5, 6, 0] = np.nan, np.inf
    np.save(folder / "gaps.npy", gaps)
    tifffile.imwrite(folder / "gaps.tif", gaps, photometric="minisblack", planarconfig="contig")
    np.save(folder / "huge.npy", np.full((3, 4), 1e300))
    whole = numbers(5, np.uint16, size=(64, 64))
    tifffile.imwrite(folder / "cut.tif", whole, photometric="minisblack", planarconfig="contig")
    os.truncate(folder / "cut.tif", (folder / "cut.tif").stat().st_size // 2)
    np.save(folder / "cut.npy", whole)
    os.truncate(folder / "cut.npy", (folder / "cut.npy").stat().st_size // 2)
    tifffile.imwrite(folder / "waves.tif", np.zeros((7, 8), np.complex64))
    tifffile.imwrite(folder / "white.tif", np.zeros((7, 8), np.float32), photometric="miniswhite")
    options = {"driver": "GTiff", "height": 7, "width": 8, "count": 2, "dtype": "int16"}
    with rasterio.open(folder / "blank.tif", "w", nodata=-1, **options) as file:
        file.write(np.full((2, 7, 8), -1, np.int16))
    return {
        "objects.npy": "holds Python objects; an image is an array of numbers",
        "five.npy": "an array of shape (2, 3, 4, 5, 6) is no image; (H, W), (H, W, C) or, for",
        "one.npy": "an array of shape (7,) is no image",
        "none.npy": "an array of shape (0, 7, 3) is no image",
        "complex.npy": "numbers of type complex64 are no image's; convert them to float32",
        "flags.npy": "numbers of type bool are no image's",
        "text.npy": "numbers of type <U1 are no image's",
        "records.npy": "are no image's",
        "empty.npz": "not an image",
        "gaps.npy": "NaN or infinite numbers (2 of 374), the first in row 3, column 4 of band 2",
        "gaps.tif": "NaN or infinite numbers (2 of 374), the first in row 3, column 4 of band 2",
        "huge.npy": "float64 beyond the range of float32",
        "cut.tif": "broken image (it is cut off)",
        "cut.npy": "broken image (it is cut off)",
        "waves.tif": "complex numbers are no image's; write their magnitude",
        "white.tif": "numbers of which 0 is white, and nothing says which is black",
        "blank.tif": "holds no data, in all of its pixels",
        "away.tif": "no such file",
        "five.npy[9]": "is no image",
    }


def test_what_is_no_image_is_refused_in_a_line(tmp_path):
    for name, reason in bad_files(tmp_path).items():
        with pytest.raises(UserError) as caught:
            read(f"{tmp_path}/{name}")
        assert str(caught.value).startswith(f"{tmp_path}/{name}: ")
        assert reason in str(caught.value)
        assert "\n" not in str(caught.value)


def test_too_many_pixels_are_seen_in_the_header(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", np.zeros((26, 34, 2), np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 26 * 34 - 1)
    for use in (read_size, probe, lambda path: read_native(path, ImageKind(2))):
        with pytest.raises(UserError, match=r"a\.npy: more than 883 pixels \(34×26\)"):
            use(tmp_path / "a.npy")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (ImageKind(4, "uint8"), "holds uint16, where uint8 is wanted"),
        (ImageKind(4, "float32"), "holds uint16, where float32 is wanted"),
        (ImageKind.of_dtype(3, "uint16"), "has 4 bands, where 3 are wanted; bands=[1, 2, 3], say"),
        (ImageKind.of_dtype(6, "uint16"), "has 4 bands, where 6 are wanted"),
        (ImageKind.of_dtype(2, "uint16", (1, 5)), "has 4 bands, where bands=[1, 5] are asked for"),
    ],
)
def test_an_image_of_another_kind_is_refused_by_name(tmp_path, kind, reason):
    np.save(tmp_path / "a.npy", numbers(4, np.uint16))
    with pytest.raises(UserError) as caught:
        read_native(tmp_path / "a.npy", kind)
    assert str(caught.value).startswith(f"{tmp_path}/a.npy: {reason}")


def test_every_suffix_of_the_listing_has_a_format():
    assert {".npy", ".npz", ".tif"} <= {suffix for each in FORMATS for suffix in each.suffixes}
