"""Each kind of dataset, in the layouts in which people have it."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path

import pytest
import torch
from torchvision import datasets as published

from tmd.data import DATASETS, create_dataset
from tmd.errors import UserError
from tmd.images import write_image


def names(source) -> list[str]:
    return [os.path.basename(source.name(index)) for index in range(len(source))]


def one_batch(*args, **options) -> torch.Tensor:
    data = create_dataset(*args, scale=4, batch_size=2, **options)
    return next(data.batches())


def test_demo_needs_no_files_and_validates_quickly():
    data = create_dataset("demo", scale=4)
    assert next(data.batches()).shape[1] == 3
    assert {tuple(image.shape) for _, image in data.validation_images()} == {(3, 256, 256)}
    train, held_out = set(names(data.train)), set(names(data.validation))
    assert not train & held_out
    assert {"motorcycle_left.png", "motorcycle_right.png"} <= train  # two views of one scene
    assert data.resolved == {**data.resolved, "storage": "memory", "workers": 0}


def test_every_default_patch_suits_every_scale():
    assert set(DATASETS) >= {"demo", "folder", "celeba", "flickr8k", "mnist"}
    for name in DATASETS:
        assert all(DATASETS[name].patch_size % scale == 0 for scale in (2, 3, 4, 8))


@pytest.mark.parametrize("mode", ["patches", "whole"])
def test_celeba_as_a_plain_folder(shared_data, tmp_path, mode):
    faces = shared_data / "faces/celeba_89x109"
    (tmp_path / "some.txt").write_text("\n".join(f"{n:06d}.jpg" for n in range(1, 41)))
    options = {"list_file": str(tmp_path / "some.txt"), "mode": mode}
    side = DATASETS["celeba"].patch_size
    expected = (2, 3, side, side) if mode == "patches" else (2, 3, 108, 88)
    assert one_batch("celeba", faces, **options).shape == expected


@pytest.fixture
def celeba(tmp_path) -> Path:
    """torchvision's layout with twelve faces, the last three of each split of four."""
    folder = tmp_path / "celeba"
    lines = [f"{n:06d}.jpg" for n in range(1, 13)]
    for number, name in enumerate(lines):
        image = torch.full((3, 109, 89), number * 20, dtype=torch.uint8)
        write_image(folder / "img_align_celeba" / name, image)
    tables = {
        "list_eval_partition.txt": [f"{n} {k // 4}" for k, n in enumerate(lines)],
        "identity_CelebA.txt": [f"{n} 1" for n in lines],
        "list_bbox_celeba.txt": ["12", "image_id x y w h", *(f"{n} 1 2 3 4" for n in lines)],
        "list_landmarks_align_celeba.txt": ["12", "a b", *(f"{n}  1  2" for n in lines)],
        "list_attr_celeba.txt": ["12", "Young Smiling", *(f"{n} 1 -1" for n in lines)],
    }
    for name, content in tables.items():
        (folder / name).write_text("\n".join(content) + "\n")
    return tmp_path


def test_celeba_in_torchvisions_layout_has_torchvisions_splits(celeba, monkeypatch):
    monkeypatch.setattr(published.CelebA, "_check_integrity", lambda self: True)
    expected = {split: published.CelebA(celeba, split).filename for split in ("train", "valid")}
    for root in (celeba, celeba / "celeba", celeba / "celeba/img_align_celeba"):
        data = create_dataset("celeba", root)
        assert names(data.train) == expected["train"]
        assert names(data.validation) == expected["valid"]


def test_celeba_with_kaggles_partition(celeba):
    old = celeba / "celeba/list_eval_partition.txt"
    rows = [line.replace(" ", ",") for line in old.read_text().splitlines()]
    old.unlink()
    (celeba / "celeba/list_eval_partition.csv").write_text("\n".join(["image_id,partition", *rows]))
    data = create_dataset("celeba", celeba)
    assert (len(data.train), len(data.validation)) == (4, 4)


def test_flickr8k_as_a_plain_folder(shared_data):
    data = create_dataset("flickr8k", shared_data / "flickr8k", batch_size=2, storage="disk")
    assert len(data.train) + len(data.validation) == 68


@pytest.fixture
def flickr8k(tmp_path) -> Path:
    for number in range(8):
        image = torch.full((3, 100, 120), number * 30, dtype=torch.uint8)
        write_image(tmp_path / "Flicker8k_Dataset" / f"{number}_abc.jpg", image)
    return tmp_path


@pytest.mark.parametrize("folder", [".", "Flickr8k_text"])
def test_flickr8k_with_its_own_split(flickr8k, folder):
    (flickr8k / folder).mkdir(exist_ok=True)
    split = {"train": range(4), "dev": range(4, 6), "test": range(6, 8)}
    for name, numbers in split.items():
        path = flickr8k / folder / f"Flickr_8k.{name}Images.txt"
        path.write_text("".join(f"{number}_abc.jpg\n" for number in numbers))
    data = create_dataset("flickr8k", flickr8k)
    assert names(data.train) == [f"{n}_abc.jpg" for n in split["train"]]
    assert names(data.validation) == [f"{n}_abc.jpg" for n in split["dev"]]


def test_flickr8k_in_torchvisions_layout(flickr8k):
    rows = "".join(
        f"<tr><td><a href='x'>http://photos/{n}/</a></td><td><ul><li>a dog</li></ul></td></tr>"
        for n in range(5)
    )
    page = flickr8k / "8k-pictures.html"
    page.write_text(f"<html><body><table>{rows}</table></body></html>")
    expected = published.Flickr8k(str(flickr8k / "Flicker8k_Dataset"), str(page)).ids
    data = create_dataset("flickr8k", flickr8k, validation=0)
    assert names(data.train) == [os.path.basename(path) for path in expected]
    assert len(expected) == 5


def test_mnist_in_torchvisions_layout(shared_data, tmp_path):
    shutil.copytree(shared_data / "mnist/subset_8k_2k", tmp_path, dirs_exist_ok=True)
    packed = list(tmp_path.rglob("*.gz"))
    for path in packed:
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
    raw = tmp_path / "MNIST/raw"
    if not raw.exists():
        raw.mkdir(parents=True)
        for path in tmp_path.glob("*-ubyte"):
            path.rename(raw / path.name)
    data = create_dataset("mnist", tmp_path)
    digits = published.MNIST(tmp_path, train=True).data
    assert len(data.train) == len(digits) == 8000
    assert torch.equal(data.train.read(123)[0], digits[123])
    test = {image.numpy().tobytes() for image in published.MNIST(tmp_path, train=False).data}
    assert {image.numpy().tobytes() for _, image in data.validation_images()} <= test
    assert len(data.validation_images()) == 100
    assert data.channels == 1


@pytest.mark.parametrize("channels", [1, 3])
def test_mnist_of_one_and_three_channels(shared_data, channels):
    side = DATASETS["mnist"].patch_size
    batch = one_batch("mnist", shared_data / "mnist/subset_8k_2k", channels=channels)
    assert batch.shape == (2, channels, side, side)
    assert all(torch.equal(batch[:, 0], batch[:, k]) for k in range(channels))


def test_mnist_with_only_one_set_is_split_by_the_seed(shared_data):
    data = create_dataset("mnist", shared_data / "mnist/original")
    assert (len(data.train), len(data.validation)) == (9900, 100)
    first = {image.numpy().tobytes() for _, image in data.validation_images()}
    other = create_dataset("mnist", shared_data / "mnist/original", seed=1)
    assert first != {image.numpy().tobytes() for _, image in other.validation_images()}


def test_mnist_that_is_broken_or_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match="holds no MNIST files"):
        create_dataset("mnist", tmp_path)
    for name, content in (("train-images-idx3-ubyte", b"no"), ("x-images-idx3-ubyte.gz", b"no")):
        (tmp_path / name.replace("x-", "t10k-")).write_bytes(content)
        with pytest.raises(UserError, match=r"-images-idx3-ubyte(\.gz)?: broken") as caught:
            create_dataset("mnist", tmp_path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["mnist", "celeba"])
def test_failed_download_names_the_ways_out(tmp_path, monkeypatch, name):
    def fail(*args, **kwargs):
        raise OSError("network is\nunreachable")

    monkeypatch.setattr(published.MNIST, "download", fail)
    monkeypatch.setattr(published.CelebA, "download", fail)
    with pytest.raises(UserError, match=r"could not be fetched \(network is unreachable\); put"):
        create_dataset(name, tmp_path, download=True)
