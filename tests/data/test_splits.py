"""Which images are found, and which are held out: never the same ones."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import pytest
import torch

from tmd.data import create_dataset
from tmd.errors import UserError
from tmd.images import write_image


def fill(folder: Path, numbers, side: int = 16) -> Path:
    """Images, each of one colour of its own, half of them a level deeper."""
    for number in numbers:
        below = folder / "deep" if number % 2 else folder
        image = torch.randint(0, 256, (3, side, side), generator=torch.manual_seed(number))
        write_image(below / f"{number:03d}.png", image.to(torch.uint8))
    return folder


def dataset(root, **options):
    return create_dataset("folder", root, patch_size=8, batch_size=2, **options)


def names(source) -> set[str]:
    return {os.path.basename(source.name(index)) for index in range(len(source))}


def numbered(numbers) -> set[str]:
    return {f"{number:03d}.png" for number in numbers}


def test_split_by_seed_takes_each_image_once(tmp_path):
    fill(tmp_path, range(40))
    data = dataset(tmp_path, seed=1)
    assert len(data.train) == 32
    assert len(data.validation) == 8
    assert names(data.train) | names(data.validation) == numbered(range(40))
    assert names(dataset(tmp_path, seed=1).validation) == names(data.validation)
    assert names(dataset(tmp_path, seed=2).validation) != names(data.validation)


@pytest.mark.parametrize(
    ("validation", "expected"), [(3, 3), (0, 0), (0.25, 10), (0.001, 1), (39, 39)]
)
def test_validation_is_a_count_or_a_share(tmp_path, validation, expected):
    fill(tmp_path, range(40))
    data = dataset(tmp_path, validation=validation)
    assert (len(data.validation_images()), len(data.train)) == (expected, 40 - expected)


def test_at_least_one_image_is_left_to_learn_from(tmp_path):
    fill(tmp_path, range(4))
    with pytest.raises(UserError, match=r"dataset\.validation=4: there are 4 images.*leave one"):
        dataset(tmp_path, validation=4)


def test_one_image_alone_is_learnt_from_with_a_warning(tmp_path, caplog):
    fill(tmp_path, range(1))
    with caplog.at_level(logging.WARNING, "tmd.data"):
        data = dataset(tmp_path)
    assert (len(data.train), data.validation_images()) == (1, [])
    assert "none to validate on" in caplog.text


def test_given_validation_folder_inside_the_root_is_not_learnt_from(tmp_path):
    fill(tmp_path, range(6))
    fill(tmp_path / "val", range(10, 13))
    data = dataset(tmp_path, val_root=tmp_path / "val")
    assert names(data.train) == numbered(range(6))
    assert names(data.validation) == numbered(range(10, 13))


@pytest.mark.parametrize("how", ["copy", "hard link", "symbolic link"])
def test_validation_images_under_another_name_are_not_learnt_from(tmp_path, how):
    root, validation = fill(tmp_path / "all", range(8)), tmp_path / "val"
    validation.mkdir()
    place = {"copy": shutil.copy, "hard link": os.link, "symbolic link": os.symlink}[how]
    place(root / "002.png", validation / "other.png")
    data = dataset(root, val_root=validation)
    assert names(data.train) == numbered(set(range(8)) - {2})


def test_copy_of_a_held_out_image_is_not_learnt_from(tmp_path):
    fill(tmp_path, range(10))
    for number in range(0, 10, 2):
        shutil.copy(tmp_path / f"{number:03d}.png", tmp_path / f"copy-{number:03d}.png")
    data = dataset(tmp_path, validation=5)
    held_out = {name.removeprefix("copy-") for name in names(data.validation)}
    assert not held_out & {name.removeprefix("copy-") for name in names(data.train)}


def test_set_that_is_all_validation_is_an_error(tmp_path):
    fill(tmp_path, range(3))
    with pytest.raises(UserError, match="nothing to learn from"):
        dataset(tmp_path, val_root=tmp_path)


@pytest.mark.parametrize("as_text", [False, True], ids=["list", "commas"])
def test_several_roots_are_one_set(tmp_path, as_text):
    roots = [str(fill(tmp_path / "a", range(3))), str(fill(tmp_path / "b", range(2, 6)))]
    data = dataset(",".join(roots) if as_text else roots, validation=0)
    assert len(data.train) == 7
    labels = {data.train.label(index) for index in range(7)}
    assert {"a/002.png", "b/002.png", "a/deep/001.png"} <= labels


def test_overlapping_roots_give_each_image_once(tmp_path):
    fill(tmp_path, range(6))
    (tmp_path / "link").symlink_to(tmp_path / "deep")
    roots = [str(tmp_path / "deep"), str(tmp_path), str(tmp_path), str(tmp_path / "link")]
    assert len(dataset(roots, validation=0).train) == 6


def test_folder_with_a_comma_in_its_name_is_one_folder(tmp_path):
    fill(tmp_path / "a,b", range(3))
    assert len(dataset(str(tmp_path / "a,b"), validation=0).train) == 3


def test_list_file_chooses_images_of_any_root(tmp_path):
    roots = [str(fill(tmp_path / "a", range(4))), str(fill(tmp_path / "b", range(10, 14)))]
    (tmp_path / "list.txt").write_text("002.png\n\ndeep/013.png\n002.png\ndeep/001.png\n")
    data = dataset(roots, validation=0, list_file=str(tmp_path / "list.txt"))
    assert names(data.train) == numbered([2, 13, 1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("002.png\nnowhere.png\n", r"list\.txt: nowhere\.png is not in"),
        ("\n", "names no images"),
        (None, "No such file"),
        (b"\xff\xfe\x00\xd8", "not a text file"),
    ],
)
def test_wrong_list_file_is_named(tmp_path, content, message):
    fill(tmp_path, range(4))
    path = tmp_path / "list.txt"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=message) as caught:
        dataset(tmp_path, list_file=str(path))
    assert str(caught.value).startswith(f"dataset.list_file={path}: ")


def test_a_pipe_is_no_list(tmp_path):
    fill(tmp_path, range(4))
    os.mkfifo(tmp_path / "list")
    with pytest.raises(UserError, match="list: not a file"):
        dataset(tmp_path, list_file=str(tmp_path / "list"))


def test_fingerprint_follows_the_images_not_their_folder(tmp_path):
    here = dataset(fill(tmp_path / "here", range(9))).fingerprint
    shutil.copytree(tmp_path / "here", tmp_path / "moved")
    assert dataset(tmp_path / "moved").fingerprint == here
    assert here["train"]["images"] + here["validation"]["images"] == 9
    fill(tmp_path / "here", [3], side=17)
    fill(tmp_path / "moved", [9])
    assert dataset(tmp_path / "here").fingerprint != here
    assert dataset(tmp_path / "moved").fingerprint != here


def test_validation_images_divide_by_the_scale(tmp_path):
    fill(tmp_path, range(5), side=19)
    data = dataset(tmp_path, scale=4, validation=2)
    for name, image in data.validation_images():
        whole = torch.randint(0, 256, (3, 19, 19), generator=torch.manual_seed(int(name[-7:-4])))
        assert torch.equal(image, whole[:, :16, :16].to(torch.uint8))


def test_unusable_validation_image_is_skipped_and_named(tmp_path, caplog):
    fill(tmp_path / "train", range(4))
    fill(tmp_path / "val", range(10, 14, 2))
    (tmp_path / "val" / "broken.png").write_text("no")
    with caplog.at_level(logging.WARNING, "tmd.data"):
        data = dataset(tmp_path / "train", val_root=tmp_path / "val")
    assert [name for name, _ in data.validation_images()] == ["010.png", "012.png"]
    assert data.skipped == [[str(tmp_path / "val" / "broken.png"), "not an image"]]
    assert "broken.png: not an image" in caplog.text
