"""Given pairs: found, checked all at once, and cut at the same places of both sides."""

from __future__ import annotations

import itertools
import logging
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from tmd.data import MeasuredData, PairedData, create_dataset, create_paired_data
from tmd.data.shifts import shift
from tmd.distributed import Share
from tmd.errors import UserError
from tmd.evaluation import look_at_given_lr, open_benchmark
from tmd.images import ImageKind, read_image, write_image
from tmd.measurements import create_measurement
from tmd.resize import imresize_uint8

SCALE = 3


def blocks(number: int, height: int = 12, width: int = 14) -> Tensor:
    """LR whose pixels say where they are: (image, row, column)."""
    row, column = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([torch.full_like(row, number), row, column]).to(torch.uint8)


def enlarged(lr: Tensor, scale: int = SCALE) -> Tensor:
    """HR of which each LR pixel is a block."""
    return lr.repeat_interleave(scale, 1).repeat_interleave(scale, 2)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Six pairs, of which the place of every pixel is known."""
    for number in range(6):
        lr = blocks(number, 12 + number, 14)
        write_image(tmp_path / "HR" / f"{number}_HR.png", enlarged(lr))
        write_image(tmp_path / "LR" / f"{number}x3.png", lr)
    return tmp_path


def options(here: Path, **changes: Any) -> dict[str, Any]:
    return {
        "name": "folder",
        "root": str(here / "HR"),
        "lr_root": str(here / "LR"),
        "batch_size": 4,
        "patch_size": 15,
        "validation": 1,
        "workers": 0,
        **changes,
    }


def create(here: Path, scale: int = SCALE, seed: int = 5, **changes: Any) -> PairedData:
    arguments = {k: changes.pop(k) for k in ("measurement", "share") if k in changes}
    return create_paired_data(options(here, **changes), scale, seed, **arguments)


def batches(data: Any, count: int, first: int = 0) -> list[tuple[Tensor, Tensor]]:
    taken = list(itertools.islice(data.batches(first), count))
    data.close()
    return taken


def equal(one: list[tuple[Tensor, Tensor]], other: list[tuple[Tensor, Tensor]]) -> bool:
    return all(
        torch.equal(a, b)
        for pair, another in zip(one, other, strict=True)
        for a, b in zip(pair, another, strict=True)
    )


# Batches -----------------------------------------------------------------------------------------


def test_crops_and_turns_fall_on_the_same_place_of_both(root: Path) -> None:
    taken = batches(create(root), 60)
    places, turns = set(), set()
    for lr, hr in taken:
        assert (lr.shape, hr.shape) == ((4, 3, 5, 5), (4, 3, 15, 15))
        assert torch.equal(torch.stack([enlarged(each) for each in lr]), hr)
        for number, row, column in lr.mul(255).round().int().tolist():
            places.add((number[0][0], min(map(min, row)), min(map(min, column))))
            turns.add(
                (row[0][0] - row[-1][-1], column[0][0] - column[-1][-1], row[0][0] - row[0][1])
            )
    assert len(turns) == 8
    assert len(places) > 150
    assert len({image for image, _, _ in places}) == 5
    # From the first place to the last that an image has.
    assert {column for _, _, column in places} == set(range(10))


@pytest.mark.parametrize(
    ("storage", "workers", "first"), [("disk", 2, 0), ("memory", 0, 7), ("device", 0, 0)]
)
def test_batches_do_not_depend_on_storage_workers_or_start(
    root: Path, storage: str, workers: int, first: int
) -> None:
    reference = batches(create(root, storage="disk"), 12)
    data = create(root, storage=storage, workers=workers)
    assert equal(batches(data, 12 - first, first), reference[first:])


def test_processes_share_the_rows_of_a_batch(root: Path) -> None:
    whole = batches(create(root), 4)
    halves = [batches(create(root, share=Share(rank, 2)), 4) for rank in range(2)]
    for (lr, hr), *parts in zip(whole, *halves, strict=True):
        assert torch.equal(torch.cat([part[0] for part in parts]), lr)
        assert torch.equal(torch.cat([part[1] for part in parts]), hr)


def smooth(number: int, height: int, width: int) -> Tensor:
    """A photo of sorts, uint8."""
    random = torch.Generator().manual_seed(number)
    coarse = torch.rand(1, 3, height // 6 + 2, width // 6 + 2, generator=random)
    fine = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")[0]
    return fine.clamp(0, 1).mul(255).round().to(torch.uint8)


def test_given_lr_that_is_what_we_make_gives_the_batches_of_made_lr(tmp_path: Path) -> None:
    """To the bit, for images used whole: a crop's LR, made of the crop, knows nothing beyond it."""
    measure = create_measurement(["bicubic"], 4, 5)
    for number in range(5):
        hr = smooth(number, 24, 32)
        write_image(tmp_path / "HR" / f"{number}.png", hr)
        write_image(tmp_path / "LR" / f"{number}x4.png", measure(hr[None] / 255)[0])
    chosen = options(tmp_path, mode="whole", augment=False)
    given = create_paired_data(chosen, 4, 5)
    images = create_dataset(**{**chosen, "lr_root": None}, scale=4, seed=5)
    made = MeasuredData(images, measure)
    assert equal(batches(given, 9), batches(made, 9))
    for one, other in zip(given.held_out(), made.held_out(), strict=True):
        assert torch.equal(one.lr, other.lr)
        assert torch.equal(one.hr, other.hr)


def test_a_share_of_lr_is_made_by_number_and_seed_alone(root: Path) -> None:
    def build(**changes: Any) -> PairedData:
        def measurement(kind: Any) -> Any:
            return create_measurement(["decimate", {"name": "noise", "sigma": 0.2}], SCALE, 5)

        return create(root, made=0.4, measurement=measurement, **changes)

    mixed = batches(build(storage="device"), 12)
    assert equal(batches(build(storage="disk"), 2, first=10), mixed[10:])
    halves = [batches(build(share=Share(rank, 2)), 2) for rank in range(2)]
    assert torch.equal(torch.cat([half[1][0] for half in halves]), mixed[1][0])


def test_made_lr_is_the_measurements_and_the_rest_is_given(root: Path) -> None:
    def measurement(kind: Any) -> Any:
        return create_measurement([{"name": "noise", "sigma": 0.2}, "decimate"], SCALE, 5)

    given, mixed = (
        batches(create(root), 100),
        batches(create(root, made=0.4, measurement=measurement), 100),
    )
    measure, changed = measurement(None), 0
    for index, ((lr, hr), (other, _)) in enumerate(zip(given, mixed, strict=True)):
        made = measure(hr, index)
        for row in range(len(lr)):
            same = torch.equal(other[row], lr[row])
            assert same or torch.equal(other[row], made[row])
            changed += not same
    assert changed == pytest.approx(160, abs=35)  # 400 · 0.4 and 3.5 standard deviations


def test_hr_is_sharpened_with_lr_that_is_made_of_it_and_the_files_with_given(root: Path) -> None:
    def measurement(kind: Any) -> Any:
        sharpen = {"name": "sharpen", "weight": 2, "radius": 5, "threshold": 0}
        return create_measurement([sharpen, "bicubic"], SCALE)

    measure, sharpened = measurement(None), 0
    mixed = batches(create(root, made=0.4, measurement=measurement), 30)
    for index, ((lr, hr), (other, target)) in enumerate(
        zip(batches(create(root), 30), mixed, strict=True)
    ):
        made, sharp = measure.pair(hr, index)
        for row in range(len(lr)):
            is_made = not torch.equal(target[row], hr[row])
            assert torch.equal(target[row], (sharp if is_made else hr)[row])
            # Flat images are not changed, whether they are made or given.
            given = not is_made and not torch.equal(sharp[row], hr[row])
            assert given or torch.equal(other[row], made[row])
            assert not given or torch.equal(other[row], lr[row])
            sharpened += is_made
    assert 20 < sharpened < 80  # of 120


# Layouts -----------------------------------------------------------------------------------------


def names(data: PairedData) -> list[str]:
    return sorted(Path(data.images.train.name(i)).name for i in range(len(data.images.train)))


def test_lists_of_folders_go_together_in_their_order(tmp_path: Path) -> None:
    for name, start in (("a", 0), ("b", 10)):
        for number in range(2):
            lr = blocks(start + number)
            write_image(tmp_path / f"{name}_hr" / f"{number}.png", enlarged(lr))
            write_image(tmp_path / f"{name}_lr" / f"{number}.png", lr)
    roots = [[str(tmp_path / f"{name}_{side}") for name in "ab"] for side in ("hr", "lr")]
    data = create(tmp_path, root=roots[0], lr_root=roots[1], validation=0)
    assert len(data.images.train) == 4
    for lr, hr in batches(data, 10):
        assert torch.equal(torch.stack([enlarged(each) for each in lr]), hr)


def test_a_list_of_two_columns_pairs_whatever_it_names(tmp_path: Path) -> None:
    lines = []
    for number, other in enumerate(["x.png", "y z.png", "deep/w.png"]):
        write_image(tmp_path / "HR" / f"photo {number}.png", enlarged(blocks(number)))
        write_image(tmp_path / "LR" / other, blocks(number))
        lines.append(f"photo {number}.png\t{other}")
    write_image(tmp_path / "LR" / "nobodys.png", blocks(9))
    (tmp_path / "pairs.txt").write_text("\n".join(lines))
    data = create(tmp_path, list_file=str(tmp_path / "pairs.txt"), validation=0)
    assert names(data) == ["photo 0.png", "photo 1.png", "photo 2.png"]
    for lr, hr in batches(data, 6):
        assert torch.equal(torch.stack([enlarged(each) for each in lr]), hr)
    (tmp_path / "pairs.txt").write_text("\n".join([*lines, "photo 0.png\tgone.png"]))
    with pytest.raises(UserError, match=r"1 LR images of the list are absent \(gone\.png\)"):
        create(tmp_path, list_file=str(tmp_path / "pairs.txt"))
    (tmp_path / "pairs.txt").write_text("\n".join([*lines, "photo 0.png"]))
    with pytest.raises(UserError, match=r"photo 0\.png has one column, others have two"):
        create(tmp_path, list_file=str(tmp_path / "pairs.txt"))


def test_versions_of_lr_give_the_set_once_more_and_the_first_validates(root: Path) -> None:
    for number in range(6):
        write_image(root / "other" / f"{number}.png", 255 - blocks(number, 12 + number, 14))
    data = create(root, lr_root=[str(root / "LR"), str(root / "other")])
    assert len(data.images.train) == 10
    ((_, lr, hr),) = data.held_out()
    assert torch.equal(enlarged(lr[0]), hr[0])
    direct = sum(
        torch.equal(enlarged(one), other)
        for lr, hr in batches(data, 5)
        for one, other in zip(lr, hr, strict=True)
    )
    assert direct == 10  # one pass: each of the five once by each version


def test_patterns_are_versions_too(tmp_path: Path) -> None:
    for number in range(2):
        write_image(tmp_path / "HR" / f"{number}.png", enlarged(blocks(number)))
        for version in (1, 2):
            write_image(tmp_path / "LR" / f"{number}x3w{version}.png", blocks(number))
    with pytest.raises(UserError, match=r"2 HR images have several .*0\.png: 0x3w1\.png, 0x3w2"):
        create(tmp_path)
    assert len(create(tmp_path, lr_pattern="{}x3w2", validation=0).images.train) == 2
    both = create(tmp_path, lr_pattern=["{}x3w1", "{}x3w2"], validation=0)
    assert len(both.images.train) == 4


def test_shards_hold_pairs_as_folders_do(root: Path) -> None:
    for side in ("HR", "LR"):
        with tarfile.open(root / f"{side}.tar", "w") as shard:
            for path in sorted((root / side).iterdir()):
                shard.add(path, arcname=path.name)
    packed = create(root, root=str(root / "HR.tar"), lr_root=str(root / "LR.tar"))
    assert equal(batches(packed, 8), batches(create(root), 8))


def test_bits_that_differ_between_the_sides_are_told_by_name(root: Path) -> None:
    levels = np.zeros((12, 14, 3), np.uint16)
    for path in (root / "LR").iterdir():
        path.unlink()
    for number in range(6):
        tifffile.imwrite(root / "LR" / f"{number}x3.tif", levels, photometric="rgb")
    with pytest.raises(UserError, match=r"mixed bits: uint16 in 6 images .*0x3\.tif.* uint8 in 6"):
        create(root)


def test_16_bit_pairs_keep_their_bits(tmp_path: Path) -> None:
    for side in ("HR", "LR"):
        (tmp_path / side).mkdir()
    for number in range(3):
        lr = np.random.default_rng(number).integers(0, 65536, (12, 14, 3), np.uint16)
        hr = lr.repeat(SCALE, 0).repeat(SCALE, 1)
        tifffile.imwrite(tmp_path / "LR" / f"{number}x3.tif", lr, photometric="rgb")
        tifffile.imwrite(tmp_path / "HR" / f"{number}.tif", hr, photometric="rgb")
    data = create(tmp_path, validation=1)
    assert data.kind.dtype == "uint16"
    for lr, hr in batches(data, 6):
        assert torch.equal(torch.stack([enlarged(each) for each in lr]), hr)
        assert (lr * 255 - (lr * 255).round()).abs().max() > 0.1  # between the levels of 8 bits


def test_one_folder_may_hold_both_sides(tmp_path: Path) -> None:
    for number in range(3):
        write_image(tmp_path / f"Canon_{number}_HR.png", enlarged(blocks(number)))
        write_image(tmp_path / f"Canon_{number}_LR3.png", blocks(number))
    data = create(tmp_path, root=str(tmp_path), lr_root=str(tmp_path), validation=0)
    assert names(data) == [f"Canon_{number}_HR.png" for number in range(3)]


def test_images_to_validate_on_have_an_lr_folder_of_their_own(root: Path) -> None:
    write_image(root / "val" / "v.png", enlarged(blocks(77)))
    write_image(root / "val_lr" / "vx3.png", blocks(77))
    given = {"val_root": str(root / "val"), "val_lr_root": str(root / "val_lr"), "validation": None}
    data = create(root, **given)
    ((name, lr, hr),) = data.held_out()
    assert name == "v.png"
    assert torch.equal(enlarged(lr[0]), hr[0])
    assert len(data.images.train) == 6
    with pytest.raises(UserError, match=r"dataset\.val_lr_root=None: give both or none"):
        create(root, **{**given, "val_lr_root": None})


def test_pairs_of_one_size_are_restoration(tmp_path: Path) -> None:
    for number in range(3):
        write_image(tmp_path / "HR" / f"{number}.png", blocks(number))
        write_image(tmp_path / "LR" / f"{number}.png", 255 - blocks(number))
    for lr, hr in batches(create(tmp_path, scale=1, patch_size=5, validation=0), 6):
        assert torch.equal((1 - lr).mul(255).round(), hr.mul(255).round())


# What is wrong -----------------------------------------------------------------------------------


def test_all_that_is_wrong_is_told_at_once(root: Path) -> None:
    (root / "LR" / "0x3.png").unlink()
    write_image(root / "LR" / "1_LR3.png", blocks(1, 13, 14))
    write_image(root / "LR" / "stray.png", blocks(1))
    write_image(root / "LR" / "2x3.png", blocks(2, 9, 14))
    with pytest.raises(UserError) as problem:
        create(root)
    assert str(problem.value) == (
        f"dataset.lr_root={root / 'LR'}: 1 HR images have no partner (0_HR.png); "
        "1 HR images have several partners, or share one (1_HR.png: 1_LR3.png, 1x3.png); "
        "1 LR images have no HR image (stray.png); "
        "1 pairs are of sizes that scale=3 does not explain "
        "(2_HR.png 42×42 and 2x3.png 14×9) (6 HR images)"
    )


def test_many_are_counted_and_the_first_named(root: Path) -> None:
    for number in range(5):
        (root / "LR" / f"{number}x3.png").unlink()
    with pytest.raises(
        UserError, match=r"5 HR images have no .*\(0_HR.png, 1_HR.png, 2_HR.png, …\)"
    ):
        create(root)


def test_a_partner_that_was_rounded_is_cropped_and_counted(root: Path) -> None:
    hr = enlarged(blocks(0, 12, 14))
    write_image(root / "HR" / "0_HR.png", hr[:, :-2, :-1])  # LR rounded up
    write_image(
        root / "HR" / "1_HR.png", torch.nn.functional.pad(enlarged(blocks(1, 13, 14)), (0, 2))
    )
    data = create(root, validation=0, mode="patches")
    assert data.facts["cropped"] == 2
    sizes = [data.images.train.size(i) for i in range(2)]
    assert sizes == [(33, 39), (39, 42)]
    for lr, hr in batches(data, 20):
        assert torch.equal(torch.stack([enlarged(each) for each in lr]), hr)
    write_image(
        root / "HR" / "1_HR.png", torch.nn.functional.pad(enlarged(blocks(1, 13, 14)), (0, 3))
    )
    with pytest.raises(
        UserError, match=r"1 pairs are of sizes .*1_HR\.png 45×39 and 1x3\.png 14×13"
    ):
        create(root)


def test_swapped_folders_and_another_scale_are_told(root: Path) -> None:
    swapped = {"root": str(root / "LR"), "lr_root": str(root / "HR"), "patch_size": 6}
    with pytest.raises(UserError, match=r"6 LR images are called as HR; are the two swapped\?"):
        create(root, **swapped)
    for path in (root / "HR").glob("*.png"):
        path.rename(path.with_name(path.name.replace("_HR", "")))
    for path in (root / "LR").glob("*.png"):
        path.rename(path.with_name(path.name.replace("x3", "")))
    with pytest.raises(UserError, match=r"scale=2 does not explain .*; all are of factor 3"):
        create(root, scale=2, patch_size=6)
    with pytest.raises(UserError, match=r"6 LR images are larger than HR; are the two swapped\?"):
        create(root, **swapped)


def test_lr_whose_names_say_another_scale_is_told(root: Path) -> None:
    with pytest.raises(UserError, match=r"not of scale=2 by their names, as 0x3\.png"):
        create(root, scale=2, patch_size=6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr_root": "absent"}, r"dataset\.lr_root=absent: no such folder"),
        ({"lr_root": ["LR", "LR"], "root": ["HR", "HR", "HR"]}, r"2 folders for the 3 of"),
        ({"lr_root": "HR/0_HR.png"}, r"is a file; pairs are listed by dataset\.list_file"),
        ({"shrink": 2}, r"dataset\.shrink=2: given LR images are not shrunk"),
        ({"made": 1}, r"dataset\.made=1: must be a number at least 0 and below 1"),
        ({"align": 1}, r"dataset\.align=1: must be True or False"),
        ({"lr_root": None, "made": 0.5}, r"dataset\.made=0\.5: needs dataset\.lr_root"),
        ({"lr_root": None, "align": True}, r"dataset\.align=True: needs dataset\.lr_root"),
        ({"lr_pattern": "low"}, r"dataset\.lr_pattern='low': must be text with \{name\}"),
        ({"name": "demo", "root": None}, r"needs dataset\.root, the HR images"),
    ],
)
def test_options_that_can_not_be_are_one_line(
    root: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(root)
    with pytest.raises(UserError, match=message) as problem:
        create(root, **changes)
    assert "\n" not in str(problem.value)


def test_a_list_of_two_columns_needs_lr_root(root: Path) -> None:
    (root / "pairs.txt").write_text("0_HR.png 0x3.png\n")
    with pytest.raises(UserError, match=r"has two columns; dataset\.lr_root=FOLDER"):
        create(root, lr_root=None, list_file=str(root / "pairs.txt"))


@pytest.mark.parametrize("side", ["HR/2_HR.png", "LR/2x3.png"])
@pytest.mark.parametrize("storage", ["disk", "memory"])
def test_a_pair_of_which_a_side_is_broken_is_left_out(root: Path, side: str, storage: str) -> None:
    good = (root / side).read_bytes()
    # Its header is sound: what is wrong shows when it is decoded.
    (root / side).write_bytes(good[:48] + bytes(len(good) - 68) + good[-20:])
    data = create(root, storage=storage, validation=0)
    for lr, hr in batches(data, 12):
        assert torch.equal(torch.stack([enlarged(each) for each in lr]), hr)
        assert not (hr[:, 0, 0, 0] * 255).round().eq(2).any()
    assert [Path(path).name for path, _ in data.skipped] == ["2_HR.png"]
    with pytest.raises(UserError, match=r"dataset\.strict=True: 1 images can't be used"):
        create(root, storage=storage, validation=0, strict=True)


# Shifts ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def photos(shared_data: Path) -> list[Tensor]:
    paths = sorted((shared_data / "train/BSDS500/train").glob("*.jpg"))
    images = (read_image(path) for path in paths)
    return list(itertools.islice((x for x in images if x.shape[-1] == 481), 4))


def save_shifted(photos: list[Tensor], root: Path, down: int, right: int) -> Path:
    """Pairs whose LR is made, by Pillow, of the photo ``down`` and ``right`` HR pixels away."""
    for number, photo in enumerate(photos):
        hr, moved = (
            photo[:, 20:276, 20:420],
            photo[:, 20 - down : 276 - down, 20 - right : 420 - right],
        )
        write_image(root / "HR" / f"{number}.png", hr)
        picture = Image.fromarray(moved.permute(1, 2, 0).numpy())
        (root / "LR").mkdir(exist_ok=True)
        picture.resize((100, 64), Image.Resampling.LANCZOS).save(root / "LR" / f"{number}x4.png")
    return root


def test_shifts_are_measured_recorded_and_told(
    photos: list[Tensor], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_shifted(photos, tmp_path, down=5, right=-2)
    with caplog.at_level(logging.WARNING, "tmd.data"):
        facts = create(tmp_path, 4, patch_size=32, validation=0).facts
    assert facts["shift"] == pytest.approx([5 / 4, -2 / 4], abs=0.06)
    (line,) = [r.getMessage() for r in caplog.records if "shifted" in r.getMessage()]
    assert "4 of 4 pairs" in line
    assert re.search(r"by \+1\.[23]\d down and -0\.[45]\d right", line)
    assert "dataset.align=True" in line


def test_aligned_pairs_show_the_same(photos: list[Tensor], tmp_path: Path) -> None:
    save_shifted(photos, tmp_path, down=5, right=-2)
    data = create(tmp_path, 4, patch_size=32, validation=0, align=True)
    assert data.facts["moved"] == 4
    assert data.facts["largest_move"] == pytest.approx(np.hypot(5, 2) / 4, abs=1e-3)
    assert data.facts["shift"] == pytest.approx([0, 0], abs=0.06)
    assert data.facts["bicubic_db"] > 40
    assert [data.images.train.size(i) for i in range(4)] == [(248, 396)] * 4


def test_pairs_that_lie_upon_each_other_are_not_warned_of(
    photos: list[Tensor], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number, photo in enumerate(photos):
        write_image(tmp_path / "HR" / f"{number}.png", photo[:, :256, :400])
        write_image(
            tmp_path / "LR" / f"{number}x4.png", imresize_uint8(photo[:, :256, :400], 1 / 4)
        )
    with caplog.at_level(logging.WARNING, "tmd.data"):
        facts = create(tmp_path, 4, patch_size=32, validation=0).facts
    assert not caplog.records
    assert facts["shift"] == [0, 0]
    assert facts["bicubic_db"] is None  # no difference at all


def test_lr_that_is_not_matlabs_is_told_with_its_distance(
    photos: list[Tensor], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_shifted(photos, tmp_path, 0, 0)
    with caplog.at_level(logging.WARNING, "tmd.data"):
        facts = create(tmp_path, 4, patch_size=32, validation=0).facts
    hr = [read_image(tmp_path / "HR" / f"{n}.png") for n in range(4)]
    lr = [read_image(tmp_path / "LR" / f"{n}x4.png") for n in range(4)]
    errors = [
        np.mean((imresize_uint8(h, 1 / 4).double() / 255 - x.double() / 255).square().numpy())
        for h, x in zip(hr, lr, strict=True)
    ]
    expected = -10 * np.log10(np.mean(errors))
    assert facts["bicubic_db"] == pytest.approx(expected, abs=0.01)
    assert any(
        f"not MATLAB's bicubic of HR: {expected:.1f} dB from it" in r.getMessage()
        for r in caplog.records
    )


@pytest.mark.parametrize(
    "image",
    [
        lambda: torch.full((3, 64, 64), 0.5),
        lambda: torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(1)),
        lambda: torch.rand(3, 8, 64),
    ],
)
def test_of_what_shows_nothing_in_common_no_shift_is_told(image: Callable[[], Tensor]) -> None:
    assert np.isnan(shift(image(), torch.rand(3, *image().shape[-2:]))).all()


def _reduced(how: str, hr: np.ndarray) -> np.ndarray:
    size = hr.shape[1] // SCALE, hr.shape[0] // SCALE
    if how == "lanczos":
        return np.asarray(Image.fromarray(hr).resize(size, Image.Resampling.LANCZOS))
    if how == "area":
        return np.asarray(Image.fromarray(hr).reduce(SCALE))
    if how == "first":
        return hr[::SCALE, ::SCALE]
    if how == "linear":
        return np.asarray(Image.fromarray(hr).resize(size, Image.Resampling.BILINEAR))
    mode, blurred = "bicubic", torch.from_numpy(hr).permute(2, 0, 1)[None].float()
    if how == "camera":
        noise = torch.randn(blurred.shape, generator=torch.Generator().manual_seed(3))
        blurred = F.avg_pool2d(blurred, 5, 1, 2) + 4 * noise
    made = F.interpolate(blurred, size[::-1], mode=mode, antialias=False)[0]
    return made.round().clamp(0, 255).byte().permute(1, 2, 0).numpy()


@pytest.mark.parametrize(
    ("how", "named"),
    [
        ("cubic", "OpenCV's INTER_CUBIC, or torch's bicubic without antialias"),
        ("lanczos", "Pillow's LANCZOS"),
        ("linear", "Pillow's BILINEAR"),
        ("area", f"the mean of {SCALE}×{SCALE} pixels (OpenCV's INTER_AREA)"),
        ("first", f"one pixel of {SCALE}×{SCALE}, without a filter"),
        ("camera", ""),
    ],
)
def test_another_reduction_of_given_lr_is_named(tmp_path: Path, how: str, named: str) -> None:
    from skimage import data

    for folder in ("HR", "LR"):
        (tmp_path / folder).mkdir()
    for name, photo in (("a", data.astronaut()), ("b", data.chelsea())):
        hr = photo[: 240 // SCALE * SCALE, : 240 // SCALE * SCALE]
        Image.fromarray(hr).save(tmp_path / "HR" / f"{name}.png")
        Image.fromarray(_reduced(how, hr)).save(tmp_path / "LR" / f"{name}.png")
    look = look_at_given_lr(
        open_benchmark(tmp_path / "HR", SCALE, tmp_path / "LR"), ImageKind.of(3)
    )
    assert look is not None
    assert look.nearest == named
    assert look.described()["reduced_by"] == (named or None)
    note = look.note(SCALE)
    assert note.startswith("the given LR is not MATLAB's bicubic of HR: ")
    assert ("it looks like" in note) == bool(named)
    assert "\n" not in note
