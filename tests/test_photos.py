"""Nothing that a photo's file holds gets lost, and nothing broken gets in."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zlib

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms, ImageOps
from skimage import data

from tmd.errors import UserError
from tmd.models import create_generator
from tmd.photos import Photo, PhotoGenerator, read_photo, write_photo
from tmd.resize import imresize
from tmd.upscale import upscale

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def photo(channels: int = 3, dtype: torch.dtype = torch.uint8, height: int = 90) -> torch.Tensor:
    """(C, H, W) of a real photo, with values that only ``dtype`` can hold."""
    pixels = torch.from_numpy(data.astronaut()[:height, :70].copy()).permute(2, 0, 1).int()
    pixels = torch.cat([pixels, pixels[:1].flip(-1)])
    pixels = pixels[[0, 3]] if channels == 2 else pixels[:channels]
    if dtype == torch.uint16:
        pixels = pixels * 257 - pixels % 251
    return pixels.to(dtype).contiguous()


def rewritten(path, pixels: torch.Tensor, rows: int = 37, **extras) -> None:
    bands = pixels[None].int().split(rows, dim=2)
    bands = [band.to(pixels.dtype) for band in bands]
    write_photo(path, bands, tuple(pixels.shape), Photo(pixels, **extras))


# Writing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_in_bands_is_read_back_the_same_by_libpng(tmp_path, channels, dtype):
    pixels = photo(channels, dtype)
    rewritten(tmp_path / "a.png", pixels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from torchvision.io import decode_image, read_file

        found = decode_image(read_file(str(tmp_path / "a.png")))
    assert found.dtype == dtype
    assert torch.equal(found.int(), pixels.int())


def test_png_bands_join(tmp_path):
    """The first row of a band is told as a difference to the last one of the band before."""
    rows = torch.randint(0, 256, (2, 1, 1, 50), dtype=torch.uint8)
    pixels = rows[[0, 1, 1, 0, 1, 1]].reshape(1, 6, 50)
    rewritten(tmp_path / "a.png", pixels, rows=3)
    assert np.array_equal(np.array(Image.open(tmp_path / "a.png")), pixels[0].numpy())


def test_png_is_about_as_small_as_pillows(tmp_path):
    pixels = photo(3, height=400)
    rewritten(tmp_path / "a.png", pixels)
    file = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(file, "PNG")
    assert (tmp_path / "a.png").stat().st_size < 1.1 * len(file.getvalue())


def test_png_chunks_have_right_lengths_and_checksums(tmp_path):
    rewritten(tmp_path / "a.png", photo(), icc=SRGB, exif=b"MM\0*\0\0\0\x08\0\0\0\0\0\0")
    data_left = (tmp_path / "a.png").read_bytes()[8:]
    kinds = []
    while data_left:
        (length,) = struct.unpack(">I", data_left[:4])
        kind, body = data_left[4:8], data_left[8 : 8 + length]
        assert (
            zlib.crc32(kind + body) == struct.unpack(">I", data_left[8 + length : 12 + length])[0]
        )
        kinds.append(kind)
        data_left = data_left[12 + length :]
    assert kinds[:3] == [b"IHDR", b"iCCP", b"eXIf"]
    assert kinds[-1] == b"IEND"


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_webp_is_lossless(tmp_path, channels):
    pixels = photo(channels)
    rewritten(tmp_path / "a.webp", pixels, icc=SRGB if channels >= 3 else None)
    image = Image.open(tmp_path / "a.webp")
    found = np.array(image.convert("RGBA"))
    if channels in (2, 4):
        # What a fully transparent pixel's colour was is not kept by WebP.
        seen = found[..., 3] > 0
        assert np.array_equal(found[..., 3], pixels[-1].numpy())
        assert np.array_equal(found[..., 0][seen], pixels[0].numpy()[seen])
    else:
        assert np.array_equal(found[..., 0], pixels[0].numpy())


def test_jpeg_keeps_profile_and_camera(tmp_path):
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    rewritten(tmp_path / "a.jpg", photo(), icc=SRGB, exif=exif.tobytes().removeprefix(b"Exif\0\0"))
    image = Image.open(tmp_path / "a.jpg")
    assert image.info["icc_profile"] == SRGB
    assert image.getexif()[0x010F] == "Camera"
    grey = tmp_path / "grey.jpg"
    rewritten(grey, photo(1))
    assert Image.open(grey).mode == "L"


def test_an_existing_file_is_never_replaced_unasked(tmp_path):
    path = tmp_path / "a.png"
    path.write_text("precious")
    with pytest.raises(UserError, match=r"a\.png: exists; existing=replace"):
        rewritten(path, photo())
    assert path.read_text() == "precious"


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path):
    path = tmp_path / "a.png"
    pixels = photo()

    def bands():
        yield pixels[:, :40]
        path.write_text("precious")
        yield pixels[:, 40:]

    with pytest.raises(UserError, match="exists"):
        write_photo(path, bands(), tuple(pixels.shape), Photo(pixels))
    assert path.read_text() == "precious"
    assert os.listdir(tmp_path) == ["a.png"]


def test_an_encoders_own_limit_is_an_error_of_writing(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise ValueError("too much of something")

    monkeypatch.setattr(Image.Image, "save", refuse)
    with pytest.raises(OSError, match=r"JPEG can.t hold it .too much"):
        rewritten(tmp_path / "a.jpg", photo())
    assert os.listdir(tmp_path) == []


def test_what_fails_half_way_leaves_nothing(tmp_path):
    pixels = photo()

    def bands():
        yield pixels[:, :40]
        raise RuntimeError("power cut")

    (tmp_path / "old.png").write_text("old")
    for name, overwrite in (("new.png", False), ("old.png", True)):
        with pytest.raises(RuntimeError):
            write_photo(tmp_path / name, bands(), tuple(pixels.shape), Photo(pixels), overwrite)
    assert os.listdir(tmp_path) == ["old.png"]
    assert (tmp_path / "old.png").read_text() == "old"


def test_files_get_the_rights_that_the_umask_gives(tmp_path):
    before = os.umask(0o027)
    try:
        rewritten(tmp_path / "a.png", photo())
    finally:
        os.umask(before)
    assert (tmp_path / "a.png").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("name", "channels", "dtype", "message"),
    [
        ("a.jpg", 4, torch.uint8, "no transparency"),
        ("a.jpg", 3, torch.uint16, "8 bits only"),
        ("a.webp", 3, torch.uint16, "8 bits only"),
        ("a.xyz", 3, torch.uint8, r"\.xyz; must be \.png"),
        ("a", 3, torch.uint8, "no suffix"),
    ],
)
def test_formats_that_would_lose_something_are_refused(tmp_path, name, channels, dtype, message):
    with pytest.raises(UserError, match=message):
        rewritten(tmp_path / name, photo(channels, dtype))
    assert os.listdir(tmp_path) == []


# Reading -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_come_upright_and_say_so(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "Camera"
    Image.fromarray(photo().permute(1, 2, 0).numpy()).save(tmp_path / "a.png", exif=exif)
    expected = np.array(ImageOps.exif_transpose(Image.open(tmp_path / "a.png")))
    found = read_photo(tmp_path / "a.png")
    assert np.array_equal(found.pixels.permute(1, 2, 0).numpy(), expected)
    kept = Image.Exif()
    kept.load(b"Exif\0\0" + found.exif)
    assert kept[0x010F] == "Camera"
    assert 0x0112 not in kept


def test_16_bit_colour_png_keeps_every_level(tmp_path):
    pixels = photo(3, torch.uint16)
    rewritten(tmp_path / "a.png", pixels)
    found = read_photo(tmp_path / "a.png").pixels
    assert found.dtype == torch.uint16
    assert torch.equal(found.int(), pixels.int())


@pytest.mark.parametrize("channels", [1, 3])
def test_16_bit_tiff_keeps_every_level(tmp_path, channels):
    pixels = photo(channels, torch.uint16).int().permute(1, 2, 0).numpy().astype(np.uint16)
    tifffile.imwrite(
        tmp_path / "a.tif",
        pixels.squeeze(),
        photometric="rgb" if channels == 3 else "minisblack",
        compression="zlib",
    )
    found = read_photo(tmp_path / "a.tif").pixels
    assert found.dtype == torch.uint16
    assert np.array_equal(found.int().permute(1, 2, 0).numpy(), pixels)


def test_16_bit_grey_pgm(tmp_path):
    levels = np.array([[0, 300, 65535]], ">u2")
    (tmp_path / "a.pgm").write_bytes(b"P5 3 1 65535\n" + levels.tobytes())
    found = read_photo(tmp_path / "a.pgm").pixels
    assert found.dtype == torch.uint16
    assert found.int().tolist() == [[[0, 300, 65535]]]


@pytest.mark.parametrize(
    ("mode", "channels"),
    [("1", 1), ("L", 1), ("LA", 2), ("RGB", 3), ("RGBA", 4), ("P", 3), ("YCbCr", 3)],
)
def test_channels_are_those_of_the_file(tmp_path, mode, channels):
    image = Image.fromarray(data.astronaut()[:40, :40]).convert(mode)
    image.save(tmp_path / ("a.tif" if mode == "YCbCr" else "a.png"))
    found = read_photo(tmp_path / ("a.tif" if mode == "YCbCr" else "a.png"))
    assert len(found.pixels) == channels


def test_palette_with_transparency(tmp_path):
    image = Image.new("P", (4, 1))
    image.putpalette([255, 0, 255, 10, 20, 30, 40, 50, 60])
    image.putdata([0, 1, 2, 1])
    image.save(tmp_path / "a.png", transparency=0)
    pixels = read_photo(tmp_path / "a.png").pixels
    assert pixels[3, 0].tolist() == [0, 255, 255, 255]
    assert pixels[:3, 0, 1:].T.tolist() == [[10, 20, 30], [40, 50, 60], [10, 20, 30]]
    # The magenta that nobody was meant to see would bleed into the picture.
    assert pixels[:3, 0, 0].tolist() == [10, 20, 30]


def test_a_palette_of_greys_is_grey(tmp_path):
    image = Image.fromarray(data.camera()[:20, :20]).convert("P")
    image.save(tmp_path / "a.gif")
    assert len(read_photo(tmp_path / "a.gif").pixels) == 1


def test_grey_with_a_transparent_level(tmp_path):
    Image.fromarray(np.array([[7, 9]], np.uint8)).save(tmp_path / "a.png", transparency=7)
    assert read_photo(tmp_path / "a.png").pixels[1].tolist() == [[0, 255]]


def test_cmyk_becomes_rgb_and_loses_a_profile_that_is_no_longer_its(tmp_path):
    image = Image.fromarray(data.astronaut()[:64, :64]).convert("CMYK")
    image.save(tmp_path / "a.jpg", quality=95, icc_profile=b"\0" * 16 + b"CMYK" + b"\0" * 108)
    found = read_photo(tmp_path / "a.jpg")
    assert found.icc is None
    error = found.pixels.permute(1, 2, 0).numpy().astype(float) - data.astronaut()[:64, :64]
    assert np.abs(error).mean() < 6


def test_profile_is_kept_where_it_fits(tmp_path):
    Image.fromarray(data.astronaut()[:8, :8]).save(tmp_path / "a.png", icc_profile=SRGB)
    assert read_photo(tmp_path / "a.png").icc == SRGB
    Image.fromarray(data.camera()[:8, :8]).save(tmp_path / "grey.png", icc_profile=SRGB)
    assert read_photo(tmp_path / "grey.png").icc is None


def test_animations_give_their_first_image_and_say_how_many(tmp_path):
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("red", "green", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    found = read_photo(tmp_path / "a.gif")
    assert found.frames == 3
    assert found.pixels[:, 0, 0].tolist() == [255, 0, 0]


def test_numbers_without_a_range_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.random.rand(4, 4).astype(np.float32))  # noqa: NPY002
    with pytest.raises(UserError, match=r"a\.tif: floating-point"):
        read_photo(tmp_path / "a.tif")


# Generators for what photos have ------------------------------------------------------------------


class Enlarged(torch.nn.Module):
    """Repeats pixels: what goes in is seen in what comes out."""

    scale, receptive_field = 2, 0

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        assert lr.shape[1] == self.channels
        return lr.repeat_interleave(2, -1).repeat_interleave(2, -2)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("own", [1, 3])
def test_any_generator_takes_any_photo(own, channels):
    x = torch.rand(1, channels, 6, 5)
    sr = upscale(PhotoGenerator(Enlarged(own), channels), x)
    assert sr.shape == (1, channels, 12, 10)
    if channels <= 2 or own == 3:
        colours = 3 if channels >= 3 else 1
        assert torch.allclose(sr[:, :colours], Enlarged(colours)(x[:, :colours]), atol=1e-5)


def test_a_grey_generator_makes_the_luma_of_colour():
    x = torch.rand(1, 3, 8, 8)
    sr = PhotoGenerator(Enlarged(1), 3)(x)
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    expected = Enlarged(1)((x * weights).sum(1, keepdim=True))
    assert torch.allclose((sr * weights).sum(1, keepdim=True), expected, atol=1e-5)


def test_a_grey_generator_leaves_colours_to_bicubic():
    x = torch.rand(1, 3, 8, 8)
    sr = PhotoGenerator(Enlarged(1), 3)(x)
    # Differences of channels know nothing of luma.
    colours = imresize(x[:, :2] - x[:, 1:], 2)
    assert torch.allclose(sr[:, :2] - sr[:, 1:], colours, atol=1e-5)


def test_opaque_stays_opaque_and_clear_stays_clear():
    x = torch.rand(1, 4, 8, 8)
    x[:, 3] = 1
    x[:, 3, :, :4] = 0
    sr = upscale(PhotoGenerator(Enlarged(3), 4), x).mul(255).round().clamp(0, 255)
    assert (sr[:, 3, :, :4] == 0).all()
    assert (sr[:, 3, :, -4:] == 255).all()


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("own", [1, 3])
def test_tiles_leave_no_seam_in_alpha_and_colour(own, channels):
    generator = create_generator(scale=2, channels=own, n_blocks=1, n_features=8)
    torch.nn.init.normal_(generator.output.weight, std=0.05)
    fitted = PhotoGenerator(generator, channels)
    lr = torch.rand(1, channels, 20, 40)
    assert (upscale(fitted, lr, 7) - upscale(fitted, lr)).abs().max() < 2e-5
