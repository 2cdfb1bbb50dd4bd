"""The prepare script from its command line: what it prints, what takes its output, refusals."""

from __future__ import annotations

from pathlib import Path

import pytest
import skimage.data
from PIL import Image

from experiments.prepare import ex
from experiments.srgan import ex as srgan
from tmd.data.prepared import read_manifest


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("chelsea", "coffee", "rocket"):
        Image.fromarray(getattr(skimage.data, name)()[:200, :220]).save(folder / f"{name}.jpg")
    Image.fromarray(skimage.data.chelsea()[:20, :30]).save(folder / "icon.jpg")
    return folder


def test_what_was_made_and_left_out_is_said(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["input=photos", "output=out", "tile=128", "overlap=32"]
    ex.run_commandline(["prepare", "with", *words])
    said = capsys.readouterr().out.splitlines()
    assert said == [
        "12 tiles of 3 photos, 1 MB: out",
        "left out: 1 photo, too small: icon.jpg (30×20)",
        "all photos: out/photos.csv",
        "train:      tmd srgan out",
    ]
    assert read_manifest("out")["options"]["tile"] == 128
    ex.run_commandline(["prepare", "with", *words])
    assert capsys.readouterr().out.startswith("was there: 12 tiles of 3 photos, 1 MB: out\n")


def test_a_run_begins_with_it(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ex.run_commandline(["prepare", "with", "input=photos", "output=out", "tile=128", "shards=True"])
    capsys.readouterr()
    with pytest.raises(SystemExit):
        srgan.run_commandline(["srgan", "with", "dataset.root=out", "resume=77"])
    assert "77" in capsys.readouterr().err  # the images are no problem


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tile=64"], "input=None: give a folder of photos"),
        (["input=nowhere"], "input=nowhere: no such folder"),
        (["input=photos", "output=photos"], "output=photos: is no empty folder"),
        (["input=photos", "output=a.png"], "output=a.png: is a folder's name here"),
        (["input=photos", "tile=0"], "tile=0: must be an integer"),
        (["input=photos", "min_side=9999"], "input=photos: nothing is left to write: 4 too small"),
        (["input=photos", "bands=[1,9]"], "bands=[1, 9]"),
    ],
)
def test_a_mistake_gets_one_line(
    photos: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        ex.run_commandline(["prepare", "with", *words])
    assert ended.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert said in lines[-1]
    assert "Traceback" not in "".join(lines)
