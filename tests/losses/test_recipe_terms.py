"""Terms of today's recipes: values by float64 references of our own, gradients, checks."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor

from tmd.errors import UserError
from tmd.losses.artifacts import artifacts
from tmd.losses.colour import TOE, oklab
from tmd.losses.extra import GENERATOR_TERMS, create_extra_terms
from tmd.losses.options import LossOptions
from tmd.losses.similarity import MS_SSIM_SIZE
from tmd.metrics.dists import DISTS, DISTSWeights, find_dists_weights


def pair(size: int, channels: int = 3, noise: float = 0.1) -> tuple[Tensor, Tensor]:
    """A smooth random HR, and SR that differs from it, float64."""
    draws = torch.Generator().manual_seed(0)
    coarse = torch.rand(2, channels, 6, 6, generator=draws, dtype=torch.float64)
    hr = torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 1)
    noisy = hr + noise * torch.randn(hr.shape, generator=draws, dtype=torch.float64)
    return noisy, hr


def value(name: str, sr: Tensor, hr: Tensor, **more: Tensor) -> float:
    return GENERATOR_TERMS[name](sr=sr.float(), hr=hr.float(), **more).item()


# Structural similarity -------------------------------------------------------------------------


def similarity_maps(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Luminance and structure of two planes, a window at a time."""
    steps = np.arange(11) - 5
    window = np.exp(-(steps[:, None] ** 2 + steps[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    views = [np.lib.stride_tricks.sliding_window_view(each, (11, 11)) for each in (a, b)]
    mean_a, mean_b = ((view * window).sum((-2, -1)) for view in views)
    centred = [v - m[..., None, None] for v, m in zip(views, (mean_a, mean_b), strict=True)]
    variance_a, variance_b = ((each**2 * window).sum((-2, -1)) for each in centred)
    covariance = (centred[0] * centred[1] * window).sum((-2, -1))
    luminance = (2 * mean_a * mean_b + 1e-4) / (mean_a**2 + mean_b**2 + 1e-4)
    return luminance, (2 * covariance + 9e-4) / (variance_a + variance_b + 9e-4)


def ms_ssim_of(a: np.ndarray, b: np.ndarray) -> float:
    product = 1.0
    for number, weight in enumerate([0.0448, 0.2856, 0.3001, 0.2363, 0.1333]):
        if number:
            a, b = (e[: len(e) // 2 * 2, : e.shape[1] // 2 * 2] for e in (a, b))
            a, b = (e.reshape(len(e) // 2, 2, -1, 2).mean((1, 3)) for e in (a, b))
        luminance, structure = similarity_maps(a, b)
        product *= ((luminance * structure if number == 4 else structure).mean()) ** weight
    return product


def test_ssim_and_ms_ssim_are_those_of_a_reference_in_float64() -> None:
    sr, hr = pair(MS_SSIM_SIZE + 3)
    planes = list(zip(*(each.flatten(0, 1).numpy() for each in (sr, hr)), strict=True))
    expected = 1 - np.mean([math.prod(similarity_maps(*each)).mean() for each in planes])
    assert value("ssim", sr, hr) == pytest.approx(expected, rel=1e-5)
    expected = 1 - np.mean([ms_ssim_of(*each) for each in planes])
    assert value("ms_ssim", sr, hr) == pytest.approx(expected, rel=1e-5)
    assert value("ms_ssim", hr, hr) == pytest.approx(0, abs=1e-6)


def test_structures_that_oppose_each_other_at_one_scale_leave_the_others_a_gradient() -> None:
    noisy, smooth = (each.float() for each in pair(MS_SSIM_SIZE))
    sr = (2 * smooth - noisy).requires_grad_()
    loss = GENERATOR_TERMS["ms_ssim"](sr=sr, hr=noisy)
    loss.backward()
    assert 0.1 < loss.item() < 1
    assert sr.grad is not None
    assert sr.grad.isfinite().all()
    assert sr.grad.abs().max() > 0


# Frequencies, colours, artefacts ---------------------------------------------------------------


def test_ffl_is_that_of_a_reference_in_float64() -> None:
    sr, hr = pair(20)
    values = []
    for a, b in zip(sr.flatten(0, 1).numpy(), hr.flatten(0, 1).numpy(), strict=True):
        rows = np.exp(-2j * np.pi * np.outer(np.arange(20), np.arange(20)) / 20)
        difference = np.abs(rows @ a @ rows.T / 20 - rows @ b @ rows.T / 20)
        values.append((difference / difference.max() * difference**2).mean())
    assert value("ffl", sr, hr) == pytest.approx(np.mean(values), rel=1e-5)
    assert value("ffl", hr, hr) == 0


def oklab_of(rgb: np.ndarray) -> np.ndarray:
    """Ottosson's published C++ (M1, cube root, M2), a pixel at a time, in float64."""
    red, green, blue = (((c + 0.055) / 1.055) ** 2.4 if c > 0.04045 else c / 12.92 for c in rgb)
    long = 0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue
    medium = 0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue
    short = 0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue
    a, b, c = (math.cbrt(each) for each in (long, medium, short))
    return np.array(
        [
            0.2104542553 * a + 0.7936177850 * b - 0.0040720468 * c,
            1.9779984951 * a - 2.4285922050 * b + 0.4505937099 * c,
            0.0259040371 * a + 0.7827717662 * b - 0.8086757660 * c,
        ]
    )


def test_oklab_is_that_of_a_reference_and_of_known_colours() -> None:
    colours = np.random.default_rng(0).uniform(0.01, 1, (40, 3))
    ours = oklab(torch.tensor(colours).T[None, :, :, None])[0, :, :, 0].T.numpy()
    assert np.abs(ours - [oklab_of(each) for each in colours]).max() < 1e-12
    primaries = torch.eye(3, dtype=torch.float64).T[None, :, :, None]
    red = oklab(primaries)[0, :, 0, 0].tolist()  # CSS Color 4: oklab(0.62796 0.22486 0.12585)
    assert red == pytest.approx([0.62796, 0.22486, 0.12585], abs=2e-4)
    assert oklab(torch.ones(1, 3, 1, 1)).flatten().tolist() == pytest.approx([1, 0, 0], abs=1e-4)


def test_colour_is_blind_to_brightness_and_luma_to_colour() -> None:
    grey = torch.full((1, 3, 8, 8), 0.4)
    assert value("oklab", grey + 0.2, grey) < 1e-4
    sr, hr = pair(12)
    sr, hr = sr.clamp(0.02, 1), hr.clamp(0.02, 1)
    pixels = [e.permute(0, 2, 3, 1).reshape(-1, 3).numpy() for e in (sr, hr)]
    labs = [np.array([oklab_of(each) for each in e])[:, 1:] for e in pixels]
    squares = ((labs[0] - labs[1]) ** 2).sum(1)
    expected = (np.sqrt(squares + 1e-8) - 1e-4).mean()
    assert value("oklab", sr, hr) == pytest.approx(expected, rel=1e-5)
    y = [e @ np.array([65.481, 128.553, 24.966]) / 255 for e in pixels]
    assert value("luma", sr, hr) == pytest.approx(np.abs(y[0] - y[1]).mean(), rel=1e-5)


def test_black_has_a_gradient_in_colour_that_is_a_number() -> None:
    sr = torch.zeros(1, 3, 4, 4, requires_grad=True)
    GENERATOR_TERMS["oklab"](sr=sr, hr=torch.rand(1, 3, 4, 4)).backward()
    assert sr.grad is not None
    assert sr.grad.isfinite().all()
    assert 0 < sr.grad.abs().max() < 10
    assert TOE < (1 / 255 / 12.92)  # the straight part is darker than the first level


def ldl_map(sr: np.ndarray, hr: np.ndarray, averaged: np.ndarray) -> np.ndarray:
    """LDL's map of one image by numpy's variance of each 7 × 7 window."""
    errors = np.abs(sr - hr).sum(0)
    padded = np.pad(errors, 3, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (7, 7))
    result = windows.var((-2, -1), ddof=1) * errors.var(ddof=1) ** 0.2
    result[errors < np.abs(averaged - hr).sum(0)] = 0
    return result


def test_ldl_is_that_of_a_reference_in_float64() -> None:
    sr, hr = pair(16)
    averaged = hr + 0.5 * (sr - hr).flip(-1)
    expected = [
        ldl_map(*each) for each in zip(sr.numpy(), hr.numpy(), averaged.numpy(), strict=True)
    ]
    found = artifacts(sr, hr, averaged)[:, 0].numpy()
    assert np.abs(found - expected).max() < 1e-14
    assert (found == 0).any()
    assert (found > 0).any()
    whole = (np.array(expected)[:, None] * np.abs((sr - hr).numpy())).mean()
    assert value("ldl", sr, hr, averaged=averaged.float()) == pytest.approx(whole, rel=1e-5)
    assert value("ldl", hr, hr, averaged=averaged.float()) == 0


@pytest.mark.parametrize("name", ["ssim", "ms_ssim", "luma", "oklab"])
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    sr, hr = pair(max(16, GENERATOR_TERMS[name].minimum_size))
    sr.requires_grad_()
    GENERATOR_TERMS[name](sr=sr, hr=hr).backward()
    assert sr.grad is not None
    step = 1e-6
    values = []
    for sign in (1, -1):
        moved = sr.detach().clone()
        moved[0, 1, 7, 9] += sign * step
        values.append(GENERATOR_TERMS[name](sr=moved, hr=hr).item())
    assert sr.grad[0, 1, 7, 9].item() == pytest.approx((values[0] - values[1]) / step / 2, rel=1e-4)


def test_maps_that_say_where_get_no_gradient() -> None:
    sr, hr = pair(16)
    sr = sr.float().requires_grad_()
    hr = hr.float()
    averaged = hr + 0.3
    GENERATOR_TERMS["ldl"](sr=sr, hr=hr, averaged=averaged).backward()
    expected = artifacts(sr.detach(), hr, averaged) * (sr.detach() - hr).sign() / sr.numel()
    assert torch.allclose(sr.grad, expected)
    with torch.no_grad():
        spectrum = torch.fft.fft2(sr - hr, norm="ortho")
        weight = spectrum.abs() / spectrum.abs().amax((-2, -1), keepdim=True)
        expected = torch.fft.ifft2(2 * weight * spectrum, norm="ortho").real / sr.numel()
    sr.grad = None
    GENERATOR_TERMS["ffl"](sr=sr, hr=hr).backward()
    assert torch.allclose(sr.grad, expected, atol=1e-9)


# DISTS -----------------------------------------------------------------------------------------


def dists_of(vgg: torch.nn.Sequential, a: Tensor, b: Tensor, alpha: Tensor, beta: Tensor) -> float:
    """The paper's equations 2, 5 and 6, with torchvision's network in float64."""

    def maps(image: Tensor) -> list[Tensor]:
        mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).double()
        x, found = (image - mean[:, None, None]) / std[:, None, None], [image]
        for layer in vgg:
            if isinstance(layer, torch.nn.MaxPool2d):
                found.append(x)
                taps = torch.tensor(np.hanning(5)[1:-1])
                window = torch.outer(taps, taps) / taps.sum() ** 2
                padded = torch.nn.functional.pad(x**2, (1, 1, 1, 1))
                views = padded.unfold(2, 3, 2).unfold(3, 3, 2)
                x = ((views * window).sum((-2, -1)) + 1e-12).sqrt()
            else:
                x = layer(x)
        return found

    total, first = 0.0, 0
    weights = alpha.sum() + beta.sum()
    for x, y in zip(maps(a), maps(b), strict=True):
        for channel in range(x.shape[1]):
            p, q = x[0, channel].detach().numpy(), y[0, channel].detach().numpy()
            texture = (2 * p.mean() * q.mean() + 1e-6) / (p.mean() ** 2 + q.mean() ** 2 + 1e-6)
            cross = ((p - p.mean()) * (q - q.mean())).mean()
            structure = (2 * cross + 1e-6) / (p.var() + q.var() + 1e-6)
            at = first + channel
            total += (alpha[at] * texture + beta[at] * structure).item() / weights.item()
        first += x.shape[1]
    return 1 - total


@pytest.fixture(scope="module")
def vgg16() -> torch.nn.Sequential:
    torch.manual_seed(3)
    network = torchvision.models.vgg16(weights=None).features.eval()
    for layer in network:
        if isinstance(layer, torch.nn.ReLU):
            layer.inplace = False
    return network


def test_dists_is_that_of_the_papers_equations_in_float64(vgg16: torch.nn.Sequential) -> None:
    alpha, beta = torch.rand(2, 1475)
    sizes = (1, -1, 1, 1)
    state = {name: each.clone() for name, each in vgg16.state_dict().items()}
    ours = DISTS(DISTSWeights(state, alpha.view(sizes), beta.view(sizes)))
    sr, hr = pair(40)
    found = ours(sr.float(), hr.float())
    assert found.shape == (2,)
    expected = dists_of(vgg16.double(), sr[:1], hr[:1], alpha, beta)
    vgg16.float()
    assert found[0].item() == pytest.approx(expected, rel=1e-4)
    assert 0.005 < expected < 1
    assert ours(hr.float(), hr.float()).abs().max() < 1e-5


def test_dists_of_the_published_weights_rises_with_noise_and_has_a_gradient(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    if find_dists_weights(shared_data / "weights") is None:
        pytest.skip("needs the package dists-pytorch")
    sr, hr = (each.float() for each in pair(48))
    term = create_extra_terms(
        {"dists": 1}, settings={"dists_weights": str(shared_data / "weights")}
    )
    dists = term["dists"][1]
    sr.requires_grad_()
    far = dists(sr=sr, hr=hr)
    far.backward()
    near = dists(sr=hr + (sr.detach() - hr) / 4, hr=hr)
    assert 0 < near.item() < far.item() < 1
    assert sr.grad.abs().max() > 0
    assert dists(sr=hr, hr=hr).item() == pytest.approx(0, abs=1e-5)


def test_weights_that_are_away_are_one_line_before_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(UserError) as raised:
        LossOptions(content="pixel", extra={"dists": 0.1}).check()
    assert "losses.dists_weights=FOLDER" in str(raised.value)
    assert "\n" not in str(raised.value)
    with pytest.raises(UserError, match=r"losses.dists_weights=.*absent: no such folder"):
        LossOptions(
            content="pixel", extra={"dists": 0.1}, dists_weights=str(tmp_path / "absent")
        ).check()


# What is said before a run ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extra", "images", "message"),
    [
        (
            {"ms_ssim": 0.1},
            {"channels": 3, "size": 72},
            "losses.extra.ms_ssim=0.1: takes images of at least 176 pixels; dataset.patch_size is "
            "72",
        ),
        (
            {"oklab": 1},
            {"channels": 1, "size": 72},
            "losses.extra.oklab=1: takes images of 3 channels, these have 1",
        ),
        (
            {"ldl": 1},
            {"given": ("sr", "hr", "lr")},
            "losses.extra.ldl=1: needs the average of the generator's weights (optimization.ema "
            "above 0), which this training has not",
        ),
    ],
)
def test_images_that_do_not_fit_are_one_line_before_a_run(extra, images, message) -> None:
    with pytest.raises(UserError) as raised:
        LossOptions(content="pixel", extra=extra).check(**images)
    assert str(raised.value) == message


def test_least_sizes_are_the_least() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("ssim", "ms_ssim", "ldl", "ffl", "luma", "oklab"):
            size = GENERATOR_TERMS[name].minimum_size
            sr, hr = (torch.rand(1, 3, size, size) for _ in range(2))
            assert GENERATOR_TERMS[name](sr=sr, hr=hr, averaged=hr).isfinite()
    for name in ("ssim", "ms_ssim"):
        size = GENERATOR_TERMS[name].minimum_size - 1
        smaller = torch.rand(1, 3, size, size)
        assert GENERATOR_TERMS[name](sr=smaller, hr=smaller).isnan()  # the window fits nowhere
