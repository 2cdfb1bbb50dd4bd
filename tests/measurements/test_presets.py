"""Presets: their draws against the published ranges and probabilities."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
import torch
from scipy.stats import binomtest, kstest, uniform

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
