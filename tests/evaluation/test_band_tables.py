"""Evaluation of images of other bands and bits than photos have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from tmd.evaluation import (
    benchmark_kind,
    evaluate,
    interpolation,
    network,
    open_benchmark,
    results_in_folder,
)
from tmd.images import ImageKind, write_native
from tmd.metrics import MetricSettings
from tmd.models import create_generator
from tmd.resize import imresize


@pytest.fixture
def bands(tmp_path: Path) -> Path:
    """Two images of 24 × 32 pixels in 5 bands of 16 bits, of which the first 12 are used."""
    (tmp_path / "set").mkdir()
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        coarse = torch.from_numpy(rng.random((1, 5, 6, 8))) * 3500 + 300
        image = imresize(coarse, 4)[0].clamp(0, 65535).round().to(torch.int32).to(torch.uint16)
        write_native(tmp_path / "set" / f"{name}.tif", image, ImageKind(5, "uint16"))
    return tmp_path / "set"


def read(path: Path) -> np.ndarray:
    import tifffile

    return tifffile.imread(path).astype(np.float64)


def test_figures_are_over_the_value_range_and_of_each_band(bands) -> None:
    kind = benchmark_kind(bands, value_range=[0, 4095])
    settings = MetricSettings(2, "rgb", kind=kind, scale=2)
    systems = {"bicubic": interpolation("bicubic", 2, kind)}
    results: dict[str, np.ndarray] = {}

    table = evaluate(
        open_benchmark(bands, 2),
        systems,
        ["psnr", "ssim", "sam", "ergas"],
        settings,
        report=lambda sample, name, sr, values: results.update({sample.name: sr.numpy()}),
        each_band=True,
    )

    assert "5 bands of uint16, 0 to 4095" in table.title
    by_band = {band: [] for band in range(1, 6)}
    for name, sr in results.items():
        hr = read(bands / f"{name}.tif")[2:-2, 2:-2]
        given = sr.transpose(1, 2, 0).astype(np.float64)[2:-2, 2:-2]
        psnr = peak_signal_noise_ratio(hr, given, data_range=4095)
        assert table.rows[name]["bicubic", "psnr"] == pytest.approx(psnr, abs=1e-3)
        for band in by_band:
            error = ((hr - given)[..., band - 1] ** 2).mean()
            by_band[band].append(10 * np.log10(4095**2 / error))
    assert table.each_band is not None
    assert list(table.each_band.rows) == [f"band {band}" for band in by_band]
    for band, values in by_band.items():
        row = table.each_band.rows[f"band {band}"]
        assert row["bicubic", "psnr"] == pytest.approx(np.mean(values), abs=1e-3)
    assert "| band 4 |" in table.each_band.to_markdown()


def test_ssim_is_the_mean_over_bands(bands) -> None:
    kind = ImageKind(5, "uint16", (0, 4095))
    systems = {"nearest": interpolation("nearest", 2, kind)}
    results: dict[str, np.ndarray] = {}

    table = evaluate(
        open_benchmark(bands, 2),
        systems,
        ["ssim"],
        MetricSettings(0, "rgb", kind=kind),
        report=lambda sample, name, sr, values: results.update({sample.name: sr.numpy()}),
    )

    hr, sr = read(bands / "a.tif"), results["a"].transpose(1, 2, 0).astype(np.float64)
    expected = structural_similarity(
        hr,
        sr,
        data_range=4095,
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    # Theirs is the mean over what the window fits in, too.
    assert table.rows["a"]["nearest", "ssim"] == pytest.approx(expected, abs=1e-4)


def test_a_network_sees_and_gives_numbers_by_its_range(bands) -> None:
    kind = ImageKind(5, "uint16", (0, 4095))
    generator = create_generator(scale=2, channels=5, n_blocks=1, n_features=4).eval()
    systems = {
        "network": network(generator, kind=kind),  # bicubic before it has learnt
        "bicubic": interpolation("bicubic", 2, kind),
    }

    table = evaluate(open_benchmark(bands, 2), systems, ["psnr"], MetricSettings(2, kind=kind))

    for row in table.rows.values():
        assert row["network", "psnr"] == pytest.approx(row["bicubic", "psnr"], abs=0.01)


@pytest.mark.parametrize("method", ["bicubic", "nearest", "lanczos"])
def test_interpolations_keep_16_bits(method) -> None:
    kind = ImageKind(1, "uint16")
    lr = torch.arange(40_000, 40_064, dtype=torch.int32).reshape(1, 8, 8).to(torch.uint16)

    sr = interpolation(method, 2, kind)(None, lr)  # type: ignore[arg-type]

    assert sr.dtype == torch.uint16
    inner = sr[0, 4:-4, 4:-4].numpy().astype(int)
    assert inner.min() > 40_000
    assert inner.max() < 40_063
    assert len(np.unique(inner)) > 8


def test_results_of_other_programs_are_read_with_all_bits(bands, tmp_path) -> None:
    kind = ImageKind(5, "uint16", (0, 4095))
    benchmark = open_benchmark(bands, 2)

    table = evaluate(
        benchmark,
        {"hr": results_in_folder(bands, [benchmark], kind)},
        ["psnr"],
        MetricSettings(0, kind=kind),
    )

    assert {value for row in table.rows.values() for value in row.values()} == {100.0}


def test_photos_are_compared_in_8_bits_of_rgb_whatever_files_there_are(tmp_path) -> None:
    for number, mode in enumerate(("L", "RGB", "RGBA")):
        Image.new(mode, (16, 16)).save(tmp_path / f"{number}.png")

    assert benchmark_kind(tmp_path) == ImageKind()


def test_photos_of_16_bits_are_compared_with_all_of_them(tmp_path) -> None:
    image = torch.full((3, 16, 16), 1234, dtype=torch.int32).to(torch.uint16)
    write_native(tmp_path / "a.png", image, ImageKind(3, "uint16"))

    assert benchmark_kind(tmp_path) == ImageKind(3, "uint16")
    assert benchmark_kind(tmp_path, dtype="uint8") == ImageKind()
