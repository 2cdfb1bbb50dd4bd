"""Images by what a user names; odd entries of a folder neither hang nor end a batch."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from experiments.support.inputs import check_folder, find_images
from tmd.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images, one in a folder named like a file, among a pipe and links to nowhere."""
    root = tmp_path / "photos"
    (root / "b.png").mkdir(parents=True)
    for path in (root / "a.png", root / "b.png" / "c.jfif"):
        Image.new("RGB", (4, 4)).save(path, "PNG")
    os.mkfifo(root / "pipe.png")
    (root / "loop.png").symlink_to("loop.png")
    return root


def found(entry: Path | str, output: Path) -> list[str]:
    return [str(place) for _, place in find_images(str(entry), output)]


def test_a_folder_gives_what_can_be_read_and_tells_of_the_rest(folder, tmp_path, caplog):
    assert found(folder, tmp_path / "out") == ["a.png", "b.png/c.jfif"]
    assert {"named pipes", "links in a circle"} == {
        record.getMessage().partition("(")[2].rstrip(")") for record in caplog.records
    }


@pytest.mark.parametrize("name", ["pipe.png", "loop.png", "absent.png"])
def test_a_named_file_is_reported_at_its_turn(folder, tmp_path, name):
    assert found(folder / name, tmp_path / "out") == [name]


def test_a_glob_takes_links_in_a_circle_too(folder, tmp_path):
    assert found(folder / "**" / "*", tmp_path / "out") == [
        "a.png",
        "b.png/c.jfif",
        "loop.png",
        "pipe.png",
    ]


def test_results_of_last_time_are_no_inputs(folder):
    (folder / "out").mkdir()
    Image.new("RGB", (4, 4)).save(folder / "out" / "a.png")
    assert found(folder, folder / "out") == ["a.png", "b.png/c.jfif"]
    assert found(folder / "out", folder / "out") == ["a.png"]


@pytest.mark.parametrize("name", ["big.tif", "a/b.HEIC", "clip.mp4", "a-file"])
def test_a_files_name_is_no_folder(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path("a-file").touch()
    with pytest.raises(UserError, match=rf"^output={name}: "):
        check_folder("output", name)


@pytest.mark.parametrize("name", ["out", "2024.06", "out.v2", "big.tif/", "there.png", "."])
def test_folders_may_be_called_much(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path("there.png").mkdir()
    check_folder("output", name)
