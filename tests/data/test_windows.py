"""Parts of uncompressed images: the same batches, to the bit, as from whole images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from tmd.data import create_dataset
from tmd.data.preparing import PrepareOptions, prepare
from tmd.data.sources import FileSource
from tmd.data.windows import open_window
from tmd.images import EIGHT_BITS, ImageKind

SMALL = {"tile": 64, "overlap": 16, "min_side": 32}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for name in ("chelsea", "coffee", "rocket"):
        Image.fromarray(getattr(skimage.data, name)()[100:230, 150:290]).save(
            folder / f"{name}.png"
        )
    return folder


@pytest.mark.parametrize("shards", [False, True])
@pytest.mark.parametrize(
    "options",
    [{}, {"crop": 50}, {"channels": 1}, {"mode": "whole", "crop": 48}, {"augment": False}],
)
def test_batches_are_those_of_whole_images(
    photos: Path, tmp_path: Path, shards: bool, options: dict
) -> None:
    prepare([str(photos)], tmp_path / "out", PrepareOptions(**SMALL, shards=shards))
    given = {"root": str(tmp_path / "out"), "batch_size": 5, "patch_size": 40, **options}
    sets = [
        create_dataset("folder", **given, storage=storage, workers=0)
        for storage in ("disk", "memory")
    ]
    streams = [data.batches() for data in sets]
    for _ in range(12):
        parts, whole = (next(stream) for stream in streams)
        assert torch.equal(parts, whole)


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_batches_of_other_numbers_are_those_of_whole_images(tmp_path: Path, dtype: str) -> None:
    (tmp_path / "in").mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        numbers = rng.integers(0, 65536, (90, 100, 13)).astype(dtype)
        np.save(tmp_path / "in" / f"{number}.npy", numbers)
    prepare([str(tmp_path / "in")], tmp_path / "out", PrepareOptions(**SMALL))
    kind = ImageKind.of_dtype(13, dtype)
    paths = sorted(map(str, (tmp_path / "out").rglob("*.npy")))
    source = FileSource(paths, kind)
    for index in range(len(source)):
        whole = source.read(index)
        assert source.window(index) is not None
        part = source.read_window(index, 7, 11, 20, 30)
        assert part.dtype == whole.dtype
        assert torch.equal(part, whole[:, 7:27, 11:41])


def test_only_the_rows_of_the_crop_are_read(tmp_path: Path, monkeypatch) -> None:
    import os

    pixels = np.random.default_rng(0).integers(0, 256, (100, 80, 3), dtype=np.uint8)
    np.save(tmp_path / "a.npy", pixels)
    read = []
    original = os.preadv
    monkeypatch.setattr(os, "preadv", lambda *a: read.append(original(*a)) or read[-1])
    window = open_window(str(tmp_path / "a.npy"), EIGHT_BITS)
    assert window.shape == (3, 100, 80)
    part = window[:, 10:90, 5:75][:, 20:30, 10:22]
    assert part.shape == (3, 10, 12)
    assert not read
    assert np.array_equal(np.asarray(part), pixels[30:40, 15:27].transpose(2, 0, 1))
    assert sum(read) == 10 * 80 * 3


ODD = {
    "an order of columns": lambda a: np.asfortranarray(a),
    "channels first": lambda a: np.ascontiguousarray(a.transpose(2, 0, 1)),
    "another type": lambda a: a.astype(np.uint16),
    "another number of channels": lambda a: np.ascontiguousarray(a[..., :1]),
    "several": lambda a: a[None],
}


@pytest.mark.parametrize("odd", ODD)
def test_what_is_no_plain_image_of_the_kind_is_read_as_any_other(tmp_path: Path, odd: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (100, 80, 3), dtype=np.uint8)
    np.save(tmp_path / "a.npy", ODD[odd](pixels))
    assert open_window(str(tmp_path / "a.npy"), EIGHT_BITS) is None


def test_floats_that_nobody_looked_through_are_read_whole(tmp_path: Path) -> None:
    numbers = np.zeros((70, 70, 3), np.float32)
    np.save(tmp_path / "a.npy", numbers)
    np.save(tmp_path / "a@y00000x00000.npy", numbers)
    kind = ImageKind.of_dtype(3, "float32")
    assert open_window(str(tmp_path / "a.npy"), kind) is None
    assert open_window(str(tmp_path / "a@y00000x00000.npy"), kind) is not None


def test_a_tile_that_was_cut_off_is_skipped_with_its_reason(photos: Path, tmp_path: Path) -> None:
    prepare([str(photos)], tmp_path / "out", PrepareOptions(**SMALL))
    tile = sorted((tmp_path / "out").rglob("coffee*.npy"))[3]
    tile.write_bytes(tile.read_bytes()[:-5000])
    data = create_dataset(
        "folder",
        str(tmp_path / "out"),
        batch_size=32,
        patch_size=40,
        storage="disk",
        workers=0,
        validation=0,
    )
    next(data.batches())
    ((path, reason),) = data.skipped
    assert path == str(tile)
    assert "cut off" in reason
