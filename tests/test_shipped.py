"""The networks that come with the package: small, whole, and better than bicubic."""

from __future__ import annotations

from pathlib import Path

import pytest
import skimage.data
import torch
from PIL import Image

from experiments.upscale import ex
from tmd.checkpoints import load_checkpoint, load_generator
from tmd.images import read_image, to_float
from tmd.metrics import LPIPS, find_lpips_weights, psnr
from tmd.resize import imresize, imresize_uint8
from tmd.shipped import DEFAULT, shipped_networks

NETWORKS = shipped_networks()
# None of them is a photo that the networks have seen.
PHOTOS = ("chelsea.png", "coffee.png", "astronaut.png")


def photo(name: str) -> torch.Tensor:
    """(1, 3, 192, 192), uint8."""
    image = read_image(Path(skimage.data.__file__).parent / name)
    return image[None, :, 40:232, 100:292].contiguous()


def bicubic(lr: torch.Tensor, scale: int) -> torch.Tensor:
    return imresize(lr, scale).clamp(0, 1)


def test_there_is_the_one_that_upscaling_takes() -> None:
    assert DEFAULT in NETWORKS


@pytest.mark.parametrize("name", NETWORKS)
def test_each_is_small_and_says_what_it_is(name: str) -> None:
    assert NETWORKS[name].stat().st_size < 2e6
    state = load_checkpoint(NETWORKS[name])
    assert state["scale"] == load_generator(state).scale == int(name[-1])
    assert state["measurement"]


@pytest.mark.parametrize("name", NETWORKS)
def test_each_is_closer_to_unseen_photos_than_bicubic(name: str, shared_data: Path) -> None:
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
