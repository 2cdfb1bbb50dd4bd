"""Batch i is a pure function of (seed, i): for any storage, any workers, any starting point."""

from __future__ import annotations

import itertools
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tmd.data import create_dataset
from tmd.errors import UserError
from tmd.images import write_image


def batches(data, first: int, count: int) -> torch.Tensor:
    taken = torch.stack(list(itertools.islice(data.batches(first), count)))
    data.close()
    return taken


@pytest.fixture(scope="module")
def bsds(shared_data, tmp_path_factory) -> dict:
    """Options for thirty photos of BSDS500."""
    root = shared_data / "train/BSDS500/train"
    listed = tmp_path_factory.mktemp("list") / "thirty.txt"
    listed.write_text("\n".join(sorted(path.name for path in root.glob("*.jpg"))[:30]))
    return {
        "name": "folder",
        "root": str(root),
        "list_file": str(listed),
        "batch_size": 2,
        "patch_size": 48,
        "scale": 4,
        "seed": 5,
    }


@pytest.fixture(scope="module")
def reference(bsds) -> torch.Tensor:
    return batches(create_dataset(**bsds, storage="disk", workers=0), 0, 51)


@pytest.mark.parametrize("first", [0, 25])
@pytest.mark.parametrize(
    ("storage", "workers"),
    [("disk", 1), ("disk", 2), ("memory", 0), ("memory", 1), ("memory", 2), ("device", 0)],
)
def test_batches_0_to_50_do_not_depend_on_storage_workers_or_start(
    bsds, reference, storage, workers, first
):
    data = create_dataset(**bsds, storage=storage, workers=workers)
    assert data.resolved["storage"] == storage
    assert torch.equal(batches(data, first, 51 - first), reference[first:])


def test_another_seed_gives_other_batches(bsds, reference):
    other = create_dataset(**{**bsds, "seed": 6})
    assert not torch.equal(batches(other, 0, 51), reference)


@pytest.fixture
def coded(tmp_path) -> Path:
    """Seven images whose pixels say where they come from: (image, row, column)."""
    for number in range(7):
        height, width = 20 + number, 30 - number
        row, column = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        image = torch.stack([torch.full_like(row, number), row, column]).to(torch.uint8)
        write_image(tmp_path / f"{number}.png", image)
    return tmp_path


def coded_dataset(root: Path, **options):
    options = {"batch_size": 4, "patch_size": 8, "validation": 0, "seed": 1, **options}
    return create_dataset("folder", root, **options)


def corner_and_turn(patch: torch.Tensor) -> tuple[int, int, int]:
    """(top, left, which of the eight turns) of a patch of `coded`, checked pixel by pixel."""
    number, rows, columns = patch.int()
    assert (number == number[0, 0]).all()
    top, left = int(rows.min()), int(columns.min())
    ahead = torch.arange(8)
    row, column = torch.meshgrid(ahead + top, ahead + left, indexing="ij")
    for turn, (quarters, mirror) in enumerate(itertools.product(range(4), (False, True))):
        expected = torch.rot90(torch.stack([row, column]), quarters, (1, 2))
        if mirror:
            expected = expected.flip(2)
        if torch.equal(expected, torch.stack([rows, columns])):
            return top, left, turn
    raise AssertionError("not a flip or right-angle turn of any crop")


def test_patches_are_crops_at_any_place_in_any_of_the_eight_turns(coded):
    patches = batches(coded_dataset(coded), 0, 300).flatten(0, 1)
    places = [corner_and_turn(patch) for patch in patches]
    tops, lefts, turns = (Counter(values) for values in zip(*places, strict=True))
    assert set(turns) == set(range(8))
    assert min(turns.values()) > 0.08 * len(patches)  # 0.125 expected
    assert set(tops) == set(range(26 - 8 + 1))
    assert set(lefts) == set(range(30 - 8 + 1))


def test_without_augmentation_patches_stay_upright(coded):
    patches = batches(coded_dataset(coded, augment=False), 0, 20).flatten(0, 1)
    assert {corner_and_turn(patch)[2] for patch in patches} == {0}


def test_each_image_comes_once_a_pass_in_another_order_each_pass(coded):
    patches = batches(coded_dataset(coded), 0, 21).flatten(0, 1)  # 84 patches, 12 passes
    passes = patches[:, 0, 0, 0].reshape(12, 7).tolist()
    assert all(sorted(images) == list(range(7)) for images in passes)
    assert len({tuple(images) for images in passes}) > 6


def test_set_smaller_than_a_batch_fills_it(coded):
    batch = batches(coded_dataset(coded, batch_size=20), 0, 1)[0]
    assert Counter(batch[:, 0, 0, 0].tolist()).most_common()[-1][1] >= 2


@pytest.mark.parametrize("storage", ["disk", "memory", "device"])
def test_whole_images_are_mirrored_left_right_only(tmp_path, storage):
    row, column = torch.meshgrid(torch.arange(11), torch.arange(9), indexing="ij")
    image = torch.stack([row, column, row]).to(torch.uint8)
    for number in range(3):
        write_image(tmp_path / f"{number}.png", image)
    write_image(tmp_path / "val" / "other.png", image + 1)
    data = coded_dataset(
        tmp_path, mode="whole", scale=2, storage=storage, validation=None, val_root=tmp_path / "val"
    )
    taken = batches(data, 0, 10).flatten(0, 1)
    assert taken.shape == (40, 3, 10, 8)
    upright = image[:, :10, :8]
    kinds = Counter(
        "upright"
        if torch.equal(t, upright)
        else "mirrored"
        if torch.equal(t, upright.flip(2))
        else "?"
        for t in taken
    )
    assert set(kinds) == {"upright", "mirrored"}
    assert min(kinds.values()) > 8


@pytest.mark.parametrize("mode", ["whole", "patches"])
def test_centre_crop_is_taken_first(coded, mode):
    data = coded_dataset(coded, mode=mode, crop=[12, 10], augment=False)
    taken = batches(data, 0, 30).flatten(0, 1)
    for number, rows, columns in taken.int():
        height, width = 20 + int(number[0, 0]), 30 - int(number[0, 0])
        assert rows.min() >= (height - 12) // 2
        assert rows.max() < (height - 12) // 2 + 12
        assert columns.min() >= (width - 10) // 2
        assert columns.max() < (width - 10) // 2 + 10
    assert taken.shape[2:] == ((12, 10) if mode == "whole" else (8, 8))


def spoil(root: Path) -> None:
    """Images 1 and 4 of `coded` become a truncated one and one that is too small."""
    path = root / "1.png"
    path.write_bytes(path.read_bytes()[:-40])
    write_image(root / "4.png", torch.zeros(3, 7, 30, dtype=torch.uint8))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("storage", ["disk", "memory", "device"])
def test_unusable_images_are_skipped_named_and_change_nothing_else(coded, storage, workers, caplog):
    sound = batches(coded_dataset(coded), 0, 20)
    spoil(coded)
    with caplog.at_level(logging.WARNING, "tmd.data"):
        data = coded_dataset(coded, storage=storage, workers=workers)
        taken = batches(data, 0, 20)
    assert sorted(Path(path).name for path, _ in data.skipped) == ["1.png", "4.png"]
    reasons = {Path(path).name: reason for path, reason in data.skipped}
    assert "broken image" in reasons["1.png"]
    assert reasons["4.png"] == "30×7 is smaller than a patch, 8×8"
    assert caplog.text.count("1.png") == caplog.text.count("4.png") == 1
    gone = torch.isin(sound[:, :, 0, 0, 0], torch.tensor([1, 4]))
    assert torch.equal(taken[~gone], sound[~gone])
    assert not torch.isin(taken[:, :, 0, 0, 0], torch.tensor([1, 4])).any()


def test_unusable_images_are_replaced_the_same_by_all_storages(coded):
    spoil(coded)
    taken = [
        batches(coded_dataset(coded, storage=storage, workers=workers), first, 21 - first)[
            20 - 20 :
        ]
        for storage, workers, first in (
            ("disk", 0, 0),
            ("disk", 2, 0),
            ("memory", 0, 0),
            ("device", 0, 0),
        )
    ]
    assert all(torch.equal(other, taken[0]) for other in taken)
    late = batches(coded_dataset(coded, storage="disk", workers=2), 9, 12)
    assert torch.equal(late, taken[0][9:])


@pytest.mark.parametrize("storage", ["disk", "memory", "device"])
def test_strict_makes_an_unusable_image_an_error(coded, storage):
    path = coded / "1.png"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match=r"dataset\.strict=True.*1\.png: broken") as caught:
        coded_dataset(coded, storage=storage, strict=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("storage", ["disk", "memory"])
@pytest.mark.parametrize("workers", [0, 1])
def test_set_in_which_every_image_is_truncated_is_one_line(coded, storage, workers):
    for path in coded.iterdir():
        path.write_bytes(path.read_bytes()[:-40])
    message = r"none of (the|its) \d+ images can be used, for example .*broken"
    with pytest.raises(UserError, match=message) as caught:
        next(coded_dataset(coded, storage=storage, workers=workers).batches())
    assert "\n" not in str(caught.value)


def test_set_of_too_small_images_is_one_line(coded):
    with pytest.raises(UserError, match=r"none of its 7 images can be used.*smaller than a patch"):
        coded_dataset(coded, patch_size=64)


def test_large_set_is_not_surveyed_but_gives_the_same_batches(coded, monkeypatch):
    spoil(coded)
    expected = batches(coded_dataset(coded, storage="disk"), 0, 20)
    monkeypatch.setattr("tmd.data.training._HEADERS_AT_START", 3)
    monkeypatch.setattr("tmd.data.training._HEADERS_SAMPLED", 2)
    data = coded_dataset(coded, storage="disk", workers=2)
    assert torch.equal(batches(data, 0, 20), expected)
    assert sorted(Path(path).name for path, _ in data.skipped) == ["1.png", "4.png"]
    assert torch.equal(batches(coded_dataset(coded, storage="auto"), 0, 20), expected)


def test_auto_chooses_disk_when_memory_is_short(coded, monkeypatch):
    assert coded_dataset(coded).resolved["storage"] == "memory"
    size = sum((20 + n) * (30 - n) * 3 for n in range(7))
    monkeypatch.setattr("tmd.data.training.available_memory", lambda: 2 * size - 1)
    data = coded_dataset(coded)
    assert data.resolved["storage"] == "disk"
    assert data.resolved["workers"] >= 1
    monkeypatch.setattr("tmd.data.training.available_memory", lambda: 2 * size)
    assert coded_dataset(coded).resolved["storage"] == "memory"


def private_kilobytes(pid: int, address: int) -> int:
    """What a process has for itself of the mapping at an address."""
    inside, total = False, 0
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        first, *rest = line.split()
        if "-" in first:
            begin, end = (int(part, 16) for part in first.split("-"))
            inside = begin <= address < end
        elif inside and first.startswith("Private_"):
            total += int(rest[0])
    return total


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux's /proc")
def test_workers_share_the_decoded_images(tmp_path):
    for number in range(3):
        write_image(tmp_path / f"{number}.bmp", torch.full((3, 1500, 1500), number * 9).byte())
    # In a fresh process, whose memory no other test has told to be kept.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
        used = fresh.submit(private_kilobytes_of_workers, tmp_path).result()
    assert len(used) >= 2
    assert max(used) < 8000  # of the set's 20 MB


def private_kilobytes_of_workers(folder: Path) -> list[int]:
    data = coded_dataset(folder, storage="memory", workers=2)
    stream = data.batches()
    for _ in range(30):
        next(stream)
    address = data._train.storage.pixels.data_ptr()
    used = [private_kilobytes(child, address) for child in children(os.getpid())]
    data.close()
    return used


def children(pid: int) -> list[int]:
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


SIGNALLED = """
    import signal, sys
    import torch
    from tmd.data import create_dataset
    caught = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: caught.append(number))
    options = {"batch_size": 2, "patch_size": 8}
    data = create_dataset("folder", sys.argv[1], workers=2, storage="disk", **options)
    stream = data.batches()
    taken = [next(stream) for _ in range(3)]
    print("ready", flush=True)
    while len(caught) < 2:
        taken.append(next(stream))
    taken += [next(stream) for _ in range(40)]
    alone = create_dataset("folder", sys.argv[1], workers=0, **options).batches()
    print(all(torch.equal(batch, next(alone)) for batch in taken))
"""


def test_workers_outlive_signals_to_the_group_and_end_with_their_parent(coded):
    """Ctrl-C and a scheduler's SIGTERM reach the workers too, but the parent still has to save.

    The program then ends without closing anything, and nothing but its own words is printed.
    """
    process = subprocess.Popen(
        # On one core torch warns of two workers.
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(SIGNALLED), str(coded)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout.readline() == "ready\n"
        for number in (signal.SIGINT, signal.SIGTERM):
            os.killpg(process.pid, number)
            time.sleep(0.3)
        out, err = process.communicate(timeout=300)
    finally:
        process.kill()
    assert (process.returncode, out, err) == (0, "True\n", "")


def test_close_ends_the_workers(coded):
    before = multiprocessing.active_children()
    data = coded_dataset(coded, storage="disk", workers=2)
    stream = data.batches()
    next(stream)
    assert len(multiprocessing.active_children()) == len(before) + 2
    data.close()
    assert len(multiprocessing.active_children()) == len(before)


def test_order_of_a_million_images_is_drawn_once_a_pass(monkeypatch):
    from tmd.data.sampling import Sampler, _order

    _order.cache_clear()
    sampler = Sampler(1_000_000, 16, seed=0, turns=8)
    for index in range(200):
        sampler.images(index)
    assert _order.cache_info().misses == 1
    assert len(set(itertools.chain.from_iterable(map(sampler.images, range(200))))) == 3200


def test_batches_are_fresh_memory(coded):
    """A trainer may change its batch in place."""
    data = coded_dataset(coded, storage="memory")
    first = next(data.batches())
    kept = first.clone()
    first.zero_()
    assert torch.equal(next(data.batches()), kept)
    assert np.shares_memory(first.numpy(), kept.numpy()) is False


def test_shrunk_images_are_pillows_where_they_are_learnt_from_and_validated_on(tmp_path) -> None:
    image = np.random.default_rng(3).integers(0, 256, (90, 61, 3)).astype(np.uint8)
    rows, columns = np.mgrid[:90, :61]
    image[..., 0] = 128 + 100 * np.sin(rows / 9) * np.cos(columns / 7)
    for name in ("a", "b"):
        write_image(tmp_path / f"{name}.png", torch.from_numpy(image).permute(2, 0, 1) / 255)
    data = create_dataset(
        "folder",
        str(tmp_path),
        mode="whole",
        shrink=2.5,
        batch_size=1,
        validation=1,
        augment=False,
        scale=1,
    )
    expected = Image.fromarray(image).resize((24, 36), Image.Resampling.BICUBIC)  # same kernel
    batch = batches(data, 0, 1)[0, 0]
    assert batch.shape == (3, 36, 24)
    ((_, held_out),) = data.validation_images()
    difference = batch.permute(1, 2, 0).int() - torch.from_numpy(np.array(expected)).int()
    # Pillow's borders are cut off, MATLAB's are mirrored.
    assert difference[4:-4, 4:-4].abs().max() <= 1
    assert torch.equal(batch, held_out)


def test_each_factor_of_several_gives_the_set_once_more(tmp_path) -> None:
    for shade in (40, 200):
        write_image(tmp_path / f"{shade}.png", torch.full((3, 32, 48), shade / 255))
    write_image(tmp_path / "val" / "v.png", torch.full((3, 32, 48), 0.5))
    data = create_dataset(
        "folder",
        str(tmp_path),
        val_root=str(tmp_path / "val"),
        shrink=[2, 1],
        batch_size=1,
        patch_size=16,
        scale=4,
    )
    assert len(data.train) == 4
    assert [data.train.size(i) for i in range(4)] == [(16, 24), (16, 24), (32, 48), (32, 48)]
    assert [int(data.train.read(i)[0, 0, 0]) for i in range(4)] == [200, 40, 200, 40]
    assert data.train.name(0) == f"{data.train.name(2)} shrunk by 2"
    ((_, held_out),) = data.validation_images()
    assert held_out.shape == (3, 16, 24)
    drawn = Counter(int(batch[0, 0, 0, 0]) for batch in itertools.islice(data.batches(), 8))
    assert drawn == {40: 4, 200: 4}
    data.close()
