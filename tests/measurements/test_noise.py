"""Noise against the distributions' theory, scipy and BasicSR."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from record_basicsr import LEVELS, RECORD, STRENGTH, noisy_image
from scipy.stats import poisson

from tmd.distributed import ALONE, Share
from tmd.errors import UserError
from tmd.measurements import MEASUREMENTS, Canvas, Draws, Log, create_measurement
from tmd.measurements.counts import poisson_counts

EXACT = {"name": "quantize", "bits": None}


def operate(name: str, x: torch.Tensor, **options) -> torch.Tensor:
    return MEASUREMENTS[name](scale=4, **options)(x, Draws((0, "alone"), ALONE))


@pytest.mark.parametrize("rate", [0.05, 1.0, 6.0, 11.99, 12.0, 20.0, 250.0])
def test_counts_have_poissons_distribution(rate):
    n = 500_000
    normal = torch.randn(n, generator=torch.Generator().manual_seed(1))
    counts = poisson_counts(torch.full((n,), rate), normal).long()
    seen = torch.bincount(counts, minlength=400).numpy()
    expected = n * poisson.pmf(np.arange(len(seen)), rate)
    common = expected > 20
    chi = ((seen - expected)[common] ** 2 / expected[common]).sum()
    # About 6 deviations of chi-squared above its mean.
    assert chi < common.sum() + 6 * np.sqrt(2 * common.sum()) + 6
    assert seen[~common].sum() < expected[~common].sum() + 60


def test_counts_of_nothing_are_0():
    assert torch.equal(poisson_counts(torch.zeros(9), torch.linspace(-4, 4, 9)), torch.zeros(9))


def test_counts_at_the_far_end_of_the_normal_numbers_are_no_outliers():
    rates = torch.tensor([0.01, 1, 5, 11.9, 12, 100])
    counts = poisson_counts(rates, torch.full((6,), 5.6))
    assert (counts <= torch.from_numpy(poisson.ppf(1 - 1e-8, rates.numpy())) + 1).all()
    assert (counts >= torch.from_numpy(poisson.ppf(1 - 1e-5, rates.numpy())) - 1).all()


@pytest.mark.parametrize("photons", [3, 40, 1000])
def test_poisson_noise_has_the_brightness_over_the_photons_as_variance(photons):
    values = torch.tensor([0, 51, 128, 255]) / 255
    x = values[:, None, None, None].expand(4, 3, 160, 160)
    noise = operate("poisson", x, photons=photons, strength=2) - x
    assert torch.allclose(noise.mean((1, 2, 3)), torch.zeros(4), atol=4 * 2 / photons**0.5 / 277)
    assert torch.allclose(noise.var((1, 2, 3)), 4 * values / photons, rtol=0.03)


def test_white_has_as_many_photons_as_the_image_has_levels():
    few = (torch.arange(160 * 160) % 5 / 4).view(1, 1, 160, 160).expand(1, 3, -1, -1)
    noise = operate("poisson", few) - few
    # Five levels: eight photons. Multiples of an eighth, and the variance of eight photons.
    counts = (noise + few.mul(255).round() / 255) * 8
    assert torch.allclose(counts, counts.round(), atol=1e-4)
    assert noise[few == 1].var() == pytest.approx(1 / 8, rel=0.03)


def test_basicsrs_noise_has_the_same_deviations():
    x = noisy_image().expand(20, -1, -1, -1)
    operators = {"poisson": {"strength": STRENGTH}, "noise": {"sigma": LEVELS / 255}}
    with np.load(RECORD) as record:
        for name, options in operators.items():
            for grey in (0, 1):
                ours = (operate(name, x, **options, grey=grey) - x).std((0, 2, 3)).numpy()
                np.testing.assert_allclose(ours, record[f"{name} {grey}"], rtol=0.01)


def test_correlated_noise_has_the_covariance_of_bsrgan():
    """The mean covariance of many images, against its definition, drawn by NumPy."""
    x = torch.full((800, 3, 12, 12), 0.5)
    noise = (operate("correlated_noise", x, sigma=0.1) - x).flatten(2).double()
    covariances = noise @ noise.mT / noise.shape[2] / 0.01
    numbers = np.random.default_rng(0)
    expected = []
    for _ in range(4000):
        rotation = np.linalg.svd(numbers.random((3, 3)))[0]
        covariance = np.abs(rotation.T @ np.diag(numbers.random(3)) @ rotation)
        # It need not be positive; NumPy draws from the absolute eigenvalues then.
        values, vectors = np.linalg.eigh(covariance)
        expected.append(vectors @ np.diag(np.abs(values)) @ vectors.T)
    assert np.allclose(covariances.mean(0).numpy(), np.mean(expected, 0), atol=0.03)
    # Each image has its own.
    assert covariances[:, 0, 1].std() > 0.05


@pytest.mark.parametrize("name", ["noise", "poisson"])
def test_grey_noise_is_the_same_in_all_channels(name):
    x = torch.full((200, 3, 6, 6), 0.5)
    log = Log()
    measure = create_measurement([{"name": name, "grey": 0.4}, EXACT], 1)
    noise = measure.pair(x, 0, log)[0] - x
    same = (noise == noise[:, :1]).all(3).all(2).all(1)
    assert 0.3 < same.float().mean() < 0.5
    assert [dict(image[0][1])["grey"] for image in log.of_images(200)] == same.tolist()


def test_channels_of_colour_noise_are_independent():
    x = torch.full((1, 3, 200, 200), 0.5)
    for name in ("noise", "poisson"):
        noise = (operate(name, x) - x)[0].flatten(1)
        assert torch.allclose(torch.corrcoef(noise), torch.eye(3), atol=0.03)


@pytest.mark.parametrize("name", ["noise", "poisson"])
def test_clipped_noise_stays_in_the_range(name):
    x = torch.rand(2, 1, 24, 24).round()
    options = {"sigma": 0.5} if name == "noise" else {"strength": 3}
    assert operate(name, x, **options).max() > 1
    clipped = operate(name, x, **options, clip=True)
    assert clipped.min() >= 0
    assert clipped.max() <= 1


@pytest.mark.parametrize("name", ["noise", "correlated_noise", "poisson"])
def test_noise_lets_the_gradient_through_where_it_is_clipped(name):
    x = torch.full((2, 3, 12, 12), 0.99, requires_grad=True)
    noisy = operate(name, x, clip=True)
    assert (noisy == 1).any()
    noisy.sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x))


@pytest.mark.parametrize("name", ["noise", "correlated_noise", "poisson"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_processes_that_share_a_batch_get_the_noise_of_one(name, channels):
    x = torch.rand(4, channels, 12, 12)
    options = {} if name == "correlated_noise" else {"grey": 0.5}
    measure = create_measurement([{"name": name, "probability": 0.7, **options}], 1)
    shares = [measure.of_share(Share(k, 2))(x[2 * k : 2 * k + 2], 3) for k in (0, 1)]
    assert torch.equal(torch.cat(shares), measure(x, 3))


def test_levels_are_counted_in_the_image_alone():
    small = torch.full((1, 1, 8, 8), 0.5)
    canvas = Canvas(torch.rand(1, 1, 40, 40), ((8, 8),), ((8, 8),))
    canvas.pixels[..., :8, :8] = small
    operator = MEASUREMENTS["poisson"](scale=1)
    noisy = operator.on_canvas(canvas, Draws((0, "x"), ALONE)).images()[0]
    # One level: one photon, so that a pixel counts whole ones.
    counts = noisy - small + 128 / 255
    assert torch.allclose(counts, counts.round(), atol=1e-4)


@pytest.mark.parametrize(
    ("operator", "message"),
    [
        ({"name": "noise", "grey": 1.5}, r"operators\[0\].grey=1.5"),
        ({"name": "noise", "clip": 1}, r"operators\[0\].clip=1"),
        ({"name": "poisson", "strength": [3, 1]}, r"operators\[0\].strength=\[3, 1\]"),
        ({"name": "poisson", "photons": 0}, r"operators\[0\].photons=0"),
        ({"name": "poisson", "grey": -1}, r"operators\[0\].grey=-1"),
    ],
)
def test_noise_that_cannot_be_is_said_in_one_line(operator, message):
    with pytest.raises(UserError, match=message) as caught:
        create_measurement([operator], 1)
    assert "\n" not in str(caught.value)
