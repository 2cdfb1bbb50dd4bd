"""Blur kernels against BasicSR's own and scipy, and the convolution with them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from record_basicsr import BETA, CUTOFFS, OTHER, RECORD, ROTATIONS, SIGMA, SIZES, kernel_key
from scipy.ndimage import correlate
from scipy.special import j1

from tmd.distributed import ALONE
from tmd.errors import UserError
from tmd.images import ImageKind
from tmd.measurements import Canvas, Draws, Log, create_measurement
from tmd.measurements.kernels import KERNELS, Shapes, filtered, kernels

EXACT = {"name": "quantize", "bits": None}


def one(name: str, size: int = 21, room: int = 21, centre: float = 0.0, **values) -> np.ndarray:
    """One kernel of these parameters."""
    defaults = dict(sigma=2.0, sigma_y=2.0, rotation=0.0, beta=1.0, cutoff=2.0, length=5.0)
    each = {k: torch.tensor([v], dtype=torch.float64) for k, v in {**defaults, **values}.items()}
    shapes = Shapes(names=[name], size=torch.tensor([size]), **each)
    return kernels(shapes, room, centre)[0].numpy()


@pytest.fixture(scope="module")
def basicsr():
    """Kernels that BasicSR 1.4.2 gave; see `record_basicsr`."""
    with np.load(RECORD) as record:
        return dict(record)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("rotation", ROTATIONS)
@pytest.mark.parametrize("isotropic", [True, False])
def test_gaussian_generalised_and_plateau_are_basicsrs(basicsr, size, rotation, isotropic):
    kind = "isotropic" if isotropic else "anisotropic"
    other = SIGMA if isotropic else OTHER
    shared = {"sigma": SIGMA, "sigma_y": other, "rotation": rotation, "size": size}
    for name in (kind, f"generalized_{kind}", f"plateau_{kind}"):
        options = {**shared, "beta": 1.0 if name == kind else BETA}
        expected = np.pad(basicsr[kernel_key(name, size, rotation)], (21 - size) // 2)
        np.testing.assert_allclose(one(name, **options), expected, atol=1e-12)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("cutoff", CUTOFFS)
def test_sinc_is_basicsrs(basicsr, size, cutoff):
    expected = np.pad(basicsr[kernel_key("sinc", size, cutoff)], (21 - size) // 2)
    np.testing.assert_allclose(one("sinc", size, cutoff=cutoff), expected, atol=1e-7)


def test_gaussians_are_the_formula_of_their_covariance():
    sigma, other, angle = 1.2, 3.0, 0.4
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    inverse = np.linalg.inv(turn @ np.diag([sigma**2, other**2]) @ turn.T)
    place = np.arange(-10, 11)
    xy = np.stack(np.meshgrid(place, place), -1)
    expected = np.exp(-0.5 * np.einsum("yxi,ij,yxj->yx", xy, inverse, xy))
    found = one("anisotropic", sigma=sigma, sigma_y=other, rotation=angle)
    np.testing.assert_allclose(found, expected / expected.sum(), atol=1e-12)


def test_sinc_is_the_formula():
    place = np.arange(-10, 11)
    radius = np.hypot(*np.meshgrid(place, place))
    radius[10, 10] = 1e-9
    expected = j1(1.7 * radius) / radius
    np.testing.assert_allclose(one("sinc", cutoff=1.7), expected / expected.sum(), atol=1e-7)


@pytest.mark.parametrize("length", [1, 4, 9])
def test_motion_is_a_line(length):
    level = one("motion", length=length)
    assert np.count_nonzero(level[np.arange(21) != 10]) == 0
    row = np.clip(1 - np.clip(np.abs(np.arange(-10, 11)) - (length - 1) / 2, 0, None), 0, None)
    np.testing.assert_allclose(level[10], row / row.sum(), atol=1e-12)
    upright = one("motion", length=length, rotation=math.pi / 2)
    np.testing.assert_allclose(upright, level.T, atol=1e-12)
    slanted = one("motion", length=length, rotation=math.pi / 4)
    np.testing.assert_allclose(slanted, slanted.T, atol=1e-12)


@pytest.mark.parametrize("name", KERNELS)
def test_between_two_pixels_a_kernel_is_as_symmetric(name):
    kernel = one(name, 9, 9, centre=0.5, sigma_y=2.0, rotation=0.3)
    assert kernel.shape == (10, 10)
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-12)


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize("size", [5, 21])
def test_each_image_is_correlated_with_its_own_kernel(size, direct):
    x = torch.rand(3, 2, 30, 23, dtype=torch.float64)
    weights = torch.rand(3, size, size, dtype=torch.float64)
    result = filtered(Canvas(x), weights, size // 2, direct).pixels
    for image, kernel, found in zip(x, weights, result, strict=True):
        for plane, blurred in zip(image, found, strict=True):
            expected = correlate(plane.numpy(), kernel.numpy(), mode="nearest")
            np.testing.assert_allclose(blurred.numpy(), expected, atol=1e-9)


@pytest.mark.parametrize("size", [[7, 13], [15, 21]], ids=["direct", "transform"])
def test_images_of_a_canvas_are_blurred_as_alone(size):
    entry = {"name": "blur", "kernel": [*KERNELS], "size": size, "sigma": [0.5, 3]}
    blur = create_measurement([entry], 1).chain.children[0]
    sizes = ((32, 40), (9, 11), (25, 40), (3, 50))
    canvas = Canvas(torch.rand(4, 3, 32, 50, dtype=torch.float64), sizes, sizes)
    draws = Draws((0, "alone"), ALONE)
    blurred = blur.on_canvas(canvas, draws)
    weights = kernels(blur.shapes(draws, 4), size[1])
    for image, found, kernel in zip(canvas.images(), blurred.images(), weights, strict=True):
        for plane, band in zip(image[0], found[0], strict=True):
            expected = correlate(plane.numpy(), kernel.numpy(), mode="nearest")
            np.testing.assert_allclose(band.numpy(), expected, atol=1e-9)


def test_drawn_parameters_fill_their_ranges():
    names = [*KERNELS]
    entry = {
        "name": "blur",
        "kernel": names,
        "weights": [1, 1, 1, 1, 1, 1, 1, 3],
        "size": [7, 21],
        "sigma": [0.2, 3],
        "beta": [0.5, 4],
        "plateau_beta": [1, 2],
    }
    log = Log()
    create_measurement([entry], 1).pair(torch.zeros(4000, 1, 2, 2), 0, log)
    drawn = [image[0][1] for image in log.of_images(4000)]
    share = [sum(each["kernel"] == name for each in drawn) / 4000 for name in names]
    np.testing.assert_allclose(share, [0.1] * 7 + [0.3], atol=0.02)
    assert {each["size"] for each in drawn} == set(range(7, 22, 2))
    counts = np.bincount([each["size"] for each in drawn])[7::2] / 4000
    np.testing.assert_allclose(counts, 1 / 8, atol=0.02)
    sigma = np.array([each["sigma"] for each in drawn if "sigma" in each])
    assert abs(sigma.mean() - 1.6) < 0.06
    beta = np.array([d["beta"] for d in drawn if d["kernel"].startswith("generalized")])
    assert abs((beta < 1).mean() - 0.5) < 0.05
    assert 0.5 <= beta.min() < 0.52
    assert 3.9 < beta.max() <= 4
    plateau = np.array([d["beta"] for d in drawn if d["kernel"].startswith("plateau")])
    assert abs((plateau == 1).mean() - 0.5) < 0.05
    for each in drawn:
        if each["kernel"] == "sinc":
            assert (math.pi / 3 if each["size"] < 13 else math.pi / 5) <= each["cutoff"] <= math.pi
        assert ("sigma_y" in each) == each["kernel"].endswith("anisotropic")


def test_a_kernel_before_decimation_lies_on_the_middle_of_a_block():
    side = 48
    ramp = (torch.arange(side, dtype=torch.float64) / side).expand(1, 1, side, side)
    blur = {"name": "blur", "kernel": "isotropic", "sigma": 1.5, "size": 9}
    across = create_measurement([blur, "decimate", EXACT], 4)(ramp)[0, 0, 6] * side
    centres = (torch.arange(12) + 0.5) * 4 - 0.5
    torch.testing.assert_close(across[4:8], centres.double()[4:8], atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", [ImageKind(1), ImageKind.of_dtype(7, "uint16")], ids=str)
def test_any_bands_each_by_itself(kind):
    hr = torch.rand(2, kind.channels, 16, 24)
    entry = {"name": "blur", "kernel": list(KERNELS)}
    lr = create_measurement([entry, EXACT], 1, kind=kind)(hr)
    alone = create_measurement([entry, EXACT], 1, kind=kind)(hr[:, :1])
    torch.testing.assert_close(lr[:, :1], alone)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kernel": "disc"}, r"\[0\].kernel='disc': must be one of gaussian, box, isotropic"),
        ({"kernel": ["gaussian"]}, r"\[0\].kernel='gaussian': must be one of isotropic"),
        ({"kernel": []}, r"kernel=\[\]: must be a name or a list"),
        ({"kernel": "sinc", "size": 8}, r"\[0\].size=8: must be odd"),
        ({"kernel": "sinc", "size": [9, 7]}, r"size=\[9, 7\]: the first end"),
        ({"kernel": "sinc", "cutoff": 4}, r"\[0\].cutoff=4: must be a number above 0"),
        ({"kernel": "isotropic", "sigma": -1}, r"\[0\].sigma=-1: must be a number above 0"),
        ({"kernel": "anisotropic", "sigma_y": [2, 1]}, r"sigma_y=\[2, 1\]: the first end"),
        ({"kernel": "motion", "length": 30}, "length=30: must be at most size=21"),
        ({"kernel": ["sinc", "motion"], "weights": [1]}, r"weights=\[1\]: must be a list of 2"),
        ({"sigma": 1, "rotation": 5}, r"\[0\].rotation=5: gaussian has none"),
    ],
)
def test_mistakes_are_named_in_one_line(options, said):
    with pytest.raises(UserError, match=said) as caught:
        create_measurement([{"name": "blur", **options}], 1)
    assert "\n" not in str(caught.value)
