"""Members of tars found by an index: whatever wrote the tar, and whatever became of it."""

from __future__ import annotations

import os
import subprocess
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tmd.errors import UnreachableError, UserError
from tmd.places import FilePart, index_of, open_elsewhere, open_part, shards, size_elsewhere

#: Names that need each way in which tars hold them; contents of awkward lengths.
FILES = {
    "a.bin": 0,
    "b/1.bin": 1,
    "b/512.bin": 512,
    f"{'long/' * 40}{'n' * 120}.bin": 513,
    "grüße und leer.bin": 100_000,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "files"
    for name, length in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(os.urandom(length))
    (root / "link.bin").symlink_to("a.bin")
    return root


@pytest.fixture(autouse=True)
def _as_in_a_new_process() -> None:
    forget()


def forget() -> None:
    shards._indexes.clear()
    shards._open.clear()


def by_tar(format: str) -> Callable[[Path, Path], object]:
    def pack(folder: Path, shard: Path) -> None:
        subprocess.run(["tar", f"--format={format}", "-cf", shard, "-C", folder, "."], check=True)

    return pack


def by_python(folder: Path, shard: Path) -> None:
    with tarfile.open(shard, "w", format=tarfile.PAX_FORMAT) as tar:
        tar.add(folder, arcname="")


def by_webdataset(folder: Path, shard: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    with webdataset.TarWriter(str(shard)) as writer:
        for name in FILES:
            stem, _, suffix = name.rpartition(".")
            writer.write({"__key__": stem, suffix: (folder / name).read_bytes()})


@pytest.mark.parametrize("pack", [by_tar("gnu"), by_tar("pax"), by_python, by_webdataset])
def test_each_file_of_a_shard_is_found_with_its_bytes(
    folder: Path, tmp_path: Path, pack: Callable[[Path, Path], object]
) -> None:
    shard = tmp_path / "x.tar"
    pack(folder, shard)
    assert sorted(index_of(str(shard)).names) == sorted(FILES)
    for name, length in FILES.items():
        path = f"{shard}/{name}"
        assert size_elsewhere(path) == length
        with open_elsewhere(path) as file:
            assert file.read() == (folder / name).read_bytes()


def test_a_part_says_where_in_its_tar_it_is(folder: Path, tmp_path: Path) -> None:
    shard = tmp_path / "x.tar"
    by_python(folder, shard)
    part = open_part(f"{shard}/grüße und leer.bin")
    assert isinstance(part, FilePart)
    content = (folder / "grüße und leer.bin").read_bytes()
    assert shard.read_bytes()[part.offset : part.offset + part.length] == content
    part.seek(-10, os.SEEK_END)
    assert part.read(100) == content[-10:]
    assert part.tell() == len(content)


def test_the_last_file_of_a_name_counts_as_it_does_to_tar(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"old")
    subprocess.run(["tar", "-cf", "x.tar", "a.bin"], cwd=tmp_path, check=True)
    (tmp_path / "a.bin").write_bytes(b"newer")
    subprocess.run(["tar", "-rf", "x.tar", "a.bin"], cwd=tmp_path, check=True)
    assert open_elsewhere(f"{tmp_path}/x.tar/a.bin").read() == b"newer"


def test_a_shard_is_searched_once_and_again_when_it_has_changed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = tmp_path / "x.tar"
    by_python(folder, shard)
    searched = []
    real = tarfile.open
    monkeypatch.setattr(tarfile, "open", lambda **how: searched.append(1) or real(**how))
    for _ in range(3):
        forget()
        index_of(str(shard))
    assert len(searched) == 1
    monkeypatch.undo()
    (folder / "b/1.bin").write_bytes(b"of another content")
    subprocess.run(["tar", "-rf", shard, "-C", folder, "b/1.bin"], check=True)
    with pytest.raises(UnreachableError, match="was changed after this run had begun"):
        open_elsewhere(f"{shard}/a.bin")
    forget()
    assert open_elsewhere(f"{shard}/b/1.bin").read() == b"of another content"


@pytest.mark.parametrize("kept", [0, 100, 512, 60_000, "files alone"])
def test_a_shard_cut_short_is_told_in_a_line(folder: Path, tmp_path: Path, kept: int | str) -> None:
    shard = tmp_path / "x.tar"
    by_python(folder, shard)
    if kept == "files alone":  # which a tar without its end may well be
        index = index_of(str(shard))
        kept = int((index.offsets + index.lengths).max()) + 511 & ~511
        forget()
    os.truncate(shard, kept)
    with pytest.raises(UserError, match=r"x\.tar: cut short") as told:
        index_of(str(shard))
    assert "\n" not in str(told.value)


def test_a_shard_broken_in_the_middle_does_not_pass_for_a_shorter_one(
    folder: Path, tmp_path: Path
) -> None:
    shard = tmp_path / "x.tar"
    by_python(folder, shard)
    with tarfile.open(shard) as tar:
        place = tar.getmember("b/512.bin").offset
    with open(shard, "r+b") as file:
        file.seek(place)
        file.write(b"\xff" * 512)
    with pytest.raises(UserError, match=r"x\.tar: (no tar, or a broken one|broken)"):
        index_of(str(shard))


@pytest.mark.parametrize("content", [b"no tar at all" * 100, b"\x1f\x8b" + bytes(600)])
def test_what_is_no_tar_is_told_in_a_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(UserError, match=r"x\.tar: no tar, or a broken one"):
        index_of(str(tmp_path / "x.tar"))


def test_threads_and_forks_read_one_shard_at_once(folder: Path, tmp_path: Path) -> None:
    shard = tmp_path / "x.tar"
    by_python(folder, shard)
    contents = {name: (folder / name).read_bytes() for name in FILES}
    wrong: list[str] = []

    def read_all() -> None:
        for _ in range(50):
            for name, content in contents.items():
                with open_elsewhere(f"{shard}/{name}") as file:
                    if file.read() != content:
                        wrong.append(name)

    read_all()
    children = []
    for _ in range(2):  # the parent's open file is theirs, too
        if (child := os.fork()) == 0:
            read_all()
            os._exit(len(wrong))
        children.append(child)
    threads = [threading.Thread(target=read_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    assert not wrong
