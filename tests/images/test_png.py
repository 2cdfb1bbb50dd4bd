"""What is beside a PNG's pixels keeps nobody from them; 16 bits become 8 by rounding."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile
from skimage import data

from tmd.errors import UserError
from tmd.images import read_image, read_size, set_max_pixels
from tmd.photos import Photo, read_photo, write_photo

PIXELS = data.astronaut()[:20, :30]
COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(path: Path, levels: np.ndarray, before: bytes = b"", after: bytes = b"") -> Path:
    """Write (H, W, C) of 8 or 16 bits, with chunks before and after the pixels."""
    height, width, channels = levels.shape
    bits = levels.dtype.itemsize * 8
    raw = levels.astype(levels.dtype.newbyteorder(">")).reshape(height, -1).view(np.uint8)
    rows = np.hstack([np.zeros((height, 1), np.uint8), raw])
    header = struct.pack(">IIBBBBB", width, height, bits, COLOURS[channels], 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(rows.tobytes()))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + before
        + pixels
        + after
        + chunk(b"IEND", b"")
    )
    return path


def beside(size: int) -> dict[str, bytes]:
    """Chunks that hold ``size`` bytes when unpacked."""
    text = b"node, " * (size // 6)
    return {
        "tEXt": chunk(b"tEXt", b"prompt\0" + text),
        "zTXt": chunk(b"zTXt", b"prompt\0\0" + zlib.compress(text)),
        "iTXt": chunk(b"iTXt", b"prompt\0\1\0\0\0" + zlib.compress(text)),
        "XMP": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(text)),
        "iCCP": chunk(b"iCCP", b"huge\0\0" + zlib.compress(text)),
        "many": b"".join(chunk(b"tEXt", b"%d\0" % i + text[:900_000]) for i in range(80)),
    }


@pytest.mark.parametrize("kind", list(beside(6)))
@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_large_texts_and_profiles_hide_no_pixels(tmp_path, kind, place, dtype):
    levels = PIXELS.astype(dtype) * (257 if dtype == np.uint16 else 1)
    path = png(tmp_path / "a.png", levels, **{place: beside(3_000_000)[kind]})
    assert read_size(path) == (20, 30)
    assert np.array_equal(read_image(path).permute(1, 2, 0), PIXELS)
    assert np.array_equal(read_photo(path).pixels.int().permute(1, 2, 0), levels)


def test_results_with_a_large_profile_are_read_again(tmp_path):
    icc = b"\0" * 16 + b"RGB " + os.urandom(2_000_000)
    pixels = torch.from_numpy(PIXELS.copy()).permute(2, 0, 1)
    write_photo(tmp_path / "a.png", [pixels], tuple(pixels.shape), Photo(pixels, icc))
    assert torch.equal(read_image(tmp_path / "a.png"), pixels)
    assert read_photo(tmp_path / "a.png").icc == icc


@pytest.mark.parametrize("channels", COLOURS)
def test_16_bits_become_8_by_rounding(tmp_path, channels):
    levels = np.random.default_rng(0).integers(0, 65536, (9, 11, channels), dtype=np.uint16)
    levels[..., -1] |= 65535 if channels in (2, 4) else 0
    path = png(tmp_path / "a.png", levels)
    expected = np.rint(levels[..., : 1 if channels <= 2 else 3] / 257)
    assert np.array_equal(
        read_image(path, 1 if channels <= 2 else 3).permute(1, 2, 0).numpy(), expected
    )
    assert np.array_equal(read_photo(path).pixels.int().permute(1, 2, 0), levels)


def test_a_transparent_colour_of_16_bits(tmp_path):
    levels = np.random.default_rng(0).integers(0, 65536, (2, 2, 3), dtype=np.uint16)
    key = chunk(b"tRNS", struct.pack(">3H", *levels[0, 0]))
    path = png(tmp_path / "a.png", levels, key)
    assert read_photo(path).pixels[3].int().tolist() == [[0, 65535], [65535, 65535]]
    assert read_image(path)[:, 0, 0].tolist() == [255] * 3


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("key", [0, 1, -1])
def test_a_transparent_level_of_few_bits(tmp_path, bits, key):
    top = 2**bits - 1
    levels = np.array([[0, 1, top, top - 1] * 2], np.uint8)
    binary = (levels[..., None] >> np.arange(bits)[::-1] & 1).reshape(1, -1)
    path = tmp_path / "a.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 1, bits, 0, 0, 0, 0))
        + chunk(b"tRNS", struct.pack(">H", key % (top + 1)))
        + chunk(b"IDAT", zlib.compress(b"\0" + np.packbits(binary).tobytes()))
        + chunk(b"IEND", b"")
    )
    clear = levels == key % (top + 1)
    grey, alpha = read_photo(path).pixels.numpy()
    expected = levels.astype(int) * 255 // top
    assert np.array_equal(grey[~clear], expected[~clear])
    assert np.array_equal(alpha, np.where(clear, 0, 255))
    assert np.array_equal(read_image(path, 1)[0], np.where(clear, 255, expected))


@pytest.mark.parametrize("place", ["before", "after"])
def test_size_and_orientation_without_decoding(tmp_path, place, monkeypatch):
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    path = png(tmp_path / "a.png", PIXELS, **{place: turned})
    expected = np.rot90(PIXELS, -1)
    assert np.array_equal(read_image(path).permute(1, 2, 0), expected)
    assert np.array_equal(read_photo(path).pixels.permute(1, 2, 0), expected)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("it was decoded"))
    assert read_size(path) == (30, 20)


def test_what_says_how_levels_are_meant_is_kept(tmp_path):
    kinds = {
        b"cICP": bytes([9, 16, 0, 1]),
        b"gAMA": struct.pack(">I", 100000),
        b"cHRM": struct.pack(">8I", *range(31270, 31278)),
        b"pHYs": struct.pack(">IIB", 11811, 11811, 1),
    }
    before = b"".join(chunk(kind, body) for kind, body in kinds.items())
    source = png(tmp_path / "a.png", PIXELS, before + chunk(b"tIME", bytes(7)))
    photo = read_photo(source)
    write_photo(tmp_path / "b.png", [photo.pixels], tuple(photo.pixels.shape), photo)
    written = (tmp_path / "b.png").read_bytes()
    for kind, body in kinds.items():
        assert written.index(chunk(kind, body)) < written.index(b"IDAT")
    assert read_photo(tmp_path / "b.png").chunks == tuple(kinds.items())
    assert b"tIME" not in written


def test_only_formats_of_images_are_opened(tmp_path):
    for format in ("EPS", "ICO", "PDF", "PCX"):
        path = tmp_path / f"{format}.png"
        Image.fromarray(PIXELS).save(path, format)
        with pytest.raises(UserError, match=rf"{format}\.png: not an image"):
            read_image(path)
    # Its bytes have no mark: only its name says what they are.
    Image.fromarray(PIXELS).save(tmp_path / "a.tga")
    assert np.array_equal(read_image(tmp_path / "a.tga").permute(1, 2, 0), PIXELS)
    (tmp_path / "a.tga").rename(tmp_path / "a.png")
    with pytest.raises(UserError, match="not an image"):
        read_image(tmp_path / "a.png")
    Image.fromarray(PIXELS).save(tmp_path / "b.png", "JPEG")
    assert read_size(tmp_path / "b.png") == (20, 30)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    for use in (read_image, read_size, read_photo):
        with pytest.raises(UserError, match=r"a\.png: not a file"):
            use(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_max_pixels_is_a_setting_that_the_message_names(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(PIXELS).save(path)
    try:
        set_max_pixels(599)
        for use in (read_image, read_size, read_photo):
            with pytest.raises(UserError, match=r"more than 599 pixels.*a larger max_pixels reads"):
                use(path)
        set_max_pixels(600)
        assert read_size(path) == (20, 30)
    finally:
        set_max_pixels(None)
    assert Image.MAX_IMAGE_PIXELS > 89_000_000
    with pytest.raises(UserError, match="max_pixels=0: must be"):
        set_max_pixels(0)


def test_more_than_twice_the_limit_is_readable_too(tmp_path):
    """Where Pillow itself raises."""
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    try:
        set_max_pixels(10)
        with pytest.raises(UserError, match="more than 10 pixels"):
            read_image(tmp_path / "a.png")
        set_max_pixels(1000)
        assert read_image(tmp_path / "a.png").shape == (3, 20, 30)
    finally:
        set_max_pixels(None)
