"""What is wrong with a choice is said in one line before anything is decoded."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from PIL import Image

from tmd.data import DatasetOptions
from tmd.errors import UserError
from tmd.images import write_image


@pytest.fixture
def root(tmp_path):
    write_image(tmp_path / "images" / "1.png", torch.zeros(3, 40, 50))
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").touch()
    return tmp_path / "images"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "imagenet"}, "dataset.name='imagenet': must be one of celeba, demo, flickr8k"),
        ({"batch_size": 0}, "dataset.batch_size=0: must be an integer .*at least 1"),
        ({"batch_size": 2.5}, "dataset.batch_size=2.5: must be an integer"),
        (
            {"patch_size": 42},
            "dataset.patch_size=42: must be a multiple of scale=4, for .* 40",
        ),
        ({"patch_size": 0}, "dataset.patch_size=0: must be an integer .*at least 1"),
        ({"mode": "half"}, "dataset.mode='half': must be one of patches, whole"),
        ({"storage": "ram"}, "dataset.storage='ram': must be one of auto, disk, memory, device"),
        ({"max_pixels": 0}, "dataset.max_pixels=0: must be an integer .*at least 1"),
        (
            {"max_pixels": 100},
            "none of its 1 images.*more than 100 pixels.*larger dataset.max_pixels",
        ),
        ({"workers": -1}, "dataset.workers=-1: must be an integer .*at least 0"),
        ({"augment": 1}, "dataset.augment=1: must be True or False"),
        ({"strict": "no"}, "dataset.strict='no': must be True or False"),
        ({"validation": 1.5}, "dataset.validation=1.5: must be a number of images, or a share"),
        ({"validation": "some"}, "dataset.validation='some': must be a number of images"),
        ({"validation": True}, "dataset.validation=True: must be a number of images"),
        ({"crop": "big"}, "dataset.crop='big': must be a side"),
        ({"crop": [1, 2, 3]}, r"dataset.crop=\[1, 2, 3\]: must be a side"),
        ({"crop": 2}, "dataset.crop=2: must be an integer .*at least 4"),
        ({"shrink": 0.5}, "dataset.shrink=0.5: must be .*at least 1"),
        ({"shrink": []}, r"dataset.shrink=\[\]: must be a number, or a list of some"),
        ({"shrink": [1, 0]}, "dataset.shrink=0: must be .*at least 1"),
        ({"shrink": 8}, "6×5 is smaller than a patch"),
        ({"download": True}, "dataset.download=True: folder can't be; celeba, mnist can"),
        ({"root": None}, "dataset.root=None: folder needs the folder of its images"),
        ({"root": "/nowhere"}, "dataset.root=/nowhere: no such folder"),
        ({"val_root": "/nowhere"}, "dataset.val_root=/nowhere: no such folder"),
        ({"name": "demo"}, "demo brings its own images"),
        ({"patch_size": 64}, "none of its 1 images.*50×40 is smaller than a patch, 64×64"),
        ({"mode": "whole", "crop": 64}, "50×40 is smaller than the crop, 64×64"),
    ],
)
def test_mistakes_are_named_in_one_line(root, monkeypatch, options, message):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    chosen = DatasetOptions(**{"name": "folder", "root": str(root), "patch_size": 8, **options})
    with pytest.raises(UserError, match=message) as caught:
        chosen.check(scale=4)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["root", "val_root"])
def test_folder_without_images_is_named(root, key):
    empty = str(root.parent / "empty")
    chosen = DatasetOptions(**{"name": "folder", "root": str(root), "patch_size": 8, key: empty})
    with pytest.raises(UserError, match=f"dataset.{key}={empty}: holds no images"):
        chosen.check()


def test_search_ends_at_the_first_usable_image(root, monkeypatch):
    (root / "0-broken.png").write_text("no")
    read = []

    def spied(path):
        from tmd.images import read_size

        read.append(path)
        return read_size(path)

    monkeypatch.setattr("tmd.data.files.read_size", spied)
    for number in range(100):
        write_image(root / f"more-{number}.png", torch.zeros(3, 9, 9))
    DatasetOptions("folder", str(root), patch_size=8).check()
    assert 1 <= len(read) <= 2


def test_number_for_a_folders_name_is_taken_as_such(tmp_path, monkeypatch):
    write_image(tmp_path / "2012" / "1.png", torch.zeros(3, 9, 9))
    monkeypatch.chdir(tmp_path)
    DatasetOptions("folder", 2012, patch_size=8).check()


def test_max_pixels_lifts_the_limit(root, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    chosen = DatasetOptions("folder", str(root), patch_size=8)
    with pytest.raises(UserError, match="more than 1000 pixels"):
        chosen.check(scale=4)
    dataclasses.replace(chosen, max_pixels=2000).check(scale=4)
