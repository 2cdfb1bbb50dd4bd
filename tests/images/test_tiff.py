"""TIFF of every kind is read as the array that was written, in all uses, or refused in a line."""

from __future__ import annotations

import io
import itertools
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms
from skimage import data

from tmd.data.sources import FileSource
from tmd.errors import UserError
from tmd.evaluation import open_benchmark, read_pair
from tmd.images import read_image, read_size
from tmd.photos import read_photo

HEIGHT, WIDTH = 26, 34
BANDS = {"minisblack": 1, "miniswhite": 1, "rgb": 3}
EXTRAS = {None: 0, "assocalpha": 1, "unassalpha": 2, "unspecified": 0}
TYPES = (np.uint8, np.uint16)
COMPRESSIONS = (None, "lzw", "zlib", "packbits", "zstd", "lzma")
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
PRODUCT = list(
    itertools.product(BANDS, EXTRAS, TYPES, ("contig", "separate"), COMPRESSIONS, STORED)
)


def seen(bands: int, dtype: type, associated: bool) -> np.ndarray:
    """(H, W, bands): a photo's colours, and a last band from clear to opaque."""
    top = np.iinfo(dtype).max
    photo = data.astronaut()[40 : 40 + HEIGHT, 200 : 200 + WIDTH].astype(np.int64)
    if dtype == np.uint16:
        photo = photo * 257 - photo % 251
    ramp = np.linspace(0, top, HEIGHT * WIDTH).astype(np.int64).reshape(HEIGHT, WIDTH, 1)
    image = np.dstack([photo, ramp])[..., [*range(3), 3] if bands >= 3 else [0, 3]][..., :bands]
    if associated:
        image[..., :-1] = image[..., :-1] * ramp // top
    return image.astype(dtype)


def write(path: Path, seen: np.ndarray, orientation: int = 1, **options) -> None:
    stored = np.ascontiguousarray(STORED[orientation](seen))
    if options.get("planarconfig") == "separate" and stored.shape[-1] > 1:
        stored = np.moveaxis(stored, -1, 0)
    elif stored.shape[-1] == 1:
        stored = stored[..., 0]
        options.pop("planarconfig", None)
    tag = (274, "H", 1, orientation, True)
    tifffile.imwrite(path, stored, metadata=None, extratags=[tag], **options)


def rounded(levels: np.ndarray, top: int) -> np.ndarray:
    return np.floor(levels * (255 / top) + 0.5).astype(np.uint8)


def in_all_uses(path: Path, channels: int) -> dict[str, np.ndarray]:
    """(H, W, C) of 8 bits by those who take no more."""
    benchmark = open_benchmark(path.parent, 2)
    images = {
        "read": read_image(path, channels),
        "training": FileSource([str(path)], channels).read(0),
        "evaluation": read_pair(benchmark.samples[0], 2, channels)[1],
    }
    return {use: image.permute(1, 2, 0).numpy() for use, image in images.items()}


@pytest.mark.parametrize("photometric", BANDS)
@pytest.mark.parametrize("extra", EXTRAS)
@pytest.mark.parametrize("dtype", TYPES)
def test_every_combination_is_read_as_it_was_written(tmp_path, photometric, extra, dtype):
    chosen = [case for case in PRODUCT if case[:3] == (photometric, extra, dtype)]
    assert len(chosen) == 2 * len(COMPRESSIONS) * 8
    if (photometric, extra) == ("miniswhite", "assocalpha"):
        pytest.skip("refused, see below")
    colours, top = BANDS[photometric], np.iinfo(dtype).max
    image = seen(colours + (extra is not None), dtype, extra == "assocalpha")
    alpha = image[..., -1:] / top if extra in ("assocalpha", "unassalpha") else None
    light = image[..., :colours].astype(np.float64)
    if photometric == "miniswhite":
        light = top - light
    on_white = light if alpha is None else light * alpha + top * (1 - alpha)
    if extra == "assocalpha":
        on_white = light + top * (1 - alpha)
    options = {} if extra is None else {"extrasamples": [extra]}
    for _, _, _, planar, compression, orientation in chosen:
        path = tmp_path / "a.tif"
        options |= {"planarconfig": planar, "compression": compression}
        write(path, image, orientation, photometric=photometric, **options)
        assert read_size(path) == (HEIGHT, WIDTH)
        for use, found in in_all_uses(path, colours).items():
            # Once rounded here, twice where 16 bits are laid on white.
            tolerance = 0 if alpha is None else 1
            difference = np.abs(found.astype(int) - rounded(on_white, top))
            assert difference.max() <= tolerance, (use, planar, compression, orientation)
        photo = read_photo(path)
        check_photo(photo, light, alpha, extra, dtype)
        assert photo.left_out == (("1 band that is no colour",) if extra == "unspecified" else ())


def check_photo(photo, light, alpha, extra, dtype) -> None:
    top = np.iinfo(dtype).max
    found = photo.pixels.int().permute(1, 2, 0).numpy()
    assert photo.pixels.dtype == {np.uint8: torch.uint8, np.uint16: torch.uint16}[dtype]
    if alpha is None:
        assert np.array_equal(found, light)
        return
    assert np.array_equal(found[..., -1:], np.rint(alpha * top))
    clear = alpha[..., 0] == 0
    whole = np.where(alpha > 0, light / np.maximum(alpha, 1e-9), 0).clip(0, top)
    expected = whole if extra == "assocalpha" else light
    assert np.abs(found[..., :-1] - expected)[~clear].max() <= 0.5 + 1e-6


# Other interpretations --------------------------------------------------------------------------


def grey(top: int = 255) -> np.ndarray:
    return (data.camera()[:HEIGHT, :WIDTH].astype(np.int64) * top // 255).astype(
        np.uint8 if top < 256 else np.uint16
    )


@pytest.mark.parametrize("bits", [1, 2, 4, 12])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_any_number_of_bits_has_the_whole_range(tmp_path, bits, photometric):
    top = 2**bits - 1
    levels = grey(top)
    levels[0, :2] = 0, top
    options = {"bitspersample": bits} if bits > 1 else {}
    stored = levels.astype(bool) if bits == 1 else levels
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric=photometric, **options)
    light = top - levels.astype(int) if photometric == "miniswhite" else levels
    photo = read_photo(tmp_path / "a.tif").pixels
    assert photo.dtype == (torch.uint8 if bits <= 8 else torch.uint16)
    highest = 255 if bits <= 8 else 65535
    assert np.array_equal(photo[0].int().numpy(), np.rint(light / top * highest))
    for found in in_all_uses(tmp_path / "a.tif", 1).values():
        assert np.abs(found[..., 0] - light / top * 255).max() <= 0.51


@pytest.mark.parametrize("factor", [1, 256, 257])
def test_palette_of_any_habit_of_writing(tmp_path, factor):
    colours = np.random.default_rng(0).integers(0, 256, (3, 256))
    index = grey()
    tifffile.imwrite(
        tmp_path / "a.tif",
        index,
        photometric="palette",
        colormap=(colours * factor).astype(np.uint16),
    )
    expected = colours.T[index]
    for found in in_all_uses(tmp_path / "a.tif", 3).values():
        assert np.array_equal(found, expected)
    assert np.array_equal(read_photo(tmp_path / "a.tif").pixels.permute(1, 2, 0), expected)


def test_palette_of_16_bits_is_rounded(tmp_path):
    colours = np.random.default_rng(0).integers(0, 65536, (3, 256), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", grey(), photometric="palette", colormap=colours)
    found = read_image(tmp_path / "a.tif").permute(1, 2, 0).numpy()
    assert np.array_equal(found, rounded(colours.T[grey()], 65535))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_inks(tmp_path, dtype, planar):
    inks = seen(4, dtype, False)
    write(tmp_path / "a.tif", inks, photometric="separated", planarconfig=planar)
    top = np.iinfo(dtype).max
    light = (top - inks.astype(float)) / top
    expected = light[..., :3] * light[..., 3:]
    photo = read_photo(tmp_path / "a.tif").pixels.int().permute(1, 2, 0).numpy()
    assert np.abs(photo - expected * top).max() <= 0.5
    for found in in_all_uses(tmp_path / "a.tif", 3).values():
        assert np.abs(found - expected * 255).max() <= 0.51


def ink_profile() -> bytes:
    """A profile of inks (ICC.1) with a table of two points an ink, one ink yellower than it is."""
    corners = np.array(list(itertools.product((0, 1), repeat=4)), float)
    light = (1 - corners[:, :3].mean(1)) * (1 - 0.9 * corners[:, 3])
    lab = np.stack([255 * light, np.full(16, 128), 128 + 60 * corners[:, 2]], axis=1)
    ramp = bytes(range(256))
    matrix = struct.pack(">9i", *(np.eye(3) * 65536).astype(int).ravel())
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + matrix + ramp * 4
    table += np.rint(lab).astype(np.uint8).tobytes() + ramp * 3
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    place = 128 + 4 + 2 * 12
    tags = struct.pack(">I", 2)
    tags += struct.pack(">4sII", b"A2B0", place, len(table))
    tags += struct.pack(">4sII", b"wtpt", place + len(table), len(white))
    size = place + len(table) + len(white)
    header = struct.pack(">I4sI4s4s4s", size, b"lcms", 0x02400000, b"prtr", b"CMYK", b"Lab ")
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + tags + table + white


@pytest.mark.parametrize("dtype", TYPES)
def test_inks_by_their_profile(tmp_path, dtype):
    inks = seen(4, np.uint8, False)
    top = np.iinfo(dtype).max
    levels = inks.astype(dtype) * (top // 255)
    write(tmp_path / "a.tif", levels, photometric="separated", iccprofile=ink_profile())
    expected = ImageCms.profileToProfile(
        Image.fromarray(inks, "CMYK"),
        ImageCms.ImageCmsProfile(io.BytesIO(ink_profile())),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
        outputMode="RGB",
    )
    naive = Image.fromarray(inks, "CMYK").convert("RGB")
    assert np.abs(np.asarray(expected).astype(int) - np.asarray(naive)).mean() > 10
    photo = read_photo(tmp_path / "a.tif")
    assert photo.pixels.dtype == (torch.uint8 if top == 255 else torch.uint16)
    assert photo.icc[16:20] == b"RGB "
    found = photo.pixels.int().permute(1, 2, 0).numpy() / (top // 255)
    assert np.abs(found - np.asarray(expected)).max() <= 1.5
    for found in in_all_uses(tmp_path / "a.tif", 3).values():
        assert np.abs(found - np.asarray(expected).astype(int)).max() <= 2


def test_luma_and_chroma_equal_pillows(tmp_path):
    stored = np.array(Image.fromarray(seen(3, np.uint8, False)).convert("YCbCr"))
    write(tmp_path / "a.tif", stored, photometric="ycbcr")
    expected = np.array(Image.fromarray(stored, "YCbCr").convert("RGB")).astype(int)
    for found in in_all_uses(tmp_path / "a.tif", 3).values():
        assert np.abs(found - expected).max() <= 1


@pytest.mark.parametrize("subsampling", [(1, 1), (2, 2)])
def test_jpeg_inside_is_about_what_was_written(tmp_path, subsampling):
    image = data.astronaut()[:64, :96]
    tifffile.imwrite(
        tmp_path / "a.tif",
        image,
        photometric="rgb",
        compression="jpeg",
        compressionargs={"level": 95},
        subsampling=subsampling,
    )
    assert np.abs(in_all_uses(tmp_path / "a.tif", 3)["training"] - image.astype(int)).mean() < 3


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt"])
@pytest.mark.parametrize("white_is_zero", [False, True])
def test_faxes_by_libtiff(tmp_path, compression, white_is_zero):
    fax = Image.fromarray(data.page()[:60, :100] > 100)
    fax.save(tmp_path / "a.tif", compression=compression, tiffinfo={262: int(not white_is_zero)})
    with Image.open(tmp_path / "a.tif") as image:
        expected = np.array(image.convert("L"))
        assert image.tag_v2[262] == int(not white_is_zero)
    assert set(np.unique(expected)) == {0, 255}
    assert np.array_equal(read_image(tmp_path / "a.tif", 1)[0].numpy(), expected)


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "lzw", "predictor": True},
        {"compression": "zlib", "predictor": True, "tile": (16, 16)},
        {"tile": (16, 32), "planarconfig": "contig"},
        {"rowsperstrip": 3},
        {"bigtiff": True},
        {"byteorder": ">"},
        {"compression": "webp"},
        {"compression": "jpegxl"},
    ],
    ids=str,
)
def test_layouts(tmp_path, options):
    image = seen(3, np.uint8 if options.get("compression") == "webp" else np.uint16, False)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", **options)
    found = read_photo(tmp_path / "a.tif").pixels.int().permute(1, 2, 0).numpy()
    assert np.array_equal(found, image)


# Refusals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "options", "reason"),
    [
        (grey() / np.float32(255), {}, "floating-point images have no range"),
        (seen(3, np.uint8, False).astype(np.float16), {}, "floating-point images have no range"),
        (grey().astype(np.int32), {}, "signed integers have no range; convert"),
        (grey().astype(np.int16), {}, "signed integers have no range; convert"),
        (grey().astype(np.uint32), {}, "integers of 32 bits have no range; convert"),
        (seen(4, np.uint8, False), {"photometric": "minisblack"}, "which of its 4 bands are the"),
        (seen(3, np.uint16, False), {"photometric": "minisblack"}, "which of its 3 bands are the"),
        (seen(3, np.uint8, False), {"photometric": "cielab"}, "whose levels are CIELAB is not"),
        (
            seen(2, np.uint8, True),
            {"photometric": "miniswhite", "extrasamples": ["assocalpha"]},
            "associated alpha beside MINISWHITE is not read",
        ),
        (np.stack([grey()] * 4), {"volumetric": True, "tile": (16, 16, 16)}, "a TIFF of volumes"),
    ],
)
def test_what_has_no_meaning_as_an_image_is_refused_in_a_line(tmp_path, image, options, reason):
    path = tmp_path / "a.tif"
    photometric = "rgb" if image.ndim == 3 and image.shape[-1] == 3 else "minisblack"
    options = {"photometric": photometric, "planarconfig": "contig", **options}
    if image.ndim == 2 or options.get("volumetric"):
        del options["planarconfig"]
    tifffile.imwrite(path, image, **options)
    uses = (read_photo, read_image, FileSource([str(path)], 3).read)
    for use, argument in zip(uses, (path, path, 0), strict=True):
        with pytest.raises(UserError) as caught:
            use(argument)
        assert str(caught.value).startswith(f"{path}: ")
        assert reason in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_what_is_cut_off_is_not_taken_for_black(tmp_path, compression):
    whole = tmp_path / "whole.tif"
    image = np.random.default_rng(0).integers(0, 65536, (40, 50, 3), dtype=np.uint16)
    tifffile.imwrite(whole, image, photometric="rgb", compression=compression, rowsperstrip=8)
    content = whole.read_bytes()
    for part in (0.3, 0.7, 0.98):
        (tmp_path / "a.tif").write_bytes(content[: int(len(content) * part)])
        with pytest.raises(UserError, match=r"a\.tif: broken image"):
            read_image(tmp_path / "a.tif")


def test_a_missing_decoder_is_named(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", grey(), compression="lzw")
    monkeypatch.setattr(tifffile.TIFF, "DECOMPRESSORS", {1: None})
    with pytest.raises(UserError, match=r"a\.tif: TIFF compressed by LZW is not read"):
        read_image(tmp_path / "a.tif")


def test_too_many_pixels_are_seen_in_the_header(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", grey())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", HEIGHT * WIDTH - 1)
    for use in (read_size, read_image, read_photo):
        with pytest.raises(
            UserError, match=r"a\.tif: more than 883 pixels \(34×26\); a larger (dataset\.)?max"
        ):
            use(tmp_path / "a.tif")


# What is beside the pixels ----------------------------------------------------------------------


def test_the_camera_is_kept_and_the_old_geometry_is_not(tmp_path):
    exif = Image.Exif()
    exif[271], exif[282], exif[283], exif[274] = "Camera", 300.0, 300.0, 6
    exif.get_ifd(0x8769)[0x9003] = "2026:11:28 00:00:00"
    exif.get_ifd(0x8769)[0xA002] = 34
    Image.fromarray(grey()).save(tmp_path / "a.tif", exif=exif.tobytes())
    kept = Image.Exif()
    kept.load(b"Exif\0\0" + read_photo(tmp_path / "a.tif").exif)
    assert dict(kept) == {271: "Camera", 282: 300.0, 283: 300.0, 0x8769: kept[0x8769]}
    assert dict(kept.get_ifd(0x8769)) == {0x9003: "2026:11:28 00:00:00"}


def test_what_programs_write_for_themselves_is_left_out_and_said(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif",
        seen(3, np.uint8, False),
        photometric="rgb",
        extratags=[(37724, "B", 120000, bytes(120000), True)],
    )
    photo = read_photo(tmp_path / "a.tif")  # with a description of its shape
    assert photo.left_out == ("tag 37724 (120000 bytes)",)
    assert b"shape" not in (photo.exif or b"")


def test_pages_are_counted_without_previews(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for subfiletype in (0, 1, 0):
            file.write(grey(), subfiletype=subfiletype, metadata=None)
    photo = read_photo(tmp_path / "a.tif")
    assert photo.frames == 2
    assert np.array_equal(photo.pixels[0], grey())
