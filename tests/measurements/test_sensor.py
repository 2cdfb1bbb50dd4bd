"""The camera's sensor against hand-made mosaics, scipy's demosaicing and the noise's theory."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
import torch
from scipy.ndimage import convolve
from scipy.stats import kstest, norm, uniform

from tmd.distributed import ALONE, Share
from tmd.errors import UserError
from tmd.images import ImageKind
from tmd.measurements import MEASUREMENTS, Canvas, Draws, Log, create_measurement
from tmd.measurements.demosaicing import DEMOSAICINGS, PATTERNS, demosaiced, mosaic
from tmd.measurements.operators.sensor import from_linear, to_linear

SILENT = {"shot": 1e-9, "read": 0}


def photo(height: int = 60, width: int = 72) -> torch.Tensor:
    pixels = np.ascontiguousarray(skimage.data.astronaut()[40 : 40 + height, 180 : 180 + width])
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


def operate(x: torch.Tensor, **options) -> torch.Tensor:
    return MEASUREMENTS["sensor"](scale=1, **options)(x, Draws((0, "alone"), ALONE))


def by_scipy(image: np.ndarray, pattern: str, name: str) -> np.ndarray:
    """Demosaicing (H, W, 3) of a mosaic (H, W) by masks, as the paper's figure 2 has it."""
    height, width = image.shape
    place = {"R": 0, "G": 1, "B": 2}
    masks = np.zeros((3, height, width))
    for number, colour in enumerate(pattern):
        masks[place[colour], number // 2 :: 2, number % 2 :: 2] = 1
    if name == "bilinear":
        cross = np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]]) / 4
        square = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 4
        filters = (square, cross, square)
        return np.stack([convolve(image * m, f) for m, f in zip(masks, filters, strict=True)], 2)
    green = np.zeros((5, 5))
    green[2] = green[:, 2] = [-1, 2, 4, 2, -1]
    row = np.zeros((5, 5))
    row[2], row[:, 2] = [-1, 4, 5, 4, -1], [0.5, 0, 5, 0, 0.5]
    row[1, 1] = row[1, 3] = row[3, 1] = row[3, 3] = -1
    other = np.zeros((5, 5))
    other[2] = other[:, 2] = [-1.5, 0, 6, 0, -1.5]
    other[1, 1] = other[1, 3] = other[3, 1] = other[3, 3] = 2
    at_green, at_row, at_column, at_other = (
        convolve(image, f / 8) for f in (green, row, row.T, other)
    )
    result = masks * image
    result[1] += (1 - masks[1]) * at_green
    for own, opposite in ((0, 2), (2, 0)):
        in_row = masks[own].max(1, keepdims=True) * masks[1]
        in_column = masks[own].max(0, keepdims=True) * masks[1]
        result[own] += in_row * at_row + in_column * at_column + masks[opposite] * at_other
    return result.transpose(1, 2, 0)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("name", ["malvar", "bilinear"])
def test_demosaicing_equals_scipys(name, pattern):
    single = mosaic(photo().double(), pattern)
    result = demosaiced(single, pattern, DEMOSAICINGS[name])[0].permute(1, 2, 0).numpy()
    expected = by_scipy(single[0, 0].numpy(), pattern, name)[2:-2, 2:-2]
    assert np.allclose(result, expected, atol=1e-12)


def test_a_mosaic_keeps_each_pixels_own_colour():
    x = torch.arange(48.0).view(1, 3, 4, 4)
    single = mosaic(x, "RGGB")[0, 0]
    assert torch.equal(single[0], torch.tensor([0.0, 17, 2, 19]))
    assert torch.equal(single[1], torch.tensor([20.0, 37, 22, 39]))


def test_linear_light_is_iecs():
    x = torch.linspace(0, 1, 1001, dtype=torch.float64)
    assert torch.allclose(from_linear(to_linear(x)), x, atol=1e-6)
    assert to_linear(torch.tensor(0.5)) == pytest.approx(0.21404, abs=1e-5)


@pytest.mark.parametrize("name", ["malvar", "bilinear"])
def test_grey_scenes_survive_a_silent_sensor(name):
    # Luma alone, so that each colour tells of all; borders too, whose neighbours are replicated.
    ramp = from_linear(torch.linspace(0.1, 0.6, 40).expand(1, 3, 40, 40))
    for x in (ramp, ramp.mT):
        assert (operate(x, demosaicing=name, **SILENT) - x).abs()[..., 3:-3, 3:-3].max() < 1e-3
    flat = torch.full((1, 3, 9, 7), 0.5)
    assert torch.allclose(operate(flat, demosaicing=name, **SILENT), flat, atol=1e-3)


def test_malvar_is_nearer_to_a_photo_than_bilinear():
    x = photo()
    errors = {
        name: (operate(x, demosaicing=name, **SILENT) - x).square().mean()
        for name in ("malvar", "bilinear")
    }
    assert 0 < errors["malvar"] < 0.6 * errors["bilinear"]


def test_noise_has_the_variance_of_light_and_electronics():
    light = torch.tensor([0.02, 0.2, 0.6])
    x = from_linear(light)[:, None, None, None].expand(3, 1, 200, 200)
    noisy = to_linear(operate(x, shot=0.001, read=0.002))
    expected = (0.001 * light + 0.002**2).sqrt()
    assert torch.allclose(noisy.std((1, 2, 3)), expected, rtol=0.05)


def test_noise_is_drawn_as_brooks_et_al_have_it():
    log = Log()
    measure = create_measurement(["sensor"], 1, seed=3)
    measure.pair(torch.rand(600, 3, 2, 2), 0, log)
    values = [image[0][1] for image in log.of_images(600)]
    shot = np.log([each["shot"] for each in values])
    around = 2 * np.log([each["read"] for each in values]) - (2.18 * shot + 1.20)
    lowest, highest = np.log([0.0001, 0.012])
    assert kstest(shot, uniform(lowest, highest - lowest).cdf).pvalue > 1e-4
    assert kstest(around, norm(0, 0.26).cdf).pvalue > 1e-4
    for key, ends in (("red", (1.9, 2.4)), ("blue", (1.5, 1.9))):
        drawn = [each[key] for each in values]
        assert kstest(drawn, uniform(ends[0], ends[1] - ends[0]).cdf).pvalue > 1e-4


def test_a_wrong_white_balance_casts_a_colour():
    x = torch.full((1, 3, 12, 12), 0.5)
    result = to_linear(operate(x, cast=[1.2, 1.2], **SILENT))
    red, green, blue = result.mean((0, 2, 3)) / to_linear(x)[0, 0, 0, 0]
    assert (red, blue) == (pytest.approx(1.2, rel=0.01), pytest.approx(1.2, rel=0.01))
    assert green == pytest.approx(1, rel=0.01)


def test_a_smaller_images_result_does_not_depend_on_its_canvas():
    image = photo(20, 26)
    results = []
    for size in ((20, 26), (20, 40), (50, 33)):
        canvas = Canvas(torch.rand(1, 3, *size), ((20, 26),), ((20, 26),))
        canvas.pixels[..., :20, :26] = image
        operator = MEASUREMENTS["sensor"](scale=1, **SILENT)
        results.append(operator.on_canvas(canvas, Draws((0, "x"), ALONE)).images()[0])
    assert all(torch.allclose(result, results[0], atol=1e-3) for result in results)


@pytest.mark.parametrize("channels", [1, 3])
def test_processes_that_share_a_batch_get_the_images_of_one(channels):
    x = photo(12, 16)[:, :channels].repeat(4, 1, 1, 1)
    measure = create_measurement([{"name": "sensor", "probability": 0.7}], 1)
    shares = [measure.of_share(Share(k, 2))(x[2 * k : 2 * k + 2], 1) for k in (0, 1)]
    assert torch.equal(torch.cat(shares), measure(x, 1))


def test_the_sensor_lets_a_finite_gradient_through():
    x = (photo(16, 16) * 1.4 - 0.2).requires_grad_()
    create_measurement(["bicubic", "sensor"], 2)(x).sum().backward()
    assert x.grad.isfinite().all()
    assert (x.grad != 0).float().mean() > 0.3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shot": 0}, r"operators\[0\].shot=0"),
        ({"read": [-0.1, 0]}, r"operators\[0\].read=-0.1"),
        ({"pattern": "RGBG"}, r"operators\[0\].pattern='RGBG'"),
        ({"demosaicing": "best"}, r"operators\[0\].demosaicing='best'"),
    ],
)
def test_a_sensor_that_cannot_be_is_said_in_one_line(options, message):
    with pytest.raises(UserError, match=message):
        create_measurement([{"name": "sensor", **options}], 1)


def test_a_sensor_of_four_bands_is_refused():
    with pytest.raises(UserError, match="sensor takes grey and RGB images"):
        create_measurement(["sensor"], 1, kind=ImageKind(4))
