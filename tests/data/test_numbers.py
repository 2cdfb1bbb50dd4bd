"""Bands, bits and range of a set: as its files have them, or a line that says what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from tmd.data import DatasetOptions, create_dataset, settled, training
from tmd.errors import UserError
from tmd.images import ImageKind


def scene(seed: int, bands: int = 5, dtype: str = "uint16", high: float = 60_000) -> np.ndarray:
    """(20, 24, bands), smooth over 4 pixels."""
    coarse = np.random.default_rng(seed).random((5, 6, bands)).repeat(4, 0).repeat(4, 1)
    return (coarse * high).astype(dtype)


def write(root: Path, *images: np.ndarray) -> Path:
    root.mkdir(exist_ok=True)
    for number, image in enumerate(images):
        tifffile.imwrite(
            root / f"{number}.tif", image, photometric="minisblack", planarconfig="contig"
        )
    return root


def options(root: Path, **more) -> DatasetOptions:
    return DatasetOptions("folder", str(root), patch_size=8, batch_size=2, validation=1, **more)


def found(root: Path, **more) -> ImageKind:
    chosen = options(root, **more)
    chosen.check(2)
    return settled(chosen).image_kind


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_bits_are_those_of_the_files(tmp_path, dtype) -> None:
    high = {"uint8": 255, "uint16": 65535, "float32": 1}[dtype]
    images = [scene(seed, dtype=dtype, high=high) for seed in range(3)]
    root = write(tmp_path / "set", *images)

    data = create_dataset(**vars(options(root, channels=5)), scale=2)

    assert data.kind == ImageKind(5, dtype, (0, high))
    assert next(data.batches()).dtype == getattr(torch, dtype)
    (_, held_out), *_ = data.validation_images()
    assert any(np.array_equal(held_out, image.transpose(2, 0, 1)) for image in images)


def test_bands_choose_and_order(tmp_path) -> None:
    images = [scene(seed) for seed in range(3)]
    root = write(tmp_path / "set", *images)

    data = create_dataset(**vars(options(root, bands=[4, 1], shown=[1])), scale=2)

    (_, held_out), *_ = data.validation_images()
    assert held_out.shape[0] == data.channels == 2
    assert any(np.array_equal(held_out, image.transpose(2, 0, 1)[[3, 0]]) for image in images)
    assert torch.equal(data.kind.visible(held_out.int()), held_out[1:].int())


def test_16_bit_photos_are_learnt_from_in_8_bits_where_that_is_asked_for(tmp_path) -> None:
    images = [scene(seed, bands=3) for seed in range(3)]
    tmp_path.joinpath("set").mkdir()
    for number, image in enumerate(images):
        tifffile.imwrite(tmp_path / "set" / f"{number}.tif", image, photometric="rgb")

    data = create_dataset(**vars(options(tmp_path / "set", dtype="uint8")), scale=2)

    assert data.kind == ImageKind()
    (_, held_out), *_ = data.validation_images()
    eight = [(image.astype(np.uint32) + 128) // 257 for image in images]
    assert any(np.array_equal(held_out, image.transpose(2, 0, 1)) for image in eight)


def test_percentiles_are_those_of_the_set(tmp_path) -> None:
    images = [scene(seed, dtype="float32", high=900.0) - 100 for seed in range(3)]
    root = write(tmp_path / "set", *images)

    kind = found(root, channels=5, value_range={"percentiles": [1, 99]})

    expected = np.percentile(np.stack(images).astype(np.float64), [1, 99])
    assert kind.value_range == pytest.approx(tuple(expected))
    in_16_bits = write(tmp_path / "16", *[(image + 100).astype("uint16") for image in images])
    low, high = found(in_16_bits, channels=5, value_range={"percentiles": [1, 99]}).value_range
    assert (low, high) == (np.floor(expected[0] + 100), np.ceil(expected[1] + 100 - 1))


def test_a_set_settles_once(tmp_path) -> None:
    root = write(tmp_path / "set", *[scene(seed) for seed in range(3)])

    once = settled(options(root, channels=5, value_range={"percentiles": [0, 100]}))

    for file in root.iterdir():
        file.unlink()
    assert once.image_kind == ImageKind(5, "uint16", tuple(once.value_range))
    assert once.value_range != [0, 65535]


def with_hole(value: float, image: np.ndarray) -> np.ndarray:
    image = image.copy()
    image[3, 4, 1] = value
    return image


FLOATS = [scene(seed, dtype="float32", high=1) for seed in range(3)]
LEVELS = [scene(seed) for seed in range(3)]


@pytest.mark.parametrize(
    ("images", "more", "message"),
    [
        (
            LEVELS,
            {},
            r"channels=3: the images have 5 bands \(.*0.tif\); dataset.channels=5 takes",
        ),
        (LEVELS, {"bands": [6]}, r"bands=\[6\]: not all images have 6 bands: 5 bands in 3 images"),
        (LEVELS, {"dtype": "float32", "channels": 5}, r"3 of 3 images hold another type: .*uint16"),
        (
            [*LEVELS, scene(3, bands=4)],
            {"channels": 5},
            r"mixed bands: 4 bands in 1 image \(.*3.tif\), 5 bands in 3 images .*bands=\[1, 2, 3\]",
        ),
        (
            [*LEVELS, FLOATS[0]],
            {"channels": 5},
            "mixed bits: float32 in 1 image .*3.tif.*list_file",
        ),
        (
            [scene(0, 3), scene(1, 3, "uint8", 255)],
            {},
            "mixed bits: uint16 in 1 .*uint8 in 1 .*dataset.dtype=uint8 takes all as photos",
        ),
        ([*FLOATS, with_hole(np.nan, FLOATS[0])], {"channels": 5}, "3.tif: holds NaN or infinite"),
        ([*FLOATS, with_hole(np.inf, FLOATS[0])], {"channels": 5}, "3.tif: holds NaN or infinite"),
        (
            [image * 4000 for image in FLOATS],
            {"channels": 5},
            r"value_range=None: stands for \[0, 1\], and the images hold .* to 39\d\d.*percentiles",
        ),
        (
            [np.full_like(FLOATS[0], 0.5)] * 2,
            {"channels": 5, "value_range": {"percentiles": [0, 100]}},
            "percentiles .* of the images are both 0.5",
        ),
    ],
)
def test_what_is_wrong_with_a_set_is_said_in_one_line(tmp_path, images, more, message) -> None:
    root = write(tmp_path / "set", *images)

    with pytest.raises(UserError, match=message) as caught:
        found(root, **more)

    assert "\n" not in str(caught.value)


def test_an_image_without_data_is_named(tmp_path) -> None:
    root = write(tmp_path / "set", *LEVELS)
    nothing = np.zeros_like(LEVELS[0])
    tag = (42113, "s", 0, "0", True)  # GDAL's nodata
    tifffile.imwrite(
        root / "empty.tif",
        nothing,
        photometric="minisblack",
        planarconfig="contig",
        extratags=[tag],
    )

    with pytest.raises(UserError, match=r"1 of 4 images looked at can't be used: .*empty.tif"):
        found(root, channels=5)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"channels": 0}, "dataset.channels=0: must be an integer at least 1"),
        ({"bands": [2, 2]}, r"dataset.bands=\[2, 2\]: must be a list of different bands"),
        ({"bands": 3}, "dataset.bands=3: must be a list of different bands"),
        ({"bands": [0, 1]}, "dataset.bands=0: must be an integer at least 1"),
        ({"bands": [1, 2], "channels": 3}, r"dataset.channels=3: dataset.bands=\[1, 2\] are 2"),
        ({"dtype": "int16"}, "dataset.dtype='int16': must be one of None, uint8, uint16, float32"),
        ({"shown": [1, 2]}, r"dataset.shown=\[1, 2\]: must be one or three of the bands \[1, 2, 3"),
        ({"bands": [8, 4], "shown": [3]}, r"dataset.shown=\[3\]: must be .* bands \[8, 4\]"),
        ({"value_range": 5}, r"dataset.value_range=5: must be \[low, high\], or {percentiles"),
        ({"value_range": [3, 3]}, "the first must be below the second"),
        ({"value_range": [0, 2**17], "dtype": "uint16"}, "must be an integer .* at most 65535"),
        ({"value_range": {"percentiles": [0, 101]}}, "must be a number at least 0 and at most 100"),
        (
            {"name": "demo", "root": None, "dtype": "uint16"},
            "demo: its images are grey or RGB of 8",
        ),
    ],
)
def test_options_that_cannot_be_are_refused(tmp_path, more, message) -> None:
    write(tmp_path / "set", *LEVELS)

    with pytest.raises(UserError, match=message):
        DatasetOptions(**{"name": "folder", "root": str(tmp_path / "set"), **more}).check(2)


@pytest.mark.parametrize(("dtype", "storage"), [("uint16", "memory"), ("float32", "disk")])
def test_memory_is_counted_by_the_bytes_of_a_number(tmp_path, monkeypatch, dtype, storage) -> None:
    high = {"uint16": 60_000, "float32": 1}[dtype]
    images = [scene(seed, dtype=dtype, high=high) for seed in range(3)]
    root = write(tmp_path / "set", *images)
    # Room for the two images to learn from, twice over, at three bytes a number.
    numbers = 2 * images[0].size
    monkeypatch.setattr(training, "available_memory", lambda: 2 * 3 * numbers)

    data = create_dataset(**vars(options(root, channels=5)), scale=2)

    assert data.resolved["storage"] == storage
