"""Files are whole or absent: after errors, kills and in the eyes of other processes."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tmd import files

WRITERS = (files.replacing, files.replacing_path)


def write(writer, path: Path, content: bytes, **options) -> None:
    with writer(path, **options) as target:
        if isinstance(target, Path):
            target.write_bytes(content)
        else:
            target.write(content)


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("durable", [True, False])
def test_the_file_appears_when_the_block_has_ended_and_leaves_nothing_else(
    tmp_path, writer, durable
):
    path = tmp_path / "result.bin"
    path.write_bytes(b"before")
    with writer(path, durable=durable) as target:
        target.write_bytes(b"after") if isinstance(target, Path) else target.write(b"after")
        assert path.read_bytes() == b"before"
    assert path.read_bytes() == b"after"
    assert os.listdir(tmp_path) == ["result.bin"]


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_in_the_block_leaves_the_file_as_it_was(tmp_path, writer, error):
    path = tmp_path / "result.bin"
    path.write_bytes(b"before")

    def fail() -> None:
        with writer(path) as target:
            target.write_bytes(b"half") if isinstance(target, Path) else target.write(b"half")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["result.bin"]


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_rights_are_those_that_the_umask_gives(tmp_path, writer, umask):
    before = os.umask(umask)
    try:
        write(writer, tmp_path / "result.bin", b"content")
    finally:
        os.umask(before)
    mode = stat.S_IMODE((tmp_path / "result.bin").stat().st_mode)
    assert mode == 0o666 & ~umask


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("links", [True, False])
def test_what_exists_is_replaced_only_if_it_may_be(tmp_path, writer, links, monkeypatch):
    if not links:

        def refused(*_):
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", refused)
    path = tmp_path / "result.bin"
    write(writer, path, b"first", overwrite=False)
    with pytest.raises(FileExistsError, match=r"result\.bin"):
        write(writer, path, b"second", overwrite=False)
    assert path.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["result.bin"]


def test_a_path_that_nothing_was_written_to_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), files.replacing_path(tmp_path / "result.bin"):
        pass
    assert os.listdir(tmp_path) == []


def test_a_name_as_long_as_a_file_system_takes(tmp_path):
    path = tmp_path / ("n" * 251 + ".png")
    for writer in WRITERS:
        write(writer, path, b"content")
    assert path.read_bytes() == b"content"


def test_json_is_what_was_given_and_never_holds_nan(tmp_path):
    value = {"ü": [1, 2.5, None], "a": {"b": True}}
    files.write_json(tmp_path / "value.json", value)
    assert json.loads((tmp_path / "value.json").read_text("utf-8")) == value
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "value.json", {"a": float("nan")})
    assert json.loads((tmp_path / "value.json").read_text("utf-8")) == value


def test_a_copy_is_durable_before_its_name_is(tmp_path, monkeypatch):
    """The order of calls is what makes a loss of power harmless."""
    calls = []
    real_sync, real_replace = os.fsync, os.replace

    def fsync(handle):
        calls.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        real_sync(handle)

    def replace(source, target):
        calls.append("name")
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    (tmp_path / "source").write_bytes(b"content" * 100_000)
    files.copy_file(tmp_path / "source", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"content" * 100_000
    assert calls == ["file", "name", "folder"]


WAITS_HALF_WAY = """
import sys, time
from tmd import files
with files.{writer}(sys.argv[1]) as target:
    file = open(target, "wb") if "path" in "{writer}" else target
    file.write(b"half"); file.flush()
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("writer", ["replacing", "replacing_path"])
def test_a_killed_writer_leaves_the_file_as_it_was_and_what_it_left_is_swept(tmp_path, writer):
    path = tmp_path / "result.bin"
    path.write_bytes(b"before")
    code = WAITS_HALF_WAY.format(writer=writer)
    process = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"writing\n"
    assert len(os.listdir(tmp_path)) == 2
    assert files.sweep_leftovers(tmp_path) == []  # it is being written
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert path.read_bytes() == b"before"
    assert len(files.sweep_leftovers(tmp_path)) == 1
    assert os.listdir(tmp_path) == ["result.bin"]


@pytest.mark.parametrize("name", [".writing-k3x_9ab1", ".writing-00000000-1-0123abcd"])
def test_leftovers_of_older_versions_and_other_machines_are_swept_once_they_are_old(tmp_path, name):
    leftover = tmp_path / name
    leftover.write_bytes(b"half")
    assert files.sweep_leftovers(tmp_path) == []
    old = time.time() - files.STALE - 1
    os.utime(leftover, (old, old))
    (tmp_path / "photo.png").write_bytes(b"whole")
    os.utime(tmp_path / "photo.png", (old, old))
    assert files.sweep_leftovers(tmp_path) == [leftover]
    assert os.listdir(tmp_path) == ["photo.png"]
