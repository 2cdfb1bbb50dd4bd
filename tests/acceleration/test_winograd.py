"""Compared with torch's own convolution, in float64."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from tmd.acceleration import winograd
from tmd.acceleration.speed import Speed
from tmd.acceleration.winograd import use_winograd
from tmd.data import measured_batches
from tmd.losses.adversarial import create_adversarial_loss
from tmd.measurements import create_measurement
from tmd.models import create_discriminator, create_generator
from tmd.training import Phases, Updater, create_srgan_trainer


@pytest.fixture
def calls(monkeypatch):
    """An entry for each time that the module's own arithmetic ran."""
    return counted(monkeypatch, "_convolve")


@pytest.fixture
def transforms(monkeypatch):
    """An entry for each transform of a weight."""
    return counted(monkeypatch, "_transformed")


def counted(monkeypatch, name: str) -> list[str]:
    calls, own = [], getattr(winograd, name)
    monkeypatch.setattr(winograd, name, lambda *arguments: calls.append(name) or own(*arguments))
    return calls


def layer(inputs: int = 64, outputs: int = 128, frozen: bool = False, **options) -> nn.Conv2d:
    torch.manual_seed(0)
    made = nn.Conv2d(inputs, outputs, 3, padding=1, **options).requires_grad_(not frozen)
    return use_winograd(made)


def images(*shape: int, last: bool = True) -> torch.Tensor:
    result = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    layout = torch.channels_last if last else torch.contiguous_format
    return result.contiguous(memory_format=layout).requires_grad_()


def distance(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return ((ours - theirs).norm() / theirs.norm()).item()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize(
    ("shape", "outputs", "last"),
    [
        ((1, 64, 32, 32), 128, True),
        ((7, 64, 16, 12), 128, True),  # chunks of whole images, the last one smaller
        ((2, 128, 47, 34), 64, False),  # neither side a multiple of a tile's; chunks of rows
    ],
)
def test_the_result_and_all_gradients_are_torchs(
    shape, outputs, last, frozen, bias, calls, transforms
) -> None:
    ours = layer(shape[1], outputs, bias=bias, frozen=frozen)
    twin = nn.Conv2d(shape[1], outputs, 3, padding=1, bias=bias).double()
    twin.load_state_dict(ours.state_dict())
    x = images(*shape, last=last)
    exact = x.detach().double().requires_grad_()
    for _ in range(2):
        result, expected = ours(x), twin(exact)
        weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(2))
        (result * weights).sum().backward()
        (expected * weights).sum().backward()
    assert len(calls) == 4
    assert len(transforms) == (2 if frozen else 4)  # kept for the second time
    assert result.shape == expected.shape
    assert distance(result, expected) < 1e-5
    assert distance(x.grad, exact.grad) < 1e-5
    if not frozen:
        for mine, theirs in zip(ours.parameters(), twin.parameters(), strict=True):
            assert distance(mine.grad, theirs.grad) < 1e-5


def test_a_loss_with_a_gradient_in_it_has_torchs_gradients(calls) -> None:
    ours = layer()
    twin = nn.Conv2d(64, 128, 3, padding=1).double()
    twin.load_state_dict(ours.state_dict())
    found = []
    for network, dtype in ((ours, torch.float32), (twin, torch.float64)):
        x = images(1, 64, 32, 32).detach().to(dtype).requires_grad_()
        (slope,) = torch.autograd.grad(network(x).square().sum(), x, create_graph=True)
        slope.square().sum().backward()
        found.append((x.grad, network.weight.grad, network.bias.grad))
    assert calls
    for mine, theirs in zip(*found, strict=True):
        assert distance(mine, theirs) < 1e-5


def test_a_weight_that_is_changed_while_frozen_is_seen(calls) -> None:
    ours = layer(frozen=True)
    x = images(1, 64, 32, 32)
    ours(x)
    with torch.no_grad():
        ours.weight.mul_(2)
    expected = F.conv2d(x, ours.weight, ours.bias, padding=1)
    assert distance(ours(x), expected) < 1e-5
    ours.weight = nn.Parameter(torch.ones(128, 64, 3, 3), requires_grad=False)
    assert distance(ours(x), F.conv2d(x, ours.weight, ours.bias, padding=1)) < 1e-5
    assert len(calls) == 3


def test_a_network_trained_and_frozen_in_turn_is_seen_as_it_is(calls) -> None:
    ours = layer()
    optimizer = torch.optim.Adam(ours.parameters(), 0.1, fused=True)  # leaves the version as it is
    x = images(1, 64, 32, 32)
    for _ in range(3):
        ours.requires_grad_(False)
        assert distance(ours(x), F.conv2d(x, ours.weight, ours.bias, padding=1)) < 1e-5
        ours.requires_grad_(True)
        ours(x).sum().backward()
        optimizer.step()
    assert len(calls) == 9


def test_a_frozen_network_that_is_trained_after_all_is_seen_as_it_is() -> None:
    ours = layer(frozen=True)
    x = images(1, 64, 32, 32)
    ours(x)
    ours.requires_grad_(True)
    ours(x).sum().backward()
    torch.optim.Adam(ours.parameters(), 0.1, fused=True).step()
    ours.requires_grad_(False)
    assert distance(ours(x), F.conv2d(x, ours.weight, ours.bias, padding=1)) < 1e-5


def test_transforms_are_kept_for_what_was_frozen_from_the_beginning(transforms) -> None:
    x = torch.zeros(1, 64, 32, 32)
    for frozen, made in ((True, 1), (False, 3)):
        transforms.clear()
        ours = layer(frozen=frozen).requires_grad_(False)
        for network in (ours, ours, copy.deepcopy(ours)):
            network(x)
        assert len(transforms) == made + frozen  # the copy makes its own


def test_what_is_first_used_in_inference_mode_serves_training() -> None:
    winograd._scratch.blocks.clear()
    for frozen in (True, False):
        ours = use_winograd(nn.Conv2d(64, 128, 3, padding=1).requires_grad_(not frozen))
        with torch.inference_mode():
            ours(torch.zeros(1, 64, 32, 32))
        x = images(1, 64, 32, 32)
        ours(x).sum().backward()
        assert x.grad.abs().max() > 0
    with torch.inference_mode():
        made = nn.Conv2d(64, 128, 3, padding=1).requires_grad_(False)
        use_winograd(made)(torch.zeros(1, 64, 32, 32))


def test_spectral_normalisation_is_seen_at_each_call(calls) -> None:
    ours = parametrizations.spectral_norm(layer(bias=False))
    x = images(1, 64, 32, 32)
    for trained in (True, False, False):
        ours.requires_grad_(trained)
        ours.parametrizations.weight.original.data.mul_(3)
        ours.eval()
        assert distance(ours(x), F.conv2d(x, ours.weight, padding=1)) < 1e-5
        ours.train()
        ours(x)
    assert len(calls) == 6


def test_what_is_kept_is_of_the_weight_it_is_for() -> None:
    """A weight that is made anew at each call may lie where the one before it lay."""
    made = parametrizations.spectral_norm(nn.Conv2d(64, 128, 3, padding=1)).eval()
    x = images(1, 64, 16, 16).detach()
    original = made.parametrizations.weight.original
    ours = use_winograd(made.requires_grad_(False))
    started = original.clone()
    results = []
    for _ in range(20):
        results.append(ours(x))
        original.add_(torch.ones_like(original), alpha=0.01)
    for number, result in enumerate(results):
        original.copy_(started + 0.01 * number)
        assert distance(result, F.conv2d(x, ours.weight, ours.bias, padding=1)) < 1e-4, number


def test_to_be_looked_at_leaves_spectral_normalisation_as_it_is() -> None:
    made = parametrizations.spectral_norm(nn.Conv2d(64, 128, 3, padding=1))
    before = copy.deepcopy(made.state_dict())
    after = use_winograd(made).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_an_activation_can_work_in_place_on_the_result() -> None:
    ours = nn.Sequential(layer(), nn.LeakyReLU(0.2, inplace=True))
    ours(images(1, 64, 32, 32)).sum().backward()
    assert ours[0].weight.grad.abs().max() > 0


@pytest.mark.parametrize(
    "unsuitable",
    [
        lambda: layer(64, 64),  # too few channels
        lambda: layer(32, 512),
        lambda: use_winograd(nn.Conv2d(64, 128, 3, padding=1, stride=2)),
        lambda: use_winograd(nn.Conv2d(64, 128, 3)),
        lambda: use_winograd(nn.Conv2d(64, 128, 3, padding=1, padding_mode="reflect")),
        lambda: use_winograd(nn.Conv2d(64, 128, 5, padding=1)),
        lambda: use_winograd(nn.Conv2d(64, 128, 3, padding=1, groups=2)),
        lambda: use_winograd(nn.Conv2d(64, 128, 3, padding=2, dilation=2)),
    ],
)
def test_other_convolutions_stay_as_they_are(unsuitable, calls) -> None:
    network = unsuitable()
    network(torch.zeros(1, network.in_channels, 40, 40))
    assert not calls


@pytest.mark.parametrize(
    ("shape", "frozen", "pays"),
    [
        ((1, 64, 32, 32), False, True),
        ((1, 64, 31, 32), False, True),
        ((1, 64, 28, 32), False, False),  # 56 tiles
        ((1, 64, 16, 16), True, True),
        ((1, 64, 12, 16), True, False),  # 12 tiles
        ((16, 64, 9, 9), True, False),  # 144 tiles of 16 pixels for 81
    ],
)
def test_inputs_that_tiles_do_not_suit_go_torchs_way(shape, frozen, pays, calls) -> None:
    layer(frozen=frozen)(torch.zeros(shape))
    assert bool(calls) == pays


def test_other_precisions_go_torchs_way(calls) -> None:
    x = torch.zeros(1, 64, 32, 32)
    layer().double()(x.double())
    with torch.autocast("cpu", torch.bfloat16):
        assert layer()(x).dtype == torch.bfloat16
    assert not calls


@pytest.mark.parametrize("again", [copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n))])
def test_a_copy_has_its_own_weights(again, calls) -> None:
    ours = layer(frozen=True)
    x = images(1, 64, 32, 32)
    before = ours(x)
    other = again(ours)
    with torch.no_grad():
        other.weight.zero_()
        other.bias.zero_()
    assert other(x).abs().max() == 0
    assert torch.equal(ours(x), before)
    assert list(other.state_dict()) == ["weight", "bias"]
    assert len(calls) == 3


def trained(speed: str, spectral_norm: bool) -> list[torch.Tensor]:
    """The parameters of both networks after some adversarial updates."""
    torch.manual_seed(0)
    generator = create_generator(scale=2, n_blocks=1, n_features=8)
    discriminator = create_discriminator(
        features=[64, 128], strides=[1, 1], spectral_norm=spectral_norm, grid=2, hidden=8
    )
    updaters = []
    for network in (generator, discriminator):
        Speed.parse(speed).prepare(network, torch.device("cpu"))
        optimizer = torch.optim.Adam(network.parameters(), 1e-3, eps=1e-3, fused=True)
        updaters.append(Updater(network, optimizer))
    trainer = create_srgan_trainer(
        generator,
        discriminator,
        *updaters,
        F.l1_loss,
        F.l1_loss,
        create_adversarial_loss("bce"),
        Phases(0, 0, 4),
    )
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    trainer.state.adv_weight = 1.0
    batch = next(measured_batches([images], create_measurement(["bicubic"], 2)))
    trainer.run([(batch,)] * 4, max_epochs=1)
    return [p.detach() for network in (generator, discriminator) for p in network.parameters()]


@pytest.mark.parametrize("spectral_norm", [False, True])
def test_adversarial_training_goes_the_same_way(spectral_norm: bool, calls) -> None:
    expected = trained("float32", spectral_norm)
    assert not calls
    for ours, theirs in zip(trained("float32+winograd", spectral_norm), expected, strict=True):
        assert distance(ours, theirs) < 1e-2
    # There and back, for D and through it for G; normalised batches go through D one by one.
    assert len(calls) == 4 * (4 if spectral_norm else 6)
