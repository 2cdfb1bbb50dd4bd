"""Measurements against scipy, Pillow's codec and hand-made images."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import skimage.data
import torch
import torch.nn.functional as F
from PIL import Image
from scipy.ndimage import gaussian_filter, uniform_filter

from tmd.distributed import ALONE
from tmd.errors import UserError
from tmd.images import ImageKind, to_float, to_uint8
from tmd.measurements import MEASUREMENTS, Draws, MeasurementOptions, create_measurement
from tmd.resize import imresize

CHAIN = [
    {"name": "blur", "kernel": "gaussian", "sigma": [0.8, 1.6]},
    "decimate",
    {"name": "noise", "sigma": [0.01, 0.1]},
    {"name": "jpeg", "quality": [60, 95]},
]
EXACT = {"name": "quantize", "bits": None}


def levels(x: torch.Tensor) -> torch.Tensor:
    return x * 255


def squares(n: int = 2) -> torch.Tensor:
    """(N, 3, 32, 48) of black and white squares, at whose edges bicubic overshoots."""
    coarse = (torch.rand(n, 3, 4, 6) > 0.5).float()
    return coarse.repeat_interleave(8, -1).repeat_interleave(8, -2)


def test_bicubic_is_clamped_and_rounded_to_a_files_levels():
    hr = squares()
    lr = create_measurement(["bicubic"], 4)(hr)
    assert imresize(hr, 0.25).min() < 0
    assert lr.shape == (2, 3, 8, 12)
    assert torch.equal(lr, to_float(to_uint8(imresize(hr, 0.25))))


def test_rounding_can_be_left_out_but_not_the_range():
    hr = squares()
    lr = create_measurement(["bicubic", EXACT], 2)(hr)
    assert torch.equal(lr, imresize(hr, 0.5).clamp(0, 1))


def test_fewer_bits_give_fewer_levels():
    lr = create_measurement(["bicubic", {"name": "quantize", "bits": 2}], 2)(
        torch.rand(1, 3, 64, 64)
    )
    assert set((lr * 3).flatten().tolist()) == {0, 1, 2, 3}


@pytest.mark.parametrize("operators", [["bicubic"], CHAIN, ["decimate", EXACT]])
def test_spec_is_json_and_makes_the_same_measurement(operators):
    measure = create_measurement(operators, 4, seed=3, stream="x")
    again = create_measurement(json.loads(json.dumps(measure.spec)), 4, seed=3, stream="x")
    hr = torch.rand(2, 3, 32, 32)
    assert again.spec == measure.spec
    assert torch.equal(measure(hr, 5), again(hr, 5))


def test_random_parameters_depend_on_seed_stream_and_index_alone():
    hr = torch.rand(3, 3, 32, 32)
    measure = create_measurement(CHAIN, 4, seed=1)
    at_seven = measure(hr, 7)
    measure(hr, 8)
    torch.manual_seed(99)
    assert torch.equal(measure(hr, 7), at_seven)
    for other in (
        measure(hr, 8),
        create_measurement(CHAIN, 4, seed=2)(hr, 7),
        create_measurement(CHAIN, 4, seed=1, stream="validation")(hr, 7),
    ):
        assert not torch.equal(other, at_seven)


def test_parameters_differ_between_the_images_of_a_batch():
    image = torch.rand(1, 3, 32, 32).expand(2, -1, -1, -1)
    blurred = create_measurement([{"name": "blur", "sigma": [0.5, 3]}, "decimate"], 2)(image)
    assert not torch.equal(blurred[0], blurred[1])


def operate(name: str, x: torch.Tensor, **options) -> torch.Tensor:
    """One operator alone."""
    return MEASUREMENTS[name](scale=4, **options)(x, Draws((0, "alone"), ALONE))


@pytest.mark.parametrize("sigma", [0.8, 1.6, 3.0])
def test_gaussian_blur_equals_scipy(sigma):
    x = torch.rand(1, 2, 40, 52, dtype=torch.float64)
    radius = int(np.ceil(3 * sigma))
    expected = gaussian_filter(x.numpy(), (0, 0, sigma, sigma), mode="nearest", radius=radius)
    assert np.allclose(operate("blur", x, sigma=sigma).numpy(), expected, atol=1e-12)


def test_box_blur_equals_scipy():
    x = torch.rand(1, 2, 20, 24, dtype=torch.float64)
    expected = uniform_filter(x.numpy(), (1, 1, 5, 5), mode="nearest")
    assert np.allclose(operate("blur", x, kernel="box", size=5).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_box_and_decimation_are_the_mean_of_each_block(scale):
    x = torch.rand(1, 3, 48, 48)
    measure = create_measurement([{"name": "blur", "kernel": "box"}, "decimate", EXACT], scale)
    assert torch.allclose(measure(x), F.avg_pool2d(x, scale), atol=1e-6)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize(
    "operators",
    [
        ["bicubic"],
        [{"name": "blur", "sigma": 1.6}, "decimate"],
        [{"name": "blur", "kernel": "box"}, "decimate"],
    ],
    ids=["bicubic", "gaussian", "box"],
)
def test_lr_pixels_lie_at_the_centres_of_their_blocks(scale, operators):
    side = 12 * scale
    ramp = torch.arange(side, dtype=torch.float64) / side
    x = ramp.expand(1, 1, side, side)
    centres = (torch.arange(12) + 0.5) * scale - 0.5
    across = create_measurement([*operators, EXACT], scale)(x)[0, 0, 6] * side
    down = create_measurement([*operators, EXACT], scale)(x.mT)[0, 0, :, 6] * side
    inside = slice(4, 8)  # away from the borders
    assert torch.allclose(across[inside], centres.double()[inside], atol=1e-4)
    assert torch.allclose(down[inside], centres.double()[inside], atol=1e-4)


def test_noise_has_the_deviation_asked_for():
    x = torch.full((2, 3, 200, 200), 0.5)
    noise = operate("noise", x, sigma=0.05) - x
    assert abs(noise.mean()) < 1e-3
    assert torch.allclose(noise.std(dim=(1, 2, 3)), torch.tensor(0.05), rtol=0.02)
    assert not torch.equal(noise[0], noise[1])
    assert torch.equal(operate("noise", x, sigma=0), x)


def test_drawn_deviations_fill_their_range():
    x = torch.zeros(200, 1, 32, 32)
    deviations = operate("noise", x, sigma=[0.02, 0.1]).std(dim=(1, 2, 3))
    assert deviations.min() < 0.03
    assert deviations.max() > 0.09
    assert abs(deviations.mean() - 0.06) < 0.01


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_what_pillow_makes_of_it(channels):
    x = torch.rand(2, channels, 24, 32)
    result = operate("jpeg", x, quality=40)
    for image, coded in zip(to_uint8(x), result, strict=True):
        file = io.BytesIO()
        Image.fromarray(image.permute(1, 2, 0).squeeze(-1).numpy()).save(file, "JPEG", quality=40)
        expected = np.atleast_3d(np.array(Image.open(file)))
        assert np.array_equal(to_uint8(coded).permute(1, 2, 0).numpy(), expected)


def test_lower_quality_loses_more():
    x = F.interpolate(torch.rand(1, 3, 8, 8), scale_factor=8, mode="bicubic").clamp(0, 1)
    errors = [(operate("jpeg", x, quality=q) - x).square().mean() for q in (10, 50, 95)]
    assert errors[0] > errors[1] > errors[2]


def test_rounding_and_jpeg_let_the_gradient_through():
    x = torch.rand(1, 3, 32, 32, requires_grad=True)
    weights = torch.rand(1, 3, 8, 8)
    operators = ["bicubic", {"name": "jpeg", "quality": 50}]
    (create_measurement(operators, 4)(x) * weights).sum().backward()
    smooth = x.detach().clone().requires_grad_()
    (imresize(smooth, 0.25) * weights).sum().backward()
    assert torch.allclose(x.grad, smooth.grad, atol=1e-6)


@pytest.mark.parametrize("bits", [8, None])
def test_what_left_the_range_is_led_back_by_the_gradient(bits):
    x = torch.tensor([-0.5, 0.5, 1.5]).reshape(1, 1, 1, 3).requires_grad_()
    measure = create_measurement(["decimate", {"name": "quantize", "bits": bits}], 1)
    measured = measure(x)
    assert measured.min() == 0
    assert measured.max() == 1
    (measured - 0.5).square().sum().backward()
    assert x.grad.flatten().sign().tolist() == [-1, float(bits is not None), 1]


@pytest.mark.parametrize(
    ("kind", "levels"),
    [
        (ImageKind(), 255),
        (ImageKind.of_dtype(13, "uint16"), 65535),
        (ImageKind(4, "uint16", (0, 10_000)), 10_000),
        (ImageKind.of_dtype(13, "float32"), None),
    ],
    ids=str,
)
def test_lr_is_rounded_to_the_levels_of_its_kind_and_clamped(kind, levels):
    hr = torch.rand(2, kind.channels, 16, 24, dtype=torch.float64) * 1.2 - 0.1

    measure = create_measurement(["bicubic"], 2, kind=kind)
    lr = measure(hr)

    exact = imresize(hr, 0.5).clamp(0, 1)
    expected = exact if levels is None else (exact * levels).round() / levels
    assert lr.shape == (2, kind.channels, 8, 12)
    torch.testing.assert_close(lr, expected, rtol=0, atol=1e-12)
    again = create_measurement(json.loads(json.dumps(measure.spec)), 2)
    torch.testing.assert_close(again(hr), lr, rtol=0, atol=0)


@pytest.mark.parametrize("operators", [["blur", "decimate"], ["bicubic", "noise"]])
def test_operators_take_any_number_of_bands_each_by_itself(operators):
    kind = ImageKind.of_dtype(5, "float32")
    hr = torch.rand(2, 5, 16, 24)

    lr = create_measurement(operators, 2, seed=3, kind=kind)(hr)

    assert lr.shape == (2, 5, 8, 12)
    if "noise" not in operators:
        alone = create_measurement(operators, 2, seed=3, kind=kind)(hr[:, 3:4])
        torch.testing.assert_close(lr[:, 3:4], alone)


@pytest.mark.parametrize("kind", [ImageKind(4), ImageKind.of_dtype(3, "uint16")], ids=str)
def test_jpeg_is_refused_for_what_no_jpeg_holds(kind):
    message = (
        f"jpeg takes grey and RGB images of 8 bits; these have {kind.channels} channels of "
        f"{kind.dtype}"
    )
    with pytest.raises(UserError, match=message):
        create_measurement(["bicubic", "jpeg"], 2, kind=kind)


def test_noise_and_blur_are_differentiable_exactly():
    x = torch.rand(1, 1, 8, 8, dtype=torch.float64) * 0.4 + 0.3
    measure = create_measurement(
        [{"name": "blur", "sigma": 0.8}, "decimate", {"name": "noise", "sigma": 0.01}, EXACT], 2
    )
    assert torch.autograd.gradcheck(measure, (x.requires_grad_(),))


@pytest.mark.parametrize(
    ("operators", "message"),
    [
        ("bicubic", "must be a list"),
        (["bicubik"], r"operators\[0\]='bicubik': must be one of bicubic, blur"),
        ([{"sigma": 1}], "is neither a name nor has one"),
        ([3], "is neither a name nor has one"),
        ([], "reduces the size by 1, not by scale=4"),
        (["bicubic", "decimate"], "reduces the size by 16, not by scale=4"),
        ([{"name": "bicubic", "sigma": 1}], "bicubic takes nothing, not 'sigma'"),
        (
            [{"name": "blur", "sgima": 1}, "decimate"],
            "blur takes kernel, sigma, size, .*, not 'sgima'",
        ),
        ([{"name": "blur", "sigma": 0}, "decimate"], r"operators\[0\].sigma=0: must be a number"),
        (
            [{"name": "blur", "sigma": [2, 1]}, "decimate"],
            r"\[0\].sigma=\[2, 1\]: the first end",
        ),
        ([{"name": "blur", "sigma": [1, 2, 3]}, "decimate"], r"or \[lowest, highest\]"),
        ([{"name": "blur", "kernel": "disc"}, "decimate"], "must be one of gaussian, box"),
        (["bicubic", {"name": "noise", "sigma": "loud"}], r"operators\[1\].sigma='loud'"),
        (["bicubic", {"name": "jpeg", "quality": 101}], r"operators\[1\].quality=101"),
        (["quantize", "bicubic"], "quantize must be the last"),
    ],
)
def test_mistakes_are_named_in_one_line(operators, message):
    with pytest.raises(UserError, match=message) as caught:
        create_measurement(operators, 4)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("quality", [10, 60])
def test_jpeg_at_scale_1_is_the_codecs_own(quality):
    pixels = skimage.data.astronaut()[:64, :72]
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    hr = to_float(torch.from_numpy(pixels).permute(2, 0, 1))[None]
    lr = create_measurement([{"name": "jpeg", "quality": quality}], 1)(hr)
    assert np.array_equal(to_uint8(lr[0]).permute(1, 2, 0).numpy(), np.array(Image.open(file)))


@pytest.mark.parametrize(
    "operators",
    [
        ["bicubic"],
        [],
        ["decimate", EXACT],
        [{"name": "noise", "sigma": 0}],
        [{"name": "blur", "kernel": "box", "size": 1}],
        [{"name": "quantize", "bits": 8}],
    ],
)
def test_at_scale_1_a_list_that_changes_nothing_is_refused(operators):
    with pytest.raises(UserError, match="at scale=1 they change nothing"):
        MeasurementOptions(operators).check(1)


def test_fewer_levels_are_a_degradation_of_images_that_have_more():
    rounding = MeasurementOptions([{"name": "quantize", "bits": 8}])
    rounding.check(1, ImageKind.of_dtype(1, "uint16"))
    with pytest.raises(UserError, match="they change nothing"):
        rounding.check(1, ImageKind(1))


@pytest.mark.parametrize(
    "operators",
    [
        [{"name": "quantize", "bits": 4}],
        [{"name": "noise", "sigma": [0, 0.1]}],
        ["bicubic", {"name": "blur", "sigma": 1}],
        [{"name": "blur", "kernel": "box", "size": 3}],
    ],
)
def test_at_scale_1_a_degradation_keeps_the_size(operators):
    MeasurementOptions(operators).check(1)
    hr = torch.rand(2, 3, 9, 7)
    lr = create_measurement(operators, 1)(hr)
    assert lr.shape == hr.shape
    assert not torch.allclose(lr, hr, atol=0.01)


def test_sizes_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="no multiple of scale 4"):
        create_measurement(["bicubic"], 4)(torch.rand(1, 3, 30, 32))
