"""The networks that come with the package: small, whole, and better than bicubic."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from experiments.upscale import ex
from tmd.checkpoints import load_checkpoint, load_generator
from tmd.images import read_image, to_float
from tmd.metrics import LPIPS, find_lpips_weights, psnr
from tmd.resize import imresize, imresize_uint8
from tmd.shipped import BY_SCALE, DEFAULT, shipped_networks
from tmd.upscale import upscale

NETWORKS = shipped_networks()
# None of them is a photo that the networks have learnt from.
PHOTOS = ("chelsea.png", "coffee.png", "astronaut.png")


def photo(name: str) -> torch.Tensor:
    """(1, 3, 192, 192), uint8."""
    image = read_image(Path(skimage.data.__file__).parent / name)
    return image[None, :, 40:232, 100:292].contiguous()


def bicubic(lr: torch.Tensor, scale: int) -> torch.Tensor:
    return imresize(lr, scale).clamp(0, 1)


def sent(hr: torch.Tensor, scale: int) -> torch.Tensor:
    """LR as a photo has it that was taken in the evening and sent: Pillow's and NumPy's work."""
    image = Image.fromarray(hr[0].permute(1, 2, 0).numpy())
    small = image.resize((image.width // scale, image.height // scale), Image.Resampling.BOX)
    noise = np.random.default_rng(1).normal(0, 8, (small.height, small.width, 3))
    noisy = (np.asarray(small) + noise).round().clip(0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(noisy).save(file, "JPEG", quality=55)
    return to_float(torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)[None])


def test_there_are_those_that_upscaling_takes() -> None:
    assert {DEFAULT, *BY_SCALE.values()} <= set(NETWORKS)
    assert BY_SCALE[4] == DEFAULT


@pytest.mark.parametrize("name", NETWORKS)
def test_each_is_small_and_says_what_it_is(name: str) -> None:
    assert NETWORKS[name].stat().st_size < 2e6
    state = load_checkpoint(NETWORKS[name])
    assert state["scale"] == load_generator(state).scale == int(name[-1])
    assert state["measurement"]


@pytest.mark.parametrize("name", sorted(set(NETWORKS) - set(BY_SCALE.values())))
def test_those_for_clean_photos_beat_bicubic(name: str, shared_data: Path) -> None:
    generator = load_generator(NETWORKS[name])
    lpips = LPIPS(find_lpips_weights("alex", shared_data / "weights"))
    for photo_name in PHOTOS:
        hr = photo(photo_name)
        lr = to_float(imresize_uint8(hr, 1 / generator.scale))
        with torch.no_grad():
            sr = generator(lr).clamp(0, 1)
        plain, hr = bicubic(lr, generator.scale), to_float(hr)
        assert lpips(sr, hr).item() < 0.85 * lpips(plain, hr).item(), photo_name
        assert psnr(sr, hr, border=4).item() > psnr(plain, hr, border=4).item(), photo_name


@pytest.mark.parametrize("scale", BY_SCALE)
def test_those_for_real_photos_remove_noise_and_blocks(scale: int, shared_data: Path) -> None:
    generator = load_generator(NETWORKS[BY_SCALE[scale]])
    lpips = LPIPS(find_lpips_weights("alex", shared_data / "weights"))
    gains, distances = [], []
    for photo_name in PHOTOS:
        hr = photo(photo_name)
        lr = sent(hr, scale)
        with torch.no_grad():
            sr = generator(lr).clamp(0, 1)
        plain, hr = bicubic(lr, scale), to_float(hr)
        gains.append(psnr(sr, hr, border=4).item() - psnr(plain, hr, border=4).item())
        distances.append(lpips(sr, hr).item() / lpips(plain, hr).item())
    assert np.mean(gains) > 0.25
    assert np.mean(distances) < 0.75


@pytest.mark.parametrize("name", NETWORKS)
def test_tiles_of_each_are_exact(name: str) -> None:
    generator = load_generator(NETWORKS[name])
    lr = sent(photo("coffee.png"), 4)
    whole, tiles = (upscale(generator, lr, tile) for tile in (48, 17))
    assert (whole - tiles).abs().max() < 1e-5


def test_a_photo_is_enlarged_twice_by_the_one_for_that(tmp_path: Path, capsys) -> None:
    Image.fromarray(photo("chelsea.png")[0].permute(1, 2, 0).numpy()).save(tmp_path / "cat.png")
    where = {"input": str(tmp_path / "cat.png"), "output": str(tmp_path / "out")}
    ex.run(config_updates={**where, "scale": 2})
    assert "upscaled ×2" in capsys.readouterr().out
    ex.run(config_updates={**where, "checkpoint": "real_x2", "output": str(tmp_path / "named")})
    expected = (tmp_path / "named/cat.png").read_bytes()
    assert (tmp_path / "out/cat.png").read_bytes() == expected


def test_a_photo_is_enlarged_without_naming_a_network(tmp_path: Path, capsys) -> None:
    Image.fromarray(photo("chelsea.png")[0].permute(1, 2, 0).numpy()).save(tmp_path / "cat.png")
    where = {"input": str(tmp_path / "cat.png"), "output": str(tmp_path / "out")}
    ex.run(config_updates=where)
    assert "upscaled ×4" in capsys.readouterr().out
    with Image.open(tmp_path / "out/cat.png") as large:
        assert large.size == (768, 768)
    named = {**where, "checkpoint": DEFAULT, "output": str(tmp_path / "named")}
    ex.run(config_updates=named)
    expected = (tmp_path / "named/cat.png").read_bytes()
    assert (tmp_path / "out/cat.png").read_bytes() == expected
