"""Networks of the field: their names, sizes and pixels are what other programs know them by."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import time

import pytest
import torch
from small_networks import SMALL
from torch import nn

from tmd.acceleration.speed import Speed
from tmd.errors import UserError
from tmd.models import create_generator
from tmd.models.contract import DTYPES
from tmd.models.options import GeneratorOptions
from tmd.models.published.recognition import identify, recognised
from tmd.models.published.sizes import SIZES
from tmd.models.reach import found_reach

spandrel = pytest.importorskip("spandrel")

#: Millions of parameters at ×4, by the authors' own repositories where nothing else is said.
PARAMETERS = {
    "compact": 0.621424,  # by hand: 1,792 + 16 * 36,928 + 17 * 64 + 27,696
    "esrgan": 16.697987,  # by hand: 1,792 + 69 * 239,808 + 4 * 36,928 + 1,731
    "swinir": 11.9,  # README.md
    "swinir_light": 0.930,  # DAT's and ATD's tables of it; its authors' own has 0.897
    "hat": 20.8,  # README.md
    "hat_small": 9.6,  # README.md
    "dat": 14.80,  # README.md
    "dat_small": 11.21,  # README.md
    "dat_light": 0.573,  # README.md
    "rgt": 13.37,  # README.md
    "atd": 20.3,  # figures/classical.png
    "atd_light": 0.769,  # figures/lightweight.png
    "craft": 0.753,  # README.md
    "rcan": 15.6,  # SwinIR's README.md
    "safmn": 0.240,  # figs/efficient_sr.png
    "safmn_large": 5.60,  # figs/classic_sr.png
    "drct": 14.13,  # README.md
}


def small(name: str, scale: int = 2, channels: int = 3) -> nn.Module:
    return create_generator(name, scale, channels, **SMALL[name])


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("size", PARAMETERS)
def test_published_sizes_have_the_published_number_of_parameters(size: str) -> None:
    name, options, _ = SIZES[size]
    with torch.device("meta"):  # shapes alone: no numbers are drawn
        network = GeneratorOptions(name=name, options=options).check(4, 3)
    assert parameters(network) / 1e6 == pytest.approx(PARAMETERS[size], rel=0.005)


def test_every_published_size_can_be_built() -> None:
    for name, options, _ in SIZES.values():
        if name in ("compact", "esrgan", "span", "plksr", "mosr", "safmn", "craft"):
            GeneratorOptions(name=name, options=options).check(2, 3)


@pytest.mark.parametrize("features", [48, 52])
@pytest.mark.parametrize("scale", [2, 4])
def test_span_merged_has_a_kernel_for_each_convolution(features: int, scale: int) -> None:
    """By hand: six blocks of three convolutions between the first and the three last."""
    state = create_generator("span", scale, feature_channels=features).state_dict()
    kept = [value for name, value in state.items() if ".sk." not in name and ".conv." not in name]
    inner = 9 * features**2 + features
    last = 4 * features**2 + features + (9 * features + 1) * 3 * scale**2
    expected = 28 * features + 18 * inner + inner + last
    assert sum(value.numel() for value in kept) == expected


@pytest.mark.parametrize("name", SMALL)
def test_spandrel_recognises_the_weights_and_gives_the_same_pixels(name: str) -> None:
    network = small(name).eval()
    loaded = spandrel.MAIN_REGISTRY.load(dict(network.state_dict()))
    assert (loaded.scale, loaded.input_channels) == (2, 3)
    # Of ESRGAN's it has other images in fours, which Real-ESRGAN itself has in twos.
    lr = torch.rand(1, 3, 20, 28) if name == "esrgan" else torch.rand(1, 3, 19, 26)
    with torch.inference_mode():
        sr, theirs = network(lr), loaded(lr)
    # Its loader clamps, and what its weights do not tell it guesses: ATD's categories.
    assert (sr.clamp(0, 1) - theirs).abs().max() < (1e-2 if name == "atd" else 1e-5)


@pytest.mark.parametrize("name", SMALL)
def test_weights_tell_which_network_they_are_of(name: str) -> None:
    network = small(name)
    found = identify(network.state_dict())
    unseen = {"atd": {"category_size"}, "moesr": {"expansion_factor", "expansion_msg"}}
    kept = {k: v for k, v in network.config.items() if k not in unseen.get(name, ())}
    again = {"name": found.name, "scale": found.scale, "channels": found.channels}
    assert kept.items() <= {**again, **found.options}.items() or kept == {
        k: v for k, v in {**again, **found.options}.items() if k in kept
    }
    other = create_generator(found.name, found.scale, found.channels, **found.options)
    other.load_state_dict(network.state_dict(), strict=True)


def test_esrgans_names_of_old_become_todays() -> None:
    network = small("esrgan")
    old = spandrel.MAIN_REGISTRY.load(dict(network.state_dict())).model.state_dict()
    assert "model.1.sub.0.RDB1.conv1.0.weight" in old
    found, weights = recognised(old)
    assert found == ("esrgan", 2, 3, {**SMALL["esrgan"], "unshuffle": True})
    own = network.state_dict()
    assert own.keys() == weights.keys()
    assert all(torch.equal(own[name], weights[name]) for name in own)


def test_unknown_weights_are_one_line() -> None:
    with pytest.raises(UserError, match=r"^weights: their names and shapes are of no arch"):
        identify({"a.weight": torch.zeros(3)})
    with pytest.raises(
        UserError, match=r"^weights: of a network of Swift-SRGAN, which is not among"
    ):
        identify(spandrel.architectures.SwiftSRGAN.SwiftSRGAN(num_blocks=1).state_dict())


@pytest.mark.parametrize("name", SMALL)
def test_config_builds_the_same_network(name: str) -> None:
    network = small(name).eval()
    again = create_generator(**json.loads(json.dumps(network.config))).eval()
    again.load_state_dict(network.state_dict(), strict=True)
    assert again.config == network.config
    lr = torch.rand(1, 3, 17, 18)
    with torch.inference_mode():
        assert torch.equal(again(lr), network(lr))


@pytest.mark.parametrize("name", SMALL)
def test_images_of_any_size_and_the_input_is_left_alone(name: str) -> None:
    network = small(name).eval()
    for height, width in ((1, 1), (3, 7), (16, 16), (33, 8)):
        lr = torch.rand(1, 3, height, width)
        before = lr.clone()
        with torch.inference_mode():
            assert network(lr).shape == (1, 3, 2 * height, 2 * width)
        assert torch.equal(lr, before)


@pytest.mark.parametrize("name", SMALL)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    """Of zero only in position biases that are normalised over a number or two."""
    network = small(name)
    network(torch.rand(2, 3, 32, 32)).square().mean().backward()
    assert not [n for n, p in network.named_parameters() if p.grad is None]
    still = [n for n, p in network.named_parameters() if not p.grad.any()]
    expected = {"craft": "pos", "dat": "pos", "rgt": "pos"}
    assert all(expected.get(name, "nothing") in each for each in still)


#: Batch normalisation (DAT), and a number of recursions that follows the image's size (RGT).
DIFFERENT_IN_TRAINING = {"dat", "rgt"}


@pytest.mark.parametrize("name", SMALL)
def test_training_and_evaluation_mode_give_the_same_pixels(name: str) -> None:
    network, lr = small(name), torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        trained, evaluated = network.train()(lr), network.eval()(lr)
    differs = not torch.allclose(trained, evaluated, atol=1e-5)
    assert differs == (name in DIFFERENT_IN_TRAINING)


@pytest.mark.parametrize("name", SMALL)
def test_bfloat16_autocast_gives_single_precision_and_leaves_the_weights(name: str) -> None:
    network, lr = small(name).eval(), torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        whole = network(lr)
        with torch.autocast("cpu", torch.bfloat16):
            half = network(lr)
    assert half.dtype == torch.float32
    assert (half - whole).abs().max() < 0.03 * whole.abs().max()
    assert half.unique().numel() > 4000  # bfloat16's have 256 values from 0.5 to 1
    assert {p.dtype for p in network.parameters()} == {torch.float32}


@pytest.mark.parametrize("name", ["compact", "span", "realplksr", "safmn", "esrgan", "swinir"])
@pytest.mark.parametrize("channels", [1, 5])
def test_other_numbers_of_channels(name: str, channels: int, monkeypatch) -> None:
    monkeypatch.setattr("tmd.models.generators.check_choice", lambda *_: None)
    network = small(name, channels=channels)
    assert network(torch.rand(1, channels, 16, 16)).shape == (1, channels, 32, 32)


def test_span_trains_the_kernel_that_its_parts_amount_to() -> None:
    ours = create_generator("span", 4, feature_channels=8)
    theirs = spandrel.architectures.SPAN.SPAN(num_in_ch=3, num_out_ch=3, feature_channels=8)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    lr = torch.rand(2, 3, 12, 14)
    a, b = ours(lr), theirs.train()(lr.clone())
    assert torch.allclose(a, b, rtol=1e-4, atol=1e-4)
    for result in (a, b):
        result.square().mean().backward()
    gradients = {name: p.grad for name, p in theirs.named_parameters()}
    for name, parameter in ours.named_parameters():
        largest = gradients[name].abs().max()
        assert (parameter.grad - gradients[name]).abs().max() < 1e-4 * largest, name


def test_spans_merged_kernels_are_brought_up_to_date_with_the_state() -> None:
    network = create_generator("span", 2, feature_channels=8)
    before = network.state_dict()["conv_1.eval_conv.bias"].clone()
    with torch.no_grad():
        network.conv_1.sk.bias.add_(1)
    assert torch.allclose(network.state_dict()["conv_1.eval_conv.bias"], before + 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"name": "span", "n_blocks": 3},
            "generator.n_blocks=3: span has no such size, its generator.options are "
            "feature_channels, rgb_norm",
        ),
        (
            {"name": "compact", "n_blocks": 4},
            "generator.n_blocks=4: compact has no such size, its generator.options are "
            "num_feat, num_conv, act_type; the network that was called compact before is "
            "generator.name=subpixel",
        ),
        (
            {"name": "compact", "options": {"depth": 4}},
            "generator.options.depth=4: compact takes act_type, num_conv, num_feat",
        ),
        (
            {"name": "compact", "options": {"num_conv": 1.5}},
            "generator.options.num_conv=1.5: must be an integer at least 1",
        ),
        (
            {"name": "swinir", "options": {"depths": [2, "x"]}},
            "generator.options.depths=[2, 'x']: must be a list of integers at least 1",
        ),
        (
            {"name": "esrgan", "scale": 3},
            "scale=3: esrgan is made for 1, 2, 4, 8",
        ),
    ],
)
def test_bad_arguments_are_named_in_one_line(arguments, message) -> None:
    scale = arguments.pop("scale", 4)
    with pytest.raises(UserError) as error:
        GeneratorOptions(**arguments).check(scale, 3)
    assert str(error.value) == message


def test_sizes_that_do_not_go_together_are_one_line() -> None:
    options = {"embed_dim": 50, "num_heads": [7], "depths": [2]}
    with pytest.raises(UserError, match=r"swinir can't be built of these") as error:
        GeneratorOptions(name="swinir", options=options).check(4, 3)
    assert "\n" not in str(error.value)


def test_other_commands_do_not_wait_for_the_fields_networks() -> None:
    code = (
        "import sys; from tmd.models import create_generator; create_generator(n_blocks=1); "
        "print('spandrel' in sys.modules, 'torchvision' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


#: Deeper and wider than the small ones, at another scale.
DEEPER = {
    "swinir": ({"embed_dim": 12, "depths": [2, 3], "num_heads": [2, 2]}, 4),
    "swin2sr": (
        {
            "embed_dim": 12,
            "depths": [3, 1],
            "num_heads": [2, 2],
            "upsampler": "pixelshuffledirect",
        },
        3,
    ),
    "moesr": ({"dim": 8, "blocks": 2, "n_block": 2}, 4),
    "safmn": ({"dim": 8, "blocks": 3}, 3),
    "drct": ({"embed_dim": 12, "depths": [6, 6], "num_heads": [2, 2], "gc": 4}, 3),
    "esrgan": ({"num_feat": 4, "num_block": 1}, 1),
    "realplksr": ({"dim": 8, "blocks": 2, "layer_norm": True}, 2),
    "plksr": ({"dim": 8, "blocks": 2, "ccm_type": "ICCM"}, 4),
}


@pytest.mark.parametrize("name", SMALL)
def test_reach_is_exact(name: str) -> None:
    """By NaN, which spreads as far as a pixel has influence, whatever the weights are."""
    for options, scale in filter(None, [(SMALL[name], 2), DEEPER.get(name)]):
        network = create_generator(name, scale, **options).eval()
        declared = network.contract.receptive_field
        length = 2 * declared + 64 if declared else max(160, 8 * network.contract.multiple)
        assert found_reach(network, length) == declared


@pytest.mark.parametrize("name", SMALL)
def test_types_that_a_whole_network_survives_are_those_of_its_contract(name: str) -> None:
    network, lr = small(name).eval(), torch.rand(1, 3, 32, 32)
    survived = []
    with torch.inference_mode():
        whole = network(lr)
        for dtype in DTYPES:
            kind = getattr(torch, dtype)
            try:
                sr = copy.deepcopy(network).to(kind)(lr.to(kind))
            except RuntimeError:
                continue
            if (sr.float() - whole).abs().max() < 0.02 * whole.abs().max():
                survived.append(dtype)
        for dtype in network.contract.half_precision:
            with torch.autocast("cpu", getattr(torch, dtype)):
                assert (network(lr) - whole).abs().max() < 0.02 * whole.abs().max()
    assert tuple(survived) == network.contract.dtypes


def test_large_kernels_are_fast_in_channels_last() -> None:
    """By the planes of one channel after the other: oneDNN's gradient took 34 times as long."""
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(8, 8, 17, padding=8))
    fast = Speed.parse("float32+channels_last").prepare(copy.deepcopy(plain), torch.device("cpu"))
    images = torch.rand(1, 8, 24, 24)
    seconds = []
    for network in (plain, fast):
        network(images).square().mean().backward()
        began = time.process_time()
        network.zero_grad()
        network(images).square().mean().backward()
        seconds.append(time.process_time() - began)
    assert torch.allclose(fast[0].weight.grad, plain[0].weight.grad, rtol=1e-4, atol=1e-7)
    assert seconds[1] < 5 * seconds[0]
