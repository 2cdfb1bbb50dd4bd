"""GMSD, consistency, DISTS, distances of sets of patches, and what the registry says of metrics."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from scipy.signal import convolve2d

from tmd.errors import UserError
from tmd.images import EIGHT_BITS, ImageKind, as_8_bit
from tmd.measurements import create_measurement
from tmd.metrics import MetricSettings, TooSmallError, metric_function
from tmd.metrics.distributions import FrechetDistance, KernelDistance
from tmd.metrics.functions import set_metric
from tmd.metrics.gradients import gmsd
from tmd.metrics.registry import FUNCTIONS, needs_of
from tmd.resize import imresize, imresize_uint8

SETTINGS = MetricSettings(border=2, scale=2)


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    from skimage import data

    return torch.from_numpy(data.astronaut()[64:192, 128:280].copy()).permute(2, 0, 1)[None] / 255


def blurred(photo: torch.Tensor, scale: int = 2) -> torch.Tensor:
    return as_8_bit(imresize(imresize(photo, 1 / scale), scale))


def published_gmsd(a: np.ndarray, b: np.ndarray) -> float:
    """GMSD as its paper and its MATLAB code have it, of grey images of levels from 0 to 255."""
    prewitt = np.array([[1, 0, -1]] * 3) / 3
    magnitudes = []
    for image in (a, b):
        small = convolve2d(image, np.full((2, 2), 0.25))[1::2, 1::2]
        across, down = (convolve2d(small, kernel, "same") for kernel in (prewitt, prewitt.T))
        magnitudes.append(np.sqrt(across**2 + down**2))
    m, n = magnitudes
    return float(np.std((2 * m * n + 170) / (m**2 + n**2 + 170)))


def test_gmsd_is_the_papers(photo: torch.Tensor) -> None:
    images = blurred(photo), photo
    weights = np.array([0.299, 0.587, 0.114])
    grey = [(255 * i[0].double().permute(1, 2, 0).numpy()) @ weights for i in images]
    assert gmsd(*images).item() == pytest.approx(published_gmsd(*grey), abs=1e-6)
    assert gmsd(photo, photo).item() == 0


def test_gmsd_is_piqs_and_grey_is_taken_as_it_is(photo: torch.Tensor) -> None:
    piq = pytest.importorskip("piq")
    sr = blurred(photo)
    theirs = piq.gmsd(sr, photo, data_range=1.0, reduction="none")
    assert torch.allclose(gmsd(sr, photo), theirs, atol=1e-5)
    grey = [image.mean(1, keepdim=True) for image in (sr, photo)]
    assert torch.allclose(gmsd(*grey), piq.gmsd(*grey, data_range=1.0, reduction="none"), atol=1e-5)


def test_consistency_measures_sr_as_hr_was_measured(photo: torch.Tensor) -> None:
    function = metric_function("consistency", SETTINGS)
    lr = EIGHT_BITS.to_float(imresize_uint8(EIGHT_BITS.to_native(photo), 1 / 2))
    assert function(photo, None, lr).item() == 100
    assert 30 < function(blurred(photo), None, lr).item() < 60
    noisy = create_measurement(["bicubic", {"name": "noise", "sigma": 0.1}], 2, seed=3)
    function = metric_function("consistency", SETTINGS._replace(measurement=noisy))
    assert function(photo, None, noisy(photo, 5), 5).item() == 100
    assert function(photo, None, noisy(photo, 5), 6).item() < 30
    with pytest.raises(UserError, match="at scale=1 nothing says how LR is made"):
        metric_function("consistency", MetricSettings(0))(photo, None, photo)


def test_consistency_of_bands_of_sixteen_bits_is_rounded_to_theirs() -> None:
    kind = ImageKind.of_dtype(5, "uint16")
    hr = kind.rounded(torch.rand(1, 5, 24, 24, generator=torch.Generator().manual_seed(0)))
    lr = create_measurement(["bicubic"], 2, kind=kind)(hr)
    settings = SETTINGS._replace(kind=kind, channel="rgb")
    assert metric_function("consistency", settings)(hr, None, lr).item() == 100


def test_dists_is_the_loss_of_each_image(photo: torch.Tensor, shared_data: Path) -> None:
    pytest.importorskip("DISTS_pytorch")
    from tmd.losses.dists import dists

    folder = shared_data / "weights"
    function = metric_function("dists", SETTINGS._replace(lpips_weights=folder))
    batch = torch.cat([blurred(photo), blurred(photo, 4)])
    values = function(batch, photo.expand(2, -1, -1, -1))
    assert values[0] < values[1]
    alone = [dists(sr[None], photo, str(folder)).item() for sr in batch]
    assert values.tolist() == pytest.approx(alone, abs=1e-6)
    grey = photo.mean(1, keepdim=True)
    assert function(grey, grey).item() == pytest.approx(0, abs=1e-5)


def features(seed: int, count: int = 60, width: int = 7) -> np.ndarray:
    generator = np.random.default_rng(seed)
    mixing = np.random.default_rng(9).normal(size=(width, width))
    return generator.normal(seed / 10, 1 + seed / 5, (count, width)) @ mixing


def test_the_formulas_are_fids_and_kids() -> None:
    a, b = features(1), features(2, 50)
    covariances = [np.cov(each, rowvar=False) for each in (a, b)]
    distance = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(
        sum(covariances) - 2 * sqrtm(covariances[0] @ covariances[1]).real
    )
    tensors = [torch.from_numpy(each) for each in (a, b)]
    assert FrechetDistance.distance(*tensors) == pytest.approx(distance, rel=1e-9)
    assert FrechetDistance.distance(tensors[0], tensors[0]) == pytest.approx(0, abs=1e-5)

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return float((x @ y / len(x) + 1) ** 3)

    pairs = [[kernel(x, y) for i, x in enumerate(s) for j, y in enumerate(s) if i != j]
             for s in (a, b)]  # fmt: skip
    between = [kernel(x, y) for x in a for y in b]
    expected = np.mean(pairs[0]) + np.mean(pairs[1]) - 2 * np.mean(between)
    assert KernelDistance.distance(*tensors) == pytest.approx(expected, rel=1e-9)


def test_more_blur_is_further_from_hr_in_patches(photo: torch.Tensor, shared_data: Path) -> None:
    settings = SETTINGS._replace(lpips_weights=shared_data / "weights")
    for name in ("fid_vgg16", "kid_vgg16"):
        values = []
        for scale in (2, 8):
            of_set = set_metric(name, settings)
            of_set.add(blurred(photo, scale), photo)
            values.append(of_set.value())
        assert values[0] < values[1]
        empty = set_metric(name, settings)
        empty.add(photo[..., :40, :40], photo[..., :40, :40])
        assert empty.value() is None


def test_the_least_side_that_is_declared_is_the_least_that_is_taken(shared_data: Path) -> None:
    for package in ("lpips", "DISTS_pytorch"):
        pytest.importorskip(package)
    settings = MetricSettings(border=1, scale=1, lpips_weights=shared_data / "weights",
                              measurement=lambda hr, index: hr)  # fmt: skip
    tried = 0
    for name in FUNCTIONS:
        needs = needs_of(name)
        if needs.package or needs.whole_set:
            continue
        least = needs.minimum + 2 * settings.border * needs.border
        generator = torch.Generator().manual_seed(0)
        images = [torch.rand(1, 3, least, least, generator=generator) for _ in range(2)]
        function = metric_function(name, settings)
        value = function(images[0], images[1], images[0])
        assert value.shape == (1,)
        tried += 1
        if needs.minimum > 1:
            smaller = [image[..., 1:, 1:] for image in images]
            with pytest.raises(TooSmallError):
                function(*smaller, smaller[0])
    assert tried >= 8


def test_the_guides_table_is_the_registrys() -> None:
    root = Path(__file__).parents[2]
    # In a process of its own: other tests register metrics.
    script = "from tmd.evaluation.listing import *; print(markdown(HEAD, rows()), end='')"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.count("\n") > 20
    assert done.stdout in (root / "docs" / "howto" / "metrics.md").read_text(encoding="utf-8")
    for name in ("dists", "niqe", "musiq", "clipiqa", "maniqa", "topiq", "ntire", "fsim"):
        assert name in FUNCTIONS
