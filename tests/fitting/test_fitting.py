"""Known degradations are told from images without pairs, and found again."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage, stats
from skimage import data

from tmd.errors import UserError
from tmd.fitting import Objective, Space, fit, take_sample, total
from tmd.fitting.statistics import blocks, edges, grid, noise, patch_statistics, spectrum
from tmd.images import ImageKind
from tmd.measurements import create_measurement

PHOTOS = {
    "hr": [data.astronaut, data.chelsea],
    "degraded": [data.coffee, data.rocket],
}


class Photos:
    """Parts of photos as a source; LR of them where operators are given."""

    kind = ImageKind()

    def __init__(self, names: str, operators=None, scale: int = 2, parts: int = 4) -> None:
        whole = [torch.from_numpy(photo()).permute(2, 0, 1) for photo in PHOTOS[names]]
        self.images = [
            image[:, :288, 75 * part : 75 * part + 288]
            for image in whole
            for part in range(parts)
            if image.shape[-1] >= 75 * part + 288
        ]
        if operators is not None:
            measure = create_measurement(operators, scale, seed=5)
            lr = [measure(image[None] / 255, k)[0] for k, image in enumerate(self.images)]
            self.images = [(255 * image).round().to(torch.uint8) for image in lr]

    def __len__(self) -> int:
        return len(self.images)

    def size(self, index: int) -> tuple[int, int]:
        return tuple(self.images[index].shape[-2:])

    def read(self, index: int) -> torch.Tensor:
        return self.images[index]


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """96 × 96 of a photo's luma, in levels."""
    return data.astronaut()[200:296, 100:196].mean(-1)


def luma(photo: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(photo).float()[None]


def as_jpeg(photo: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(photo.round().astype(np.uint8)).save(file, format="JPEG", quality=quality)
    return np.array(Image.open(file)).astype(float)


def test_noise_is_told_where_a_photo_is_flat():
    flat = np.full((96, 96), 128.0)
    drawn = np.random.default_rng(0).normal(0, 4, flat.shape)
    fine, coarse, _ = noise(luma(flat + drawn)[:, None])[0].tolist()
    # Of half the size the mean of four has half the deviation; a quarter of the cells has less.
    assert 2**fine == pytest.approx(4, rel=0.15)
    assert 2**coarse == pytest.approx(2, rel=0.15)


def test_brighter_parts_with_more_noise_are_told():
    ramp = np.broadcast_to(np.linspace(40, 200, 96), (96, 96))
    drawn = np.random.default_rng(0).normal(0, 1, ramp.shape)
    equal = noise(luma(ramp + 3 * drawn)[:, None])[0, -1].item()
    rising = noise(luma(ramp + 0.04 * ramp * drawn)[:, None])[0, -1].item()
    # The mean of log2(brightness) over the brighter half, beside that over the darker one.
    assert equal == pytest.approx(0, abs=0.1)
    assert rising == pytest.approx(np.log2(160 / 80), abs=0.2)


@pytest.mark.parametrize("quality", [25, 50, 75])
def test_steps_are_those_of_jpegs_table(photo, quality):
    """The standard's table K.1, scaled as libjpeg does."""
    found = blocks(luma(as_jpeg(photo, quality)))[0, 1].item()
    table = np.array([11, 12, 12, 10, 14, 14, 13, 16, 14])  # of the nine coefficients, quality 50
    scaled = np.floor((table * (5000 / quality if quality < 50 else 200 - 2 * quality) + 50) / 100)
    assert found == pytest.approx(np.log2(scaled).mean(), abs=0.25)


@pytest.mark.parametrize("quality", [30, 75, 90])
def test_the_grid_is_found_wherever_it_lies(quality):
    file = io.BytesIO()
    Image.fromarray(data.coffee()).save(file, format="JPEG", quality=quality)
    coded = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1) / 255
    assert grid(coded) == (0, 0)
    assert grid(coded[:, 1:81, 7:107]) == (7, 1)
    assert grid(coded[:, 3:, 6:]) == (5, 2)


def test_a_photo_without_a_grid_has_neither_steps_nor_seams(photo):
    coded, untouched = blocks(luma(as_jpeg(photo, 40)))[0], blocks(luma(photo))[0]
    assert untouched[1] < 0.5 < coded[1]
    assert abs(untouched[0]) < 0.2 < coded[0]


@pytest.mark.parametrize("sigma", [0.7, 1.2, 2.0])
def test_an_edges_blur_is_what_the_formula_says(sigma):
    """Differences over two pixels, half a pixel beside an ideal edge, from its error function."""
    edge = np.zeros((96, 96))
    edge[:, 48:] = 200
    soft = ndimage.gaussian_filter(edge, sigma, mode="nearest")

    def steepest(deviation: float) -> float:
        return np.diff(stats.norm.cdf(np.array([-0.5, 1.5]) / deviation)).item()

    expected = 4 * np.log2(steepest(sigma) / steepest(np.hypot(sigma, 0.7)))
    assert edges(luma(soft))[0, 1].item() == pytest.approx(expected, rel=0.1)


def test_more_blur_falls_steeper(photo):
    falls = [
        spectrum(luma(ndimage.gaussian_filter(photo, sigma)))[0, 1].item() for sigma in (0, 0.6, 1)
    ]
    # Between two frequencies, a Gaussian's power falls by (2 pi sigma)² (f² - g²) / ln 2 octaves.
    expected = (2 * np.pi) ** 2 * (0.325**2 - 0.175**2) / np.log(2)
    assert falls[0] - falls[1] == pytest.approx(0.36 * expected, rel=0.3)
    assert falls[0] > falls[1] > falls[2]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_statistics_of_any_channels_are_finite(channels):
    for image in (torch.rand(2, channels, 32, 32), torch.full((2, channels, 32, 32), 0.5)):
        assert all(values.isfinite().all() for values in patch_statistics(image).values())


def test_ranges_are_searched_within_those_of_the_list():
    space = Space(
        [
            {"name": "blur", "sigma": [1, 3]},
            "decimate",
            {"name": "noise", "sigma": 0.02},
            {"name": "jpeg", "quality": [30, 90]},
        ]
    )
    assert [each.name for each in space.ranges] == ["0.sigma", "3.quality"]
    found = space.spec_at(np.array([0, 0.25, 1, 0.5]))
    assert found == [
        {"name": "blur", "sigma": [1, 1.5]},
        "decimate",
        {"name": "noise", "sigma": 0.02},
        {"name": "jpeg", "quality": [60, 90]},
    ]
    create_measurement(found, 2)


def test_a_list_without_ranges_is_refused():
    with pytest.raises(UserError, match="hold no range in which to search"):
        Space(["bicubic", {"name": "noise", "sigma": 0.02}])


JPEG = ["bicubic", {"name": "jpeg", "quality": [10, 95]}]
NOISE = ["bicubic", {"name": "noise", "sigma": [0, 0.15]}]
BLUR = [{"name": "blur", "sigma": [0.2, 4]}, "decimate"]


@pytest.mark.parametrize(
    ("searched", "key", "truth", "tolerance"),
    [
        (JPEG, "quality", 40, 6),
        (NOISE, "sigma", 0.04, 0.006),
        (BLUR, "sigma", 1.6, 0.35),
    ],
    ids=["jpeg", "noise", "blur"],
)
def test_a_degradation_of_other_photos_is_found(searched, key, truth, tolerance):
    place = next(i for i, entry in enumerate(searched) if isinstance(entry, dict))
    known = list(searched)
    known[place] = {**known[place], key: truth}
    sample = take_sample(Photos("degraded", known), Photos("hr"), 2, "images")
    found = fit(Objective(sample, 2), searched, budget=40)
    low, high = found.operators[place][key]
    assert (low + high) / 2 == pytest.approx(truth, abs=tolerance)
    assert total(found.fitted) < total(found.before)


def test_many_ranges_are_searched_one_after_the_other():
    known = ["bicubic", {"name": "noise", "sigma": 0.05}, {"name": "jpeg", "quality": 40}]
    searched = [
        "bicubic",
        {"name": "noise", "sigma": [0, 0.15]},
        *[{"name": "noise", "sigma": [0, 0.02]}] * 5,
        {"name": "jpeg", "quality": [10, 95]},
    ]
    sample = take_sample(Photos("degraded", known), Photos("hr"), 2, "images")
    found = fit(Objective(sample, 2), searched, budget=80)
    assert total(found.fitted) < 0.6 * total(found.before)
    assert np.mean(found.operators[1]["sigma"]) == pytest.approx(0.05, abs=0.015)
    assert np.mean(found.operators[-1]["quality"]) == pytest.approx(40, abs=12)
    assert found.evaluations <= 83


def test_what_a_list_can_not_make_is_not_near():
    known = [*NOISE[:1], {"name": "jpeg", "quality": 20}]
    sample = take_sample(Photos("degraded", known), Photos("hr"), 2, "images")
    found = fit(Objective(sample, 2), NOISE, budget=20)
    assert not found.is_near
    assert found.farthest == "blocks"


def test_the_same_is_found_again():
    sample = take_sample(Photos("degraded", JPEG), Photos("hr"), 2, "images")
    again = [fit(Objective(sample, 2), JPEG, budget=12) for _ in range(2)]
    assert again[0] == again[1]


def test_too_few_or_too_small_images_are_refused():
    images = Photos("degraded", JPEG)
    images.images = images.images[:3]
    with pytest.raises(UserError, match=r"^measurement.fit=a: 3 of its images .* at least 4"):
        take_sample(images, Photos("hr"), 2, "measurement.fit=a")
    with pytest.raises(UserError, match="no HR image has sides of 320 pixels"):
        take_sample(Photos("degraded"), Photos("hr"), 10, "measurement.fit=a")
