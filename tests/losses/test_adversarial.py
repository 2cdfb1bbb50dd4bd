"""Each adversarial loss against its formula, written out on hand-made logits, with its gradient."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from tmd.distributed import Share
from tmd.errors import UserError
from tmd.losses.adversarial import (
    ADVERSARIAL_LOSSES,
    AdversarialLoss,
    create_adversarial_loss,
)

REAL = [1.5, -0.3, 0.2]
FAKE = [-2.0, 0.4, 1.1]


def logits(values: list[float]) -> Tensor:
    return torch.tensor(values)[:, None].requires_grad_()


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def mean(values) -> float:
    values = list(values)
    return sum(values) / len(values)


def cross_entropy(logit: float, label: float) -> float:
    p = sigmoid(logit)
    return -label * math.log(p) - (1 - label) * math.log(1 - p)


def bce_d(real, fake, label):
    return mean(cross_entropy(r, label) for r in real) - mean(
        math.log(1 - sigmoid(f)) for f in fake
    )


def bce_g(real, fake, label):
    return -mean(math.log(sigmoid(f)) for f in fake)


def relativistic_d(real, fake, label):
    return mean(cross_entropy(r - mean(fake), label) for r in real) + mean(
        cross_entropy(f - mean(real), 0) for f in fake
    )


def relativistic_g(real, fake, label):
    return -mean(math.log(1 - sigmoid(r - mean(fake))) for r in real) - mean(
        math.log(sigmoid(f - mean(real))) for f in fake
    )


def least_squares_d(real, fake, label):
    return mean((r - label) ** 2 for r in real) / 2 + mean(f**2 for f in fake) / 2


def least_squares_g(real, fake, label):
    return mean((f - 1) ** 2 for f in fake) / 2


def hinge_d(real, fake, label):
    return mean(max(0, 1 - r) for r in real) + mean(max(0, 1 + f) for f in fake)


def minus_fake(real, fake, label):
    return -mean(fake)


def wasserstein_d(real, fake, label):
    return mean(fake) - mean(real)


FORMULAS = {
    "bce": (bce_d, bce_g),
    "relativistic": (relativistic_d, relativistic_g),
    "least-squares": (least_squares_d, least_squares_g),
    "hinge": (hinge_d, minus_fake),
    "wgan-gp": (wasserstein_d, minus_fake),
}


def numerical_gradient(function, values: list[float], step: float = 1e-5) -> list[float]:
    def at(i: int, delta: float) -> float:
        return function([v + delta * (j == i) for j, v in enumerate(values)])

    return [(at(i, step) - at(i, -step)) / (2 * step) for i in range(len(values))]


def test_every_loss_has_its_formula_here():
    assert set(FORMULAS) == set(ADVERSARIAL_LOSSES)


@pytest.mark.parametrize("real_label", [1.0, 0.9])
@pytest.mark.parametrize("name", FORMULAS)
def test_discriminator_loss_and_gradient_follow_the_formula(name, real_label):
    formula, _ = FORMULAS[name]
    real, fake = logits(REAL), logits(FAKE)
    loss = create_adversarial_loss(name, real_label).discriminator(real, fake)
    loss.backward()
    assert loss.shape == ()
    assert loss.item() == pytest.approx(formula(REAL, FAKE, real_label), abs=1e-6)
    by_real = numerical_gradient(lambda values: formula(values, FAKE, real_label), REAL)
    by_fake = numerical_gradient(lambda values: formula(REAL, values, real_label), FAKE)
    assert real.grad.flatten().tolist() == pytest.approx(by_real, abs=1e-5)
    assert fake.grad.flatten().tolist() == pytest.approx(by_fake, abs=1e-5)


@pytest.mark.parametrize("real_label", [1.0, 0.9])
@pytest.mark.parametrize("name", FORMULAS)
def test_generator_loss_and_gradient_follow_the_formula(name, real_label):
    _, formula = FORMULAS[name]
    real, fake = logits(REAL), logits(FAKE)
    loss = create_adversarial_loss(name, real_label).generator(fake, real)
    loss.backward()
    assert loss.shape == ()
    assert loss.item() == pytest.approx(formula(REAL, FAKE, real_label), abs=1e-6)
    by_fake = numerical_gradient(lambda values: formula(REAL, values, real_label), FAKE)
    assert fake.grad.flatten().tolist() == pytest.approx(by_fake, abs=1e-5)


@pytest.mark.parametrize("name", FORMULAS)
def test_maps_of_logits_count_every_place_equally(name):
    loss = create_adversarial_loss(name)
    real, fake = torch.randn(2, 1, 3, 4), torch.randn(2, 1, 3, 4)
    rows = (real.reshape(-1, 1), fake.reshape(-1, 1))
    assert torch.allclose(loss.discriminator(real, fake), loss.discriminator(*rows))
    assert torch.allclose(loss.generator(fake, real), loss.generator(rows[1], rows[0]))


@pytest.mark.parametrize("name", FORMULAS)
def test_half_precision_logits_are_judged_in_single_precision(name):
    loss = create_adversarial_loss(name)
    real, fake = torch.randn(8, 1).bfloat16(), torch.randn(8, 1).bfloat16()
    for value, reference in (
        (loss.discriminator(real, fake), loss.discriminator(real.float(), fake.float())),
        (loss.generator(fake, real), loss.generator(fake.float(), real.float())),
    ):
        assert value.dtype == torch.float32
        assert value == reference


@pytest.mark.parametrize("name", FORMULAS)
def test_huge_logits_give_finite_losses(name):
    loss = create_adversarial_loss(name)
    huge = torch.tensor([[3e4], [-3e4]])
    assert loss.discriminator(huge, -huge).isfinite()
    assert loss.generator(huge, huge).isfinite()


def test_only_the_relativistic_generator_needs_real_logits():
    for name in ADVERSARIAL_LOSSES:
        loss = create_adversarial_loss(name)
        assert loss.generator_needs_real == (name == "relativistic")
        if not loss.generator_needs_real:
            assert loss.generator(logits(FAKE)).isfinite()
    with pytest.raises(ValueError, match="real"):
        create_adversarial_loss("relativistic").generator(logits(FAKE))


def test_label_smoothing_is_one_sided():
    """D's optimum is 0.9 for real images and still 0 for fake ones; G aims at 1."""
    loss = create_adversarial_loss("bce", real_label=0.9)
    real = torch.tensor([[math.log(0.9 / 0.1)]], requires_grad=True)
    fake = torch.tensor([[-20.0]], requires_grad=True)
    loss.discriminator(real, fake).backward()
    assert real.grad.item() == pytest.approx(0, abs=1e-6)
    assert fake.grad.item() == pytest.approx(0, abs=1e-6)
    assert loss.generator(torch.tensor([[20.0]])).item() == pytest.approx(0, abs=1e-6)


class LinearCritic(nn.Module):
    """Its gradient is its weight, wherever it is taken."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, images: Tensor) -> Tensor:
        return (images * self.weight).flatten(1).sum(1, keepdim=True)


def test_gradient_penalty_of_a_linear_critic():
    weight = torch.randn(3, 4, 4)
    critic = LinearCritic(weight)
    loss = create_adversarial_loss("wgan-gp", gradient_penalty=7.0)
    penalty = loss.penalty(
        critic, torch.rand(5, 3, 4, 4), torch.rand(5, 3, 4, 4), torch.Generator().manual_seed(0)
    )
    norm = weight.norm()
    assert penalty.item() == pytest.approx((7 * (norm - 1) ** 2).item(), rel=1e-5)
    penalty.backward()
    expected = 14 * (norm - 1) * weight / norm
    assert torch.allclose(critic.weight.grad, expected, rtol=1e-4)


def test_gradient_penalty_is_taken_between_real_and_fake_as_the_generator_draws():
    seen = []

    class Critic(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            seen.append(images.detach().clone())
            return images.square().mean(dim=(2, 3), keepdim=True).sum(1, keepdim=True)

    real, fake = torch.zeros(4, 1, 2, 2), torch.ones(4, 1, 2, 2, requires_grad=True)
    loss = create_adversarial_loss("wgan-gp")
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = loss.penalty(Critic(), real, fake, torch.Generator().manual_seed(3))
    again = loss.penalty(Critic(), real, fake, torch.Generator().manual_seed(3))
    share = torch.rand(4, 1, 1, 1, generator=torch.Generator().manual_seed(3))
    assert torch.allclose(seen[0], share.expand(4, 1, 2, 2))
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), before)
    # ∇ of the mean of x² over 4 pixels is x / 2 for each: its norm is the share itself.
    assert first.item() == pytest.approx((10 * (share - 1).square().mean()).item(), rel=1e-5)
    assert fake.grad_fn is None
    assert not seen[0].requires_grad


def test_processes_that_share_a_batch_take_the_penalty_at_the_places_of_one():
    class Critic(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.square().sum((1, 2, 3))[:, None]

    def penalty(share: Share) -> Tensor:
        rows = share.rows(len(real))
        random = torch.Generator().manual_seed(3)
        return loss.penalty(Critic(), real[rows], fake[rows], random, share)

    loss = create_adversarial_loss("wgan-gp")
    real, fake = torch.rand(6, 1, 2, 2), torch.rand(6, 1, 2, 2)
    of_each = [penalty(Share(rank, 3)) for rank in range(3)]
    assert torch.stack(of_each).mean().item() == pytest.approx(penalty(Share()).item(), rel=1e-5)


def test_only_wgan_gp_has_a_penalty_and_refuses_batch_statistics():
    for name in ADVERSARIAL_LOSSES:
        loss = create_adversarial_loss(name)
        assert loss.allows_batch_statistics == (name != "wgan-gp")
        if name != "wgan-gp":
            images = torch.rand(1, 1, 2, 2)
            assert loss.penalty(nn.Identity(), images, images, torch.Generator()) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "gan"}, "losses.adversarial='gan': must be one of bce, hinge"),
        ({"real_label": 1.2}, "losses.real_label=1.2: must be a number at least 0.5 and at most 1"),
        ({"real_label": "x"}, "losses.real_label='x': must be a number"),
        ({"gradient_penalty": 3}, "losses.options.gradient_penalty=3: bce takes no options"),
        (
            {"name": "wgan-gp", "penalty": 3},
            "losses.options.penalty=3: wgan-gp takes gradient_penalty",
        ),
        (
            {"name": "wgan-gp", "gradient_penalty": -1},
            "losses.options.gradient_penalty=-1: must be a number at least 0",
        ),
    ],
)
def test_bad_arguments_are_named_in_one_line(arguments, message):
    with pytest.raises(UserError) as error:
        create_adversarial_loss(**arguments)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_new_loss_is_one_class_and_one_line():
    @ADVERSARIAL_LOSSES.register("test-only")
    class Mean(AdversarialLoss):
        def __init__(self, factor: float = 1.0) -> None:
            self.factor = factor

        def generator(self, fake_logits, real_logits=None):
            return self.factor * fake_logits.mean()

    try:
        loss = create_adversarial_loss("test-only", factor=3.0)
        assert loss.generator(torch.ones(2, 1)).item() == 3
    finally:
        del ADVERSARIAL_LOSSES._builders["test-only"]
