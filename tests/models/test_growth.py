"""Growth: what is carried, how the grown network starts, what moves while frozen, refusals."""

from __future__ import annotations

import math
from functools import lru_cache

import pytest
import skimage.data
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tmd.errors import UserError
from tmd.models import create_discriminator, create_generator, growth
from tmd.models.frozen import FrozenLayers
from tmd.models.growth import (
    check_growth,
    grow,
    grow_discriminator,
    grown_config,
    trained_after_growth,
)
from tmd.resize import imresize

KINDS = {
    "plain": {},
    "batch norm": {"norm": "batch"},
    "spectral norm": {"spectral_norm": True},
    "no skip": {"global_skip": False},
    "rrdb": {"name": "rrdb", "growth_channels": 4},
    "rrdb spectral": {"name": "rrdb", "growth_channels": 4, "spectral_norm": True},
}


def photo() -> Tensor:
    return torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1)[None] / 255


def psnr(a: Tensor, b: Tensor) -> float:
    return -10 * math.log10((a - b).square().mean().item())


def generator(kind: str = "plain", scale: int = 2, **changes) -> nn.Module:
    arguments = {"n_blocks": 1, "n_features": 12, **KINDS[kind], **changes}
    network = create_generator(scale=scale, **arguments)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.startswith("output"):  # as if it had learnt something
                nn.init.normal_(parameter, std=0.02)
    for _ in range(3):
        network(torch.rand(2, 3, 8, 8))  # moves batch statistics and spectral estimates
    return network


@lru_cache
@torch.no_grad()
def trained(kind: str) -> nn.Module:
    """A ×2 network whose last layer is the best one for its features (by ridge regression)."""
    torch.manual_seed(0)
    network = create_generator(scale=2, n_blocks=1, n_features=12, **KINDS[kind])
    hr = photo()[..., 64:256, 128:320]
    lr = imresize(hr, 0.5).clamp(0, 1)
    for _ in range(20):
        network(lr)
    network.eval()
    output = network.output
    seen: list[Tensor] = []
    hook = output.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    output.weight.zero_()
    sr = network(lr)
    output.bias.fill_(1)
    wanted = (hr - sr) / (network(lr) - sr)  # what the layer would have to give
    output.bias.zero_()
    hook.remove()
    columns = F.unfold(seen[0], output.kernel_size, padding=output.padding)[0].double()
    gram = columns @ columns.T
    ridge = 1e-2 * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
    weight = torch.linalg.solve(gram + ridge, columns @ wanted[0].flatten(1).T.double())
    output.weight.copy_(weight.T.reshape(output.weight.shape))
    return network


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [2, 4])
def test_everything_is_carried_and_only_the_last_stage_is_new(kind, scale):
    parent = generator(kind, scale)
    before = {name: value.clone() for name, value in parent.state_dict().items()}
    grown, report = grow(parent)
    assert grown.config == {**parent.config, "scale": 2 * scale}
    assert type(grown) is type(parent)
    state = grown.state_dict()
    for name, value in before.items():
        assert torch.equal(state[name], value), name
        assert torch.equal(parent.state_dict()[name], value), name
    last = f"stages.{int(math.log2(scale))}."
    assert set(report.carried) == set(before)
    assert set(report.new) == set(state) - set(before)
    assert all(name.startswith(last) for name in report.new)
    assert not report.reinitialised
    assert not report.dropped


def test_spectral_norm_buffers_are_carried():
    parent = generator("spectral norm")
    grown, report = grow(parent)
    vectors = [name for name in parent.state_dict() if name.endswith(("._u", "._v"))]
    assert len(vectors) >= 8
    assert set(vectors) <= set(report.carried)
    for name in vectors:
        assert torch.equal(grown.state_dict()[name], parent.state_dict()[name])


def test_the_report_counts_parameters():
    parent = generator()
    grown, report = grow(parent)
    assert report.carried_parameters == sum(p.numel() for p in parent.parameters())
    assert report.new_parameters == 9 * 12 * 48 + 48 + 1
    assert report.carried_parameters + report.new_parameters == sum(
        p.numel() for p in grown.parameters()
    )
    assert report.summary() == (
        f"carried over {report.carried_parameters:,} of "
        f"{report.carried_parameters + 5233:,} parameters ({report.carried_share:.0%}); "
        "new: stages.1"
    )


def upsampled_and_grown(parent: nn.Module) -> tuple[Tensor, Tensor]:
    lr = imresize(photo()[..., :256, 128:384], 0.25).clamp(0, 1)
    grown, _ = grow(parent)
    with torch.no_grad():
        # Zero padding reaches further in where the resolution is higher.
        inside = (..., slice(32, -32), slice(32, -32))
        return imresize(parent(lr), 2)[inside], grown.eval()(lr)[inside]


@pytest.mark.parametrize(
    ("kind", "least"),
    [
        ("plain", 33),
        ("batch norm", 38),
        ("spectral norm", 34),
        ("rrdb", 43),
        ("rrdb spectral", 43),
    ],
)
def test_a_grown_network_starts_as_its_parents_output_upsampled(kind, least):
    """Measured 34.8, 39.7, 36.3, 45.1 and 47.1 dB; a stage of random weights gives 15 to 25."""
    upsampled, sr = upsampled_and_grown(trained(kind))
    assert psnr(upsampled, sr) > least


@pytest.mark.parametrize("kind", ["plain", "batch norm", "spectral norm"])
def test_the_stage_is_corrected_for_the_output_layers_new_resolution(kind, monkeypatch):
    """A 9 × 9 layer on interpolated features sees half as far as it did; RRDB's 3 × 3 less."""
    corrected = psnr(*upsampled_and_grown(trained(kind)))
    monkeypatch.setattr(growth, "RIDGE", 1e9)  # no correction of the interpolation is worth that
    assert corrected > psnr(*upsampled_and_grown(trained(kind))) + 4


def test_a_one_by_one_output_layer_makes_the_start_exact():
    """After it there is but a mix of channels, so interpolated features are interpolated images."""
    parent = generator("no skip", n_features=6).double().eval()
    with torch.no_grad():
        parent.output.weight[:, :, torch.arange(9) != 4] = 0
        parent.output.weight[:, :, :, torch.arange(9) != 4] = 0
    grown, _ = grow(parent)
    y, x = torch.meshgrid(torch.arange(20.0), torch.arange(20.0), indexing="ij")
    parent.head[0].weight.data.mul_(0.01)
    grown = grown.double().eval()
    grown.load_state_dict({**grown.state_dict(), **parent.state_dict()})
    lr = ((y + 2 * x) / 60).expand(1, 3, 20, 20).double()
    with torch.no_grad():
        expected = imresize(parent(lr), 2)[..., 40:-40, 40:-40]
        assert torch.allclose(grown(lr)[..., 40:-40, 40:-40], expected, atol=1e-4)


@pytest.mark.parametrize("kind", ["plain", "rrdb"])
def test_an_untrained_network_grows_into_bicubic(kind):
    parent = create_generator(scale=2, n_blocks=1, n_features=8, **KINDS[kind])
    grown, _ = grow(parent)
    lr = torch.rand(1, 3, 9, 9)
    assert torch.allclose(grown(lr), imresize(lr, 4), atol=1e-5)


@pytest.mark.parametrize("kind", ["plain", "no skip", "rrdb"])
def test_a_restoring_network_grows_into_one_that_enlarges_by_two(kind):
    parent = generator(kind, scale=1).eval()
    grown, report = grow(parent)
    lr = imresize(photo(), 0.25).clamp(0, 1)
    with torch.no_grad():
        expected = imresize(parent(lr), 2)[..., 32:-32, 32:-32]
        found = grown.eval()(lr)[..., 32:-32, 32:-32]
    assert grown.scale == 2
    assert not report.reinitialised
    assert psnr(expected, found) > psnr(expected, imresize(lr, 2)[..., 32:-32, 32:-32]) + 3


def test_twice_in_a_row_gives_eight():
    parent = trained("plain")
    middle, _ = grow(parent)
    grown, report = grow(middle)
    assert grown.scale == 8
    assert {name.split(".")[1] for name in report.new} == {"2"}
    lr = imresize(photo(), 0.125).clamp(0, 1)
    with torch.no_grad():
        expected = imresize(parent.eval()(lr), 4)[..., 64:-64, 64:-64]
        assert psnr(expected, grown.eval()(lr)[..., 64:-64, 64:-64]) > 30


@pytest.mark.parametrize("kind", KINDS)
def test_a_grown_network_learns_everywhere(kind):
    grown, _ = grow(generator(kind))
    grown(torch.rand(2, 3, 6, 6)).square().mean().backward()
    without = [n for n, p in grown.named_parameters() if p.grad is None or not p.grad.any()]
    assert not without


def snapshot(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def step(network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    network.train()
    optimizer.zero_grad()
    (network(torch.rand(2, 3, 6, 6)) - 0.3).square().mean().backward()
    optimizer.step()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("freeze_output", [True, False])
def test_while_frozen_exactly_the_new_ones_move(kind, freeze_output):
    grown, report = grow(generator(kind))
    frozen = FrozenLayers(grown, trained_after_growth(grown, report, freeze_output))
    frozen.freeze()
    optimizer = torch.optim.AdamW(grown.parameters(), 1e-2, weight_decay=0.1)
    before = snapshot(grown)
    for _ in range(2):
        step(grown, optimizer)
    moved = {name for name, value in grown.state_dict().items() if not value.equal(before[name])}
    expected = {name for name in report.new if not name.endswith("gain")}
    if not freeze_output:
        expected |= {n for n in before if n.startswith(("output", "refinement"))}
    assert moved == expected
    frozen.thaw()
    for _ in range(2):
        step(grown, optimizer)
    still = {name for name, value in grown.state_dict().items() if value.equal(before[name])}
    assert all(name.endswith("gain") for name in still)


def test_the_optimizers_state_outlives_the_thaw():
    grown, report = grow(generator("batch norm"))
    frozen = FrozenLayers(grown, trained_after_growth(grown, report))
    frozen.freeze()
    optimizer = torch.optim.Adam(grown.parameters(), 1e-3)
    for _ in range(3):
        step(grown, optimizer)
    learnt = {
        name: optimizer.state[parameter]["exp_avg"].clone()
        for name, parameter in grown.named_parameters()
        if parameter in optimizer.state
    }
    assert set(learnt) == set(report.new)
    frozen.thaw()
    for name, parameter in grown.named_parameters():
        if name in learnt:
            assert torch.equal(optimizer.state[parameter]["exp_avg"], learnt[name])
            assert optimizer.state[parameter]["step"] == 3
    step(grown, optimizer)
    steps = {n: int(optimizer.state[p]["step"]) for n, p in grown.named_parameters()}
    assert all(steps[name] == (4 if name in learnt else 1) for name in steps)


def test_freezing_in_the_midst_of_training_stops_at_once():
    """A gradient of the step before would still be applied."""
    network = generator()
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    step(network, optimizer)
    before = snapshot(network)
    FrozenLayers(network, trainable=["output.bias"]).freeze()
    optimizer.step()
    moved = [name for name, value in network.state_dict().items() if not value.equal(before[name])]
    assert moved == ["output.bias"]


def test_frozen_batch_statistics_are_used_and_stay():
    grown, report = grow(generator("batch norm"))
    frozen = FrozenLayers(grown, trained_after_growth(grown, report))
    frozen.freeze()
    lr = torch.rand(2, 3, 6, 6)
    with torch.no_grad():
        assert torch.equal(grown.train()(lr), grown.eval()(lr))
        frozen.thaw()
        assert not torch.equal(grown.train()(lr), grown.eval()(lr))


def test_freezing_and_thawing_twice_changes_nothing():
    grown, report = grow(generator("batch norm"))
    frozen = FrozenLayers(grown, trained_after_growth(grown, report))
    frozen.freeze()
    frozen.freeze()
    assert frozen.frozen
    frozen.thaw()
    frozen.thaw()
    assert not frozen.frozen
    assert all(parameter.requires_grad for parameter in grown.parameters())
    assert all(module.training for module in grown.modules())
    assert not any(module._forward_pre_hooks for module in grown.modules())


def test_thawing_keeps_the_mode_and_what_never_learnt():
    network = generator("batch norm").eval()
    network.output.bias.requires_grad_(False)
    frozen = FrozenLayers(network, trainable=[])
    frozen.freeze()
    frozen.thaw()
    assert not network.output.bias.requires_grad
    assert network.output.weight.requires_grad
    assert not any(module.training for module in network.modules())


def test_a_discriminator_is_carried_whole():
    parent = create_discriminator("srgan", features=[4, 8], strides=[1, 2], hidden=8)
    parent(torch.rand(2, 3, 12, 12))
    grown, report = grow_discriminator(parent)
    assert set(report.carried) == set(parent.state_dict())
    assert report.carried_share == 1
    images = torch.rand(2, 3, 24, 24)
    assert torch.equal(grown.eval()(images), parent.eval()(images))


def test_a_discriminator_with_another_end_keeps_its_beginning():
    parent = create_discriminator("srgan", features=[4, 8], strides=[1, 2], hidden=8)
    grown, report = grow_discriminator(
        parent, {**parent.config, "features": [4, 8, 16], "strides": [1, 2, 2]}
    )
    assert {name.split(".")[0] + "." + name.split(".")[1] for name in report.carried} == {
        "features.0",
        "features.1",
        "dense.1",
        "dense.3",
    }
    assert {name.rsplit(".", 2)[0] for name in report.new} == {"features.2"}
    assert report.reinitialised == ["dense.1.weight"]
    assert "initialised afresh, of another shape: dense.1" in report.summary()
    for name in report.carried:
        assert torch.equal(grown.state_dict()[name], parent.state_dict()[name])
    _, back = grow_discriminator(grown, parent.config)
    assert set(back.dropped) == set(report.new)
    assert "not needed any more: features.2" in back.summary()


def test_a_discriminator_keeps_its_convolutions_with_another_normalisation():
    parent = create_discriminator("srgan", features=[4, 4, 4], strides=[1, 2, 2], hidden=8)
    _, report = grow_discriminator(parent, {**parent.config, "norm": "none"})
    assert {f"features.{i}.conv.weight" for i in range(3)} <= set(report.carried)


def test_another_discriminator_carries_nothing():
    parent = create_discriminator("patch", features=[4, 8], strides=[1, 2])
    _, report = grow_discriminator(parent, {**parent.config, "name": "unet"})
    assert not report.carried
    assert report.carried_share == 0


@pytest.mark.parametrize(
    ("scale", "wanted", "message"),
    [
        (
            3,
            4,
            "scale=4: a ×3 network cannot grow, only 1 -> 2 -> 4 -> 8; grow a ×2 one or train ×4 "
            "from scratch",
        ),
        (8, 3, "scale=3: a ×8 network cannot grow, only 1 -> 2 -> 4 -> 8; train ×3 from scratch"),
        (2, 8, "scale=8: a ×2 network grows to 4: use scale=4, and that to 8"),
        (2, 3, "scale=3: a ×2 network grows to 4: use scale=4"),
        (1, 4, "scale=4: a ×1 network grows to 2: use scale=2, and that to 4"),
        (2, 1, "scale=1: no network has half that scale to grow from"),
        (4, 2, "scale=2: a ×4 network grows to 8: use scale=8"),
        (
            4,
            4,
            "scale=4: a ×4 network need not grow; start_from= begins with it, resume= goes on",
        ),
    ],
)
def test_scales_that_cannot_be_are_refused_with_what_would_work(scale, wanted, message):
    config = create_generator(scale=scale, n_blocks=1, n_features=4).config
    with pytest.raises(UserError) as error:
        check_growth(config, {**config, "scale": wanted})
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("key", "value", "name", "has"),
    [
        ("n_features", 64, "generator.n_features", 12),
        ("n_blocks", 2, "generator.n_blocks", 1),
        ("channels", 1, "channels", 3),
        ("norm", "batch", "generator.norm", "'none'"),
        ("growth_channels", 8, "generator.options.growth_channels", 4),
    ],
)
def test_another_width_is_refused_with_what_would_work(key, value, name, has):
    parent = generator("rrdb" if key == "growth_channels" else "plain")
    wanted = {**grown_config(parent.config), key: value}
    with pytest.raises(UserError) as error:
        grow(parent, wanted)
    assert str(error.value) == (
        f"{name}={value!r}: the network to grow has {has}, and growth keeps all but the scale; "
        f"use {name}={str(has).strip(chr(39))}"
    )


def test_another_architecture_is_refused_before_its_options():
    parent = generator()
    wanted = create_generator("rrdb", 4, n_blocks=1, n_features=12, growth_channels=4).config
    with pytest.raises(UserError, match=r"^generator\.name='rrdb': the network to grow has 'srr"):
        grow(parent, wanted)


def test_three_and_eight_do_not_grow():
    for scale, message in ((3, "cannot grow"), (8, "cannot grow")):
        with pytest.raises(UserError, match=message):
            grow(create_generator(scale=scale, n_blocks=1, n_features=4))


def test_a_network_without_stages_can_not_grow():
    parent = create_generator("subpixel", 2, n_blocks=1, n_features=8)
    with pytest.raises(UserError, match=r"^generator\.name='subpixel': has no upsampling stages"):
        grow(parent)
