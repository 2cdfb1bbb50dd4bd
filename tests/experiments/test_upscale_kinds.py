"""Images of any bands and bits go through upscale.py and come out as what they were, larger."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile
import torch
from imagecodecs import png_decode, png_encode
from PIL import Image
from rasterio.transform import Affine
from skimage import data
from trained_files import checkpoint

from experiments.upscale import ex
from tmd.checkpoints import load_checkpoint, load_generator, save_checkpoint
from tmd.errors import UserError
from tmd.images import DTYPES, ImageKind
from tmd.resize import imresize

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def run(inputs, output, **changes):
    config = {"input": str(inputs), "output": str(output), "device": "cpu", **changes}
    return ex.run(config_updates=config).result


def interpolate(inputs, output, scale, **changes):
    """As typed: ``upscale.py with interpolation scale=1``."""
    config = {"input": str(inputs), "output": str(output), "scale": scale, **changes}
    return ex.run(named_configs=["interpolation"], config_updates=config).result


def network(path: Path, kind: ImageKind, **changes) -> Path:
    """A checkpoint of a network that was trained on images of such a kind."""
    checkpoint(path, channels=kind.channels, **changes)
    save_checkpoint(path, {**load_checkpoint(path), "image_kind": kind.state_dict()})
    return path


def scene(shared_data: Path, bands: slice = slice(None)) -> np.ndarray:
    """(H, W, C) of real reflectance, float32."""
    return np.load(shared_data / "bands/sentinel2_13bands.npy")[2, :40, :50, bands]


def deep(bands: int = 3) -> np.ndarray:
    """(H, W, C) of a real photo, uint16, with levels that 8 bits have not."""
    image = data.astronaut()[:48, 200:240].astype(np.uint16) * 257
    image = image - np.arange(48 * 40, dtype=np.uint16).reshape(48, 40, 1) % 251
    return np.ascontiguousarray(np.dstack([image, image[::-1]])[..., :bands])


def files(folder: Path, shared_data: Path) -> dict[str, np.ndarray]:
    """Files of every kind, with what they hold."""
    images = {
        "deep.png": deep(),
        "alpha.png": deep(4),
        "grey.png": np.ascontiguousarray(deep(1)[..., 0]),
        "photo.png": data.astronaut()[:30, :20],
        "deep.tif": deep(),
        "four.tif": deep(4),
        "float.tif": scene(shared_data),
        "height.tif": (deep(1)[..., 0].astype(np.int32) - 30000).astype(np.int16),
        "bands.npy": scene(shared_data),
        "planes.npy": np.ascontiguousarray(np.moveaxis(scene(shared_data, slice(5)), -1, 0)),
        "grey.npy": deep(1)[..., 0],
        "stack.npy": np.stack([scene(shared_data), scene(shared_data) * 2]),
        "stack.tif": np.stack([deep(1)[..., 0], deep(1)[::-1, :, 0], deep(1)[:, ::-1, 0]]),
        "two.npz": deep(4),
    }
    images["alpha.png"][:9, :9, 3] = 0  # what can't be seen is kept, too
    folder.mkdir()
    for name, image in images.items():
        path = folder / name
        if path.suffix == ".png":
            path.write_bytes(png_encode(image))
        elif path.suffix == ".npy":
            np.save(path, image)
        elif path.suffix == ".npz":
            np.savez(path, image, image[::-1])
        elif name == "stack.tif":
            tifffile.imwrite(path, image, photometric="minisblack")
        else:
            photometric = "rgb" if name == "deep.tif" else "minisblack"
            planar = "contig" if image.ndim == 3 else None
            tifffile.imwrite(path, image, photometric=photometric, planarconfig=planar)
    return images


def read(path: Path) -> np.ndarray:
    """By the library that the format belongs to."""
    if path.suffix == ".png":
        return png_decode(path.read_bytes())
    if path.suffix == ".npz":
        return np.load(path)["arr_0"]
    return np.load(path) if path.suffix == ".npy" else tifffile.imread(path)


def test_nothing_on_the_way_loses_bits(tmp_path, shared_data, capsys):
    """With `interpolation` at scale 1 every image is itself, and of its type."""
    images = files(tmp_path / "in", shared_data)
    assert interpolate(tmp_path / "in", tmp_path / "out", 1)["upscaled"] == len(images)
    results = {path.name: path for path in (tmp_path / "out").iterdir()}
    expected = {
        **{name: name for name in images},
        "deep.tif": "deep.tif.png",  # a photo, beside another of that name
        "deep.png": "deep.png.png",
    }
    assert set(results) == set(expected.values())
    for name, image in images.items():
        found = read(results[expected[name]])
        assert found.shape == image.shape, name
        if name == "height.tif":
            assert found.dtype == np.float32
        else:
            assert found.dtype == image.dtype, name
        assert np.array_equal(found, image), name
    assert np.array_equal(np.load(results["two.npz"])["arr_1"], images["two.npz"][::-1])
    said = capsys.readouterr().err
    assert "height.tif: int16 became float32" in said
    assert said.count("became") == 1


def test_interpolation_is_matlabs_bicubic_of_each_band(tmp_path, shared_data):
    image = scene(shared_data)
    np.save(tmp_path / "a.npy", image)
    interpolate(tmp_path / "a.npy", tmp_path / "b.npy", 3, tile=16)
    lr = torch.from_numpy(image).permute(2, 0, 1)[None].double()
    expected = imresize(lr, 3)[0].permute(1, 2, 0).numpy()
    found = np.load(tmp_path / "b.npy")
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() < 1e-6


KINDS = {
    "13 bands of reflectance": ImageKind(13, "float32", (0.0, 0.4)),
    "four of 13 bands": ImageKind(4, "float32", (0.0, 0.4), (4, 3, 2, 8)),
    "16 bits": ImageKind.of_dtype(3, "uint16"),
    "four bands of 12 bits in 16": ImageKind(4, "uint16", (100, 4095)),
    "grey of 16 bits": ImageKind.of_dtype(1, "uint16"),
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("suffix", [".npy", ".tif", ".png"])
def test_a_network_gives_the_kind_that_it_was_trained_on(tmp_path, shared_data, name, suffix):
    kind = KINDS[name]
    image = scene(shared_data) if kind.dtype == "float32" else deep(kind.channels)
    if kind.value_range == (100, 4095):
        image = image // 16
    if suffix == ".png":
        if kind.dtype == "float32":
            return
        (tmp_path / "a.png").write_bytes(png_encode(image))
    elif suffix == ".npy":
        np.save(tmp_path / "a.npy", image)
    else:
        photometric = "rgb" if image.shape[-1] == 3 else "minisblack"
        tifffile.imwrite(
            tmp_path / "a.tif", image, photometric=photometric, planarconfig="contig"
        ) if image.shape[-1] > 1 else tifffile.imwrite(tmp_path / "a.tif", image[..., 0])
    file = network(tmp_path / "net.pt", kind)
    output = tmp_path / f"b{suffix}"
    run(tmp_path / f"a{suffix}", output, checkpoint=str(file), tile=17)
    chosen = image if kind.bands is None else image[..., [band - 1 for band in kind.bands]]
    low, high = kind.value_range
    lr = torch.from_numpy(((chosen.astype(np.float64) - low) / (high - low)).astype(np.float32))
    with torch.no_grad():
        sr = load_generator(file)(lr.permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()
    expected = sr.astype(np.float64) * (high - low) + low
    found = read(output)
    assert found.dtype == image.dtype
    found = found.reshape(*found.shape[:2], -1)
    if kind.dtype != "float32":
        expected = np.rint(expected.clip(0, DTYPES[kind.dtype]))
    assert found.shape == expected.shape
    tolerance = 1 if kind.dtype != "float32" else 1e-5
    assert np.abs(found - expected).max() <= tolerance


def test_a_network_of_8_bits_keeps_the_16_of_a_file(tmp_path):
    file = checkpoint(tmp_path / "net.pt")
    for name, image in (("a", deep()), ("b", deep(1)[..., 0])):
        np.save(tmp_path / f"{name}.npy", image)
        tifffile.imwrite(tmp_path / f"{name}.tif", image)
        run(tmp_path / f"{name}.npy", tmp_path / f"{name}2.npy", checkpoint=str(file))
        run(tmp_path / f"{name}.tif", tmp_path / f"{name}2.png", checkpoint=str(file))
        found = np.load(tmp_path / f"{name}2.npy")
        assert found.dtype == np.uint16
        assert len(np.unique(found)) > 1000
        assert np.array_equal(found, read(tmp_path / f"{name}2.png"))


def test_bands_and_range_say_what_a_photos_network_is_shown(tmp_path, shared_data):
    file = checkpoint(tmp_path / "net.pt")
    image = scene(shared_data)
    np.save(tmp_path / "a.npy", image)
    meaning = {"bands": [4, 3, 2], "value_range": [0, 0.3]}
    run(tmp_path / "a.npy", tmp_path / "b.npy", checkpoint=str(file), **meaning)
    lr = torch.from_numpy(image[..., [3, 2, 1]]).permute(2, 0, 1)[None] / 0.3
    with torch.no_grad():
        expected = load_generator(file)(lr)[0].permute(1, 2, 0).numpy() * 0.3
    found = np.load(tmp_path / "b.npy")
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() < 1e-5


# GeoTIFF ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["RGB.byte.tif", "RGBA.uint16.tif", "shade.tif"])
def test_geotiffs_stay_geotiffs(tmp_path, shared_data, file):
    source = shared_data / "bands" / file
    interpolate(source, tmp_path, 2)
    with rasterio.open(source) as old, rasterio.open(tmp_path / file) as new:
        assert (new.crs, new.nodata, new.count) == (old.crs, old.nodata, old.count)
        assert new.dtypes == old.dtypes
        assert np.allclose(new.bounds, old.bounds)
        assert np.allclose(new.transform, old.transform * Affine.scale(0.5), rtol=1e-9)
        assert new.descriptions == old.descriptions
        expected = old.read_masks().repeat(2, 1).repeat(2, 2)
        if old.nodata is not None:
            assert np.array_equal(new.read_masks(), expected)
        # What is shown of the data is about what it was.
        data_ = expected[0] > 0
        blocks = new.read(1).astype(float).reshape(old.height, 2, old.width, 2).mean((1, 3))
        before = old.read(1).astype(float)
        inside = data_[::2, ::2]
        assert np.abs(blocks - before)[inside].mean() <= 0.08 * before[inside].mean()


def test_a_photos_network_keeps_the_place_of_a_photo_from_above(tmp_path, shared_data):
    source = shared_data / "bands/RGB.byte.tif"
    run(source, tmp_path, checkpoint=str(checkpoint(tmp_path / "net.pt")))
    with rasterio.open(source) as old, rasterio.open(tmp_path / "RGB.byte.tif") as new:
        assert new.colorinterp == old.colorinterp
        assert new.nodata == 0
        assert np.allclose(new.bounds, old.bounds)
        assert np.array_equal(new.read_masks(), old.read_masks().repeat(2, 1).repeat(2, 2))


@pytest.mark.parametrize("nodata", [-9999.0, float("nan"), -3.4028234663852886e38])
def test_no_data_is_not_smeared_into_data(tmp_path, shared_data, nodata):
    """Beside a gap the result is that of an image which goes on as it ends there."""
    image = np.moveaxis(scene(shared_data, slice(3)), -1, 0).copy()
    image[:, :, 25:] = nodata
    profile = {"driver": "GTiff", "count": 3, "height": 40, "width": 50, "dtype": "float32"}
    with rasterio.open(tmp_path / "a.tif", "w", nodata=nodata, **profile) as file:
        file.write(image)
    interpolate(tmp_path / "a.tif", tmp_path / "b.tif", 4)
    with rasterio.open(tmp_path / "b.tif") as file:
        found = file.read()
    assert np.array_equal(found[:, :, 100:], np.full((3, 160, 100), nodata, np.float32), True)
    lr = torch.from_numpy(image[:, :, :25])[None].double()
    lr = torch.cat([lr, lr[..., -1:].expand(-1, -1, -1, 8)], -1)
    expected = imresize(lr, 4)[0, :, :, :100].numpy()
    assert np.abs(found[:, :, :100] - expected).max() < 1e-5


def test_a_result_is_never_no_data_by_chance(tmp_path):
    image = np.full((1, 6, 6), 255, np.uint8)
    image[0, :3] = 7
    profile = {"driver": "GTiff", "count": 1, "height": 6, "width": 6, "dtype": "uint8"}
    with rasterio.open(tmp_path / "a.tif", "w", nodata=0, **profile) as file:
        file.write(image)
    interpolate(tmp_path / "a.tif", tmp_path / "b.tif", 4)  # bicubic overshoots below 7
    with rasterio.open(tmp_path / "b.tif") as file:
        assert file.read().min() == 1
        assert file.read_masks().min() == 255


def test_what_another_format_has_no_place_for_is_said(tmp_path, shared_data, capsys):
    source = shared_data / "bands/RGB.byte.tif"
    interpolate(source, tmp_path, 1, format="png")
    said = capsys.readouterr().err
    assert "RGB.byte.tif: without its place on Earth (CRS, transform), which only TIFF" in said
    assert os.listdir(tmp_path) == ["RGB.byte.png"]


# Stacks -----------------------------------------------------------------------------------------


def test_stacks_come_out_as_stacks(tmp_path, capsys):
    pages = [deep(), data.astronaut()[:30, :20], deep(1)[..., 0]]
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for page in pages:
            file.write(page, photometric="rgb" if page.ndim == 3 else "minisblack")
    net = checkpoint(tmp_path / "net.pt")
    run(tmp_path / "a.tif", tmp_path / "out", checkpoint=str(net))
    for number, page in enumerate(pages):
        found = tifffile.imread(tmp_path / "out/a.tif", key=number)
        tifffile.imwrite(tmp_path / "one.tif", page)
        run(tmp_path / "one.tif", tmp_path / "one.png", checkpoint=str(net), existing="replace")
        assert found.dtype == page.dtype
        assert np.array_equal(found, read(tmp_path / "one.png"))
    assert len(tifffile.TiffFile(tmp_path / "out/a.tif").pages) == 3
    assert "the first of" not in capsys.readouterr().err
    run(f"{tmp_path}/a.tif[1]", tmp_path / "second", checkpoint=str(net))
    assert Image.open(tmp_path / "second/a.png").size == (40, 60)
    run(tmp_path / "a.tif", tmp_path / "first", checkpoint=str(net), format="png")
    assert "a.tif: the first of 3 images" in capsys.readouterr().err


def test_a_stack_of_which_an_image_is_broken_leaves_nothing(tmp_path, shared_data, capsys):
    stack = np.stack([scene(shared_data)] * 3)
    stack[2, 5, 6, 7] = np.nan
    np.save(tmp_path / "a.npy", stack)
    with pytest.raises(UserError, match="1 of 1 images could not"):
        interpolate(tmp_path / "a.npy", tmp_path / "out", 2)
    assert "a.npy[2]: holds NaN or infinite numbers (1 of 26000)" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*"))
    one = tmp_path / "one.npy"
    np.save(one, stack[:1])
    interpolate(one, tmp_path / "two.npy", 2)
    assert np.load(tmp_path / "two.npy").shape == (1, 80, 100, 13)
    interpolate(f"{tmp_path}/a.npy[1]", tmp_path / "second.npy", 1)
    assert np.array_equal(np.load(tmp_path / "second.npy"), stack[1])


# Mistakes ---------------------------------------------------------------------------------------


def test_what_is_not_for_the_network_is_a_line(tmp_path, shared_data, capsys):
    photos = str(checkpoint(tmp_path / "net.pt"))
    bands = str(network(tmp_path / "bands.pt", KINDS["four of 13 bands"]))
    deep_net = str(network(tmp_path / "deep.pt", KINDS["four bands of 12 bits in 16"]))
    np.save(tmp_path / "thirteen.npy", scene(shared_data))
    np.save(tmp_path / "three.npy", scene(shared_data, slice(3)))
    np.save(tmp_path / "four.npy", deep(4))
    np.save(tmp_path / "photo.npy", data.astronaut()[:9, :9])
    tifffile.imwrite(
        tmp_path / "four.tif",
        deep(4),
        photometric="minisblack",
        planarconfig="contig",
    )
    tifffile.imwrite(tmp_path / "grey.tif", scene(shared_data)[..., 0])
    range_ = "value_range=[LOW, HIGH] says which numbers are black and white"
    for checkpoint_, name, changes, message in (
        (photos, "thirteen.npy", {}, f"holds float32, the network was trained on uint8; {range_}"),
        (
            photos,
            "thirteen.npy",
            {"value_range": [0, 1]},
            "has 13 bands, the network takes 3; bands=[1, 2, 3], say, chooses",
        ),
        (photos, "four.npy", {}, "has 4 bands, the network takes 3; bands=[1, 2, 3], say, chooses"),
        (
            photos,
            "four.tif",
            {},
            "which of its 4 bands are the colours; bands=[1, 2, 3], ",
        ),
        (photos, "four.npy", {"bands": [1, 9, 2]}, "has 4 bands, where bands=[1, 9, 2] are asked"),
        (photos, "grey.tif", {}, f"holds float32, the network was trained on uint8; {range_}"),
        (bands, "three.npy", {}, "has 3 bands, where bands=[4, 3, 2, 8] are asked for"),
        (bands, "four.npy", {"bands": [1, 2, 3, 4]}, "holds uint16, the network was trained on fl"),
        (deep_net, "photo.npy", {"bands": [1, 2, 3, 3]}, "holds uint8, the network was trained on"),
        (deep_net, "photo.npy", {"value_range": [0, 255]}, "has 3 bands, the network takes 4"),
    ):
        with pytest.raises(UserError, match="1 of 1 images could not be upscaled"):
            run(tmp_path / name, tmp_path / "out", checkpoint=checkpoint_, **changes)
        said = capsys.readouterr().err
        assert f"error: {tmp_path / name}: " in said
        assert message in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bands": 3}, "bands=3: must be a list of bands, like [3, 2, 1]"),
        ({"bands": [0, 1]}, "bands=0: must be an integer at least 1"),
        ({"value_range": [1]}, "value_range=[1]: must be two numbers, [LOW, HIGH]"),
        ({"value_range": [3, 2]}, "value_range=[3, 2]: the second must be larger"),
        ({"method": "magic"}, "method='magic': must be one of bicubic"),
        (
            {"scale": 3},
            "scale=3: of networks 2 (real_x2) and 4 (real_x4) come along; method=bicubic takes any "
            "scale, run=3 or checkpoint=best.pt name others",
        ),
        (
            {"scale": 2, "checkpoint": "photos_x4"},
            "scale=2: photos_x4 has its own; give one of them",
        ),
        ({"method": "bicubic", "scale": 0}, "scale=0: must be an integer at least 1"),
        ({"method": "bicubic", "run": 3}, "method=bicubic, run=3: give one of them"),
    ],
)
def test_mistakes_of_the_config_get_one_line(tmp_path, changes, message):
    np.save(tmp_path / "a.npy", deep())
    with pytest.raises(UserError) as problem:
        run(tmp_path / "a.npy", tmp_path / "out", **changes)
    assert str(problem.value) == message
    assert os.listdir(tmp_path) == ["a.npy"]


def test_a_format_that_holds_no_bands_is_refused(tmp_path, shared_data, capsys):
    np.save(tmp_path / "a.npy", scene(shared_data))
    np.save(tmp_path / "b.npy", np.dstack([deep(3), deep(3)]))
    for format, name, message in (
        ("png", "a.npy", "a.png: PNG holds no float32; use .tif or .npy"),
        ("png", "b.npy", "b.png: PNG holds no image of 6 bands; use .tif or .npy"),
    ):
        with pytest.raises(UserError, match="1 of 1"):
            interpolate(tmp_path / name, tmp_path / "out", 2, format=format)
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
