"""Large images are compared in bands of rows, to the same values."""

from __future__ import annotations

import pytest
import torch

from tmd.evaluation.tables import compare
from tmd.images import ImageKind
from tmd.metrics import MetricSettings, metric_function
from tmd.metrics.fidelity import TooSmallError, bands, is_flat, ssim

NAMES = ("psnr", "ssim", "spectral")


def images(channels: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    hr = torch.randint(0, 256, (channels, 97, 61), dtype=torch.uint8)
    noise = torch.randint(-9, 10, hr.shape)
    return (hr.int() + noise).clamp(0, 255).to(torch.uint8), hr


@pytest.mark.parametrize("channel", ["y", "y-full", "rgb"])
@pytest.mark.parametrize("channels", [1, 3])
def test_bands_give_the_values_of_the_whole(monkeypatch, channel, channels):
    settings = MetricSettings(border=4, channel=channel)
    functions = {name: metric_function(name, settings) for name in NAMES}
    sr, hr = images(channels)
    whole = compare(sr, hr, functions)
    monkeypatch.setattr("tmd.metrics.fidelity.AT_ONCE", 1000)
    monkeypatch.setattr("tmd.evaluation.tables.AT_ONCE", 1000)
    monkeypatch.setattr("tmd.metrics.fidelity.BAND", 53 * 7)
    assert len(list(bands(hr[None], hr[None], 4, channel))) > 10
    assert compare(sr, hr, functions) == pytest.approx(whole, rel=1e-5)


def test_large_images_are_compared_without_floats_of_the_whole(monkeypatch):
    monkeypatch.setattr("tmd.evaluation.tables.AT_ONCE", 1000)
    monkeypatch.setattr(ImageKind, "to_float", lambda *_: pytest.fail("the whole image as floats"))
    functions = {name: metric_function(name, MetricSettings(4)) for name in NAMES}
    assert all(value is not None for value in compare(*images(), functions).values())


def test_levels_are_as_good_as_floats():
    _, hr = images()
    assert not is_flat(hr)
    assert is_flat(torch.full((3, 8, 8), 7, dtype=torch.uint8))
    flat = torch.full((3, 8, 8), 7, dtype=torch.uint8)
    flat[:, :4] = 10
    assert not is_flat(flat)
    assert is_flat(flat.float() / 255) == is_flat(flat)


def test_too_small_for_the_window_is_said_before_anything_is_computed():
    with pytest.raises(TooSmallError, match="SSIM of 10×30 pixels"):
        ssim(torch.rand(1, 3, 10, 30), torch.rand(1, 3, 10, 30))
    with pytest.raises(TooSmallError, match="leaves nothing"):
        ssim(torch.rand(1, 3, 10, 30), torch.rand(1, 3, 10, 30), border=5)
