"""Image quality against scikit-image, the lpips package and statements written out in NumPy."""

from __future__ import annotations

import math
import warnings

import ignite.distributed as idist
import numpy as np
import pytest
import skimage.color
import skimage.metrics
import torch
from ignite.engine import Engine
from ignite.exceptions import NotComputableError
from torchvision.transforms.functional import gaussian_blur

from tmd.errors import UserError
from tmd.images import read_image, to_float, to_uint8
from tmd.metrics import (
    LPIPS,
    PSNR,
    SSIM,
    LPIPSWeights,
    MeanLPIPS,
    SpectralDistance,
    find_lpips_weights,
    lpips,
    psnr,
    spectral_distance,
    ssim,
)
from tmd.models.features import cached_file
from tmd.resize import imresize

SET5 = ("baby", "bird", "butterfly", "head", "woman")


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """Torch's cache in an empty folder of the test's own."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def pair(*shape: int, noise: float = 0.1) -> tuple[torch.Tensor, torch.Tensor]:
    """A smooth image and a noisy copy, in [0, 1]."""
    hr = gaussian_blur(torch.rand(*shape), 7, 2.0)
    return (hr + noise * torch.randn(*shape)).clamp(0, 1), hr


def in_channel(image: torch.Tensor, channel: str) -> np.ndarray:
    """One image (C, H, W) as float64 (H, W, C), in the channel by scikit-image's own formulas."""
    array = image.double().numpy().transpose(1, 2, 0)
    if channel == "rgb" or array.shape[2] == 1:
        return array
    if channel == "y":
        return skimage.color.rgb2ycbcr(array)[..., :1] / 255
    return skimage.color.rgb2yuv(array)[..., :1]


@pytest.mark.parametrize("channel", ["y", "y-full", "rgb"])
@pytest.mark.parametrize("border", [0, 4])
@pytest.mark.parametrize("channels", [1, 3])
class TestFidelity:
    @staticmethod
    def expected(function, images, channel, border):
        crop = slice(border, -border or None)
        return [
            function(*(in_channel(image[:, crop, crop], channel) for image in couple))
            for couple in zip(*images, strict=True)
        ]

    def test_psnr_equals_scikit_image(self, channel, border, channels):
        images = pair(2, channels, 40, 31)

        def reference(a, b):
            return skimage.metrics.peak_signal_noise_ratio(b, a, data_range=1)

        expected = self.expected(reference, images, channel, border)
        ours = psnr(*images, border=border, channel=channel)
        assert ours.shape == (2,)
        assert ours.tolist() == pytest.approx(expected, abs=1e-3)

    def test_ssim_equals_scikit_image(self, channel, border, channels):
        images = pair(2, channels, 40, 31)

        def reference(a, b):
            return skimage.metrics.structural_similarity(
                a,
                b,
                data_range=1,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
                channel_axis=2,
            )

        expected = self.expected(reference, images, channel, border)
        ours = ssim(*images, border=border, channel=channel)
        assert ours.shape == (2,)
        assert ours.tolist() == pytest.approx(expected, abs=1e-5)


def test_psnr_of_a_hand_made_pair():
    hr = torch.full((1, 1, 8, 8), 0.5)
    assert psnr(hr + 0.1, hr).item() == pytest.approx(20, abs=1e-4)
    assert psnr(hr, hr).item() == 100
    assert psnr(hr + 1e-7, hr).item() == 100


def test_border_hides_what_lies_in_it():
    hr = torch.rand(1, 3, 32, 32)
    sr = hr.clone()
    sr[..., :4, :] = sr[..., -4:, :] = sr[..., :, :4] = sr[..., :, -4:] = 0
    assert psnr(sr, hr, border=4).item() == 100
    assert psnr(sr, hr, border=3).item() < 40
    assert ssim(sr, hr, border=4).item() == pytest.approx(1)
    assert ssim(sr, hr, border=3).item() < 1
    assert spectral_distance(sr, hr, border=4).item() == 0
    assert spectral_distance(sr, hr, border=3).item() > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_images_are_compared_in_single_precision(dtype):
    sr, hr = (image.to(dtype) for image in pair(1, 3, 40, 40))
    for metric in (psnr, ssim, spectral_distance):
        exact = metric(sr.double(), hr.double()).item()
        assert metric(sr, hr).dtype == torch.float32
        assert metric(sr, hr).item() == pytest.approx(exact, rel=1e-4)


@pytest.mark.parametrize("metric", [psnr, ssim, spectral_distance])
def test_impossible_comparisons_are_refused_in_one_line(metric):
    with pytest.raises(UserError, match=r"\(1, 3, 32, 32\) and \(1, 3, 32, 31\)"):
        metric(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 31))
    image = torch.rand(1, 3, 32, 32)
    with pytest.raises(UserError, match="border=16: leaves nothing"):
        metric(image, image, border=16)
    with pytest.raises(UserError, match="channel='Y': must be one of y, y-full, rgb"):
        metric(image, image, channel="Y")


def test_smallest_images_are_stated():
    assert ssim(torch.ones(1, 1, 11, 11), torch.ones(1, 1, 11, 11)).item() == pytest.approx(1)
    with pytest.raises(UserError, match=r"10×30 .* at least 11×11"):
        ssim(torch.rand(1, 1, 10, 30), torch.rand(1, 1, 10, 30))
    assert spectral_distance(torch.ones(1, 1, 8, 9), torch.ones(1, 1, 8, 9)).item() == 0
    with pytest.raises(UserError, match=r"7×30 .* at least 8×8"):
        spectral_distance(torch.rand(1, 1, 7, 30), torch.rand(1, 1, 7, 30))


class TestSpectralDistance:
    @staticmethod
    def reference(a: np.ndarray, b: np.ndarray) -> float:
        """The docstring word by word, one patch and one frequency at a time; (H, W) each."""
        height, width = a.shape
        size = min(32, height, width)
        hann = np.array([0.5 - 0.5 * math.cos(2 * math.pi * i / size) for i in range(size)])
        window = np.outer(hann, hann)
        rounding = (window**2).sum() / 255**2 / 12

        def starts(length):
            count = 1
            while (length - size) / count > size // 2:
                count += 1
            return sorted({round(i * (length - size) / count) for i in range(count + 1)})

        def levels(patch):
            patch = patch - (window * patch).sum() / window.sum()
            power = np.abs(np.fft.fft2(patch * window)) ** 2
            cells: dict[tuple[int, int], list[float]] = {}
            for u in range(size):
                for v in range(size):
                    y, x = (f if f < size / 2 else f - size for f in (u, v))
                    ring = min(round(math.hypot(y, x)), size // 2)
                    degrees = math.degrees(math.atan2(y, x)) % 180
                    if (y, x) != (0, 0):
                        cells.setdefault((ring, round(degrees / 45) % 4), []).append(power[u, v])
            return np.array(
                [10 * math.log10(np.mean(cells[key]) + rounding) for key in sorted(cells)]
            )

        return float(
            np.mean(
                [
                    np.abs(levels(a[box]) - levels(b[box])).mean()
                    for r in starts(height)
                    for c in starts(width)
                    for box in [(slice(r, r + size), slice(c, c + size))]
                ]
            )
        )

    @pytest.mark.parametrize("shape", [(70, 45), (32, 32), (28, 28), (33, 9), (15, 40)])
    def test_equals_its_definition(self, shape):
        sr, hr = pair(2, 1, *shape)
        expected = [self.reference(*(x[i, 0].double().numpy() for x in (sr, hr))) for i in (0, 1)]
        assert spectral_distance(sr, hr).tolist() == pytest.approx(expected, rel=1e-4)

    def test_doubled_contrast_is_6_dB_everywhere(self):
        noise = torch.randn(1, 1, 64, 64)
        near = spectral_distance(0.5 + 0.4 * noise, 0.5 + 0.2 * noise).item()
        assert near == pytest.approx(20 * math.log10(2), rel=0.01)

    def test_differences_below_rounding_hardly_count(self):
        """Half a level of noise against none: what an 8-bit file can't hold."""
        flat = torch.full((1, 1, 64, 64), 0.5)
        noise = torch.rand(1, 1, 64, 64) - 0.5
        assert spectral_distance(flat + noise / 255, flat).item() < 4
        assert spectral_distance(flat + 20 * noise / 255, flat).item() > 20

    def test_no_pixel_is_left_out(self):
        hr = torch.rand(1, 1, 50, 41)
        for row, column in ((2, 2), (47, 38), (2, 38), (47, 2), (25, 20)):
            sr = hr.clone()
            sr[..., row, column] += 0.5
            assert spectral_distance(sr, hr).item() > 0

    def test_set5_blurrier_is_worse_and_missing_detail_worse_than_half_of_it(self, shared_data):
        for name in SET5:
            image = read_image(shared_data / "benchmarks" / "Set5" / "HR" / f"{name}.png")
            hr = to_float(image)[None, :, 24:168, 24:168]

            def bicubic(scale, hr=hr):
                return imresize(imresize(hr, 1 / scale), scale).clamp(0, 1)

            blurred = bicubic(4)
            sharpened = blurred + (blurred - gaussian_blur(blurred, 13, 2.0))
            steps = [blurred, bicubic(3), bicubic(2), (bicubic(2) + hr) / 2, hr]
            values = [spectral_distance(sr, hr, border=4).item() for sr in steps]
            assert values == sorted(values, reverse=True)
            assert values[-1] == 0
            assert spectral_distance(sharpened, hr, border=4).item() < values[0]

    def test_noise_beyond_the_images_own_is_worse(self, shared_data):
        image = read_image(shared_data / "benchmarks" / "Set5" / "HR" / "bird.png")
        hr = to_float(image)[None]
        noise = torch.randn(hr.shape)
        values = [spectral_distance((hr + s * noise).clamp(0, 1), hr).item() for s in (0.02, 0.1)]
        assert 1 < values[0] < values[1]


@pytest.fixture(scope="module")
def weights_folder(shared_data):
    return shared_data / "weights"


@pytest.fixture(scope="module")
def networks(weights_folder):
    return {net: LPIPS(find_lpips_weights(net, weights_folder)) for net in ("alex", "vgg")}


class TestLPIPS:
    @pytest.mark.parametrize(("name", "expected"), [("ex_p0.png", 0.722), ("ex_p1.png", 0.138)])
    def test_example_pair_of_the_paper(self, networks, shared_data, name, expected):
        folder = shared_data / "fixtures" / "lpips"
        sr, hr = (to_float(read_image(folder / file))[None] for file in (name, "ex_ref.png"))
        assert networks["alex"](sr, hr).item() == pytest.approx(expected, abs=5e-4)

    @pytest.mark.parametrize("net", ["alex", "vgg"])
    def test_equals_the_lpips_package(self, networks, weights_folder, net):
        package = pytest.importorskip("lpips")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reference = package.LPIPS(net=net, pnet_rand=True, verbose=False)
        weights = find_lpips_weights(net, weights_folder)
        with torch.no_grad():
            for name, parameter in reference.net.named_parameters():
                parameter.copy_(weights.backbone[name.split(".", 1)[1]])
        images = pair(2, 3, 64, 80)
        expected = reference(*images, normalize=True).flatten()
        torch.testing.assert_close(networks[net](*images), expected, rtol=1e-4, atol=1e-6)

    def test_is_zero_for_equal_images_and_takes_grey_ones(self, networks):
        grey = torch.rand(2, 1, 40, 40)
        assert networks["alex"](grey, grey).tolist() == [0, 0]
        other = torch.rand(2, 1, 40, 40)
        torch.testing.assert_close(
            networks["alex"](grey, other),
            networks["alex"](grey.repeat(1, 3, 1, 1), other.repeat(1, 3, 1, 1)),
        )

    @pytest.mark.parametrize(("net", "smallest"), [("alex", 31), ("vgg", 16)])
    def test_smallest_image_is_stated(self, networks, net, smallest):
        assert networks[net].minimum_size == smallest
        sr, hr = torch.rand(2, 1, 3, smallest, smallest)
        assert networks[net](sr, hr).item() > 0
        with pytest.raises(UserError, match=f"at least {smallest}×{smallest}"):
            networks[net](sr[..., 1:], hr[..., 1:])

    def test_gradient_reaches_sr_and_no_parameter(self, networks):
        sr = torch.rand(1, 3, 48, 48, requires_grad=True)
        networks["alex"](sr, torch.rand(1, 3, 48, 48)).sum().backward()
        assert sr.grad.abs().sum() > 0
        assert all(parameter.grad is None for parameter in networks["alex"].parameters())

    def test_function_keeps_the_network(self, networks, weights_folder):
        sr, hr = torch.rand(2, 1, 3, 40, 40)
        torch.testing.assert_close(
            lpips(sr, hr, "vgg", weights_folder), networks["vgg"](sr, hr), rtol=0, atol=0
        )

    def test_without_weights_the_ways_to_get_them_are_named(self, empty_cache, tmp_path):
        assert find_lpips_weights("alex") is None
        with pytest.raises(UserError, match=r"alexnet\*\.pth .* alexnet-owt-7be5be79\.pth"):
            lpips(torch.rand(1, 3, 40, 40), torch.rand(1, 3, 40, 40))
        with pytest.raises(UserError, match="no such folder"):
            find_lpips_weights("alex", tmp_path / "absent")

    def test_backbone_in_torchs_cache_and_heads_in_a_folder(
        self, empty_cache, tmp_path, weights_folder
    ):
        backbone = torch.load(weights_folder / "alexnet_features_fp32.pth", weights_only=True)
        torch.save(backbone, cached_file("alexnet"))
        heads = tmp_path / "heads"
        heads.mkdir()
        state = torch.load(
            weights_folder / "lpips_lin_v0.1" / "alex.pth", weights_only=True, map_location="cpu"
        )
        torch.save({name: 2 * value for name, value in state.items()}, heads / "alex.pth")
        found = find_lpips_weights("alex", heads)
        assert isinstance(found, LPIPSWeights)
        sr, hr = torch.rand(2, 1, 3, 40, 40)
        usual = LPIPS(find_lpips_weights("alex", weights_folder))(sr, hr)
        torch.testing.assert_close(LPIPS(found)(sr, hr), 2 * usual)

    def test_heads_of_another_network_are_refused(self, tmp_path, weights_folder):
        heads = (weights_folder / "lpips_lin_v0.1" / "vgg.pth").read_bytes()
        (tmp_path / "alex.pth").write_bytes(heads)
        with pytest.raises(UserError, match=r"alex\.pth: not those of alex"):
            find_lpips_weights("alex", tmp_path)
        (tmp_path / "alex.pth").write_bytes(b"hello")
        with pytest.raises(UserError, match=r"alex\.pth: can't be read"):
            find_lpips_weights("alex", tmp_path)


def evaluator(**metrics) -> Engine:
    engine = Engine(lambda engine, batch: batch)
    for name, metric in metrics.items():
        metric.attach(engine, name)
    return engine


class TestIgniteMetrics:
    def test_are_means_over_images_of_what_8_bit_files_would_give(self, networks):
        batches = [pair(n, 3, 40, 40) for n in (3, 1, 2)]
        batches = [((sr * 1.4 - 0.2), hr) for sr, hr in batches]  # overshoots [0, 1]
        options = {"border": 2, "channel": "rgb"}
        engine = evaluator(
            psnr=PSNR(**options),
            ssim=SSIM(**options),
            spectrum=SpectralDistance(**options),
            lpips=MeanLPIPS(networks["alex"]),
        )
        found = engine.run(batches).metrics

        saved = [[to_float(to_uint8(x)) for x in batch] for batch in batches]
        functions = {"psnr": psnr, "ssim": ssim, "spectrum": spectral_distance}
        for name, function in functions.items():
            values = torch.cat([function(*batch, **options) for batch in saved])
            assert len(values) == 6
            assert found[name] == pytest.approx(values.double().mean().item(), rel=1e-6)
        values = torch.cat([networks["alex"](*batch) for batch in saved])
        assert found["lpips"] == pytest.approx(values.mean().item(), rel=1e-5)

    def test_start_afresh_with_each_run(self):
        engine = evaluator(psnr=PSNR())
        sr, hr = pair(1, 1, 16, 16)
        first = engine.run([(sr, hr)]).metrics["psnr"]
        second = engine.run([(hr * 0.5, hr)]).metrics["psnr"]
        assert first != second
        assert engine.run([(sr, hr)]).metrics["psnr"] == first

    def test_no_image_is_an_error(self):
        with pytest.raises(NotComputableError):
            PSNR().compute()

    def test_keep_no_graph(self):
        metric = PSNR()
        sr, hr = pair(1, 1, 16, 16)
        metric.update((sr.requires_grad_(), hr))
        assert not metric._sums.requires_grad

    @pytest.mark.slow
    def test_mean_is_over_the_images_of_all_processes(self, tmp_path):
        with idist.Parallel(backend="gloo", nproc_per_node=2) as parallel:
            parallel.run(_in_one_of_two_processes, str(tmp_path))
        found = [float((tmp_path / f"{rank}").read_text()) for rank in (0, 1)]
        # Three images in the first process, one in the second.
        expected = (3 * 20 * math.log10(255 / 10) + 20 * math.log10(255 / 1)) / 4
        assert found == pytest.approx([expected, expected], abs=1e-4)


def _in_one_of_two_processes(local_rank: int, folder: str) -> None:
    n, step = [(3, 10), (1, 1)][local_rank]
    hr = torch.full((n, 1, 16, 16), 100 / 255)
    engine = evaluator(psnr=PSNR())
    value = engine.run([(hr + step / 255, hr)]).metrics["psnr"]
    with open(f"{folder}/{local_rank}", "w") as file:
        file.write(str(value))
