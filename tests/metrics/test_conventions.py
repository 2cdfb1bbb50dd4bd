"""Metrics by other libraries' conventions are those libraries' own, called here by hand."""

from __future__ import annotations

import math
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from skimage import color, data, metrics

from tmd.errors import UserError
from tmd.metrics import MetricSettings, metric_function
from tmd.metrics.conventions import CONVENTIONS, by_convention
from tmd.metrics.registry import metric

SCALE = 4
#: Its setup does not build everywhere; `.ci/run` brings it for these tests.
needs_basicsr = pytest.mark.skipif(find_spec("basicsr") is None, reason="basicsr is not installed")


@pytest.fixture(scope="module")
def photos() -> tuple[np.ndarray, np.ndarray]:
    """A photo and its blocks' means, (H, W, 3) of bytes; odd sides, as photos have them."""
    hr = data.astronaut()[40:241, 60:263]
    sr = hr.astype(float)
    sr[:200, :200] = sr[:200, :200].reshape(50, 4, 50, 4, 3).mean((1, 3)).repeat(4, 0).repeat(4, 1)
    return np.round(sr).astype(np.uint8), hr


def tensors(photos: tuple[np.ndarray, np.ndarray]) -> list[torch.Tensor]:
    return [torch.from_numpy(x.copy()).permute(2, 0, 1)[None] / 255 for x in photos]


def value(name: str, photos: tuple[np.ndarray, np.ndarray], **settings: object) -> float:
    chosen = MetricSettings(SCALE)._replace(**settings)
    return metric_function(name, chosen)(*tensors(photos)).item()


def luma(image: np.ndarray) -> np.ndarray:
    """Y of 16 to 235 by scikit-image, without the border, in [0, 1]."""
    return color.rgb2ycbcr(image)[SCALE:-SCALE, SCALE:-SCALE, 0] / 255


def test_scikit_image(photos: tuple[np.ndarray, np.ndarray]) -> None:
    sr, hr = map(luma, photos)
    expected = metrics.structural_similarity(hr, sr, data_range=1.0)
    assert value("ssim@skimage", photos) == pytest.approx(expected, abs=1e-6)
    expected = metrics.peak_signal_noise_ratio(hr, sr, data_range=1.0)
    assert value("psnr@skimage", photos) == pytest.approx(expected, abs=1e-4)
    # Far from ours, so that one can't be taken for the other.
    assert abs(value("ssim", photos) - value("ssim@skimage", photos)) > 5e-3


def test_ignite_and_torchmetrics(photos: tuple[np.ndarray, np.ndarray]) -> None:
    from ignite.metrics import SSIM
    from torchmetrics.image import StructuralSimilarityIndexMeasure

    sr, hr = (torch.from_numpy(luma(image))[None, None].float() for image in photos)
    theirs = SSIM(data_range=1.0)
    theirs.update((sr, hr))
    assert value("ssim@ignite", photos) == pytest.approx(float(theirs.compute()), abs=1e-5)
    expected = StructuralSimilarityIndexMeasure(data_range=1.0)(sr, hr).item()
    assert value("ssim@torchmetrics", photos) == pytest.approx(expected, abs=1e-5)
    assert abs(value("ssim", photos) - expected) > 1e-4


@pytest.mark.parametrize("package", ["piq", "kornia"])
def test_piq_and_kornia(package: str, photos: tuple[np.ndarray, np.ndarray]) -> None:
    library = pytest.importorskip(package, reason=f"{package} is not installed")
    sr, hr = (torch.from_numpy(luma(image))[None, None].float() for image in photos)
    if package == "piq":
        expected = float(library.ssim(sr, hr, data_range=1.0))
    else:
        expected = float(library.metrics.SSIM(11)(sr, hr).mean())
    assert value(f"ssim@{package}", photos) == pytest.approx(expected, abs=1e-5)


@needs_basicsr
def test_basicsr(photos: tuple[np.ndarray, np.ndarray]) -> None:
    from tmd.metrics.conventions import import_basicsr

    own = import_basicsr("metrics.psnr_ssim")
    sr, hr = (image[..., ::-1] for image in photos)
    for name in ("psnr", "ssim"):
        for channel, on_luma in (("y", True), ("rgb", False)):
            function = getattr(own, f"calculate_{name}")
            expected = function(sr, hr, crop_border=SCALE, test_y_channel=on_luma)
            found = value(f"{name}@basicsr", photos, channel=channel)
            assert found == pytest.approx(expected, rel=1e-7)


def test_images_of_a_batch_have_their_own_values(photos: tuple[np.ndarray, np.ndarray]) -> None:
    sr, hr = tensors(photos)
    batch = torch.cat([sr, hr.flip(-1)]), torch.cat([hr, sr.flip(-1)])
    function = metric_function("ssim@skimage", MetricSettings(SCALE))
    first, second = function(*batch).tolist()
    assert first == function(sr, hr).item()
    assert second == pytest.approx(first, abs=1e-9)


def test_equal_images_have_a_number(photos: tuple[np.ndarray, np.ndarray]) -> None:
    same = (photos[1], photos[1])
    assert value("psnr@skimage", same) == value("psnr@ignite", same) == 100.0
    assert value("ssim@skimage", same) == 1.0


def test_what_a_library_finds_too_small_is_left_out() -> None:
    from tmd.metrics import TooSmallError

    images = torch.rand(1, 3, 9, 9), torch.rand(1, 3, 9, 9)
    with pytest.raises(TooSmallError, match="ssim@skimage: of images of 5×5 pixels"):
        metric_function("ssim@skimage", MetricSettings(2))(*images)


def test_lpips_by_the_packages_is_ours(tmp_path, photos: tuple[np.ndarray, np.ndarray]) -> None:
    torch.manual_seed(0)
    import torchvision

    backbone = torchvision.models.alexnet(weights=None).features.state_dict()
    torch.save(backbone, tmp_path / "alexnet_features.pth")
    names = ["lpips_alex", "lpips_alex@lpips", "lpips_alex@torchmetrics"]
    values = [value(name, photos, lpips_weights=str(tmp_path)) for name in names]
    assert values[0] > 0.001
    assert values[1:] == pytest.approx([values[0]] * 2, rel=1e-4)


def test_names_by_conventions() -> None:
    assert by_convention(["psnr", "lpips_alex"], ["ours"]) == ["psnr", "lpips_alex"]
    assert by_convention(["psnr", "lpips_alex"], ["skimage"]) == ["psnr@skimage", "lpips_alex"]
    assert by_convention(["psnr", "ssim"], ["ignite", "ours"]) == [
        *("psnr@ignite", "psnr", "ssim@ignite", "ssim")
    ]
    described = metric("validation.psnr@skimage")
    assert (described.label, described.unit) == ("PSNR (skimage)", "dB")
    assert described.higher_is_better


@pytest.mark.parametrize(
    ("metrics_asked", "convention", "line"),
    [
        (["psnr"], "matlab", r"convention='matlab': must be among ours, basicsr, pyiqa, "),
        (["sam"], "skimage", r"convention=skimage: has psnr, ssim, and metrics=sam"),
    ],
)
def test_conventions_that_can_not_be(metrics_asked, convention, line) -> None:
    with pytest.raises(UserError, match=line):
        by_convention(metrics_asked, [convention])


def test_a_library_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, chosen in CONVENTIONS.items():
        monkeypatch.setitem(CONVENTIONS, name, chosen._replace(module="no_such_module"))
        with pytest.raises(UserError, match=rf"convention={name}: .*not installed: pip install"):
            by_convention(["psnr", "ssim", "lpips_alex"], [name])


@needs_basicsr
def test_a_luma_of_its_own_has_no_full_range(photos: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(UserError, match="channel=y-full: psnr@basicsr has a luma of its own"):
        value("psnr@basicsr", photos, channel="y-full")
    assert math.isfinite(value("psnr@skimage", photos, channel="y-full"))
