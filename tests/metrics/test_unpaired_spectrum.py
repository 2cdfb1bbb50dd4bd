from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from tmd.errors import UserError
from tmd.metrics import UnpairedSpectrum
from tmd.resize import imresize

SCALE = 2


def scenes(count: int, seed: int, sharpness: float = 1.0, contrast: float = 0.15) -> list[Tensor]:
    """Textures with power falling with frequency as photos' does."""
    random = np.random.default_rng(seed)
    fy, fx = np.fft.fftfreq(96)[:, None], np.fft.fftfreq(96)
    envelope = 1 / np.maximum(np.hypot(fy, fx), 1 / 96) ** sharpness
    images = []
    for _ in range(count):
        noise = np.fft.fft2(random.standard_normal((96, 96)))
        image = np.fft.ifft2(noise * envelope).real
        image = 0.5 + contrast * image / image.std()
        images.append(torch.from_numpy(image)[None, None].clamp(0, 1))
    return images


@pytest.fixture(scope="module")
def spectrum() -> UnpairedSpectrum:
    return UnpairedSpectrum(scenes(12, seed=1), SCALE)


def blurred(images: list[Tensor], sigma: float) -> list[Tensor]:
    return [torch.from_numpy(gaussian_filter(x[0, 0].numpy(), sigma))[None, None] for x in images]


def test_other_scenes_of_the_same_kind_are_near_and_blurred_or_noisy_ones_far(
    spectrum: UnpairedSpectrum,
) -> None:
    others = scenes(12, seed=2)
    near = spectrum(others).item()
    enlarged = [imresize(imresize(x, 1 / SCALE), SCALE) for x in others]
    noisy = [x + 0.1 * torch.randn(x.shape, dtype=x.dtype) for x in others]
    assert near < 0.5
    assert spectrum(enlarged).item() > 10 * near
    assert spectrum(blurred(others, 1.0)).item() > 10 * near
    assert spectrum(noisy).item() > 5 * near


def test_more_blur_is_further(spectrum: UnpairedSpectrum) -> None:
    others = scenes(12, seed=2)
    distances = [spectrum(blurred(others, sigma)).item() for sigma in (0.3, 0.5, 0.8, 1.2)]
    assert distances == sorted(distances)


def test_contrast_does_not_count(spectrum: UnpairedSpectrum) -> None:
    faint = scenes(12, seed=2, contrast=0.05)
    assert abs(spectrum(faint).item() - spectrum(scenes(12, seed=2)).item()) < 0.3


def test_a_set_is_at_no_distance_from_itself_in_any_order(spectrum: UnpairedSpectrum) -> None:
    assert spectrum(scenes(12, seed=1)[::-1]).item() < 1e-6


def test_a_tilt_of_the_spectrum_gives_the_distance_that_a_hand_count_gives() -> None:
    """Power that falls as f^-2a instead of f^-2: 20(1 - a)·log10 f apart, less the mean below."""
    steep = scenes(24, seed=3, sharpness=1.2)
    spectrum = UnpairedSpectrum(scenes(24, seed=4), SCALE)
    rings = np.arange(1, 17)
    apart = -20 * 0.2 * np.log10(rings)
    expected = np.abs(apart[8:] - apart[:8].mean()).mean()
    assert spectrum(steep).item() == pytest.approx(expected, rel=0.15)


def test_images_too_small_are_passed_over_and_nothing_else_is_an_error(
    spectrum: UnpairedSpectrum,
) -> None:
    small = torch.zeros(1, 1, 20, 64, dtype=torch.float64)
    others = scenes(3, seed=2)
    assert spectrum([small, *others]) == spectrum(others)
    with pytest.raises(UserError, match="no image is as large as 32×32"):
        spectrum([small])
