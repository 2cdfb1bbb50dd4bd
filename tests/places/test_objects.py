"""Objects kept on disk up to a size, by several processes at once."""

from __future__ import annotations

import errno
import io
import multiprocessing
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tmd.errors import UserError
from tmd.places import objects, set_cache_size

MEGABYTE = 1_000_000


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    yield tmp_path / "tmd" / "objects"
    set_cache_size(objects.DEFAULT_GIGABYTES)


def obtain(name: str, size: int = MEGABYTE, fetched: list[str] | None = None) -> bytes:
    def fetch(file: io.BytesIO) -> None:
        if fetched is not None:
            fetched.append(name)
        file.write(name.encode().ljust(size, b"."))

    with objects.obtained(objects.key_of(name, "1", 0, size), name, size, fetch) as file:
        return file.read()


def kept(home: Path) -> int:
    return sum(path.stat().st_size for path in home.glob("??/*"))


def test_what_was_fetched_is_not_fetched_again() -> None:
    fetched: list[str] = []
    assert obtain("a", 10, fetched) == obtain("a", 10, fetched) == b"a........."
    assert fetched == ["a"]


def test_another_version_is_another_object(home: Path) -> None:
    keys = {objects.key_of("a", version, 0, 5) for version in ("1", "2")}
    keys |= {objects.key_of("a", "1", start, length) for start, length in ((1, 5), (0, 6))}
    assert len(keys) == 4


def test_the_longest_unused_go_when_there_is_too_much(home: Path) -> None:
    set_cache_size(0.005)
    long_ago = time.time() - 1000
    for number in range(5):
        obtain(str(number))
        for path in home.glob("??/*"):  # as if each had been fetched a while before the next
            os.utime(path, (long_ago + number, long_ago + number))
    for path in home.glob("??/*"):
        number = int(path.read_bytes()[:1])
        os.utime(path, (long_ago + number, long_ago + number))
    fetched: list[str] = []
    obtain("0", fetched=fetched)  # used just now
    obtain("5", fetched=fetched)
    assert kept(home) <= 5 * MEGABYTE
    for name in ("0", "5", "4"):
        obtain(name, fetched=fetched)
    assert fetched == ["5"]
    obtain("1", fetched=fetched)
    assert fetched == ["5", "1"]


def test_what_is_being_read_stays_readable_when_it_goes(home: Path) -> None:
    set_cache_size(0.0021)
    with objects.obtained(
        "0" * 40, "x", MEGABYTE, lambda file: file.write(b"x" * MEGABYTE)
    ) as file:
        for number in range(4):
            obtain(str(number))
        assert not (home / "00" / ("0" * 38)).exists()
        assert file.read() == b"x" * MEGABYTE


def test_a_fetch_that_fails_leaves_nothing(home: Path) -> None:
    def fetch(file: io.BytesIO) -> None:
        file.write(b"half of it")
        raise ConnectionError

    with pytest.raises(ConnectionError):
        objects.obtained("0" * 40, "x", 100, fetch)
    assert not list(home.glob("??/*"))


def test_a_file_cut_by_a_loss_of_power_is_fetched_again(home: Path) -> None:
    obtain("a", 1000)
    (path,) = home.glob("??/*")
    os.truncate(path, 10)
    assert obtain("a", 1000) == b"a".ljust(1000, b".")


def test_what_the_disk_has_no_room_for_is_held_in_memory(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_cache_size(0)
    assert obtain("a", 10) == b"a........."
    assert not kept(home)
    set_cache_size(1)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(objects, "replacing", full)
    assert obtain("b", 10) == b"b........."
    monkeypatch.setattr(objects, "LARGEST_IN_MEMORY", 5)
    with pytest.raises(UserError, match=r"^c: its 1e-08 GB must be kept .*dataset\.cache=1 \(GB\)"):
        obtain("c", 10)


def _obtain_many(seed: int, wrong: multiprocessing.Queue) -> None:
    set_cache_size(0.004)
    for step in range(60):
        name = str((seed * 7 + step * 3) % 9)
        if obtain(name) != name.encode().ljust(MEGABYTE, b"."):
            wrong.put(name)


def test_processes_share_it_and_keep_its_limit_together(home: Path) -> None:
    wrong: multiprocessing.Queue = multiprocessing.Queue()
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_obtain_many, args=(seed, wrong)) for seed in range(4)]
    for process in processes:
        process.start()
    most = 0
    while any(process.is_alive() for process in processes):
        most = max(most, kept_now(home))
        time.sleep(0.005)
    for process in processes:
        process.join()
    assert wrong.empty()
    assert [process.exitcode for process in processes] == [0] * 4
    assert kept(home) <= 4 * MEGABYTE
    # Each may have one that is not counted yet.
    assert most <= 8 * MEGABYTE


def kept_now(home: Path) -> int:
    total = 0
    for path in home.glob("??/[0-9a-f]*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total
