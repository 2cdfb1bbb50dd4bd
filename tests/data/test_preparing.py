"""tmd prepare's library: tiles, shards, what is left out, and a preparation that is killed."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import tifffile
import torch
import webdataset
from PIL import Image, ImageFilter

from tmd.data import create_dataset
from tmd.data.files import find_files
from tmd.data.paired import create_paired_data
from tmd.data.prepared import JOURNAL, MANIFEST, read_manifest
from tmd.data.preparing import PrepareOptions, prepare
from tmd.data.preparing.cutting import sharpness, starts
from tmd.data.sources import FileSource
from tmd.data.tiles import photo_of
from tmd.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"tile": 64, "overlap": 16, "min_side": 32}
NAMES = ("chelsea", "coffee", "rocket", "astronaut")


def pixels(name: str) -> np.ndarray:
    return getattr(skimage.data, name)()[100:260, 150:330]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four photos of 180 × 160 pixels, one in a folder of its own."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for name in NAMES:
        place = folder / "more" if name == "rocket" else folder
        Image.fromarray(pixels(name)).save(place / f"{name}.v1.png")
    return folder


def tiles_of(output: Path) -> dict[str, np.ndarray]:
    """The tiles of a prepared folder by their names, however they are stored."""
    found = {}
    for path in sorted((output / "images").rglob("*")):
        if path.suffix == ".npy":
            found["/".join(path.relative_to(output / "images").parts[1:])] = np.load(path)
        elif path.suffix == ".tar":
            with tarfile.open(path) as tar:
                for member in tar:
                    found[member.name] = np.load(io.BytesIO(tar.extractfile(member).read()))
    return found


def fates(output: Path) -> dict[str, tuple[str, str]]:
    with open(output / "photos.csv", newline="") as file:
        return {row["photo"]: (row["left out"], row["note"]) for row in csv.DictReader(file)}


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("length", [1, 63, 64, 65, 112, 113, 160, 1000])
@pytest.mark.parametrize("overlap", [0, 16, 63])
def test_each_patch_as_wide_as_the_overlap_lies_in_a_tile(length: int, overlap: int) -> None:
    found = [(first, min(first + 64, length)) for first in starts(length, 64, overlap)]
    width = min(max(1, overlap), length)
    for place in range(length - width + 1):
        assert any(a <= place and place + width <= b for a, b in found)
    assert {b - a for a, b in found} == {min(64, length)}
    assert len(found) == len(set(found))


@pytest.mark.parametrize("shards", [False, True])
def test_tiles_are_the_photos_pixels(photos: Path, tmp_path: Path, shards: bool) -> None:
    report = prepare([str(photos)], tmp_path / "out", PrepareOptions(**SMALL, shards=shards))
    tiles = tiles_of(tmp_path / "out")
    assert len(tiles) == report.tiles == 4 * 3 * 4
    for name, tile in tiles.items():
        photo, _, place = name.removesuffix(".npy").rpartition("@")
        top, left = (int(number) for number in place[1:].split("x"))
        original = pixels(Path(photo).name.removesuffix("_v1"))
        assert np.array_equal(tile, original[top : top + 64, left : left + 64])
    assert sum(name.startswith("more/rocket_v1@") for name in tiles) == 12


def test_the_manifest_says_from_what_by_what(photos: Path, tmp_path: Path) -> None:
    options = PrepareOptions(**SMALL)
    prepare([str(photos)], tmp_path / "out", options, command="tmd prepare photos")
    manifest = read_manifest(tmp_path / "out")
    assert manifest["command"] == "tmd prepare photos"
    assert manifest["source"]["roots"] == [str(photos)]
    assert manifest["source"]["images"] == manifest["prepared"]["photos"] == 4
    assert manifest["options"]["tile"] == 64
    assert manifest["kind"]["dtype"] == "uint8"
    assert not (tmp_path / "out" / JOURNAL).exists()


def test_shards_are_what_webdataset_reads(photos: Path, tmp_path: Path) -> None:
    options = PrepareOptions(**SMALL, shards=True, shard_size=1)
    prepare([str(photos)], tmp_path / "set", options)
    shards = sorted(map(str, (tmp_path / "set" / "images").glob("set-*.tar")))
    samples = list(webdataset.WebDataset(shards, shardshuffle=False).decode())
    tiles = tiles_of(tmp_path / "set")
    assert len(samples) == len(tiles)
    for sample in samples:
        assert np.array_equal(sample["npy"], tiles[f"{sample['__key__']}.npy"])


def test_png_tiles_are_for_other_programs(photos: Path, tmp_path: Path) -> None:
    prepare([str(photos)], tmp_path / "out", PrepareOptions(**SMALL, format="png"))
    found = sorted((tmp_path / "out" / "images").rglob("chelsea*.png"))
    assert len(found) == 12
    assert np.array_equal(np.asarray(Image.open(found[0])), pixels("chelsea")[:64, :64])


def test_bands_and_bits_are_kept(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    deep = rng.integers(0, 65536, (90, 100, 5), dtype=np.uint16)
    (tmp_path / "in").mkdir()
    tifffile.imwrite(
        tmp_path / "in" / "a.tif", deep, photometric="minisblack", planarconfig="contig"
    )
    prepare([str(tmp_path / "in")], tmp_path / "all", PrepareOptions(**SMALL))
    assert read_manifest(tmp_path / "all")["kind"]["channels"] == 5
    assert np.array_equal(tiles_of(tmp_path / "all")["a@y00026x00036.npy"], deep[26:, 36:])
    prepare([str(tmp_path / "in")], tmp_path / "some", PrepareOptions(**SMALL, bands=[4, 2]))
    found = tiles_of(tmp_path / "some")["a@y00000x00000.npy"]
    assert np.array_equal(found, deep[:64, :64, [3, 1]])


def test_floats_with_nan_are_left_out_by_name(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    good = np.random.default_rng(0).random((70, 80, 13), dtype=np.float32)
    bad = good.copy()
    bad[60, 70, 12] = np.nan
    np.save(tmp_path / "in" / "good.npy", good)
    np.save(tmp_path / "in" / "bad.npy", bad)
    report = prepare([str(tmp_path / "in")], tmp_path / "out", PrepareOptions(**SMALL))
    (count, example) = report.left_out["can't be read"]
    assert count == 1
    assert example.startswith(str(tmp_path / "in" / "bad.npy"))
    assert "NaN" in fates(tmp_path / "out")["bad.npy"][1]
    assert np.array_equal(tiles_of(tmp_path / "out")["good@y00000x00000.npy"], good[:64, :64])


@pytest.mark.parametrize(
    ("shape", "dtype", "said"),
    [
        ((70, 80, 13), "uint16", r"mixed bits: float32 in 1 image .*, uint16 in 1 image"),
        ((70, 80, 12), "float32", r"mixed bands: 12 bands in 1 image .*, 13 bands in 1 image"),
    ],
)
def test_mixed_kinds_are_refused_and_nothing_is_written(
    tmp_path: Path, shape: tuple[int, ...], dtype: str, said: str
) -> None:
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "a.npy", np.ones((70, 80, 13), np.float32))
    np.save(tmp_path / "in" / "b.npy", np.ones(shape, dtype))
    with pytest.raises(UserError, match=rf"^input=\S*in: {said}"):
        prepare([str(tmp_path / "in")], tmp_path / "out", PrepareOptions(**SMALL))
    assert not (tmp_path / "out").exists()


def test_what_is_of_no_use_is_left_out_and_said(photos: Path, tmp_path: Path) -> None:
    photo = Image.fromarray(pixels("coffee"))
    photo.filter(ImageFilter.GaussianBlur(4)).save(photos / "soft.png")
    photo.resize((40, 20)).save(photos / "tiny.png")
    half = pixels("chelsea").copy()
    half[:, :120] = 128
    Image.fromarray(half).save(photos / "half.png")
    (photos / "broken.png").write_bytes((photos / "coffee.v1.png").read_bytes()[:2000])
    options = PrepareOptions(**SMALL, min_sharpness=20, min_detail=3)
    report = prepare([str(photos)], tmp_path / "out", options)
    found = fates(tmp_path / "out")
    assert found["soft.png"][0] == "blurred"
    assert found["tiny.png"] == ("too small", "40×20")
    assert found["broken.png"][0] == "can't be read"
    assert found["half.png"][0] == found["coffee.v1.png"][0] == ""
    assert {key: count for key, (count, _) in report.left_out.items()} == {
        "blurred": 1,
        "too small": 1,
        "can't be read": 1,
    }
    # Of its columns of tiles, two of four lie in the grey part.
    names = [name for name in tiles_of(tmp_path / "out") if name.startswith("half@")]
    assert {name[-9:-4] for name in names} == {"00096", "00116"}
    assert len(names) == 6


def test_sharpness_is_the_variance_of_scipys_laplacian() -> None:
    from scipy.ndimage import laplace

    grey = np.random.default_rng(0).random((30, 40)).astype(np.float32) * 255
    assert sharpness(grey) == pytest.approx(laplace(grey)[1:-1, 1:-1].var(), rel=1e-4)


def test_duplicates_are_found_and_others_kept(photos: Path, tmp_path: Path) -> None:
    large = Image.fromarray(skimage.data.coffee())
    large.save(photos / "large.png")
    large.resize((300, 200)).save(photos / "small.jpg", quality=50)
    (photos / "copy.png").write_bytes((photos / "chelsea.v1.png").read_bytes())
    prepare([str(photos)], tmp_path / "exact", PrepareOptions(**SMALL, duplicates="exact"))
    prepare([str(photos)], tmp_path / "near", PrepareOptions(**SMALL, duplicates="near"))
    exact, near = fates(tmp_path / "exact"), fates(tmp_path / "near")
    assert {name: fate for name, fate in exact.items() if fate[0]} == {
        "copy.png": ("equal files", "chelsea.v1.png")
    }
    assert {name: fate for name, fate in near.items() if fate[0]} == {
        "copy.png": ("equal files", "chelsea.v1.png"),
        "small.jpg": ("look like a larger one", "large.png"),
    }


@pytest.mark.parametrize("shards", [False, True])
def test_pairs_are_cut_at_the_same_places(photos: Path, tmp_path: Path, shards: bool) -> None:
    (tmp_path / "lr" / "more").mkdir(parents=True)
    for path in photos.rglob("*.png"):
        small = np.asarray(Image.open(path))[1::4, 2::4]
        place = tmp_path / "lr" / path.relative_to(photos)
        Image.fromarray(small).save(place.with_name(f"{path.stem}x4.png"))
    options = PrepareOptions(**SMALL, shards=shards, scale=4)
    prepare([str(photos)], tmp_path / "out", options, lr_roots=str(tmp_path / "lr"))
    found = [
        FileSource(find_files([str(tmp_path / "out" / side)], 3).names(), 3)
        for side in ("lr", "hr")
    ]
    assert len(found[0]) == len(found[1]) == 4 * 3 * 4
    for index in range(48):
        lr, hr = (side.read(index) for side in found)
        assert np.array_equal(lr, hr[:, 1::4, 2::4])
    with pytest.raises(UserError, match=r"holds pairs; dataset.root=.*/out/hr dataset.lr_root="):
        create_dataset("folder", str(tmp_path / "out"), patch_size=32)
    given = {"name": "folder", "root": str(tmp_path / "out" / "hr"), "patch_size": 32}
    given |= {"lr_root": str(tmp_path / "out" / "lr"), "batch_size": 3, "validation": 1}
    streams = [
        create_paired_data({**given, "storage": storage, "workers": 0}, 4).batches()
        for storage in ("disk", "memory")
    ]
    for _ in range(3):
        (lr, hr), others = (next(stream) for stream in streams)
        assert torch.equal(hr, others[1])
        assert torch.equal(lr, others[0])


KILLED = """
import sys
from tmd.data.preparing import PrepareOptions, prepare
prepare([sys.argv[1]], sys.argv[2], PrepareOptions(
    tile=64, overlap=16, min_side=32, shards={shards}, shard_size=1, duplicates="near"
))
"""


def killed_after(marks: int, photos: Path, output: Path, shards: bool) -> None:
    """Begin a preparation, and end it by SIGKILL once so many parts are done."""
    words = [sys.executable, "-c", KILLED.format(shards=shards), str(photos), str(output)]
    process = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.DEVNULL)
    journal = output / JOURNAL
    while process.poll() is None:
        if journal.is_file() and len(journal.read_bytes().splitlines()) > marks:
            os.kill(process.pid, signal.SIGKILL)
            break
        time.sleep(0.002)
    process.wait()


def test_a_killed_preparation_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    image = skimage.data.coffee()
    for number in range(24):
        Image.fromarray(np.roll(image, 7 * number, 1)).save(photos / f"{number:02d}.jpg")
    options = PrepareOptions(**SMALL, shards=True, shard_size=1, duplicates="near")
    killed_after(2, photos, tmp_path / "a" / "out", True)
    assert (tmp_path / "a" / "out" / JOURNAL).is_file(), "it ended before the kill"
    with pytest.raises(UserError, match="tmd prepare has not ended; typed once more, it goes on"):
        create_dataset("folder", str(tmp_path / "a" / "out"), patch_size=32)
    with pytest.raises(UserError, match=r"was begun with tile=64; give another output"):
        prepare([str(photos)], tmp_path / "a" / "out", PrepareOptions(shards=True))
    with open(tmp_path / "a" / "out" / JOURNAL, "ab") as journal:
        journal.write(b'{"first": 40, "photos": [[1')  # as a kill leaves it
    ended = prepare([str(photos)], tmp_path / "a" / "out", options)
    whole = prepare([str(photos)], tmp_path / "b" / "out", options)
    assert ended == whole
    assert digests(tmp_path / "a" / "out") == digests(tmp_path / "b" / "out")
    assert not list(tmp_path.rglob(".writing-*"))


def test_once_more_nothing_is_done_and_other_sets_are_not_touched(
    photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = prepare([str(photos)], out, PrepareOptions(**SMALL))
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    again = prepare([str(photos)], out, PrepareOptions(**SMALL))
    assert again.was_there
    assert (again.tiles, again.photos) == (first.tiles, first.photos)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    with pytest.raises(UserError, match="holds another set; give another output, or overwrite"):
        prepare([str(photos)], out, PrepareOptions(**{**SMALL, "tile": 80}))
    prepare([str(photos)], out, PrepareOptions(**{**SMALL, "tile": 80}), overwrite=True)
    assert {tile.shape for tile in tiles_of(out).values()} == {(80, 80, 3)}
    with pytest.raises(UserError, match="is no empty folder, and no prepared one"):
        prepare([str(photos)], photos, PrepareOptions(**SMALL))
    with pytest.raises(UserError, match="is no empty folder"):
        prepare([str(photos)], photos, PrepareOptions(**SMALL), overwrite=True)
    assert len(list(photos.rglob("*.png"))) == 4


def test_nothing_left_is_an_error_and_no_set(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing is left to write: 4 too small"):
        prepare([str(photos)], tmp_path / "out", PrepareOptions(min_side=500))
    assert not (tmp_path / "out" / MANIFEST).exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tile": 8}, "tile=8: must be an integer"),
        ({"overlap": 512}, "overlap=512: must be less than tile=512"),
        ({"format": "jpg"}, "format='jpg': must be one of npy, png"),
        ({"duplicates": True}, "duplicates=True: must be one of keep, exact, near"),
        ({"channels": 3, "bands": [1]}, r"channels=3, bands=\[1\]: give one of them"),
        ({"bands": [0]}, "bands=0: must be an integer at least 1"),
        ({"shards": "yes"}, "shards='yes': must be True or False"),
    ],
)
def test_a_mistake_is_named(options: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        PrepareOptions(**options).check()


@pytest.mark.parametrize("shards", [False, True])
def test_tiles_of_one_photo_are_on_one_side(photos: Path, tmp_path: Path, shards: bool) -> None:
    prepare([str(photos)], tmp_path / "out", PrepareOptions(**SMALL, shards=shards))
    for seed in range(5):
        data = create_dataset(
            "folder", str(tmp_path / "out"), patch_size=32, validation=2, seed=seed
        )
        sides = [
            {photo_of(side.name(index)) for index in range(len(side))}
            for side in (data.train, data.validation)
        ]
        assert [len(side) for side in sides] == [2, 2]
        assert not sides[0] & sides[1]
        assert len(data.train) == 24
        assert len(data.validation) == 2
        assert "24 tiles of 2 photos to learn from" in data.summary
        data.close()


def test_halves_of_unpaired_training_share_no_photo(photos: Path, tmp_path: Path) -> None:
    from tmd.data.unpaired import halves

    prepare([str(photos)], tmp_path / "out", PrepareOptions(**SMALL))
    first, second = halves(find_files([str(tmp_path / "out")], 3), seed=1)
    sides = [{photo_of(side.name(i)) for i in range(len(side))} for side in (first, second)]
    assert len(first) == len(second) == 24
    assert not sides[0] & sides[1]


def test_photos_held_out_stay_so_when_a_run_goes_on(photos: Path, tmp_path: Path) -> None:
    prepare([str(photos)], tmp_path / "out", PrepareOptions(**SMALL))
    options = {"root": str(tmp_path / "out"), "patch_size": 32, "validation": 1}
    begun = create_dataset("folder", **options, seed=3)
    gone_on = create_dataset("folder", **options, seed=9, trained_on=begun.trained_on)
    names = [data.validation.name(0) for data in (begun, gone_on)]
    assert names[0] == names[1]


def test_the_manifest_is_json_that_anyone_reads(photos: Path, tmp_path: Path) -> None:
    prepare([str(photos)], tmp_path / "out", PrepareOptions(**SMALL))
    assert json.loads((tmp_path / "out" / MANIFEST).read_text())["format"] == "tmd prepare 1"
