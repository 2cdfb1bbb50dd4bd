"""Bicubic resizing against MATLAB's files, torch's own kernel, and the formula written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tmd.acceleration.autotune import fastest
from tmd.images import list_images, read_image, rgb_to_y, to_float, to_uint8
from tmd.resize import imresize, imresize_uint8


@pytest.fixture
def set5(shared_data):
    return shared_data / "benchmarks/Set5"


def cropped(image: torch.Tensor, scale: int) -> torch.Tensor:
    height, width = (n // scale * scale for n in image.shape[-2:])
    return image[..., :height, :width]


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bytes_are_those_of_matlab(set5, scale):
    for path in list_images(set5 / "HR"):
        lr = read_image(set5 / f"LR_bicubic/X{scale}" / f"{path.stem}x{scale}.png")
        assert torch.equal(imresize_uint8(cropped(read_image(path), scale), 1 / scale), lr)


@pytest.mark.parametrize(("scale", "expected"), [(2, 33.68), (3, 30.40), (4, 28.43)])
def test_upscaling_gives_the_published_psnr_on_set5(set5, scale, expected):
    values = []
    for path in list_images(set5 / "HR"):
        hr = cropped(read_image(path), scale)[None]
        lr = to_float(imresize_uint8(hr, 1 / scale))
        sr = to_float(to_uint8(imresize(lr, scale)))
        error = (rgb_to_y(sr) - rgb_to_y(to_float(hr)))[..., scale:-scale, scale:-scale]
        values.append(-10 * math.log10(error.double().square().mean()))
    assert round(np.mean(values), 2) == expected


def written_out(row: np.ndarray, length: int, factor: float) -> np.ndarray:
    """One row, one output at a time, in the words of Keys (1981) and MATLAB's documentation."""

    def keys(t: float) -> float:
        t = abs(t)
        if t <= 1:
            return 1.5 * t**3 - 2.5 * t**2 + 1
        return -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 if t <= 2 else 0.0

    shrink = min(factor, 1.0)
    mirrored = np.concatenate([row, row[::-1]])  # and so on, period 2n
    result = []
    for i in range(length):
        at = (i + 0.5) / factor - 0.5
        near = range(math.floor(at - 2 / shrink) - 1, math.ceil(at + 2 / shrink) + 2)
        weights = [keys((at - j) * shrink) for j in near]
        values = [mirrored[j % (2 * len(row))] for j in near]
        result.append(np.dot(weights, values) / sum(weights))
    return np.array(result)


@pytest.mark.parametrize("factor", [1 / 2, 1 / 3, 1 / 4, 1 / 8, 2, 3, 4, 0.7, 1.7])
def test_rows_and_columns_equal_the_formula(factor):
    x = torch.rand(1, 2, 13, 300, dtype=torch.float64)
    heights = math.ceil(round(13 * factor, 9))
    widths = math.ceil(round(300 * factor, 9))
    result = imresize(x, factor)
    assert result.shape == (1, 2, heights, widths)
    rows = np.apply_along_axis(written_out, 3, x.numpy(), widths, factor)
    both = np.apply_along_axis(written_out, 2, rows, heights, factor)
    assert np.allclose(result.numpy(), both, atol=1e-12)


@pytest.mark.parametrize("scale", [0.25, 0.5, 2, 4])
def test_interior_equals_torch_with_antialias(scale):
    x = torch.rand(2, 3, 72, 600)
    expected = F.interpolate(x, scale_factor=scale, mode="bicubic", antialias=True)
    margin = math.ceil(8 * scale) + 4
    inside = (..., slice(margin, -margin), slice(margin, -margin))
    assert torch.allclose(imresize(x, scale)[inside], expected[inside], atol=2e-6)


@pytest.mark.parametrize("scale", [1 / 2, 1 / 3, 1 / 4, 2, 3, (5, 12)])
def test_gradient_is_exact(scale):
    x = torch.rand(1, 1, 6, 9, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: imresize(x, scale), (x,))


def test_sizes_round_up_and_size_can_be_given():
    x = torch.rand(1, 1, 10, 255)
    assert imresize(x, 1 / 3).shape == (1, 1, 4, 85)
    assert imresize(x, (7, 11)).shape == (1, 1, 7, 11)
    assert torch.allclose(imresize(x, 1), x, atol=1e-6)


def test_flat_image_stays_flat():
    assert torch.allclose(imresize(torch.full((1, 3, 40, 36), 0.3), 0.25), torch.tensor(0.3))


def test_without_antialias_only_the_nearest_pixels_count():
    x = torch.zeros(1, 1, 32, 32)
    x[..., 0:32:4] = 1  # the columns that a plain cubic of every fourth centre gives no weight
    plain = imresize(x, (32, 8), antialias=False)
    assert (plain[..., 1:-1] < 0).all()  # at ±1.5 the kernel is negative
    assert (imresize(x, (32, 8))[..., 1:-1] > 0.2).all()


def test_autocast_does_not_lower_the_precision():
    x = torch.rand(1, 3, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        result = imresize(x, 0.25)
    assert result.dtype == torch.float32
    assert torch.equal(result, imresize(x, 0.25))


def test_weights_first_used_in_inference_mode_serve_training():
    with torch.inference_mode():
        imresize(torch.rand(1, 1, 44, 52), 0.25)
    x = torch.rand(1, 1, 44, 52, requires_grad=True)
    imresize(x, 0.25).sum().backward()
    assert x.grad is not None


def test_types_are_told_apart():
    with pytest.raises(TypeError, match="imresize_uint8"):
        imresize(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), 0.5)
    with pytest.raises(TypeError, match="uint8"):
        imresize_uint8(torch.zeros(1, 1, 8, 8), 0.5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_equals_cpu():
    fastest(torch.device("cuda")).switch_device(torch.device("cuda"))
    x = torch.rand(2, 3, 96, 200)
    assert torch.allclose(imresize(x.cuda(), 0.25).cpu(), imresize(x, 0.25), atol=2e-6)
