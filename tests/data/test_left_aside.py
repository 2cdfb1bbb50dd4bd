"""What of a folder is learnt from, and what is left aside: told, and never an ordinary image."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path

import pytest
from PIL import Image

from tests.data.test_splits import fill, names, numbered
from tmd.data import create_dataset, index
from tmd.errors import UserError
from tmd.images import list_images


@pytest.fixture
def photos(shared_data: Path) -> list[Image.Image]:
    folder = shared_data / "train" / "BSDS500" / "test"
    files = sorted(folder.iterdir())[:10]
    return [Image.open(file).convert("RGB").crop((0, 0, 300, 200)) for file in files]


def store(path: Path, image: Image.Image, factor: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.resize((image.width // factor, image.height // factor)).save(path)


def dataset(root, **options):
    return create_dataset("folder", str(root), **{"patch_size": 24, "batch_size": 2, **options})


def labels(data) -> set[str]:
    sources = (data.train, data.validation)
    return {source.label(index) for source in sources for index in range(len(source))}


LAYOUTS = {
    "DIV2K": ("DIV2K_train_HR/{}.png", "DIV2K_train_LR_bicubic/X4/{}x4.png"),
    "equal names": ("HR/{}.png", "LR_bicubic/X2/{}.png"),
    "beside": ("{}.png", "{}x4.png"),
    "LapSRN": ("Set5/img_{}_SRF_4_HR.png", "Set5/img_{}_SRF_4_LR.png"),
    "RCAN": ("HR/x4/{}_HR_x4.png", "LR/LRBI/x4/{}_LRBI_x4.png"),
    "EDSR": ("GTmod12/{}.png", "LRbicx4/{}.png"),
    "camel": ("trainHR/{}.png", "trainLR/{}.png"),
    "NTIRE": ("DIV2K_valid_HR/{}.png", "DIV2K_valid_LR_wild/{}x4w1.png"),
    "RealSR": ("Canon/Train/4/Canon_{}_HR.png", "Canon/Train/4/Canon_{}_LR4.png"),
    "DRealSR": ("train_HR/sony_{}_x4.png", "train_LR/sony_{}_x1.png"),
    "Real-ESRGAN": ("gt/{}.png", "lq/{}.png"),
    "thumbnails": ("{}.jpg", "thumbs/{}.jpg"),
    "web": ("uploads/{}.jpg", "uploads/{}-75x50.jpg"),
    "capitals": ("{}.JPG", "Thumbnails/{}_thumb.JPG"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_smaller_copies_are_left_aside_and_told(tmp_path, photos, layout):
    original, copy = LAYOUTS[layout]
    for number, photo in enumerate(photos):
        store(tmp_path / original.format(f"{number:04}"), photo)
        store(tmp_path / copy.format(f"{number:04}"), photo, 4)
    data = dataset(tmp_path)
    assert labels(data) == {original.format(f"{number:04}") for number in range(10)}
    assert data.summary.startswith("8 images to learn from, in ")
    assert "; 2 held out, drawn by the seed; left aside: smaller copies" in data.summary
    assert f": 10 ({copy.format('0000')})" in data.summary
    folder, name = os.path.split(copy)
    if not original.startswith(folder):  # named itself, it is what is asked for
        assert name.format("0003") in labels(dataset(tmp_path / folder))


def test_several_scales_and_missing_originals(tmp_path, photos, caplog):
    for number, photo in enumerate(photos):
        for scale in (2, 3, 4):
            store(tmp_path / f"LR/x{scale}/{number}.png", photo, scale)
        if number < 8:
            store(tmp_path / f"HR/{number}.png", photo)
    with caplog.at_level(logging.WARNING, "tmd.data"):
        data = dataset(tmp_path, patch_size=None)
    assert len(labels(data)) == 8 + 3 * 2
    assert ": 24 (LR/x2/0.png)" in data.summary
    assert "no larger image here has its content; learnt from" in caplog.text


@pytest.mark.parametrize(
    "copy", ["LR/{}.png", "thumbs/{}.png", "x4/{}.png", "{}x2.png", "{}_small.png", "{}-75x50.png"]
)
@pytest.mark.parametrize("kind", ["other content", "as large", "larger", "alone", "one of many"])
def test_ordinary_images_are_never_taken_for_copies(tmp_path, photos, copy, kind):
    """A folder LR of Lightroom's exports, photos called x2, results of upscaling."""
    for number, photo in enumerate(photos):
        factor = 4
        if kind != "alone":
            store(tmp_path / f"{number}.png", photo, 4 if kind == "larger" else 1)
        if kind == "other content" or (kind == "one of many" and number == 0):
            photo = photos[number - 1]
        if kind in ("as large", "larger"):
            factor, photo = 1, photo.copy()
            photo.putpixel((0, 0), (1, 2, 3))  # else it would be a copy of a held-out image
        store(tmp_path / copy.format(number), photo, factor)
    data = dataset(tmp_path)
    assert len(labels(data)) == (10 if kind == "alone" else 20)
    assert "left aside" not in data.summary


@pytest.mark.parametrize("kind", ["copies", "other content", "as large"])
def test_folders_that_only_look_like_copies_are_told_and_learnt_from(
    tmp_path, photos, caplog, kind
):
    for number, photo in enumerate(photos):
        store(tmp_path / f"first/{number}.png", photo)
        if kind == "other content":
            photo = photos[number - 1]
        photo.putpixel((0, 0), (1, 2, 3))
        store(tmp_path / f"second/{number}.png", photo, 1 if kind == "as large" else 2)
    with caplog.at_level(logging.WARNING, "tmd.data"):
        data = dataset(tmp_path)
    assert len(labels(data)) == 20
    told = "second: its images look like smaller copies of those in " in caplog.text
    assert told == (kind == "copies")


def test_odd_entries_are_told_and_nothing_hangs(tmp_path, caplog):
    fill(tmp_path, range(6))
    os.mkfifo(tmp_path / "pipe.png")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "socket.jpg"))
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "round").symlink_to("about")
    (tmp_path / "about").symlink_to("round")
    (tmp_path / "inside").symlink_to(tmp_path)
    (tmp_path / "device.png").symlink_to("/dev/null")
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "photo.heic").write_text("")
    (tmp_path / ".thumbs").mkdir()
    fill(tmp_path / "like a file.png", range(6, 8))
    data = dataset(tmp_path, patch_size=8)
    server.close()
    assert names(data.train) | names(data.validation) == numbered(range(8))
    left = data.summary.partition("left aside: ")[2]
    assert left == (
        "devices: 1 (device.png), files of other kinds: 4 (about), hidden: 1 (.thumbs), "
        "links in a circle: 1 (loop.png), links to folders that are searched anyway: 1 (inside), "
        "named pipes: 1 (pipe.png), sockets: 1 (socket.jpg)"
    )
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]
    listed = list_images(tmp_path)
    assert {path.name for path in listed} == numbered(range(8))
    assert "pipe.png: left aside (named pipes)" in caplog.text


def test_a_folder_below_that_can_not_be_read_is_told(tmp_path, monkeypatch, caplog):
    """lost+found at the top of a disk, say."""
    fill(tmp_path, range(4))
    (tmp_path / "lost+found").mkdir()
    scandir = os.scandir

    def refusing(path):
        if str(path) in (str(tmp_path / "lost+found"), closed):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    closed = ""
    monkeypatch.setattr(os, "scandir", refusing)
    data = dataset(tmp_path, patch_size=8)
    assert "left aside: folders that can't be read: 1 (lost+found)" in data.summary
    assert len(list_images(tmp_path)) == 4
    assert "lost+found: left aside (folders that can't be read)" in caplog.text
    closed = str(tmp_path)
    with pytest.raises(UserError, match="Permission denied"):
        dataset(tmp_path, patch_size=8)


def test_a_folder_of_nothing_but_a_pipe_holds_no_images(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UserError, match="holds no images"):
        dataset(tmp_path)


def test_the_suffixes_of_the_web_are_images(tmp_path, photos):
    for name in ("a.jpg", "b.jfif", "c.JFIF"):
        photos[0].save(tmp_path / name, "JPEG")
    photos[1].save(tmp_path / "d.avif")
    assert len(labels(dataset(tmp_path))) >= 2
    assert len(list_images(tmp_path)) == 4


def test_where_images_are_and_how_they_are_held_out_is_told(tmp_path):
    for number, folder in enumerate("aabbbcde"):
        fill(tmp_path / "train" / folder, [2 * number])
    (tmp_path / "train" / "a" / "copy.png").write_bytes(
        (tmp_path / "train" / "a" / "000.png").read_bytes()
    )
    fill(tmp_path / "val", [0])
    data = dataset(tmp_path / "train", patch_size=8, val_root=tmp_path / "val")
    assert data.summary == (
        f"7 images to learn from, in {tmp_path}/train (3 in b, 1 in a, 1 in c, 1 in d, 1 in 1 more)"
        "; 1 held out, of dataset.val_root; "
        "left aside: copies of held-out images: 2 (a/000.png)"
    )
    demo = create_dataset("demo", batch_size=2).summary
    assert demo.startswith("10 images to learn from, in ")
    assert demo.endswith("; 3 held out, of the dataset's own")


def test_what_was_left_aside_is_remembered_with_the_folder(tmp_path, photos, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(index, "_WORTHWHILE", 1)
    monkeypatch.setattr(index, "_COARSEST_TICK", -(10**18))
    for number, photo in enumerate(photos):
        store(tmp_path / f"set/{number}.png", photo)
        store(tmp_path / f"set/LR/{number}.png", photo, 4)
    first = dataset(tmp_path / "set").summary
    monkeypatch.setattr(index, "scan_images", None)
    assert dataset(tmp_path / "set", workers=0).summary == first
    assert "smaller copies" in first
