"""Spectral angle and ERGAS against torchmetrics, and against their formulas in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import (
    error_relative_global_dimensionless_synthesis as theirs_ergas,
)
from torchmetrics.functional.image import spectral_angle_mapper as theirs_sam

from tmd.errors import UserError
from tmd.images import ImageKind
from tmd.metrics import MetricSettings, TooSmallError, ergas, metric, metric_function, sam

KINDS = [ImageKind.of_dtype(13, "float32"), ImageKind(4, "uint16", (100, 9000))]


def pair(kind: ImageKind) -> tuple[torch.Tensor, torch.Tensor]:
    """SR, whose spectra are off by a few degrees, and HR."""
    draws = torch.Generator().manual_seed(1)
    hr = torch.rand(2, kind.channels, 17, 23, generator=draws) * 0.8 + 0.1
    return hr + 0.02 * torch.randn(hr.shape, generator=draws), hr


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_sam_is_the_angle_between_spectra_in_degrees(kind) -> None:
    sr, hr = pair(kind)

    ours = sam(sr, hr, kind=kind)

    a, b = (kind.numbers(image.double()).numpy() for image in (sr, hr))
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    expected = np.degrees(np.arccos((a * b).sum(1) / lengths)).mean((1, 2))
    np.testing.assert_allclose(ours, expected, rtol=1e-6)
    given = [torch.from_numpy(each) for each in (a, b)]
    theirs = torch.rad2deg(theirs_sam(*given, reduction="none")).mean((1, 2))
    torch.testing.assert_close(ours.double(), theirs, rtol=1e-6, atol=0)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_ergas_weighs_each_bands_error_by_its_mean(kind) -> None:
    sr, hr = pair(kind)

    ours = ergas(sr, hr, scale=4, kind=kind)

    a, b = (kind.numbers(image.double()).numpy() for image in (sr, hr))
    relative = ((a - b) ** 2).mean((2, 3)) / b.mean((2, 3)) ** 2
    np.testing.assert_allclose(ours, 100 / 4 * np.sqrt(relative.mean(1)), rtol=1e-6)
    given = [torch.from_numpy(each) for each in (a, b)]
    theirs = theirs_ergas(*given, ratio=4, reduction="none")
    torch.testing.assert_close(ours.double(), theirs, rtol=1e-6, atol=0)


def test_a_small_angle_keeps_its_digits_in_single_precision() -> None:
    hr = torch.ones(1, 2, 4, 4)
    sr = hr + torch.tensor([1e-4, 0]).view(1, 2, 1, 1)

    expected = np.degrees(np.arctan2(1 + 1e-4, 1) - np.arctan2(1, 1))
    assert sam(sr, hr).item() == pytest.approx(expected, rel=1e-3)
    assert sam(hr, hr).item() == 0


def test_pixels_that_are_dark_in_every_band_have_an_angle() -> None:
    hr = torch.zeros(1, 3, 1, 3)
    sr = torch.zeros(1, 3, 1, 3)
    hr[..., 1] = sr[..., 2] = 0.5  # both dark; one; the other

    assert sam(sr, hr).item() == pytest.approx((0 + 90 + 90) / 3)
    assert ergas(hr[..., :1], hr[..., :1]).item() == 0


def test_the_border_is_left_out_and_may_not_be_all() -> None:
    sr, hr = pair(KINDS[0])
    wrong = sr.clone()
    wrong[..., :2, :] = 5

    for function in (sam, ergas):
        torch.testing.assert_close(function(wrong, hr, 2), function(sr, hr, 2))
        with pytest.raises(TooSmallError):
            function(sr, hr, 9)


def test_one_band_has_no_spectrum() -> None:
    with pytest.raises(UserError, match="SAM: an image of one band has no spectrum"):
        sam(torch.rand(1, 1, 4, 4), torch.rand(1, 1, 4, 4))


@pytest.mark.parametrize("name", ["sam", "ergas"])
def test_they_are_metrics_by_name_of_which_less_is_better(name) -> None:
    sr, hr = pair(KINDS[1])
    settings = MetricSettings(2, kind=KINDS[1], scale=4)

    value = metric_function(name, settings)(sr, hr)

    expected = {"sam": sam(sr, hr, 2, KINDS[1]), "ergas": ergas(sr, hr, 2, 4, KINDS[1])}
    assert torch.equal(value, expected[name])
    assert metric(f"validation.{name}").higher_is_better is False
