"""Benchmarks, systems and tables, on hand-made folders and on Set5."""

from __future__ import annotations

import csv
import io
import shutil

import numpy as np
import pytest
import skimage.color
import skimage.metrics
import torch
from PIL import Image
from torch import nn

from tmd.errors import UserError
from tmd.evaluation import (
    METHODS,
    Benchmark,
    Sample,
    Table,
    check_images_suffice,
    evaluate,
    interpolation,
    metrics_at_hand,
    network,
    open_benchmark,
    partner_names,
    read_pair,
    results_in_folder,
)
from tmd.images import ImageKind, read_image, write_image
from tmd.measurements import create_measurement
from tmd.metrics import MetricSettings


def save(path, height=32, width=40, channels=3) -> torch.Tensor:
    """A random picture in a file."""
    picture = torch.randint(0, 256, (channels, height, width), dtype=torch.uint8)
    write_image(path, picture)
    return picture


@pytest.fixture
def benchmark(tmp_path) -> Benchmark:
    """Two images, one of a size that 4 does not divide, and no LR."""
    save(tmp_path / "Toy" / "a.png", 32, 40)
    save(tmp_path / "Toy" / "b.png", 35, 30)
    return open_benchmark(tmp_path / "Toy", 4)


class TestBenchmark:
    def test_hr_alone_is_cropped_at_the_bottom_right_and_reduced_as_matlab_does(self, benchmark):
        assert benchmark.name == "Toy"
        assert [sample.name for sample in benchmark.samples] == ["a", "b"]
        assert [sample.lr for sample in benchmark.samples] == [None, None]
        sample = benchmark.samples[1]
        lr, hr = read_pair(sample, 4)
        assert hr.shape == (3, 32, 28)
        assert lr.shape == (3, 8, 7)
        assert torch.equal(hr, read_image(sample.hr)[:, :32, :28])

    @pytest.mark.parametrize("scale", [2, 3, 4])
    def test_set5s_lr_files_are_found_and_are_what_we_make(self, shared_data, scale):
        root = shared_data / "benchmarks" / "Set5"
        given, made = open_benchmark(root, scale), open_benchmark(root / "HR", scale)
        assert given.name == made.name == "Set5"
        assert [sample.lr.name for sample in given.samples] == [
            f"{name}x{scale}.png" for name in ("baby", "bird", "butterfly", "head", "woman")
        ]
        for a, b in zip(given.samples, made.samples, strict=True):
            assert b.lr is None
            for ours, theirs in zip(read_pair(a, scale), read_pair(b, scale), strict=True):
                assert torch.equal(ours, theirs)

    def test_hr_and_lr_folders_of_any_place(self, tmp_path):
        save(tmp_path / "hr" / "a.png", 32, 32)
        lr = save(tmp_path / "lr" / "a_x2.png", 16, 16)
        opened = open_benchmark(tmp_path / "hr", 2, tmp_path / "lr")
        assert torch.equal(read_pair(opened.samples[0], 2)[0], lr)

    def test_lr_folder_of_another_scale_is_not_taken(self, tmp_path):
        save(tmp_path / "B" / "HR" / "a.png", 32, 32)
        save(tmp_path / "B" / "LR_bicubic" / "X2" / "ax2.png", 16, 16)
        assert open_benchmark(tmp_path / "B", 2).samples[0].lr is not None
        assert open_benchmark(tmp_path / "B", 4).samples[0].lr is None

    def test_measurement_replaces_the_lr_of_the_benchmark(self, tmp_path):
        save(tmp_path / "B" / "HR" / "a.png", 32, 32)
        save(tmp_path / "B" / "LR_bicubic" / "X4" / "ax4.png", 8, 8)
        sample = open_benchmark(tmp_path / "B", 4).samples[0]
        noisy = create_measurement(["bicubic", {"name": "noise", "sigma": 0.1}], 4)
        first, again, other = (read_pair(sample, 4, 3, noisy, i)[0] for i in (0, 0, 1))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
        assert not torch.equal(first, read_pair(sample, 4)[0])

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (["ax4.png"], r"lr_root=.*LR: 1 HR images have no partner \(b\.png\)"),
            (["ax4.png", "bx4.png", "cx4.png"], r"1 LR images have no HR image \(cx4\.png\)"),
            (["ax4.png", "bx4.png", "b_x4.png"], r"several .*b\.png: b_x4\.png, bx4\.png"),
            ([], "LR: holds no images"),
        ],
    )
    def test_pairs_that_do_not_match_are_named(self, benchmark, tmp_path, names, message):
        (tmp_path / "LR").mkdir()
        for name in names:
            size = (8, 10) if name.startswith("a") else (8, 7)
            save(tmp_path / "LR" / name, *size)
        with pytest.raises(UserError, match=message):
            open_benchmark(tmp_path / "Toy", 4, tmp_path / "LR")

    def test_lr_of_another_size_is_named_with_both_sizes(self, benchmark, tmp_path):
        save(tmp_path / "LR" / "a.png", 8, 10)
        save(tmp_path / "LR" / "b.png", 10, 8)
        with pytest.raises(
            UserError, match=r"scale=4 does not explain \(b\.png 30×35 and b\.png 8×10"
        ):
            open_benchmark(tmp_path / "Toy", 4, tmp_path / "LR")

    def test_what_is_no_benchmark_is_named(self, tmp_path):
        with pytest.raises(UserError, match="absent: no such folder"):
            open_benchmark(tmp_path / "absent", 4)
        (tmp_path / "empty").mkdir()
        with pytest.raises(UserError, match="empty: holds no images"):
            open_benchmark(tmp_path / "empty", 4)
        save(tmp_path / "small" / "a.png", 3, 20)
        with pytest.raises(UserError, match=r"a\.png: smaller than scale=4"):
            open_benchmark(tmp_path / "small", 4)
        save(tmp_path / "two" / "a.png")
        save(tmp_path / "two" / "a.bmp")
        with pytest.raises(UserError, match="two images called a"):
            open_benchmark(tmp_path / "two", 4)


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["img_1", "img_1x4", "img_10"], ["img_1"]),
        (["img_1x4", "img_1_x4", "img_10x4"], ["img_1x4", "img_1_x4"]),
        (["img_1x3", "img_1X4"], ["img_1X4"]),
        (["img_10", "img_1x2", "img_12_out"], []),
        (["img_1_out", "img_10_out"], ["img_1_out"]),
        (["img_1_2"], []),
        (["1_img_1"], []),
    ],
)
def test_partners_by_name(names, found):
    assert partner_names("img_1", names, 4) == found


class TestSystems:
    @pytest.mark.parametrize("method", ["bicubic", "nearest", "lanczos"])
    @pytest.mark.parametrize("channels", [1, 3])
    def test_interpolations_equal_pillows_inside(self, method, channels):
        # Mild contrast: Pillow clamps and rounds between its passes.
        lr = torch.randint(90, 160, (channels, 20, 24), dtype=torch.uint8)
        sr = METHODS[method](lr, 3)
        filters = {"bicubic": Image.BICUBIC, "nearest": Image.NEAREST, "lanczos": Image.LANCZOS}
        planes = [
            np.asarray(Image.fromarray(plane.numpy()).resize((72, 60), filters[method]))
            for plane in lr
        ]
        assert sr.shape == (channels, 60, 72)
        assert sr.dtype == torch.uint8
        inside = (slice(None), slice(12, -12), slice(12, -12))  # borders are conventions
        difference = sr.int() - torch.from_numpy(np.stack(planes)).int()
        assert difference[inside].abs().max() <= (1 if method == "bicubic" else 0)

    def test_network_is_given_floats_and_its_result_rounded(self, benchmark):
        class Network(nn.Module):
            scale, channels, receptive_field = 4, 3, 0

            def forward(self, lr):
                assert lr.max() <= 1
                return nn.functional.interpolate(lr, scale_factor=4) * 1.5 - 0.25

        lr, _ = read_pair(benchmark.samples[0], 4)
        expected = (METHODS["nearest"](lr, 4).double() * 1.5 - 0.25 * 255).clamp(0, 255).round()
        for tile in (None, 3):
            sr = network(Network().eval(), tile)(benchmark.samples[0], lr)
            assert sr.dtype == torch.uint8
            assert (sr.double() - expected).abs().max() <= 1  # ties of .5

    def test_results_of_other_programs_are_found_by_name(self, benchmark, tmp_path):
        a = save(tmp_path / "out" / "a_ESRGAN.png", 32, 40)
        b = save(tmp_path / "out" / "bx4.png", 35, 30)  # not cropped: allowed
        system = results_in_folder(tmp_path / "out", [benchmark])
        lr = torch.zeros(3, 8, 10, dtype=torch.uint8)
        assert torch.equal(system(benchmark.samples[0], lr), a)
        assert torch.equal(system(benchmark.samples[1], lr), b)
        found = []
        evaluate(
            benchmark,
            {"ESRGAN": system},
            ["psnr"],
            MetricSettings(4),
            report=lambda sample, name, sr, figures: found.append(sr.shape),
        )
        assert found == [(3, 32, 40), (3, 32, 28)]

    def test_results_of_several_benchmarks_lie_in_folders_of_their_names(self, tmp_path):
        benchmarks = []
        pictures = {}
        for name in ("A", "B"):
            save(tmp_path / name / "x.png", 16, 16)
            pictures[name] = save(tmp_path / "out" / name / "x.png", 16, 16)
            benchmarks.append(open_benchmark(tmp_path / name, 4))
        system = results_in_folder(tmp_path / "out", benchmarks)
        lr = torch.zeros(3, 4, 4, dtype=torch.uint8)
        for benchmark in benchmarks:
            assert torch.equal(system(benchmark.samples[0], lr), pictures[benchmark.name])

    def test_missing_and_wrong_results_are_named(self, benchmark, tmp_path):
        save(tmp_path / "out" / "a.png", 32, 40)
        with pytest.raises(UserError, match=r"b\.png: sr_root .*out has none of it"):
            results_in_folder(tmp_path / "out", [benchmark])
        save(tmp_path / "out" / "b.png", 32, 29)
        with pytest.raises(UserError, match=r"b\.png 35×30 and .* 32×29: SR must be 32×28"):
            results_in_folder(tmp_path / "out", [benchmark])
        with pytest.raises(UserError, match=r"sr_root .*absent: no such folder"):
            results_in_folder(tmp_path / "absent", [benchmark])


class TestEvaluate:
    @pytest.mark.parametrize(
        ("scale", "expected", "perceptual"),
        [(2, 33.68, 0.128), (3, 30.40, 0.253), (4, 28.43, 0.341)],
    )
    def test_bicubic_on_set5_gives_the_published_figures(
        self, shared_data, scale, expected, perceptual
    ):
        table = evaluate(
            open_benchmark(shared_data / "benchmarks" / "Set5", scale),
            {"bicubic": interpolation("bicubic", scale)},
            ["psnr", "lpips_alex"],
            MetricSettings(scale, lpips_weights=shared_data / "weights"),
        )
        assert round(table.mean("bicubic", "psnr"), 2) == expected
        assert round(table.mean("bicubic", "lpips_alex"), 3) == perceptual

    def test_figures_equal_scikit_images_on_the_saved_files(self, benchmark, tmp_path):
        def report(sample, name, sr, figures):
            write_image(tmp_path / name / f"{sample.name}.png", sr)

        systems = {name: interpolation(name, 4) for name in ("nearest", "lanczos")}
        settings = MetricSettings(border=2)
        table = evaluate(benchmark, systems, ["psnr", "ssim"], settings, report=report)
        for sample in benchmark.samples:
            for name in systems:
                saved, hr = (
                    skimage.color.rgb2ycbcr(np.asarray(Image.open(path)))[..., 0]
                    for path in (tmp_path / name / f"{sample.name}.png", sample.hr)
                )
                height, width = saved.shape
                inside = (slice(2, height - 2), slice(2, width - 2))
                a, b = saved[inside], hr[:height, :width][inside]
                row = table.rows[sample.name]
                expected = skimage.metrics.peak_signal_noise_ratio(b, a, data_range=255)
                assert row[name, "psnr"] == pytest.approx(expected, abs=1e-3)
                expected = skimage.metrics.structural_similarity(
                    a,
                    b,
                    data_range=255,
                    gaussian_weights=True,
                    sigma=1.5,
                    use_sample_covariance=False,
                )
                assert row[name, "ssim"] == pytest.approx(expected, abs=1e-4)

    def test_grey_evaluation_reads_grey(self, benchmark):
        channels = []
        evaluate(
            benchmark,
            {"nearest": interpolation("nearest", 4)},
            ["psnr"],
            MetricSettings(4, kind=ImageKind(1)),
            report=lambda sample, name, sr, figures: channels.append(len(sr)),
        )
        assert channels == [1, 1]

    def test_image_at_fault_is_named(self, benchmark):
        benchmark.samples[1].hr.write_bytes(benchmark.samples[1].hr.read_bytes()[:1000])
        with pytest.raises(UserError, match=r"Toy, image b: .*b\.png"):
            evaluate(benchmark, {"n": interpolation("nearest", 4)}, ["psnr"], MetricSettings(4))

    def test_lpips_without_weights_names_the_ways_out(self, benchmark, tmp_path, monkeypatch):
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        assert metrics_at_hand() == ["psnr", "ssim", "spectral"]
        with pytest.raises(UserError, match=r"metrics=lpips_vgg: .*lpips_weights=FOLDER"):
            evaluate(benchmark, {}, ["lpips_vgg"], MetricSettings(4))

    def test_lpips_at_hand_is_among_the_metrics(self, shared_data):
        names = metrics_at_hand(shared_data / "weights")
        assert names == ["psnr", "ssim", "lpips_alex", "spectral"]


class TestTable:
    @pytest.fixture
    def table(self) -> Table:
        rows = {
            "a": {("m", "psnr"): 20.0, ("n", "psnr"): 1, ("m", "ssim"): 0.5, ("n", "ssim"): 0},
            "b|c": {("m", "psnr"): 23.0, ("n", "psnr"): 2, ("m", "ssim"): 0.6, ("n", "ssim"): 0.1},
        }
        return Table("Toy", ["m", "n"], ["psnr", "ssim"], rows)

    def test_csv_ends_with_the_means_psnr_first(self, table):
        lines = list(csv.reader(io.StringIO(table.to_csv())))
        assert lines[0] == ["image", "PSNR m", "PSNR n", "SSIM m", "SSIM n"]
        assert [line[0] for line in lines[1:]] == ["a", "b|c", "mean"]
        assert [float(cell) for cell in lines[-1][1:]] == pytest.approx([21.5, 1.5, 0.55, 0.05])

    def test_markdown_has_papers_decimals_in_aligned_columns(self, table):
        lines = table.to_markdown().splitlines()
        assert lines[0] == "### Toy"
        assert lines[-1] == "| mean  |  21.50 |   1.50 | 0.5500 | 0.0500 |"
        assert len({len(line) for line in lines[2:]}) == 1
        assert r"b\|c" in lines[-2]

    def test_one_system_alone_needs_no_name_in_its_columns(self, table):
        table.systems = ["n"]
        assert table.to_csv().splitlines()[0] == "image,PSNR,SSIM"
        assert table.means() == {"n": {"psnr": 1.5, "ssim": 0.05}}

    def test_equal_images_count_as_100_dB(self, tmp_path):
        save(tmp_path / "B" / "a.png", 16, 16)
        benchmark = open_benchmark(tmp_path / "B", 2)
        shutil.copytree(tmp_path / "B", tmp_path / "out")
        table = evaluate(
            benchmark,
            {"itself": results_in_folder(tmp_path / "out", [benchmark])},
            ["psnr", "ssim"],
            MetricSettings(2),
        )
        assert table.mean("itself", "psnr") == 100
        assert table.mean("itself", "ssim") == 1
        assert "100.00" in table.to_markdown()


class TestNoImageOwnsAMean:
    """Blank pictures, nearly blank ones and tiny ones among ordinary ones."""

    @pytest.fixture
    def mixed(self, tmp_path, shared_data):
        folder = tmp_path / "Mixed"
        shutil.copytree(shared_data / "benchmarks" / "Set5" / "HR", folder)
        blank = torch.full((3, 64, 48), 128, dtype=torch.uint8)
        write_image(folder / "blank.png", blank)
        blank[:, 20, 20] += 1
        write_image(folder / "speck.png", blank)
        write_image(folder / "black.png", torch.zeros(3, 64, 64, dtype=torch.uint8))
        save(folder / "tiny.png", 16, 24)
        save(folder / "dot.png", 8, 8)
        return open_benchmark(folder, 4)

    def test_set5s_means_stay_those_of_set5(self, mixed, shared_data):
        names = ["psnr", "ssim", "lpips_alex", "spectral"]
        settings = MetricSettings(4, lpips_weights=shared_data / "weights")
        table = evaluate(mixed, {"bicubic": interpolation("bicubic", 4)}, names, settings)
        assert table.flat == {"blank", "speck", "black"}
        rows = table.rows
        for flat in table.flat:
            assert 80 < rows[flat]["bicubic", "psnr"] <= 100
            assert rows[flat]["bicubic", "ssim"] == pytest.approx(1, abs=1e-4)
        assert rows["dot"] == dict.fromkeys(table.columns)
        assert [key for (_, key), v in rows["tiny"].items() if v is None] == ["ssim", "lpips_alex"]
        # Only what is too small for SSIM is not in its mean, which is the published one.
        assert round(table.mean("bicubic", "ssim"), 4) == 0.8113
        ordinary = [rows[name]["bicubic", "psnr"] for name in rows if name not in table.flat]
        expected = [value for value in ordinary if value is not None]
        assert len(expected) == 6
        assert table.mean("bicubic", "psnr") == pytest.approx(sum(expected) / 6)

    def test_what_is_left_out_is_said_with_its_reason(self, mixed):
        table = evaluate(
            mixed, {"n": interpolation("nearest", 4)}, ["psnr", "ssim"], MetricSettings(4)
        )
        lines = table.to_markdown().splitlines()
        assert lines[-5:] == [
            "black: of one level, nothing to restore: left out of the means",
            "blank: of one level, nothing to restore: left out of the means",
            "dot: too small for PSNR, SSIM: left out of that mean",
            "speck: of one level, nothing to restore: left out of the means",
            "tiny: too small for SSIM: left out of that mean",
        ]
        csv_lines = {line.split(",")[0]: line for line in table.to_csv().splitlines()}
        assert csv_lines["dot"] == "dot,,"
        assert "nan" not in table.to_csv() + table.to_markdown()

    def test_where_all_are_flat_the_mean_is_over_all(self, tmp_path):
        write_image(tmp_path / "B" / "a.png", torch.zeros(3, 32, 32, dtype=torch.uint8))
        table = evaluate(
            open_benchmark(tmp_path / "B", 4),
            {"n": interpolation("nearest", 4)},
            ["psnr"],
            MetricSettings(4),
        )
        assert table.means() == {"n": {"psnr": 100}}
        assert not table.left_out()

    def test_a_metric_that_no_image_has_is_refused_before_anything_is_upscaled(
        self, tmp_path, shared_data
    ):
        save(tmp_path / "B" / "a.png", 24, 28)
        save(tmp_path / "B" / "b.png", 8, 8)
        settings = MetricSettings(4, lpips_weights=shared_data / "weights")
        benchmarks = [open_benchmark(tmp_path / "B", 4)]
        check_images_suffice(benchmarks, ["psnr", "ssim", "spectral"], settings)
        with pytest.raises(UserError, match=r"a\.png, the largest image: LPIPS of 24×28 pixels"):
            check_images_suffice(benchmarks, ["lpips_alex"], settings)


def test_sample_is_what_a_system_gets(benchmark):
    """A system of one's own is a function."""
    seen = []

    def system(sample: Sample, lr: torch.Tensor) -> torch.Tensor:
        seen.append((sample.name, tuple(lr.shape)))
        return METHODS["nearest"](lr, 4)

    evaluate(benchmark, {"mine": system}, ["psnr"], MetricSettings(0))
    assert seen == [("a", (3, 8, 10)), ("b", (3, 8, 7))]
