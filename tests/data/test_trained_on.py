"""An image that was once learnt from is not held out, whatever becomes of its folder."""

from __future__ import annotations

import io
import logging
import shutil

import pytest
import torch

from tests.data.test_splits import dataset, fill, names, numbered
from tmd.data import splits
from tmd.data.sources import ArraySource
from tmd.errors import UserError


@pytest.fixture(params=["by content", "by name"])
def identity(request, monkeypatch) -> str:
    if request.param == "by name":
        monkeypatch.setattr(splits, "_READ_AT_START", 0)
    return request.param


def reread(state: dict) -> dict:
    """As a checkpoint gives it back."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def resumed(data, root, **options):
    return dataset(root, trained_on=reread(data.trained_on), **options)


def test_photos_added_to_the_folder_bring_no_trained_one_to_validation(tmp_path, identity):
    first = dataset(fill(tmp_path, range(40)))
    again = dataset(fill(tmp_path, range(40, 100)))
    assert names(first.train) & names(again.validation)  # what the record is for
    data = resumed(first, tmp_path)
    assert not names(first.train) & names(data.validation)
    assert names(first.validation) <= names(data.validation)
    assert len(data.validation) == 10
    assert names(data.train) == numbered(range(100)) - names(data.validation)


def test_an_unchanged_folder_is_split_as_it_was(tmp_path, identity):
    first = dataset(fill(tmp_path, range(40)))
    data = resumed(first, tmp_path)
    assert data.fingerprint == first.fingerprint
    # A second resume after photos were added, too: the split depends on what was before then.
    fill(tmp_path, range(40, 60))
    second = resumed(first, tmp_path)
    third = resumed(second, tmp_path)
    assert third.fingerprint == second.fingerprint
    assert second.fingerprint != first.fingerprint


def test_unchanged_folders_whose_images_look_alike_are_split_as_they_were(tmp_path, identity):
    """Copies, and equal names in several folders, are no other images than they were."""
    for folder in "abcd":
        fill(tmp_path / folder, range(6))
    first = dataset(tmp_path)
    assert resumed(first, tmp_path).fingerprint == first.fingerprint


def test_images_are_known_again_in_another_folder(tmp_path, identity):
    first = dataset(fill(tmp_path / "old", range(40)))
    assert first.trained_on["by_content"] == (identity == "by content")
    shutil.move(tmp_path / "old", tmp_path / "new")
    fill(tmp_path / "new", range(40, 60))
    data = resumed(first, tmp_path / "new")
    assert not names(first.train) & names(data.validation)
    assert names(first.validation) <= names(data.validation)


def test_images_are_known_again_under_another_name(tmp_path):
    first = dataset(fill(tmp_path / "old", range(40)))
    for number in range(40):
        old = tmp_path / "old" / ("deep" if number % 2 else "") / f"{number:03d}.png"
        (tmp_path / "new").mkdir(exist_ok=True)
        shutil.copy(old, tmp_path / "new" / f"x{number:03d}.png")
    data = resumed(first, tmp_path / "new")
    assert {name.removeprefix("x") for name in names(data.validation)} == names(first.validation)


def test_what_any_run_before_learnt_from_counts(tmp_path):
    first = dataset(fill(tmp_path / "a", range(20)))
    second = resumed(first, fill(tmp_path / "b", range(20, 40)))
    third = resumed(second, [str(tmp_path / "a"), str(tmp_path / "b")])
    assert not names(third.validation) & (names(first.train) | names(second.train))


def test_a_wish_for_more_held_out_images_than_are_new_is_not_met(tmp_path, caplog):
    first = dataset(fill(tmp_path, range(10)), validation=2)
    with caplog.at_level(logging.WARNING, "tmd.data"):
        data = resumed(first, tmp_path, validation=5)
    assert names(data.validation) == names(first.validation)
    assert "2 images are held out, not 5" in caplog.text
    none = dataset(tmp_path, validation=0)
    with pytest.raises(UserError, match=r"dataset\.validation=3: .*dataset\.val_root"):
        resumed(none, tmp_path, validation=3)
    assert len(resumed(none, tmp_path).validation) == 0


def test_fewer_held_out_images_than_before_are_some_of_them(tmp_path):
    first = dataset(fill(tmp_path, range(20)), validation=6)
    assert names(resumed(first, tmp_path, validation=3).validation) < names(first.validation)


def test_a_folder_to_validate_on_loses_what_was_learnt_from(tmp_path, caplog):
    first = dataset(fill(tmp_path / "photos", range(10)), validation=0)
    others = fill(tmp_path / "val", range(8, 12))
    with caplog.at_level(logging.WARNING, "tmd.data"):
        data = resumed(first, tmp_path / "photos", val_root=others)
    assert names(data.validation) == numbered((10, 11))
    assert "2 images are held out, not 4" in caplog.text


def test_the_record_is_eight_bytes_an_image(tmp_path):
    data = dataset(fill(tmp_path, range(40)))
    state = data.trained_on
    assert state["images"].numel() * state["images"].element_size() == 8 * len(data.train)


def test_a_set_in_memory_is_known_by_its_pixels():
    images = torch.randint(0, 256, (9, 4, 4), dtype=torch.uint8)
    some = ArraySource(images, 1, "a").subset([7, 2])
    known = splits.identities(ArraySource(images, 1, "b"), by_content=False)
    assert splits.identities(some, by_content=False).tolist() == known[[7, 2]].tolist()
