"""Sharpening against scipy's blur, and HR that is trained towards."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
import torch
from scipy.ndimage import gaussian_filter

from tmd.data import measured_batches
from tmd.distributed import ALONE
from tmd.errors import UserError
from tmd.measurements import MEASUREMENTS, Canvas, Draws, create_measurement

EXACT = {"name": "quantize", "bits": None}


def photo() -> torch.Tensor:
    pixels = skimage.data.astronaut()[60:156, 150:262]
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float() / 255


def by_scipy(x: torch.Tensor, weight: float, taps: int, threshold: float) -> torch.Tensor:
    """The definition of Real-ESRGAN's unsharp masking, word for word."""

    def blur(image: np.ndarray) -> np.ndarray:
        sigma = 0.3 * ((taps - 1) * 0.5 - 1) + 0.8  # OpenCV's, for so many taps
        widths = (0, 0, sigma, sigma)
        return gaussian_filter(image, widths, mode="mirror", radius=(0, 0, taps // 2, taps // 2))

    image = x.double().numpy()
    residual = image - blur(image)
    mask = blur((np.abs(residual) * 255 > threshold).astype(np.float64))
    sharp = np.clip(image + weight * residual, 0, 1)
    return torch.from_numpy(mask * sharp + (1 - mask) * image).float()


@pytest.mark.parametrize(("weight", "radius", "threshold"), [(0.5, 50, 10), (1.5, 9, 4)])
def test_unsharp_masking_equals_scipys(weight, radius, threshold):
    x = photo()
    options = {"weight": weight, "radius": radius, "threshold": threshold}
    expected = by_scipy(x, weight, radius + 1 - radius % 2, threshold)
    target = create_measurement([{"name": "sharpen", **options}], 1).target(x)
    assert (target - x).abs().max() > 0.05
    # A pixel at the threshold itself may fall on either side.
    assert torch.allclose(target, expected, atol=5e-4)


def test_hr_and_what_lr_is_made_of_are_sharpened():
    hr = torch.cat([photo(), photo().flip(-1)])
    plain = create_measurement(["bicubic"], 4)
    sharp = create_measurement(["sharpen", "bicubic"], 4)
    assert sharp.changes_target
    assert not plain.changes_target
    lr, target = next(measured_batches([(hr * 255).to(torch.uint8)], sharp))
    assert torch.equal(target, sharp.target(hr))
    assert torch.equal(lr, plain(target))
    assert not torch.allclose(target, hr, atol=0.05)


def test_a_camera_sharpens_what_lr_is_made_of_alone():
    hr = photo()
    measure = create_measurement(["bicubic", {"name": "sharpen", "target": False}], 4)
    lr, target = measure.pair(hr)
    assert torch.equal(target, hr)
    assert not torch.equal(lr, create_measurement(["bicubic"], 4)(hr))


def test_a_smaller_images_result_does_not_depend_on_its_canvas():
    image = photo()[..., :40, :50]
    results = []
    for size in ((40, 50), (40, 90), (96, 70)):
        canvas = Canvas(torch.rand(1, 3, *size), ((40, 50),), ((40, 50),))
        canvas.pixels[..., :40, :50] = image
        operator = MEASUREMENTS["sharpen"](scale=1, target=False)
        results.append(operator.on_canvas(canvas, Draws((0, "x"), ALONE)).images()[0])
    assert all(torch.allclose(result, results[0], atol=1e-5) for result in results)


@pytest.mark.parametrize("side", [1, 3, 12])
def test_images_smaller_than_the_blur_are_sharpened(side):
    target = create_measurement(["sharpen"], 1).target(torch.rand(1, 3, side, side))
    assert target.isfinite().all()


def test_sharpening_lets_the_gradient_through():
    x = photo().requires_grad_()
    measure = create_measurement(["bicubic", {"name": "sharpen", "target": False}, EXACT], 2)
    measure(x).square().sum().backward()
    assert x.grad.abs().sum() > 0


def test_sharpening_of_hr_inside_the_list_is_refused():
    with pytest.raises(UserError, match=r"operators\[1\]: sharpen changes HR"):
        create_measurement(["bicubic", "sharpen"], 2)
    with pytest.raises(UserError, match=r"operators\[0\].weight=-1"):
        create_measurement([{"name": "sharpen", "weight": -1}, "bicubic"], 2)
