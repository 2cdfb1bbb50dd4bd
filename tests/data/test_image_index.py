"""What is remembered of a large folder is what searching it would find, or it is not used."""

from __future__ import annotations

import hashlib
import logging
import os
import random
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tmd.data import create_dataset, index, paths
from tmd.data.files import find_files
from tmd.images import list_images


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """Every folder is large, and old enough to be remembered."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(index, "_WORTHWHILE", 1)
    monkeypatch.setattr(index, "_COARSEST_TICK", -(10**18))
    return tmp_path / "cache" / "tmd" / "listings"


@pytest.fixture
def searches(monkeypatch) -> list[str]:
    """The roots that were searched."""
    searched: list[str] = []
    scan = index.scan_images

    def counted(root, **options):
        searched.append(root)
        return scan(root, **options)

    monkeypatch.setattr(index, "scan_images", counted)
    return searched


@pytest.fixture
def root(tmp_path) -> Path:
    """600 files of many lengths in folders, one of them empty, and links of both kinds."""
    top = tmp_path / "images"
    for number in range(600):
        put(top / f"n{number % 4}" / f"{number:04d}.png", number)
    put(top / "n1" / "deep" / "größe.jpg", 7)
    (top / "empty").mkdir()
    elsewhere = tmp_path / "elsewhere"
    put(elsewhere / "one.png", 11)
    put(elsewhere / "other" / "two.png", 12)
    (top / "linked").symlink_to(elsewhere)
    (top / "again").symlink_to(top / "n2")
    (top / "link.png").symlink_to(elsewhere / "one.png")
    return top


def put(path: Path, length: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * length)


def searched_anew(root: Path) -> tuple[list[str], str]:
    """(paths, digest) as the folder is now, by other means than the index."""
    found = [str(path) for path in list_images(root)]
    lines = "".join(f"{os.path.relpath(p, root)}\0{os.stat(p).st_size}\n" for p in found)
    return found, hashlib.blake2b(os.fsencode(lines), digest_size=8).hexdigest()


def found_in(root: Path) -> tuple[list[str], str]:
    files = find_files([str(root)], 3)
    return files.names(), files.digest()


def test_second_start_does_not_search(root, searches):
    first = found_in(root)
    assert found_in(root) == first == searched_anew(root)
    assert searches == [str(root)]


def rename(root: Path) -> None:
    (root / "n1" / "0001.png").rename(root / "n1" / "renamed.png")


def replace_by_another(root: Path) -> None:
    put(root.parent / "new.png", 5000)
    (root.parent / "new.png").rename(root / "n3" / "0003.png")


def relink_folder(root: Path) -> None:
    (root / "linked").unlink()
    (root / "linked").symlink_to(root.parent / "elsewhere" / "other")


def swap_linked_folder(root: Path) -> None:
    (root.parent / "elsewhere").rename(root.parent / "away")
    put(root.parent / "elsewhere" / "swapped.png", 3)
    put(root.parent / "elsewhere" / "one.png", 11)


def keep_the_times(root: Path) -> None:
    """As `rsync --times` and `tar` do: add a file, then set the folder's time back."""
    before = os.stat(root / "n0")
    put(root / "n0" / "added.png", 3)
    os.utime(root / "n0", ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES = {
    "added": lambda root: put(root / "n0" / "added.png", 3),
    "added where none was": lambda root: put(root / "empty" / "added.png", 3),
    "added in a new folder": lambda root: put(root / "n2" / "new" / "added.png", 3),
    "added behind a link": lambda root: put(root.parent / "elsewhere" / "added.png", 3),
    "added with the time set back": keep_the_times,
    "removed": lambda root: (root / "n2" / "0002.png").unlink(),
    "folder removed": lambda root: shutil.rmtree(root / "n1" / "deep"),
    "renamed": rename,
    "replaced": replace_by_another,
    "overwritten": lambda root: put(root / "n3" / "0003.png", 5000),
    "last one overwritten": lambda root: put(root / "n3" / "0599.png", 5000),
    "overwritten behind a link": lambda root: put(root.parent / "elsewhere" / "one.png", 5000),
    "folder's link leads elsewhere": relink_folder,
    "folder behind a link is another": swap_linked_folder,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_change_is_noticed(root, searches, change):
    before = found_in(root)
    change(root)
    after = found_in(root)
    assert after == searched_anew(root)
    assert after[1] != before[1]
    assert found_in(root) == after
    assert len(searches) == 2


def test_link_that_was_left_out_leads_to_other_images_now(root, tmp_path):
    (tmp_path / "turn").symlink_to(root / "n3")
    (root / "turning").symlink_to(tmp_path / "turn")
    before, _ = found_in(root)
    (tmp_path / "turn").unlink()
    (tmp_path / "turn").symlink_to(put(tmp_path / "new" / "1.png", 3) or tmp_path / "new")
    after, _ = found_in(root)
    assert set(after) - set(before) == {str(root / "turning" / "1.png")}


def test_folder_that_changed_a_moment_ago_is_not_remembered(root, cache, searches, monkeypatch):
    monkeypatch.setattr(index, "_COARSEST_TICK", 3_000_000_000)
    found_in(root)
    assert not cache.exists()
    found_in(root)
    assert len(searches) == 2


def test_folder_with_the_largest_inode_is_remembered(root, searches, monkeypatch):
    monkeypatch.setattr(index, "_COARSEST_TICK", 3_000_000_000)
    inode = SimpleNamespace(st_ino=2**64 - 1, st_mtime_ns=10**18, st_ctime_ns=10**18)
    monkeypatch.setattr(index, "os", SimpleNamespace(**{**vars(os), "stat": lambda path: inode}))
    monkeypatch.setattr(index, "_is_fuse", lambda root: False)
    assert found_in(root) == found_in(root)
    assert len(searches) == 1


def test_small_folder_is_not_remembered(root, cache, monkeypatch):
    monkeypatch.setattr(index, "_WORTHWHILE", 20_000)
    assert found_in(root) == searched_anew(root)
    assert not cache.exists()


def test_several_roots_are_remembered_each(root, tmp_path, searches):
    put(tmp_path / "more" / "3.png", 3)
    roots = [str(root), str(tmp_path / "more")]
    names = find_files(roots, 3).names()
    put(tmp_path / "more" / "4.png", 3)
    assert find_files(roots, 3).names() == [*names, str(tmp_path / "more" / "4.png")]
    assert searches == [*roots, roots[1]]


@pytest.mark.parametrize(
    "broken", [b"", b"PK\x03\x04 no archive", "half", "of another format", "a pickle"]
)
def test_broken_index_is_made_anew(root, cache, searches, broken):
    expected = found_in(root)
    (place,) = cache.iterdir()
    if broken == "half":
        place.write_bytes(place.read_bytes()[: place.stat().st_size // 2])
    elif broken == "of another format":
        with np.load(place) as stored:
            np.savez(place, **{**stored, "format": np.array(99)})
    elif broken == "a pickle":
        np.savez(place, format=np.array([object()], dtype=object))
    else:
        place.write_bytes(broken)
    assert found_in(root) == expected
    assert len(searches) == 2
    assert found_in(root) == expected
    assert len(searches) == 2


def test_wrong_byte_anywhere_changes_nothing(root, cache):
    expected = found_in(root)
    (place,) = cache.iterdir()
    content = place.read_bytes()
    for position in random.Random(0).sample(range(len(content)), 150):
        damaged = bytearray(content)
        damaged[position] ^= 0x55
        place.write_bytes(damaged)
        assert found_in(root) == expected, position


@pytest.mark.parametrize("where", ["a file", "relative", "no home"])
def test_cache_folder_that_cannot_be_is_no_error(root, tmp_path, monkeypatch, where):
    (tmp_path / "file").write_text("no folder")
    value = {"a file": str(tmp_path / "file"), "relative": "here", "no home": ""}[where]
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    monkeypatch.setenv("HOME", "nowhere" if where == "no home" else str(tmp_path))
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    assert found_in(root) == found_in(root) == searched_anew(root)
    assert set(tmp_path.iterdir()) == before


def test_full_disk_leaves_nothing_behind(root, cache, monkeypatch):
    def full(file, **arrays):
        file.write(b"some")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    assert found_in(root) == searched_anew(root)
    assert list(cache.iterdir()) == []


def test_slow_storage_is_not_waited_for(root, monkeypatch, caplog):
    expected = found_in(root)
    monkeypatch.setattr(index, "_SECONDS", 0)
    with caplog.at_level(logging.WARNING, "tmd.data"):
        assert found_in(root) == expected
    count = len(expected[0])
    unseen = {count - paths.BLOCK, count - count % paths.BLOCK}
    assert any(f"of {n} of its {count} images were not" in caplog.text for n in unseen)


def test_all_overwritten_is_noticed_on_slow_storage(root, monkeypatch):
    found_in(root)
    monkeypatch.setattr(index, "_SECONDS", 0)
    for path in list_images(root):
        path.write_bytes(path.read_bytes() + b"more")
    assert found_in(root) == searched_anew(root)


def test_mount_by_a_program_is_searched_every_time(root, cache, tmp_path, searches, monkeypatch):
    device = os.stat(root).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"24 1 0:1 / / rw shared:1 - ext4 /dev/vda rw\n36 24 {number} / /m rw - {{}}")
    monkeypatch.setattr(index, "_MOUNTS", mounts)
    text = mounts.read_text()
    mounts.write_text(text.format("fuse.s3fs s3fs rw\n"))
    assert found_in(root) == found_in(root)
    assert len(searches) == 2
    assert not cache.exists()
    mounts.write_text(text.format("xfs /dev/vdb rw\n"))
    assert found_in(root) == found_in(root)
    assert len(searches) == 3


def test_far_files_are_looked_at_by_threads_with_the_same_result(root, monkeypatch):
    monkeypatch.setattr(paths, "BLOCK", 8)
    names = paths.PackedStrings.of([str(path) for path in list_images(root)] + ["/nowhere"])
    expected = [os.stat(name).st_size for name in list(names)[:-1]] + [-1]
    assert paths.all_sizes(names).tolist() == expected
    monkeypatch.setattr(paths, "_FAR_AWAY", 0)
    assert paths.all_sizes(names).tolist() == expected


def test_packed_strings_are_what_a_list_is():
    strings = ["a", "", "größe/☃.png", os.fsdecode(b"not \xff utf-8"), "last"]
    packed = paths.PackedStrings.of(strings)
    assert list(packed) == strings
    assert [packed[i] for i in range(5)] == strings
    assert list(packed.take(np.array([4, 2, 2]))) == ["last", "größe/☃.png", "größe/☃.png"]
    assert packed.parts(1, 3) == [b"", os.fsencode("größe/☃.png")]
    assert list(paths.PackedStrings.concatenated([packed, packed])) == strings * 2
    assert list(paths.PackedStrings.of([])) == []


def test_training_begins_from_the_index_as_from_a_search(tmp_path, searches, shared_data):
    sources = list_images(shared_data / "train" / "BSDS500" / "train")[:8]
    for number, source in enumerate(sources):
        (tmp_path / "set").mkdir(exist_ok=True)
        shutil.copy(source, tmp_path / "set" / f"{number}.jpg")

    def begun():
        data = create_dataset("folder", str(tmp_path / "set"), patch_size=8, batch_size=2, seed=3)
        batches = data.batches()
        return data.fingerprint, [next(batches).tolist() for _ in range(3)]

    assert begun() == begun()
    assert len(searches) == 1
