"""Images come out of files as a person would see them, or not at all."""

from __future__ import annotations

import os
import struct
import warnings
import zlib

import imagecodecs
import numpy as np
import pytest
import torch
from PIL import Image
from skimage.color import rgb2ycbcr
from skimage.io import imread

from tmd.errors import UserError
from tmd.images import (
    list_images,
    read_image,
    read_size,
    rgb_to_y,
    to_float,
    to_uint8,
    write_image,
)
from tmd.photos import read_photo


@pytest.fixture
def photo() -> np.ndarray:
    """(12, 20, 3), uint8, no symmetry."""
    return np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)


def as_array(image: torch.Tensor) -> np.ndarray:
    return image.permute(1, 2, 0).numpy()


def test_jpeg_has_the_bytes_that_scikit_image_reads(shared_data):
    path = next((shared_data / "train/BSDS500/train").glob("*.jpg"))
    assert np.array_equal(as_array(read_image(path)), imread(path))


def test_grey_file_becomes_three_equal_channels(tmp_path, photo):
    Image.fromarray(photo[..., 0]).save(tmp_path / "grey.png")
    image = read_image(tmp_path / "grey.png")
    assert image.shape == (3, 12, 20)
    assert all(np.array_equal(channel, photo[..., 0]) for channel in image.numpy())


def test_one_channel_is_bt601_luma(tmp_path, photo):
    Image.fromarray(photo).save(tmp_path / "colour.png")
    image = read_image(tmp_path / "colour.png", channels=1)
    luma = photo @ np.array([0.299, 0.587, 0.114])
    assert image.shape == (1, 12, 20)
    assert np.abs(image[0].numpy() - luma).max() < 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_laid_on_white(tmp_path, mode, channels):
    picture = Image.new("RGBA", (4, 2), (0, 0, 0, 255))
    picture.paste((0, 0, 0, 0), (0, 0, 2, 2))  # black, but not to be seen
    picture.convert(mode).save(tmp_path / "clear.png")
    image = read_image(tmp_path / "clear.png", channels)
    assert (image[..., :2] == 255).all()
    assert (image[..., 2:] == 0).all()


def test_half_transparency_is_blended(tmp_path):
    Image.new("RGBA", (2, 2), (255, 0, 0, 128)).save(tmp_path / "half.png")
    assert read_image(tmp_path / "half.png")[:, 0, 0].tolist() == [255, 127, 127]


def test_palette_becomes_its_colours(tmp_path):
    picture = Image.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.putdata([1, 0])
    picture.save(tmp_path / "palette.png")
    assert as_array(read_image(tmp_path / "palette.png")).tolist() == [
        [[200, 100, 50], [10, 20, 30]]
    ]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bits_are_scaled_not_clipped(tmp_path, suffix):
    levels = np.linspace(0, 65535, 300).astype(np.uint16)[None]
    Image.fromarray(levels).save(tmp_path / f"deep.{suffix}")
    image = read_image(tmp_path / f"deep.{suffix}", channels=1)
    assert np.array_equal(image[0].numpy(), np.rint(levels / 257))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("suffix", ["ppm", "jp2", "avif"])
def test_colours_of_more_bits_than_are_read_are_said(tmp_path, photo, suffix, bits):
    levels = photo if bits == 8 else photo.astype(np.uint16) * 257
    path = tmp_path / f"a.{suffix}"
    if suffix == "ppm":
        big_endian = levels.astype(levels.dtype.newbyteorder(">"))
        path.write_bytes(b"P6 20 12 %d\n" % (2**bits - 1) + big_endian.tobytes())
    elif suffix == "jp2":
        path.write_bytes(imagecodecs.jpeg2k_encode(levels, level=0, codecformat="jp2"))
    else:
        shift, depth = (0, 8) if bits == 8 else (6, 10)
        path.write_bytes(imagecodecs.avif_encode(levels >> shift, level=100, bitspersample=depth))
    found = read_photo(path)
    assert found.left_out == (("bits beyond 8 a colour",) if bits == 16 else ())
    assert np.abs(as_array(found.pixels).astype(int) - photo).mean() < 3


def test_cmyk_looks_like_the_rgb_it_was_made_from(tmp_path):
    colours = Image.new("RGB", (32, 32), (200, 60, 20))
    colours.convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    assert Image.open(tmp_path / "print.jpg").mode == "CMYK"
    difference = (
        read_image(tmp_path / "print.jpg").int() - torch.tensor([200, 60, 20])[:, None, None]
    )
    assert difference.abs().max() <= 6


# What a camera that was held so would have stored, by the EXIF standard's table.
STORED = {
    1: lambda seen: seen,
    2: lambda seen: seen[:, ::-1],
    3: lambda seen: seen[::-1, ::-1],
    4: lambda seen: seen[::-1],
    5: lambda seen: seen.transpose(1, 0, 2),
    6: lambda seen: np.rot90(seen, 1),
    7: lambda seen: seen[::-1, ::-1].transpose(1, 0, 2),
    8: lambda seen: np.rot90(seen, -1),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("deep", [False, True], ids=["8bit", "16bit"])
def test_exif_rotation_is_undone(tmp_path, photo, orientation, deep):
    seen = photo[..., :1].astype(np.uint16) * 257 if deep else photo
    picture = Image.fromarray(np.ascontiguousarray(STORED[orientation](seen)).squeeze())
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(tmp_path / "turned.png", exif=exif)
    image = read_image(tmp_path / "turned.png", 1 if deep else 3)
    assert np.array_equal(as_array(image), photo[..., :1] if deep else photo)
    assert read_size(tmp_path / "turned.png") == (12, 20)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [12_000, 60_000])
@pytest.mark.parametrize("reader", [read_image, read_size])
def test_decompression_bomb_is_refused_without_a_warning(tmp_path, side, reader):
    (tmp_path / "bomb.png").write_bytes(png_header(side, side))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
        with pytest.raises(UserError, match=r"bomb\.png: more than .* pixels"):
            reader(tmp_path / "bomb.png")


def break_file(path, kind, photo) -> None:
    if kind == "text":
        path.write_text("not an image at all")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "header only":
        path.write_bytes(png_header(64, 64))
    else:
        whole = np.kron(photo, np.ones((8, 8, 1), np.uint8))
        Image.fromarray(whole).save(path, format=kind)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    "kind", ["JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "text", "empty", "header only"]
)
def test_broken_file_gives_one_line_that_names_it(tmp_path, photo, kind):
    path = tmp_path / "broken.img"
    break_file(path, kind, photo)
    with pytest.raises(UserError) as caught:
        read_image(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_absent_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.png: no such file"):
        read_image(tmp_path / "nowhere.png")


@pytest.mark.parametrize("channels", [1, 3])
def test_written_bytes_come_back(tmp_path, channels):
    image = torch.randint(0, 256, (channels, 9, 7), dtype=torch.uint8)
    write_image(tmp_path / "new" / "image.png", image)
    assert torch.equal(read_image(tmp_path / "new" / "image.png", channels), image)
    write_image(tmp_path / "float.png", to_float(image))
    assert torch.equal(read_image(tmp_path / "float.png", channels), image)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["image.png"]


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "image.png"
    write_image(path, torch.zeros(3, 4, 4))
    before = path.read_bytes()

    def fail(self, file, format):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        write_image(path, torch.ones(3, 4, 4))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_unknown_suffix_is_named(tmp_path):
    with pytest.raises(UserError, match=r"image\.xyz: \.xyz names no image format"):
        write_image(tmp_path / "image.xyz", torch.zeros(3, 4, 4))


def test_every_level_survives_the_way_to_float_and_back():
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(to_float(levels)), levels)
    assert to_uint8(torch.tensor([-0.2, 1.3, 0.5 / 255 + 1e-6])).tolist() == [0, 255, 1]


def test_luma_equals_scikit_image():
    image = torch.rand(2, 3, 5, 6, dtype=torch.float64)
    expected = rgb2ycbcr(image.permute(0, 2, 3, 1).numpy())[..., 0] / 255
    assert np.allclose(rgb_to_y(image)[:, 0].numpy(), expected, atol=1e-12)


def test_luma_of_black_and_white_is_studio_range():
    ends = rgb_to_y(torch.stack([torch.zeros(3, 1, 1), torch.ones(3, 1, 1)])).flatten() * 255
    assert torch.allclose(ends, torch.tensor([16.0, 235.0]))


def test_images_are_listed_through_all_levels(tmp_path):
    for name in ("b/2.JPG", "a/1.png", "a/deep/3.webp", "a/notes.txt", ".trash/4.png", "._5.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    listed = [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)]
    assert listed == ["a/1.png", "a/deep/3.webp", "b/2.JPG"]
    assert list_images(tmp_path, recursive=False) == []


def test_linked_folders_are_followed_but_never_twice_or_in_a_circle(tmp_path):
    outside = tmp_path / "outside"
    root = tmp_path / "root"
    for folder in (outside, root / "own"):
        folder.mkdir(parents=True)
        (folder / "1.png").touch()
    (root / "linked").symlink_to(outside)
    (root / "again").symlink_to(outside)
    (root / "circle").symlink_to(root)
    (root / "to-own").symlink_to(root / "own")
    listed = [os.path.realpath(path) for path in list_images(root)]
    assert sorted(listed) == sorted(os.path.realpath(f / "1.png") for f in (outside, root / "own"))
