"""Changes of colour against torchvision's."""

from __future__ import annotations

import pytest
import torch
import torchvision.transforms.functional as TF

from tmd.distributed import ALONE, Share
from tmd.errors import UserError
from tmd.measurements import MEASUREMENTS, Canvas, Draws, create_measurement


def operate(x: torch.Tensor, **options) -> torch.Tensor:
    return MEASUREMENTS["colour"](scale=1, **options)(x, Draws((0, "alone"), ALONE))


@pytest.mark.parametrize("value", [0.5, 0.9, 1.7])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("key", ["brightness", "contrast", "saturation", "gamma"])
def test_changes_of_colour_equal_torchvisions(key, channels, value):
    x = torch.rand(2, channels, 12, 16)
    # Each image by itself: torchvision takes the mean of one.
    expected = torch.cat([getattr(TF, f"adjust_{key}")(image, value) for image in x.split(1)])
    assert torch.allclose(operate(x, **{key: value}), expected, atol=2e-5)


def test_each_image_draws_its_own_factors():
    x = torch.full((300, 3, 4, 4), 0.4)
    means = operate(x, brightness=[0.5, 1.5]).mean((1, 2, 3))
    assert 0.2 <= means.min() < 0.21
    assert 0.59 < means.max() <= 0.6


def test_the_mean_is_that_of_the_image_alone():
    canvas = Canvas(torch.rand(2, 3, 20, 24), ((9, 24), (20, 7)), ((9, 24), (20, 7)))
    operator = MEASUREMENTS["colour"](scale=1, contrast=0.5)
    changed = operator.on_canvas(canvas, Draws((0, "x"), ALONE))
    for before, after in zip(canvas.images(), changed.images(), strict=True):
        assert torch.allclose(after, TF.adjust_contrast(before, 0.5), atol=2e-5)


def test_hr_is_changed_where_it_is_asked_for():
    hr = torch.rand(1, 3, 16, 16)
    jitter = {"name": "colour", "gamma": 1.5}
    lr, target = create_measurement([{**jitter, "target": True}, "bicubic"], 2).pair(hr)
    assert torch.allclose(target, hr**1.5, atol=1e-5)
    assert torch.equal(lr, create_measurement(["bicubic"], 2)(target))
    lr, target = create_measurement(["bicubic", jitter], 2).pair(hr)
    assert torch.equal(target, hr)


def test_processes_that_share_a_batch_get_the_colours_of_one():
    x = torch.rand(4, 3, 8, 8)
    operators = [{"name": "colour", "contrast": [0.5, 1.5], "gamma": [0.8, 1.2]}]
    measure = create_measurement(operators, 1)
    shares = [measure.of_share(Share(k, 2))(x[2 * k : 2 * k + 2], 1) for k in (0, 1)]
    assert torch.equal(torch.cat(shares), measure(x, 1))


def test_colours_let_a_finite_gradient_through():
    x = torch.rand(1, 3, 8, 8).round().requires_grad_()
    operators = [{"name": "colour", "gamma": 0.5, "brightness": 1.2, "saturation": 0.5}]
    create_measurement(operators, 1)(x).sum().backward()
    assert x.grad.isfinite().all()


def test_colours_that_cannot_be_are_said_in_one_line():
    with pytest.raises(UserError, match=r"operators\[0\].gamma=0"):
        create_measurement([{"name": "colour", "gamma": 0}], 1)
    with pytest.raises(UserError, match=r"operators\[0\].target='yes'"):
        create_measurement([{"name": "colour", "target": "yes"}], 1)
