"""Other people's weights are read as they come, without running what is in a file."""

from __future__ import annotations

import argparse
import hashlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tmd.checkpoints import load_generator
from tmd.checkpoints.foreign import best_fitting, load_any, read_weights
from tmd.errors import UserError
from tmd.models import create_discriminator, create_generator
from tmd.models.weights import compare_weights, fit_weights

spandrel = pytest.importorskip("spandrel")
safetensors = pytest.importorskip("safetensors.torch")

WEIGHTS = {"conv.weight": torch.ones(2, 2), "conv.bias": torch.zeros(2)}
OTHERS = {"conv.weight": torch.zeros(2, 2)}


@pytest.mark.parametrize(
    ("content", "container"),
    [
        (WEIGHTS, ""),
        ({"params_ema": WEIGHTS, "params": OTHERS}, "params_ema"),
        ({"params": WEIGHTS}, "params"),
        ({"state_dict": WEIGHTS, "optimizer": {"state": {}}, "epoch": 3}, "state_dict"),
        ({"model": {"state_dict": WEIGHTS}}, "model.state_dict"),
        ({"anything": WEIGHTS}, "anything"),
        ({"netG": WEIGHTS, "netD": OTHERS}, "netG"),
        ({f"module.{name}": tensor for name, tensor in WEIGHTS.items()}, ""),
        ({"params": {f"module._orig_mod.{n}": t for n, t in WEIGHTS.items()}}, "params"),
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_weights_are_found_in_what_they_come_in(tmp_path, content, container, zipped):
    path = tmp_path / "w.pth"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    file = read_weights(path)
    assert {name: tensor.tolist() for name, tensor in file.weights.items()} == {
        name: tensor.tolist() for name, tensor in WEIGHTS.items()
    }
    assert file.container == container
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_safetensors_are_read_and_a_part_of_a_larger_model_is_found(tmp_path):
    safetensors.save_file(WEIGHTS, tmp_path / "w.safetensors")
    assert set(read_weights(tmp_path / "w.safetensors").weights) == set(WEIGHTS)
    torch.save({"netG": OTHERS, "netD": WEIGHTS}, tmp_path / "w.pth")
    assert read_weights(tmp_path / "w.pth", "discriminator").container == "netD"
    whole = {f"generator.{n}": t for n, t in WEIGHTS.items()} | {"discriminator.a": torch.ones(3)}
    torch.save({"state_dict": whole}, tmp_path / "w.pth")
    network = nn.ModuleDict({"conv": nn.Linear(2, 2)})
    assert set(best_fitting(read_weights(tmp_path / "w.pth"), network)) == set(WEIGHTS)


class Runs:
    """A harmless one: it makes a file."""

    def __reduce__(self):
        return (os.mkdir, ("it_ran",))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: torch.save({"params": Runs()}, path), r"would run code \(posix\.mkdir\)"),
        (
            lambda path: torch.save(
                {"params": WEIGHTS, "x": Runs()}, path, _use_new_zipfile_serialization=False
            ),
            r"would run code \(posix\.mkdir\)",
        ),
        (
            lambda path: path.write_bytes(pickle.dumps({"a": Runs()})),
            r"would run code \(posix\.mkdir\)",
        ),
        (
            lambda path: torch.save({"params": WEIGHTS, "o": argparse.Namespace(a=1)}, path),
            r"would run code \(argparse\.Namespace\), so it is refused, and nothing of it was run",
        ),
        (lambda path: torch.save(nn.Linear(1, 1), path), r"code \(torch\.nn\.modules\.linear\.Li"),
        (lambda path: path.write_bytes(b"hello" * 99), "truncated, or not a PyTorch checkpoint"),
        (lambda path: torch.save({"lr": 3}, path), r"holds no weights by name \(its keys: lr\)"),
        (lambda path: torch.save([1], path), r"holds no weights by name$"),
        (lambda path: None, "no such file"),
    ],
)
# What other tests left open is collected here as well, and is no warning of the reader's.
@pytest.mark.filterwarnings("error", "default::pytest.PytestUnraisableExceptionWarning")
def test_what_is_not_read_is_refused_in_a_line_and_runs_nothing(
    tmp_path, monkeypatch, write, message
):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "w.pth"
    write(path)
    with pytest.raises(UserError, match=message) as raised:
        load_any(path)
    assert "\n" not in str(raised.value)
    assert not Path("it_ran").exists()
    with pytest.raises(UserError):
        read_weights(path)
    assert not Path("it_ran").exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda weight: weight * float("nan"), "body.0.weight has numbers that are not finite"),
        (lambda weight: (weight * 100).to(torch.int8), "body.0.weight is of int8; weights are"),
    ],
)
def test_weights_that_no_network_can_begin_with_are_refused(tmp_path, change, said):
    weights = create_generator("compact", num_feat=4, num_conv=1).state_dict()
    weights["body.0.weight"] = change(weights["body.0.weight"])
    torch.save({"params": weights}, tmp_path / "weights.pth")
    with pytest.raises(UserError, match=said):
        read_weights(tmp_path / "weights.pth")


def test_a_torchscript_program_is_refused(tmp_path):
    torch.jit.save(torch.jit.trace(nn.Linear(1, 1), torch.ones(1, 1)), tmp_path / "w.pt")
    with pytest.raises(UserError, match="a TorchScript program, not weights"):
        load_any(tmp_path / "w.pt")


def old_names(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """ESRGAN's of one block at ×4, as it was first published."""
    layers = {"conv_first": "0", "conv_body": "1.sub.1", "conv_up1": "3", "conv_up2": "6"}
    layers |= {"conv_hr": "8", "conv_last": "10"}
    result = {}
    for name, tensor in weights.items():
        layer, _, kind = name.rpartition(".")
        if layer.startswith("body.0."):
            _, _, rdb, conv = layer.split(".")
            result[f"model.1.sub.0.{rdb.upper()}.{conv}.0.{kind}"] = tensor
        else:
            result[f"model.{layers[layer]}.{kind}"] = tensor
    return result


def test_old_style_keys_of_esrgan_are_todays_network(tmp_path):
    options = {"num_feat": 8, "num_block": 1}
    ours = create_generator("esrgan", scale=4, **options).eval()
    torch.save({"params": old_names(ours.state_dict())}, tmp_path / "old.pth")
    again = load_generator(load_any(tmp_path / "old.pth"))
    lr = torch.rand(1, 3, 9, 7)
    with torch.no_grad():
        theirs = spandrel.ModelLoader().load_from_file(tmp_path / "old.pth").model.eval()(lr)
        assert torch.equal(again(lr), ours(lr))
        assert (ours(lr) - theirs).abs().max() < 1e-5


def test_of_another_scale_the_body_is_taken_and_the_upsampling_is_new():
    parent = create_generator("compact", scale=2, num_feat=8, num_conv=2)
    child = create_generator("compact", scale=4, num_feat=8, num_conv=2)
    report = fit_weights(child, parent.state_dict())
    last = {"body.6.weight", "body.6.bias"}
    assert set(report.reinitialised) == last
    assert set(report.carried) == set(child.state_dict()) - last
    assert not report.new
    for name in report.carried:
        assert torch.equal(child.state_dict()[name], parent.state_dict()[name])
    assert report.carried_parameters == sum(p.numel() for p in parent.parameters()) - 12 * 73


def test_of_other_channels_the_first_and_the_last_layer_are_new():
    parent = create_generator("compact", scale=2, num_feat=8, num_conv=2)
    grey = create_generator("compact", scale=2, channels=1, num_feat=8, num_conv=2)
    report = compare_weights(grey.state_dict(), parent.state_dict())
    assert report.reinitialised == ["body.0.weight", "body.6.weight", "body.6.bias"]
    assert "body.0, body.6" in fit_weights(grey, parent.state_dict()).summary()


class PublishedUNet(nn.Module):
    """Real-ESRGAN's discriminator, written by its paper, with the names that its files have."""

    def __init__(self, width: int) -> None:
        super().__init__()
        norm = nn.utils.spectral_norm
        sizes = [width, 2 * width, 4 * width, 8 * width]
        self.conv0 = nn.Conv2d(3, width, 3, 1, 1)
        for i in range(3):
            down = nn.Conv2d(sizes[i], sizes[i + 1], 4, 2, 1, bias=False)
            up = nn.Conv2d(sizes[3 - i], sizes[2 - i], 3, 1, 1, bias=False)
            self.add_module(f"conv{i + 1}", norm(down))
            self.add_module(f"conv{i + 4}", norm(up))
        for i in (7, 8):
            self.add_module(f"conv{i}", norm(nn.Conv2d(width, width, 3, 1, 1, bias=False)))
        self.conv9 = nn.Conv2d(width, 1, 3, 1, 1)

    def forward(self, x):
        def layer(i, x):
            return F.leaky_relu(getattr(self, f"conv{i}")(x), 0.2)

        skips = [layer(0, x)]
        for i in (1, 2, 3):
            skips.append(layer(i, skips[-1]))
        x = skips.pop()
        for i in (4, 5, 6):
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = layer(i, x) + skips.pop()
        return self.conv9(layer(8, layer(7, x)))


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_real_esrgans_discriminator_is_our_unet(tmp_path):
    torch.manual_seed(0)
    theirs = PublishedUNet(8)
    theirs(torch.rand(1, 3, 16, 16))  # a power iteration
    torch.save({"params": theirs.state_dict()}, tmp_path / "netD.pth")
    ours = create_discriminator(
        "unet", features=[8, 16, 32, 64], strides=[1, 2, 2, 2], spectral_norm=True
    )
    file = read_weights(tmp_path / "netD.pth", "discriminator")
    report = fit_weights(ours, best_fitting(file, ours))
    assert not report.new
    assert not report.reinitialised
    assert not report.dropped
    images = torch.rand(2, 3, 32, 24)
    with torch.no_grad():
        assert (ours.eval()(images) - theirs.eval()(images)).abs().max() < 1e-5


def test_a_public_network_gives_the_pixels_that_spandrel_gives():
    data = os.environ.get("TMD_TEST_DATA", "../shared/data")
    path = Path(data) / "weights/community/CRAFT_x4_ntire2024_team34.pth"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    state = load_any(path)
    generator = load_generator(state)
    assert state["generator_config"]["name"] == "craft"
    assert (generator.scale, generator.channels) == (4, 3)
    lr = torch.from_numpy(np.random.default_rng(0).random((1, 3, 20, 33), np.float32))
    with torch.no_grad():
        theirs = spandrel.ModelLoader().load_from_file(path)(lr)
        assert torch.equal(generator(lr).clamp(0, 1), theirs)
