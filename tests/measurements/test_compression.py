"""JPEG in tensors against libjpeg's bytes, and WebP against Pillow's."""

from __future__ import annotations

import io

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from tmd.distributed import ALONE, Share
from tmd.errors import UserError
from tmd.images import ImageKind, to_float
from tmd.measurements import MEASUREMENTS, Canvas, Draws, create_measurement

SIZES = [(96, 96), (97, 99), (48, 33), (64, 50), (17, 129), (8, 8), (7, 5), (90, 16), (201, 199)]


def photo(height: int, width: int, channels: int = 3) -> torch.Tensor:
    """(1, C, height, width) of a real photo, in [0, 1]."""
    pixels = np.ascontiguousarray(skimage.data.astronaut()[:height, 30 : 30 + width])
    image = to_float(torch.from_numpy(pixels)).permute(2, 0, 1)[None]
    return image if channels == 3 else image[:, 1:2]


def by_pillow(image: torch.Tensor, file_format: str, **options) -> torch.Tensor:
    """One image (1, C, H, W), saved and opened."""
    pixels = (image[0] * 255).round().to(torch.uint8).permute(1, 2, 0).squeeze(-1).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format=file_format, **options)
    opened = np.asarray(Image.open(file))
    if opened.ndim == 2:
        opened = opened[..., None]
    return to_float(torch.from_numpy(opened.copy())).permute(2, 0, 1)[None, : image.shape[1]]


def operate(name: str, x: torch.Tensor, **options) -> torch.Tensor:
    return MEASUREMENTS[name](scale=1, **options)(x, Draws((0, "alone"), ALONE))


def levels_off(result: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    return (result * 255).round().sub((expected * 255).round()).abs()


@pytest.mark.parametrize("quality", [1, 10, 30, 50, 75, 95, 100])
@pytest.mark.parametrize(("channels", "subsampling"), [(3, "4:2:0"), (3, "4:4:4"), (1, "4:2:0")])
def test_jpeg_in_tensors_is_libjpegs(quality, channels, subsampling):
    number = {"4:2:0": 2, "4:4:4": 0}[subsampling]
    options = {"quality": quality, "codec": "device", "subsampling": subsampling}
    off = []
    for size in SIZES:
        x = photo(*size, channels)
        expected = by_pillow(x, "jpeg", quality=quality, subsampling=number)
        off.append(levels_off(operate("jpeg", x, **options), expected).flatten())
    assert torch.cat(off).max() <= 1
    assert torch.cat(off).mean() <= 1e-5


def test_black_white_and_noise_come_back_as_libjpegs():
    x = torch.cat([torch.zeros(1, 3, 20, 20), torch.ones(1, 3, 20, 20), torch.rand(1, 3, 20, 20)])
    x[2] = x[2].round()
    for quality in (5, 40, 100):
        result = operate("jpeg", x, quality=quality, codec="device")
        for image, coded in zip(x, result, strict=True):
            expected = by_pillow(image[None], "jpeg", quality=quality)
            assert levels_off(coded[None], expected).max() <= 1


@pytest.mark.parametrize("name", ["jpeg", "webp"])
@pytest.mark.parametrize("codec", ["pillow", "device"])
def test_each_image_of_a_canvas_is_coded_by_itself(name, codec):
    sizes = ((40, 56), (33, 17), (21, 50))
    pixels = torch.rand(3, 3, 40, 56)
    for row, size in enumerate(sizes):
        pixels[row, :, : size[0], : size[1]] = photo(*size)[0]
    options = {"codec": codec} if name == "jpeg" else {}
    operator = MEASUREMENTS[name](scale=1, quality=[20, 90], **options)
    draws = Draws((0, "x"), ALONE)
    coded = operator.on_canvas(Canvas(pixels, sizes, sizes), draws)
    qualities = draws.uniform("quality", (20, 90), 3).round().int().tolist()
    assert len(set(qualities)) == 3
    for image, size, quality in zip(coded.images(), sizes, qualities, strict=True):
        expected = by_pillow(photo(*size), name, quality=quality)
        assert levels_off(image, expected).max() <= (1 if codec == "device" else 0)
    assert torch.equal(coded.replicated().pixels, coded.pixels)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("quality", [1, 30, 50, 77, 95, 100])
def test_the_codec_of_a_batch_on_the_cpu_gives_pillows_levels(quality, channels):
    for size in SIZES:
        x = photo(*size, channels)
        auto = operate("jpeg", x, quality=quality, codec="auto")
        assert torch.equal(auto, by_pillow(x, "jpeg", quality=quality))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("quality", [10, 80])
def test_webp_is_what_pillow_makes_of_it(channels, quality):
    x = photo(31, 45, channels)
    assert torch.equal(operate("webp", x, quality=quality), by_pillow(x, "webp", quality=quality))


@pytest.mark.parametrize(
    "operator",
    [{"name": "webp"}, {"name": "jpeg", "codec": "device"}, {"name": "jpeg"}],
    ids=["webp", "device", "pillow"],
)
def test_compression_lets_the_gradient_through(operator):
    x = (photo(24, 24) * 1.2 - 0.1).requires_grad_()
    create_measurement(["bicubic", operator], 2)(x).sum().backward()
    # All the way: also where bicubic's values are out of the range.
    assert torch.allclose(x.grad.sum(), torch.tensor(3 * 144.0), rtol=0.02)
    assert (x.grad != 0).float().mean() > 0.9


def test_device_jpegs_gradient_knows_that_chroma_has_half_the_sides():
    x = torch.full((1, 3, 16, 16), 0.5, requires_grad=True)
    blue = operate("jpeg", x, quality=90, codec="device")[0, 2, 8, 8]
    (gradient,) = torch.autograd.grad(blue, x)
    assert (gradient[0, 2] != 0).sum() > 4
    assert gradient.sum() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("codec", ["pillow", "device"])
def test_processes_that_share_a_batch_get_the_files_of_one(codec):
    x = photo(16, 64).reshape(1, 3, 16, 4, 16).permute(3, 1, 2, 0, 4)[:, :, :, 0]
    operators = [{"name": "jpeg", "quality": [10, 90], "codec": codec, "probability": 0.8}]
    measure = create_measurement(operators, 1)
    shares = [measure.of_share(Share(k, 2))(x[2 * k : 2 * k + 2], 1) for k in (0, 1)]
    assert torch.equal(torch.cat(shares), measure(x, 1))


@pytest.mark.parametrize(
    ("operator", "message"),
    [
        ({"name": "jpeg", "codec": "gpu"}, r"operators\[0\].codec='gpu'"),
        ({"name": "jpeg", "subsampling": "4:1:1"}, r"operators\[0\].subsampling='4:1:1'"),
        ({"name": "webp", "quality": 0}, r"operators\[0\].quality=0"),
        ({"name": "webp", "quality": [90, 20]}, r"operators\[0\].quality=\[90, 20\]"),
    ],
)
def test_compression_that_cannot_be_is_said_in_one_line(operator, message):
    with pytest.raises(UserError, match=message):
        create_measurement([operator], 1)


def test_webp_is_refused_for_what_it_cannot_hold():
    with pytest.raises(UserError, match=r"webp takes grey and RGB images of 8 bits"):
        create_measurement(["webp"], 1, kind=ImageKind(4))
