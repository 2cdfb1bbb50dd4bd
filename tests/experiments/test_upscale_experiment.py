"""Photos of every kind go through upscale.py as people expect, and the bad ones stop no other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms
from skimage import data
from trained_files import checkpoint

import tmd.upscale
from experiments.upscale import ex
from tmd.checkpoints import load_generator
from tmd.errors import UserError
from tmd.images import read_image, to_float, to_uint8
from tmd.photos import Photo, read_photo, write_photo

ROOT = Path(__file__).resolve().parents[2]
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("network") / "a.pt")


def upscale(network: Path, inputs, output, **changes):
    config = {"checkpoint": str(network), "input": inputs, "output": str(output), **changes}
    return ex.run(config_updates={**config, "device": "cpu"}).result


def small(height: int = 24, width: int = 30) -> Image.Image:
    return Image.fromarray(data.astronaut()[:height, :width])


def odd_inputs(folder: Path) -> dict[str, tuple[str, tuple[int, int]]]:
    """Makes files of many kinds; the good ones' names with mode and size (W, H) of the result."""
    folder.mkdir()
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Camera"
    small().save(folder / "plain.png")
    small(1, 1).save(folder / "pixel.png")
    Image.fromarray(np.tile(data.astronaut()[:3], (1, 14, 1))[:, :7000]).save(folder / "wide.png")
    small(40, 1).save(folder / "column.png")
    palette = small().quantize(16)
    palette.save(folder / "palette.png", transparency=3)
    small().convert("RGBA").save(folder / "alpha.png")
    small().convert("LA").save(folder / "grey_alpha.png")
    small().convert("L").save(folder / "grey.jpg")
    small().convert("1").save(folder / "bits.png")
    small().convert("CMYK").save(folder / "print.jpg")
    small().save(folder / "camera.jpg", exif=exif)
    small().save(folder / "profile.png", icc_profile=SRGB)
    small().save(folder / "lossy.webp")
    small().save(folder / "old.bmp")
    small().save(folder / "name with spaces, ü and 猫.png")
    grey = np.asarray(small().convert("L")).astype(np.uint16) * 257 - 3
    Image.fromarray(grey).save(folder / "deep_grey.png")
    deep = torch.from_numpy(np.asarray(small()).astype(np.uint16) * 257 - 3).permute(2, 0, 1)
    write_photo(folder / "deep.png", [deep], tuple(deep.shape), Photo(deep))
    tifffile.imwrite(
        folder / "deep.tif", np.asarray(small()).astype(np.uint16) * 257, photometric="rgb"
    )
    frames = [small(), small().rotate(90)]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])

    whole = (folder / "camera.jpg").read_bytes()
    (folder / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "text.png").write_text("not an image")
    (folder / "empty.png").touch()
    (folder / "half.png").write_bytes((folder / "alpha.png").read_bytes()[:200])
    (folder / "nowhere.png").symlink_to(folder / "gone.png")
    tifffile.imwrite(folder / "float.tif", np.zeros((4, 4), np.float32))
    os.mkfifo(folder / "pipe.png")
    (folder / "folder.png").mkdir()
    (folder / "notes.txt").write_text("not asked for")
    return {
        "plain": ("RGB", (60, 48)),
        "pixel": ("RGB", (2, 2)),
        "wide": ("RGB", (14000, 6)),
        "column": ("RGB", (2, 80)),
        "palette": ("RGBA", (60, 48)),
        "alpha": ("RGBA", (60, 48)),
        "grey_alpha": ("LA", (60, 48)),
        "grey": ("L", (60, 48)),
        "bits": ("L", (60, 48)),
        "print": ("RGB", (60, 48)),
        "camera": ("RGB", (48, 60)),
        "profile": ("RGB", (60, 48)),
        "lossy": ("RGB", (60, 48)),
        "old": ("RGB", (60, 48)),
        "name with spaces, ü and 猫": ("RGB", (60, 48)),
        "deep_grey": ("I;16", (60, 48)),
        "deep.png": ("RGB", (60, 48)),
        "deep.tif": ("RGB", (60, 48)),
        "moving": ("RGB", (60, 48)),
    }


BAD = {
    "truncated.jpg": "broken image",
    "text.png": "not an image",
    "empty.png": "not an image",
    "half.png": "broken image",
    "nowhere.png": "no such file",
    "float.tif": "holds float32, the network was trained on uint8; value_range=[LOW, HIGH]",
}


def test_27_odd_inputs(tmp_path, network):
    """As typed: the good ones are all there, the bad ones named, the exit code says so."""
    good = odd_inputs(tmp_path / "in")
    done = subprocess.run(
        [
            *(sys.executable, ROOT / "experiments/upscale.py", "with", f"checkpoint={network}"),
            *(f"input={tmp_path / 'in'}", f"output={tmp_path / 'out'}", "tile=200", "device=cpu"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    for name, reason in {**BAD, "pipe.png": "left aside"}.items():
        assert f"{name}: {reason}" in done.stderr
    assert done.stderr.count("error: ") == len(BAD) + 1
    assert done.stderr.rstrip().endswith(f"error: {len(BAD)} of 25 images could not be upscaled")
    assert "19 of 25 upscaled ×2 in " in done.stdout
    assert "moving.gif: the first of 2 images" in done.stderr
    results = {path.name for path in (tmp_path / "out").iterdir()}
    assert results == {f"{name}.png" for name in good}
    for name, (mode, size) in good.items():
        with Image.open(tmp_path / "out" / f"{name}.png") as image:
            assert (name, image.mode, image.size) == (name, mode, size)
            image.load()
    assert not (tmp_path / "runs").exists()
    assert "observers" not in done.stderr
    check_what_was_kept(tmp_path / "out")


def check_what_was_kept(out: Path) -> None:
    for name in ("deep.png", "deep.tif", "deep_grey"):
        levels = read_photo(out / f"{name}.png").pixels
        assert levels.dtype == torch.uint16
        # More levels than 8 bits have, even of so small a photo.
        assert len(levels.int().unique()) > 300
    with Image.open(out / "camera.png") as image:
        assert image.getexif().get(0x0112, 1) == 1
        assert image.getexif()[0x010F] == "Camera"
    with Image.open(out / "profile.png") as image:
        assert image.info["icc_profile"] == SRGB
    with Image.open(out / "alpha.png") as image:
        assert image.getchannel("A").getextrema() == (255, 255)
    with Image.open(out / "palette.png") as image:
        assert image.getchannel("A").getextrema() == (0, 255)


def test_result_is_the_generators(tmp_path, network):
    small(30, 40).save(tmp_path / "a.png")
    result = upscale(network, str(tmp_path / "a.png"), tmp_path / "b.png", tile=9)
    assert result == {"upscaled": 1}
    lr = to_float(read_image(tmp_path / "a.png"))[None]
    with torch.no_grad():
        expected = to_uint8(load_generator(network)(lr))[0]
    difference = (read_image(tmp_path / "b.png").int() - expected.int()).abs()
    # Sums in another order may round the other way.
    assert difference.max() <= 1
    assert difference.float().mean() < 1e-3


def test_folders_keep_their_shape_and_names_stay_apart(tmp_path, network):
    (tmp_path / "in/deeper").mkdir(parents=True)
    for name in ("a.png", "a.jpg", "deeper/a.png", "b.bmp"):
        small(6, 6).save(tmp_path / "in" / name)
    upscale(network, str(tmp_path / "in"), tmp_path / "out")
    found = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.*"))
    assert found == ["a.jpg.png", "a.png.png", "b.png", "deeper/a.png"]


def test_globs_and_lists_name_each_file_once(tmp_path, network):
    (tmp_path / "in/deeper").mkdir(parents=True)
    for name in ("a.png", "b.jpg", "deeper/c.png"):
        small(6, 6).save(tmp_path / "in" / name)
    inputs = [f"{tmp_path}/in/**/*.png", f"{tmp_path}/in/b.jpg", f"{tmp_path}/in/a.png"]
    assert upscale(network, inputs, tmp_path / "out") == {"upscaled": 3}
    found = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.*"))
    assert found == ["a.png", "b.png", "deeper/c.png"]


def test_last_times_results_are_no_inputs(tmp_path, network):
    small(6, 6).save(tmp_path / "a.png")
    for overwrite in (False, True):
        result = upscale(network, str(tmp_path), tmp_path / "out", overwrite=overwrite)
        assert result == {"upscaled": 1}
    assert os.listdir(tmp_path / "out") == ["a.png"]


def test_nothing_is_replaced_unasked_and_the_rest_goes_on(tmp_path, network, capsys):
    for name in ("a.png", "b.png"):
        small(6, 6).save(tmp_path / name)
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.png").write_text("precious")
    with pytest.raises(UserError, match="1 of 2 images could not be upscaled"):
        upscale(network, f"{tmp_path}/*.png", out)
    assert (out / "a.png").read_text() == "precious"
    assert Image.open(out / "b.png").size == (12, 12)
    assert f"error: {out / 'a.png'}: exists; existing=replace" in capsys.readouterr().err
    upscale(network, f"{tmp_path}/*.png", out, overwrite=True)
    assert Image.open(out / "a.png").size == (12, 12)


def test_results_that_are_there_are_no_failures_of_a_batch(tmp_path, network, capsys):
    for name in ("a.png", "b.png", "c.png"):
        small(6, 6).save(tmp_path / name)
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.png").write_text("precious")
    inputs = f"{tmp_path}/*.png"
    assert upscale(network, inputs, out, existing="skip") == {"upscaled": 2, "skipped": 1}
    assert (out / "a.png").read_text() == "precious"
    assert "2 of 3 upscaled ×2 in " in capsys.readouterr().out
    assert upscale(network, inputs, out, existing="skip") == {"upscaled": 0, "skipped": 3}
    assert "0 of 3 upscaled, all were there" in capsys.readouterr().out
    assert upscale(network, inputs, out, existing="replace") == {"upscaled": 3}
    assert Image.open(out / "a.png").size == (12, 12)


@pytest.mark.parametrize("format", ["webp", "jpg"])
def test_what_a_format_cannot_hold_is_said_before_it_is_computed(
    tmp_path, network, capsys, monkeypatch, format
):
    computed = []
    forward = tmd.upscale._forward

    def watched(generator, window, *args, **options):
        computed.append(tuple(window.shape[-2:]))
        return forward(generator, window, *args, **options)

    monkeypatch.setattr("tmd.upscale._forward", watched)
    side = {"webp": 8192, "jpg": 32751}[format]
    for name in ("a.png", "c.png"):
        small(6, 6).save(tmp_path / name)
    Image.new("RGB", (side, 2)).save(tmp_path / "b.png")
    with pytest.raises(UserError, match="1 of 3 images could not be upscaled"):
        upscale(network, f"{tmp_path}/*.png", tmp_path / "out", format=format)
    name = {"webp": "WEBP", "jpg": "JPEG"}[format]
    said = capsys.readouterr().err
    assert f"out/b.{format}: {2 * side}×4 pixels do not fit into {name}" in said
    assert sorted(os.listdir(tmp_path / "out")) == [f"a.{format}", f"c.{format}"]
    # What is tried to learn how much memory a pixel takes is 16 pixels wide.
    assert [size for size in computed if size != (16, 16)] == [(6, 6)] * 2


def test_a_camera_that_says_too_much_for_jpeg(tmp_path, network, capsys):
    exif = Image.Exif()
    exif[0x010F] = "x" * 70_000
    small(6, 6).save(tmp_path / "a.png", exif=exif)
    with pytest.raises(UserError, match="1 of 1"):
        upscale(network, str(tmp_path / "a.png"), tmp_path / "out", format="jpg")
    said = capsys.readouterr().err
    assert re.search(
        r"a\.jpg: the input's camera's data \(EXIF\) of 700\d\d bytes do not fit", said
    )
    assert not (tmp_path / "out").exists()
    upscale(network, str(tmp_path / "a.png"), tmp_path / "out")
    with Image.open(tmp_path / "out/a.png") as image:
        assert len(image.getexif()[0x010F]) == 70_000


def test_max_pixels_lifts_the_limit(tmp_path, network, capsys):
    small(24, 30).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="1 of 1"):
        upscale(network, str(tmp_path / "a.png"), tmp_path / "out", max_pixels=700)
    assert "more than 700 pixels (30×24); a larger max_pixels reads it" in capsys.readouterr().err
    assert upscale(network, str(tmp_path / "a.png"), tmp_path / "out") == {"upscaled": 1}


def test_what_is_left_out_is_said(tmp_path, network, capsys):
    levels = np.asarray(small(6, 6))
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.dstack([levels, levels[..., :1]]),
        photometric="rgb",
        extrasamples=["unspecified"],
    )
    upscale(network, str(tmp_path / "a.tif"), tmp_path / "out")
    assert "a.tif: without 1 band that is no colour" in capsys.readouterr().err
    assert Image.open(tmp_path / "out/a.png").mode == "RGB"


def test_a_file_of_a_format_that_is_not_written_is_no_folder(tmp_path, network):
    small(6, 6).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"big\.gif: \.gif; must be \.png, "):
        upscale(network, str(tmp_path / "a.png"), tmp_path / "big.gif")


def test_an_input_is_never_replaced(tmp_path, network):
    small(6, 6).save(tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    for output in (tmp_path, tmp_path / "a.png"):
        with pytest.raises(UserError, match="is an input"):
            upscale(network, str(tmp_path / "a.png"), output, overwrite=True)
    assert (tmp_path / "a.png").read_bytes() == before


def test_an_unreadable_file_is_said(tmp_path, network):
    small(6, 6).save(tmp_path / "a.png")
    (tmp_path / "a.png").chmod(0)
    # Root may read everything, but not without the capabilities to.
    drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    done = subprocess.run(
        [
            *(drop if os.geteuid() == 0 else []),
            *(sys.executable, "experiments/upscale.py", "with", f"checkpoint={network}"),
            *(f"input={tmp_path / 'a.png'}", f"output={tmp_path / 'out'}", "device=cpu"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "a.png: Permission denied" in done.stderr
    assert "1 of 1 images could not be upscaled" in done.stderr


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path, network, capsys, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    small(6, 6).save(tmp_path / "a.png")
    monkeypatch.setattr("tmd.files.os.fsync", full)
    with pytest.raises(UserError, match="1 of 1"):
        upscale(network, str(tmp_path / "a.png"), tmp_path / "out")
    assert "a.png: No space left on device" in capsys.readouterr().err
    assert os.listdir(tmp_path / "out") == []


def test_too_little_memory_is_said(tmp_path, network, capsys, monkeypatch):
    def starve(*_, **__):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9")

    small(6, 6).save(tmp_path / "a.png")
    monkeypatch.setattr("tmd.upscale._forward", starve)
    with pytest.raises(UserError, match="1 of 1"):
        upscale(network, str(tmp_path / "a.png"), tmp_path / "out", tile=4)
    assert "not enough memory; give a smaller tile" in capsys.readouterr().err


def test_interpolation_is_between_two_networks(tmp_path, network):
    other = checkpoint(tmp_path / "b.pt", seed=1)
    small().save(tmp_path / "a.png")
    photo = str(tmp_path / "a.png")
    levels = []
    for alpha in (0, 0.5, 1):
        upscale(
            network, photo, tmp_path / "o.png", interpolate=str(other), alpha=alpha, overwrite=True
        )
        levels.append(read_image(tmp_path / "o.png").int())
    for file, found in ((network, levels[0]), (other, levels[2])):
        upscale(file, photo, tmp_path / "o.png", overwrite=True)
        assert torch.equal(read_image(tmp_path / "o.png").int(), found)
    assert not torch.equal(levels[1], levels[0])
    unlike = checkpoint(tmp_path / "c.pt", n_features=4)
    with pytest.raises(UserError, match=r"c\.pt is another architecture than a\.pt"):
        upscale(network, photo, tmp_path / "p.png", interpolate=str(unlike))


def test_self_ensemble_and_amp_are_near_the_plain_result(tmp_path, network):
    small().save(tmp_path / "a.png")
    photo = str(tmp_path / "a.png")
    upscale(network, photo, tmp_path / "plain.png")
    plain = read_image(tmp_path / "plain.png").float()
    for option in ("self_ensemble", "amp"):
        upscale(network, photo, tmp_path / f"{option}.png", **{option: True})
        difference = (read_image(tmp_path / f"{option}.png").float() - plain).abs()
        assert 0 < difference.mean() < 8


def test_a_run_and_an_exported_file_are_as_good_as_a_checkpoint(tmp_path, network):
    from tmd.checkpoints import load_checkpoint
    from tmd.export import describe, export_generator

    run = tmp_path / "runs/3"
    run.mkdir(parents=True)
    checkpoint(run / "best.pt")
    (run / "run.json").write_text('{"artifacts": ["best.pt"], "status": "COMPLETED"}')
    exported = tmp_path / "a.safetensors"
    generator, state = load_generator(network), load_checkpoint(network)
    export_generator(generator, "safetensors", exported, describe(state))
    small().save(tmp_path / "a.png")
    photo = str(tmp_path / "a.png")
    upscale(network, photo, tmp_path / "plain.png")
    upscale(exported, photo, tmp_path / "exported.png")
    ex.run(config_updates={"run": str(run), "input": photo, "output": str(tmp_path / "run.png")})
    plain = (tmp_path / "plain.png").read_bytes()
    assert (tmp_path / "exported.png").read_bytes() == plain
    assert (tmp_path / "run.png").read_bytes() == plain


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input": None}, "input=None: give an image"),
        ({"input": "nothing/*.png"}, "holds no images"),
        ({"tile": 0}, "tile=0: must be an integer at least 1"),
        ({"alpha": 2}, "alpha=2: must be a number"),
        ({"format": "gif"}, "format='gif': must be one of auto, png, jpg"),
        ({"existing": "ask"}, "existing='ask': must be one of error, skip, replace"),
        ({"existing": "skip", "overwrite": True}, "overwrite=True, existing=skip: give one"),
        ({"max_pixels": "many"}, "max_pixels='many': must be"),
        ({"overwrite": "yes"}, "overwrite='yes': must be True or False"),
        ({"device": "cuda:9"}, "device=cuda:9"),
        ({"run": 3}, "run, checkpoint: give one of them"),
        ({"checkpoint": "gone.pt"}, "checkpoint gone.pt: no such file"),
        ({"checkpoint": None, "run": "runs/77"}, "runs/77: no such run"),
    ],
)
def test_mistakes_get_one_line(tmp_path, monkeypatch, network, changes, message):
    monkeypatch.chdir(tmp_path)
    small(6, 6).save("a.png")
    config = {"checkpoint": str(network), "input": "a.png", "output": "out", **changes}
    with pytest.raises(UserError) as problem:
        ex.run(config_updates=config)
    assert message in str(problem.value)
    assert "\n" not in str(problem.value)
    assert os.listdir(tmp_path) == ["a.png"]


def test_several_images_do_not_go_into_one_file(tmp_path, network):
    for name in ("a.png", "b.png"):
        small(6, 6).save(tmp_path / name)
    with pytest.raises(UserError, match="is one file, for 2 images; give a folder"):
        upscale(network, f"{tmp_path}/*.png", tmp_path / "o.png")
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        small(6, 6).save(tmp_path / folder / "a.png")
    with pytest.raises(UserError, match="would both become"):
        upscale(network, [str(tmp_path / "x/a.png"), str(tmp_path / "y/a.png")], tmp_path / "out")
