from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tmd.data import DatasetOptions, create_dataset
from tmd.data.unpaired import (
    UnpairedData,
    UnpairedOptions,
    create_unpaired_data,
    halves,
    said_as_typed,
    two_sides,
)
from tmd.errors import UserError
from tmd.measurements import create_measurement

OPTIONS = {"name": "folder", "batch_size": 3, "patch_size": 16, "workers": 0, "validation": 2}


def write(folder: Path, count: int, side: int = 24, seed: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    for number in range(count):
        pixels = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
    return folder


def build(root: Path, seed: int = 1, **changes) -> UnpairedData:
    measure = create_measurement(["bicubic", {"name": "noise", "sigma": 0.02}], 2, seed)
    unpaired = {"root": changes.pop("unpaired_root", None), "crop": changes.pop("crop", None)}
    lr_given = changes.pop("lr_given", False)
    options = {**OPTIONS, "root": str(root), **changes}
    return create_unpaired_data(options, unpaired, measure, 2, seed, lr_given=lr_given)


def names(source) -> set[str]:
    return {Path(source.name(index)).name for index in range(len(source))}


def test_the_halves_and_the_held_out_images_share_nothing_and_are_all_there(
    tmp_path: Path,
) -> None:
    data = build(write(tmp_path, 12))
    parts = [names(source) for source in (data.lr.train, data.hr.train, data.lr.validation)]
    assert [len(part) for part in parts] == [5, 5, 2]
    assert len(set.union(*parts)) == 12


def test_the_seed_draws_the_halves(tmp_path: Path) -> None:
    write(tmp_path, 12)
    first, again, other = (names(build(tmp_path, seed).lr.train) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_two_views_of_one_scene_stay_on_one_side() -> None:
    source = create_dataset("demo", patch_size=48).train
    for seed in range(20):
        sides = [{Path(n).name for n in names(half)} for half in halves(source, seed)]
        assert [{"motorcycle_left.png", "motorcycle_right.png"} <= side for side in sides].count(
            True
        ) == 1
        assert len(sides[0] | sides[1]) == 10


def test_a_batch_depends_on_its_number_alone_and_lr_is_the_measurement_of_it(
    tmp_path: Path,
) -> None:
    data = build(write(tmp_path, 12))
    begun, late = data.batches(0), data.batches(2)
    third = [next(begun) for _ in range(3)][2]
    again = next(late)
    assert torch.equal(third.lr, again.lr)
    assert torch.equal(third.hr, again.hr)
    hr = create_dataset(
        **OPTIONS, root=str(tmp_path), scale=2, seed=1, choose=lambda s: halves(s, 1)[0]
    )
    seen = next(hr.batches(2)).float() / 255
    expected = create_measurement(["bicubic", {"name": "noise", "sigma": 0.02}], 2, 1)(seen, 2)
    assert torch.equal(again.lr, expected)
    assert (again.lr.shape, again.hr.shape) == ((3, 3, 8, 8), (3, 3, 16, 16))
    assert again.hr.dtype == torch.float32
    assert again.hr.max() <= 1
    data.close()
    hr.close()


def test_no_unpaired_patch_comes_from_an_image_of_the_lr_side(tmp_path: Path) -> None:
    """Each image is of one colour, which tells where a patch is from."""
    for number in range(10):
        Image.new("RGB", (24, 24), (20 * number, 0, 0)).save(tmp_path / f"{number}.png")
    data = build(tmp_path)
    colours: tuple[set[int], set[int]] = (set(), set())
    for _, batch in zip(range(12), data.batches(), strict=False):
        colours[0].update((batch.lr[:, 0].amax((1, 2)) * 255 / 20).round().int().tolist())
        colours[1].update((batch.hr[:, 0].amax((1, 2)) * 255 / 20).round().int().tolist())
    assert len(colours[1]) == 4
    assert not colours[1] & {int(name.removesuffix(".png")) for name in names(data.lr.train)}
    assert not colours[1] & {int(name.removesuffix(".png")) for name in names(data.lr.validation)}


def test_unpaired_images_that_are_on_the_lr_side_too_are_left_out(tmp_path: Path) -> None:
    write(tmp_path / "a", 6)
    write(tmp_path / "b", 8)  # the same six under the same seed, and two more
    data = build(tmp_path / "a", unpaired_root=str(tmp_path / "b"))
    assert len(data.lr.train) == 4
    assert names(data.hr.train) == {"06.png", "07.png"}
    with pytest.raises(UserError, match="unpaired: each of its images is one of dataset too"):
        build(tmp_path / "a", unpaired_root=str(tmp_path / "a"))


def test_given_lr_images_are_not_measured(tmp_path: Path) -> None:
    write(tmp_path / "lr", 6, side=12)
    write(tmp_path / "hr", 6, side=24, seed=5)
    data = build(tmp_path / "lr", unpaired_root=str(tmp_path / "hr"), lr_given=True)
    batch = next(data.batches())
    assert (batch.lr.shape, batch.hr.shape) == ((3, 3, 8, 8), (3, 3, 16, 16))
    levels = batch.lr * 255
    torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)
    held_out = data.held_out()[0]
    assert held_out.lr.shape == (1, 3, 12, 12)
    assert held_out.hr is None


def test_reference_images_are_unpaired_ones_the_same_each_time(tmp_path: Path) -> None:
    data = build(write(tmp_path, 12))
    images = data.reference_images(3, seed=4, side=20)
    assert [tuple(image.shape) for image in images] == [(1, 3, 20, 20)] * 3
    for image, again in zip(images, data.reference_images(3, seed=4, side=20), strict=True):
        assert torch.equal(image, again)
    # Compared as bytes: the sum of floats depends on how an image lies in memory.
    pixels = {
        data.hr.train.read(i)[:, 2:22, 2:22].numpy().tobytes() for i in range(len(data.hr.train))
    }
    assert {image[0].mul(255).round().byte().numpy().tobytes() for image in images} <= pixels


def few(folder: Path) -> None:
    write(folder, 2)
    build(folder, validation=1)


def other_sizes(folder: Path) -> None:
    write(folder / "a", 4, side=24)
    write(folder / "b", 4, side=32, seed=3)
    build(folder / "a", unpaired_root=str(folder / "b"), mode="whole")


def broken(folder: Path) -> None:
    write(folder / "a", 4)
    (folder / "b").mkdir()
    (folder / "b" / "x.png").write_bytes(b"no image")
    build(folder / "a", unpaired_root=str(folder / "b"))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (few, r"unpaired\.root=FOLDER gives the HR images"),
        (other_sizes, r"unpaired\.crop makes them equal"),
        (broken, r"^unpaired\.root=.*: none of its 1 images can be used"),
    ],
)
def test_what_can_not_be_is_said_of_the_keys_that_the_user_typed(
    tmp_path: Path, make: Callable[[Path], None], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        make(tmp_path)


def test_lr_root_beside_root_is_lr_and_hr_of_other_scenes(tmp_path: Path) -> None:
    write(tmp_path / "lr", 6, side=12)
    write(tmp_path / "hr", 6, side=24, seed=5)
    chosen = DatasetOptions(
        **OPTIONS, root=str(tmp_path / "hr"), lr_root=str(tmp_path / "lr"), crop=20
    )
    lr, hr = two_sides(chosen, UnpairedOptions())
    measure = create_measurement(["bicubic"], 2, 1)
    told = create_unpaired_data(vars(lr), hr.own, measure, 2, 1, lr_given=hr.lr_given)
    typed = build(tmp_path / "lr", unpaired_root=str(tmp_path / "hr"), lr_given=True, crop=20)
    for one, other in zip(next(told.batches()), next(typed.batches()), strict=True):
        assert torch.equal(one, other)
    assert [pair.hr for pair in told.held_out()] == [None, None]


@pytest.mark.parametrize(
    ("changes", "unpaired", "message"),
    [
        ({}, {"root": "x"}, r"dataset\.root has the HR images then; leave out unpaired"),
        ({"root": None}, {}, r"needs dataset\.root, HR of other scenes"),
        ({"align": True}, {}, r"dataset\.align=True: is for pairs"),
        ({"val_root": "x"}, {}, r"dataset\.val_lr_root=FOLDER holds LR images out"),
    ],
)
def test_keys_of_pairs_are_refused_where_lr_has_no_hr(changes, unpaired, message) -> None:
    chosen = DatasetOptions(**{"name": "folder", "root": "HR", "lr_root": "LR", **changes})
    with pytest.raises(UserError, match=message):
        two_sides(chosen, UnpairedOptions(**unpaired))


@pytest.mark.parametrize(
    ("absent", "key"),
    [("lr", "lr_root"), ("hr", "root"), ("val", "val_lr_root"), ("list", "list_file")],
)
def test_an_absent_side_is_said_by_the_key_that_was_typed(
    tmp_path: Path, absent: str, key: str
) -> None:
    for side in {"lr", "hr", "val"} - {absent}:
        write(tmp_path / side, 6, side=24)
    keys = {"lr": "lr_root", "hr": "root", "val": "val_lr_root", "list": "list_file"}
    typed = {keys[side]: str(tmp_path / side) for side in ("lr", "hr", "val")}
    if absent == "list":
        typed["list_file"] = str(tmp_path / "list")
    chosen = DatasetOptions(**OPTIONS, **typed)
    lr, hr = two_sides(chosen, UnpairedOptions())
    with pytest.raises(UserError, match=rf"^dataset\.{key}=\S*{absent}: "), said_as_typed(chosen):
        hr.check(vars(lr), 2)
