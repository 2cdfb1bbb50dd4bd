"""Resizing at random, each image by itself against torch and Pillow."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from tmd.distributed import Share
from tmd.errors import UserError
from tmd.images import ImageKind
from tmd.measurements import Canvas, Draws, Log, create_measurement
from tmd.measurements.resampling import FILTERS, resampled, taps

EXACT = {"name": "quantize", "bits": None}
TO_LR = {"name": "resize", "to": "lr", "filter": "area"}


def canvas_of(sizes: list[tuple[int, int]]) -> Canvas:
    """Random images of these sizes; beyond them is what must not be seen."""
    height, width = (max(side) for side in zip(*sizes, strict=True))
    pixels = torch.rand(len(sizes), 3, height, width, dtype=torch.float64)
    for image, (h, w) in zip(pixels, sizes, strict=True):
        image[:, h:] = image[:, :, w:] = float("nan")
    return Canvas(pixels, tuple(sizes), tuple(sizes)).replicated()


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("name", ["bicubic", "bilinear", "area", "nearest"])
def test_each_image_is_resized_as_torch_does_it_alone(name, antialias):
    if antialias and name in ("area", "nearest"):
        pytest.skip("torch has no antialiasing for it")
    before = [(24, 31), (9, 40), (33, 8), (20, 20)]
    after = [(11, 50), (20, 13), (33, 9), (7, 41)]
    canvas = canvas_of(before)

    result = resampled(canvas, after, after, [name] * 4, antialias)

    assert result.room == (33, 50)
    options = {"mode": name, "antialias": antialias}
    for found, image, size in zip(result.images(), canvas.images(), after, strict=True):
        expected = F.interpolate(image, size, **options)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(12, 50), (63, 17)])
def test_lanczos_is_pillows(size):
    canvas = canvas_of([(24, 31), (40, 20)])

    result = resampled(canvas, [size] * 2, [size] * 2, ["lanczos"] * 2, antialias=True)

    for found, image in zip(result.images(), canvas.images(), strict=True):
        band = Image.fromarray(image[0, 0].float().numpy())
        expected = np.asarray(band.resize((size[1], size[0]), Image.Resampling.LANCZOS))
        np.testing.assert_allclose(found[0, 0].numpy(), expected, atol=1e-5)


def test_beyond_an_image_its_border_is_repeated():
    after = [(5, 9), (12, 4)]
    result = resampled(canvas_of([(10, 10), (6, 8)]), after, after, ["bicubic", "area"])
    again = result.replicated()
    torch.testing.assert_close(again.pixels, result.pixels, rtol=0, atol=0)


def test_long_sides_are_resized_in_blocks_to_the_same():
    x = torch.rand(2, 1, 700, 6, dtype=torch.float64)
    after = [(900, 6), (300, 6)]
    result = resampled(Canvas(x), after, after, ["bicubic", "bilinear"])
    for found, image, size, mode in zip(
        result.images(), x, after, ["bicubic", "bilinear"], strict=True
    ):
        expected = F.interpolate(image[None], size, mode=mode)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", FILTERS)
def test_weights_add_up_and_stay_inside(name):
    for before, after, antialias in itertools.product((1, 2, 7, 40), (1, 3, 40, 90), (0, 1)):
        firsts, weights = taps(before, after, name, bool(antialias))
        assert firsts.min() >= 0
        assert (firsts + weights.shape[1]).max() <= before
        np.testing.assert_allclose(weights.sum(1), 1, atol=1e-12)


def test_factors_are_drawn_up_down_and_kept_as_often_as_asked():
    entry = {"name": "resize", "factor": [0.25, 1.5], "weights": [0.2, 0.7, 0.1]}
    log = Log()
    measure = create_measurement([{**entry, "filter": list(FILTERS)}, TO_LR, EXACT], 1)
    measure.pair(torch.rand(3000, 1, 8, 8), 0, log)
    drawn = [image[0][1] for image in log.of_images(3000)]
    factors = np.array([each["factor"] for each in drawn])
    assert factors.min() >= 0.25
    assert factors.max() <= 1.5
    assert abs((factors > 1).mean() - 0.2) < 0.03
    assert abs((factors < 1).mean() - 0.7) < 0.03
    below = (factors[factors < 1] - 0.25) / 0.75
    assert abs(below.mean() - 0.5) < 0.03
    for name in FILTERS:
        assert abs(np.mean([each["filter"] == name for each in drawn]) - 0.2) < 0.03


def test_sizes_are_those_of_the_factor_drawn():
    entry = {"name": "resize", "to": "lr", "factor": [0.4, 1.4]}
    log, seen = Log(), []
    measure = create_measurement([entry, TO_LR, EXACT], 2)
    first = measure.chain.children[0]
    draws = Draws((0, "measurement", 3), Share(), log=log).of(0).named("resize")
    seen = first.on_canvas(Canvas(torch.rand(5, 3, 40, 60), lr_size=(20, 30)), draws).sizes
    factors = [image[0][1]["factor"] for image in log.of_images(5)]
    assert seen == tuple((int(20 * f), int(30 * f)) for f in factors)
    assert measure(torch.rand(5, 3, 40, 60), 3).shape == (5, 3, 20, 30)


@pytest.mark.parametrize("kind", [ImageKind(1), ImageKind(3), ImageKind.of_dtype(13, "uint16")])
@pytest.mark.parametrize("scale", [1, 3])
def test_any_scale_and_any_bands(kind, scale):
    entry = {"name": "resize", "factor": [0.5, 1.5], "filter": list(FILTERS), "antialias": True}
    measure = create_measurement([entry, TO_LR], scale, kind=kind)
    hr = torch.full((2, kind.channels, 24, 30), 0.5)
    lr = measure(hr)
    assert lr.shape == (2, kind.channels, 24 // scale, 30 // scale)
    assert abs(lr - 0.5).max() < 1 / 255


def test_resizing_is_differentiable():
    measure = create_measurement(
        [{"name": "resize", "factor": [0.6, 1.4], "filter": ["bicubic", "area"]}, TO_LR, EXACT], 2
    )
    x = (torch.rand(2, 1, 8, 8, dtype=torch.float64) * 0.2 + 0.4).requires_grad_()
    assert torch.autograd.gradcheck(measure, (x,))


@pytest.mark.parametrize(
    ("operators", "said"),
    [
        (["resize"], r"operators\[0\].factor=None: must be given unless"),
        ([{"name": "resize", "factor": 0}], r"\[0\].factor=0: must be a number at least"),
        ([{"name": "resize", "factor": [2, 1]}], r"\[0\].factor=\[2, 1\]: the first end"),
        (
            [{"name": "resize", "factor": 1, "filter": "cubic"}],
            r"\[0\].filter='cubic': must",
        ),
        ([{"name": "resize", "to": "hr"}], r"\[0\].to='hr': must be one of lr"),
        ([{"name": "resize", "factor": [2, 3], "weights": [1, 1, 1]}], "1 must be between"),
        ([{"name": "resize", "factor": 0.5, "weights": [1, 1]}], r"weights=\[1, 1\]: must be a l"),
        ([{"name": "resize", "to": "lr", "weights": [0, 0, 0]}], "one must be above 0"),
        ([{"name": "resize", "factor": [0.5, 1]}], "sizes that depend on what is drawn"),
        (
            [{"name": "resize", "factor": [0.5, 1]}, "bicubic"],
            r"\[1\]: bicubic takes images",
        ),
        ([{"name": "resize", "to": "lr", "probability": 0.5}], "sizes that depend on what is dra"),
        ([{"name": "resize", "factor": 0.5}], "reduces the size by 2, not by scale=4"),
        (["bicubic", "bicubic", TO_LR], r"\[2\]: what is before it reduces the size by 16"),
    ],
)
def test_mistakes_are_named_in_one_line(operators, said):
    with pytest.raises(UserError, match=said) as caught:
        create_measurement(operators, 4)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("factors", [[0.25], [0.5, 0.5], [2, 0.125]])
def test_fixed_factors_that_come_out_at_scale_are_taken(factors):
    entries = [{"name": "resize", "factor": factor} for factor in factors]
    assert create_measurement(entries, 4)(torch.rand(1, 3, 12, 20)).shape == (1, 3, 3, 5)
