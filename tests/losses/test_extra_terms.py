"""Further terms of the generator's loss: values, gradients, and what a config may say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tmd.errors import UserError
from tmd.losses.extra import (
    GENERATOR_TERMS,
    GeneratorTerm,
    create_extra_terms,
    generator_term,
)
from tmd.losses.options import LossOptions
from tmd.registry import Registry
from tmd.training.steps import with_terms


def images(scale: int = 2) -> dict[str, torch.Tensor]:
    draws = torch.Generator().manual_seed(3)
    hr = torch.rand(2, 3, 12, 16, generator=draws)
    sr = (hr + 0.1 * torch.randn(hr.shape, generator=draws)).requires_grad_()
    return {"sr": sr, "hr": hr, "lr": torch.rand(2, 3, 12 // scale, 16 // scale, generator=draws)}


def gradient_in_numpy(sr: np.ndarray, hr: np.ndarray) -> float:
    """Sobel-free: one sided differences, a pixel at a time, in float64."""
    total, (count, channels, height, width) = 0.0, sr.shape
    across, down = count * channels * height * (width - 1), count * channels * (height - 1) * width
    for n in range(count):
        for c in range(channels):
            for y in range(height):
                for x in range(width):
                    here = sr[n, c, y, x], hr[n, c, y, x]
                    if x + 1 < width:
                        step = sr[n, c, y, x + 1] - here[0] - (hr[n, c, y, x + 1] - here[1])
                        total += abs(step) / across
                    if y + 1 < height:
                        step = sr[n, c, y + 1, x] - here[0] - (hr[n, c, y + 1, x] - here[1])
                        total += abs(step) / down
    return total


def downscaled_in_numpy(image: np.ndarray, scale: int) -> np.ndarray:
    """Cubic convolution (Keys, a = -1/2) stretched by ``scale``, borders mirrored, in float64."""

    def cubic(x: float) -> float:
        x = abs(x)
        if x <= 1:
            return 1.5 * x**3 - 2.5 * x**2 + 1
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0

    def matrix(size: int) -> np.ndarray:
        rows = np.zeros((size // scale, size))
        for row in range(size // scale):
            centre = (row + 0.5) * scale - 0.5
            for position in range(-4 * scale, size + 4 * scale):
                inside = position % (2 * size)
                inside = inside if inside < size else 2 * size - 1 - inside
                rows[row, inside] += cubic((position - centre) / scale)
        return rows / rows.sum(1, keepdims=True)

    return matrix(image.shape[-2]) @ image @ matrix(image.shape[-1]).T


def as_numpy(tensors: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    return {name: value.detach().double().numpy() for name, value in tensors.items()}


def test_gradient_is_that_of_a_reference_in_float64():
    given = images()
    exact = as_numpy(given)
    value = GENERATOR_TERMS["gradient"](**given).item()
    assert value == pytest.approx(gradient_in_numpy(exact["sr"], exact["hr"]), rel=1e-5)


@pytest.mark.parametrize("scale", [2, 4])
def test_lr_consistency_is_that_of_a_reference_in_float64(scale):
    given = images(scale)
    exact = as_numpy(given)
    value = GENERATOR_TERMS["lr_consistency"](**given).item()
    expected = np.abs(downscaled_in_numpy(exact["sr"], scale) - exact["lr"]).mean()
    assert value == pytest.approx(expected, rel=1e-5)


def test_gradient_counts_edges_and_not_brightness():
    given = images()
    brighter = {"sr": given["hr"] + 0.25, "hr": given["hr"]}
    assert GENERATOR_TERMS["gradient"](**brighter).item() < 1e-6


@pytest.mark.parametrize("name", ["gradient", "lr_consistency"])
def test_its_gradient_is_that_of_finite_differences(name):
    given = {key: value.detach().double() for key, value in images().items()}
    given["sr"].requires_grad_()
    term = GENERATOR_TERMS[name]
    term(**given).backward()
    at = given["sr"].grad[0, 1, 5, 6].item()
    step = 1e-7
    values = []
    for sign in (1, -1):
        moved = {**given, "sr": given["sr"].detach().clone()}
        moved["sr"][0, 1, 5, 6] += sign * step
        values.append(term(**moved).item())
    assert at == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5)
    assert at != 0


def test_terms_are_added_with_their_weights_in_their_phases_and_logged_without():
    given, loss = images(), torch.tensor(2.0)
    terms = {
        "always": (0.5, GeneratorTerm(lambda sr: sr.mean())),
        "late": (3.0, GeneratorTerm(lambda hr: hr.mean(), ("adversarial",))),
    }
    total, log = with_terms(loss, terms, "pretrain", **given)
    assert total.item() == pytest.approx(2 + 0.5 * given["sr"].mean().item())
    assert list(log) == ["always"]
    assert log["always"].item() == given["sr"].mean().item()
    assert not log["always"].requires_grad
    assert total.requires_grad
    total, log = with_terms(loss, terms, "adversarial", **given)
    expected = 2 + 0.5 * given["sr"].mean().item() + 3 * given["hr"].mean().item()
    assert total.item() == pytest.approx(expected)
    assert list(log) == ["always", "late"]
    assert with_terms(loss, {}, "pretrain", **given) == (loss, {})


def test_a_new_term_is_a_function_and_a_line(monkeypatch):
    monkeypatch.setattr("tmd.losses.extra.GENERATOR_TERMS", Registry("losses.extra"))

    @generator_term("brightness", phases=("adversarial",))
    def brightness(sr, lr):
        return (sr.mean() - lr.mean()).square()

    given = images()
    options = LossOptions(content="pixel", extra={"brightness": 2})
    options.check()
    loss, log = with_terms(torch.zeros(()), options.create_extra(), "adversarial", **given)
    assert loss.item() == pytest.approx(2 * brightness(given["sr"], given["lr"]).item())
    assert list(log) == ["brightness"]
    with pytest.raises(ValueError, match="takes any of"):
        generator_term("wrong")(lambda sr, depth: sr)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (
            {"gradients": 1},
            f"losses.extra='gradients': must be one of {', '.join(GENERATOR_TERMS)}",
        ),
        ({"gradient": -1}, "losses.extra.gradient=-1: must be a number at least 0"),
        ({"gradient": True}, "losses.extra.gradient=True: must be a number at least 0"),
        ({"gradient": "much"}, "losses.extra.gradient='much': must be a number at least 0"),
        (0.1, "losses.extra=0.1: must be a mapping of names to weights"),
        (
            {"gradient": 1},
            "losses.extra.gradient=1: needs HR, which this training has not",
        ),
    ],
)
def test_what_can_not_be_is_told_in_one_line(extra, message):
    given = ("sr", "lr") if "needs HR" in message else ("sr", "hr", "lr")
    with pytest.raises(UserError) as raised:
        LossOptions(content="pixel", extra=extra).check(given)
    assert str(raised.value) == message


def test_a_weight_of_zero_leaves_a_term_out():
    assert list(create_extra_terms({"gradient": 0, "lr_consistency": 0.5})) == ["lr_consistency"]
