"""Presets: their draws against the published ranges and probabilities."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
import torch
from scipy.stats import binomtest, kstest, uniform

from tmd.errors import UserError
from tmd.measurements import PRESETS, Log, create_measurement

Drawn = list[tuple[str, dict[str, Any]]]
N = 1500


def drawn(operators: list, n: int = N, scale: int = 4) -> list[Drawn]:
    """What is drawn for each of ``n`` images."""
    log = Log()
    create_measurement(operators, scale, seed=5).pair(
        torch.rand(n, 3, 2 * scale, 2 * scale), 0, log
    )
    return log.of_images(n)


def assert_uniform(values: list[float], lowest: float, highest: float) -> None:
    assert len(values) > 50
    assert min(values) >= lowest
    assert max(values) <= highest
    assert kstest(values, uniform(lowest, highest - lowest).cdf).pvalue > 1e-4


def assert_share(hits: int, n: int, probability: float) -> None:
    assert binomtest(hits, n, probability).pvalue > 1e-4, (hits / n, probability)


def assert_shares(values: list, shares: dict) -> None:
    counts = Counter(values)
    assert set(counts) <= set(shares)
    for value, share in shares.items():
        assert_share(counts[value], len(values), share)


KERNELS = {
    "isotropic": 0.405,
    "anisotropic": 0.225,
    "generalized_isotropic": 0.108,
    "generalized_anisotropic": 0.027,
    "plateau_isotropic": 0.108,
    "plateau_anisotropic": 0.027,
    "sinc": 0.1,
}


def assert_blur(blurs: list[dict], sigma: tuple[float, float]) -> None:
    assert_shares([blur["kernel"] for blur in blurs], KERNELS)
    assert_shares([blur["size"] for blur in blurs], dict.fromkeys(range(7, 22, 2), 1 / 8))
    assert_uniform([blur["sigma"] for blur in blurs if "sigma" in blur], *sigma)
    assert_uniform([blur["sigma_y"] for blur in blurs if "sigma_y" in blur], *sigma)
    assert_uniform([blur["rotation"] for blur in blurs if "rotation" in blur], -180, 180)
    beta = [blur["beta"] for blur in blurs if blur["kernel"].startswith("generalized")]
    assert_share(sum(value < 1 for value in beta), len(beta), 0.5)
    assert_uniform([value for value in beta if value < 1], 0.5, 1)
    assert_uniform([value for value in beta if value > 1], 1, 4)
    plateau = [blur["beta"] for blur in blurs if blur["kernel"].startswith("plateau")]
    assert_share(sum(value == 1 for value in plateau), len(plateau), 0.5)
    assert_uniform([value for value in plateau if value > 1], 1, 2)
    for blur in blurs:
        if blur["kernel"] == "sinc":
            lowest = math.pi / 3 if blur["size"] < 13 else math.pi / 5
            assert lowest <= blur["cutoff"] <= math.pi


def assert_resize(resizes: list[dict], factor: tuple[float, float], ways: tuple) -> None:
    factors = [resize["factor"] for resize in resizes]
    up, down = [f for f in factors if f > 1], [f for f in factors if f < 1]
    for hits, share in zip((len(up), len(down), factors.count(1)), ways, strict=True):
        assert_share(hits, len(factors), share)
    assert_uniform(up, 1, factor[1])
    assert_uniform(down, factor[0], 1)
    assert_filters(resizes)


def assert_filters(resizes: list[dict]) -> None:
    names = ("area", "bilinear", "bicubic")
    assert_shares([resize["filter"] for resize in resizes], dict.fromkeys(names, 1 / 3))


def assert_noise(entries: Drawn, levels: tuple[int, int], strength: tuple[float, float]) -> None:
    gaussian = [values for name, values in entries if name == "noise"]
    poisson = [values for name, values in entries if name == "poisson"]
    assert len(gaussian) + len(poisson) == len(entries)
    assert_share(len(gaussian), len(entries), 0.5)
    lowest, highest = (level / 255 for level in levels)
    assert_uniform([each["sigma"] for each in gaussian], lowest - 1e-5, highest + 1e-5)
    assert_uniform([each["strength"] for each in poisson], *strength)
    for kind in (gaussian, poisson):
        assert_share(sum(each["grey"] for each in kind), len(kind), 0.4)


def assert_qualities(values: list[int], lowest: int, highest: int) -> None:
    assert all(isinstance(value, int) for value in values)
    # Rounded: spread again before they are compared.
    spread = torch.rand(len(values), generator=torch.Generator().manual_seed(0)) - 0.5
    shifted = [value + shift for value, shift in zip(values, spread.tolist(), strict=True)]
    assert min(values) >= lowest
    assert max(values) <= highest
    assert kstest(shifted, uniform(lowest, highest - lowest).cdf).pvalue > 1e-4


def test_realesrgan_is_drawn_as_published():
    stages: dict[str, list] = {}
    for image in drawn(PRESETS["realesrgan"]()):
        rest = list(image)

        def take(stage: str, *names: str, rest: Drawn = rest) -> bool:
            hit = rest[0][0] in names
            if hit:
                stages.setdefault(stage, []).append(rest.pop(0))
            return hit

        assert take("sharpen", "sharpen")
        assert take("blur", "blur")
        assert take("resize", "resize")
        assert take("noise", "noise", "poisson")
        assert take("jpeg", "jpeg")
        take("blur 2", "blur")
        assert take("resize 2", "resize")
        assert take("noise 2", "noise", "poisson")
        jpeg_first = take("jpeg first", "jpeg")
        assert take("resize 3", "resize")
        take("sinc", "blur")
        assert jpeg_first or take("jpeg last", "jpeg")
        assert [name for name, _ in rest] == ["quantize"]
    values = {stage: [each for _, each in entries] for stage, entries in stages.items()}
    assert all(each["weight"] == 0.5 for each in values["sharpen"])
    assert_blur(values["blur"], (0.2, 3))
    assert_resize(values["resize"], (0.15, 1.5), (0.2, 0.7, 0.1))
    assert_noise(stages["noise"], (1, 30), (0.05, 3))
    assert_qualities([each["quality"] for each in values["jpeg"]], 30, 95)
    assert_share(len(values["blur 2"]), N, 0.8)
    assert_blur(values["blur 2"], (0.2, 1.5))
    assert_resize(values["resize 2"], (0.3, 1.2), (0.3, 0.4, 0.3))
    assert_noise(stages["noise 2"], (1, 25), (0.05, 2.5))
    assert_share(len(values["jpeg first"]), N, 0.5)
    for stage in ("jpeg first", "jpeg last"):
        assert_qualities([each["quality"] for each in values[stage]], 30, 95)
    assert_filters(values["resize 3"])
    assert_share(len(values["sinc"]), N, 0.8)
    assert {each["kernel"] for each in values["sinc"]} == {"sinc"}
    assert_uniform([each["cutoff"] for each in values["sinc"]], math.pi / 3 - 1e-4, 3.1416)


def test_jpeg_is_drawn_from_30_to_95():
    entries = drawn(PRESETS["jpeg"]())
    assert all([name for name, _ in image] == ["bicubic", "jpeg", "quantize"] for image in entries)
    assert_qualities([image[1][1]["quality"] for image in entries], 30, 95)


def entries_of(images: list[Drawn], *names: str) -> list[dict]:
    return [values for image in images for name, values in image if name in names]


@pytest.mark.parametrize("scale", [3, 4])
def test_bsrgan_is_drawn_as_published(scale):
    images = drawn(PRESETS["bsrgan"](), scale=scale)
    halved = [
        image for image in images if image[0][0] == "bicubic" or image[0][1].get("factor") == 0.5
    ]
    assert_share(len(halved), N, 0.25 if scale == 4 else 0)
    by_matlab = sum(image[0][0] == "bicubic" for image in halved)
    if scale == 4:
        assert_share(by_matlab, len(halved), 0.5)
    plain = [image for image in images if not any(image is each for each in halved)]
    assert_bsrgan_steps(plain, scale)
    if scale == 4:
        assert_bsrgan_steps([image[1:] for image in halved], 2)


def assert_bsrgan_steps(images: list[Drawn], scale: int) -> None:
    n = len(images)
    # Two blurs, and that before the decimation, which no resize comes instead of.
    decimated = [image for image in images if "decimate" in [name for name, _ in image]]
    assert_share(len(decimated), n, 0.25)
    before = [
        image[place - 1][1]
        for image in decimated
        for place, (name, _) in enumerate(image)
        if name == "decimate"
    ]
    assert {each["size"] for each in before} == {25}
    assert_uniform([each["sigma"] for each in before], 0.1, 0.6 * scale)
    blurs = [each for each in entries_of(images, "blur") if not any(each is b for b in before)]
    assert len(blurs) == 2 * n
    wide = [each for each in blurs if each["kernel"] == "anisotropic"]
    assert_share(len(wide), len(blurs), 0.5)
    assert_shares([blur["size"] for blur in blurs], dict.fromkeys(range(7, 26, 2), 0.1))
    for key in ("sigma", "sigma_y"):
        assert_uniform([each[key] ** 2 for each in wide], 0, 4 + scale)
    assert_uniform([each["rotation"] for each in wide], 0, 180)
    iso = [each["sigma"] for each in blurs if each["kernel"] == "isotropic"]
    assert_uniform(iso, 0, 2 + 0.2 * scale)
    resizes = entries_of(images, "resize")
    assert len(resizes) == n + n - len(decimated)
    assert_filters(resizes)
    reductions = [1 / each["factor"] for each in resizes if each["factor"] != 1]
    assert len(reductions) == n - len(decimated)
    assert_uniform(reductions, 1, 2 * scale)
    noise = entries_of(images, "noise")
    assert_share(len(entries_of(images, "correlated_noise")), n, 0.2)
    assert_share(sum(each.get("grey", False) for each in noise), n, 0.4)
    assert_uniform([each["sigma"] for each in noise], 2 / 255, 25 / 255)
    qualities = [each["quality"] for each in entries_of(images, "jpeg")]
    assert_share(len(qualities) - n, n, 0.9)
    assert_qualities(qualities, 30, 95)
    assert_share(len(entries_of(images, "sensor")), n, 0.25)
    assert_bsrgan_order(images)


def assert_bsrgan_order(images: list[Drawn]) -> None:
    noise = ("noise", "correlated_noise")
    at_end, noise_first = 0, 0
    for image in images:
        names = [name for name, _ in image]
        assert names[-2:] == ["jpeg", "quantize"]
        sizes = [v.get("factor", 0) for name, v in image if name in ("resize", "decimate")]
        assert len(sizes) == 2
        assert sizes[1] == 1
        at_end += names[-3] in noise
        noise_first += names[0] in noise
    # Each of seven places as often; JPEG and the sensor, which may be left out, bring it nearer.
    assert at_end > len(images) / 7
    assert noise_first > len(images) / 7


def test_phones_photos_are_drawn_as_its_docstring_says():
    images = drawn(PRESETS["phone"]())
    for name, share in (("sensor", 0.9), ("sharpen", 0.7)):
        assert_share(len(entries_of(images, name)), N, share)
    sent = [image for image in images if sum(name == "resize" for name, _ in image) == 3]
    assert_share(len(sent), N, 0.4)
    again = [image[-3] for image in sent]
    assert_share(sum(name == "webp" for name, _ in again), len(sent), 0.2)
    assert_qualities([values["quality"] for _, values in again], 50, 90)
    assert_uniform([image[-4][1]["factor"] for image in sent], 0.5, 1)
    first = [next(v for name, v in image if name == "jpeg") for image in images]
    assert_qualities([values["quality"] for values in first], 75, 98)
    assert_uniform([each["cast red"] for each in entries_of(images, "sensor")], 0.97, 1.03)
    assert_uniform([each["weight"] for each in entries_of(images, "sharpen")], 0, 1.5)


@pytest.mark.parametrize("name", sorted(PRESETS))
@pytest.mark.parametrize("channels", [1, 3])
def test_presets_work_at_every_scale(name, channels):
    for scale in range(1, 9):
        measure = create_measurement(PRESETS[name](), scale, seed=scale)
        lr, hr = measure.pair(torch.rand(3, channels, 3 * scale, 5 * scale), 1)
        assert lr.shape == (3, channels, 3, 5)
        assert hr.shape == (3, channels, 3 * scale, 5 * scale)
        assert lr.isfinite().all()
        assert not torch.equal(lr, measure(hr, 2))


def test_of_a_shuffle_some_come_in_their_order():
    operators = ["decimate", {"name": "noise"}, {"name": "jpeg"}]
    shuffle = {"name": "shuffle", "operators": operators, "ordered": [1, 2]}
    orders = [tuple(name for name, _ in image[:3]) for image in drawn([shuffle], 600)]
    names = ("decimate", "noise", "jpeg")
    allowed = [names, ("noise", "decimate", "jpeg"), ("noise", "jpeg", "decimate")]
    assert_shares(orders, dict.fromkeys(allowed, 1 / 3))


@pytest.mark.parametrize(
    ("operators", "message"),
    [
        ([{"name": "shuffle", "operators": ["bicubic"], "ordered": [1]}], r"\[0\].ordered=\[1\]"),
        ([{"name": "shuffle", "operators": ["bicubic"], "ordered": 0}], r"\[0\].ordered=0"),
        ([{"name": "bsrgan", "halved": 2}], r"\[0\].halved=2"),
        ([{"name": "resize", "to": "lr", "inverse": "yes"}], r"\[0\].inverse='yes'"),
        (
            [{"name": "resize", "factor": [0.5, 2], "weights": [1, 1, 1], "inverse": True}],
            r"\[0\].inverse=True",
        ),
        ([{"name": "blur", "kernel": "sinc", "variance": 1}, "decimate"], r"\[0\].variance=1"),
        (["bicubic", {"name": "correlated_noise", "sigma": -1}], r"\[1\].sigma=-1"),
    ],
)
def test_mistakes_of_what_presets_need_are_named_in_one_line(operators, message):
    with pytest.raises(UserError, match=message) as caught:
        create_measurement(operators, 4)
    assert "\n" not in str(caught.value)
