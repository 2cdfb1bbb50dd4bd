"""Checkpoint files: names, contents, and reading what is broken, foreign or older."""

from __future__ import annotations

import pickle

import pytest
import torch
from ignite.engine import Engine
from torch import nn

from tmd.checkpoints import (
    checkpoint_name,
    checkpoints_in,
    image_kind,
    is_checkpoint,
    load_checkpoint,
    load_generator,
    load_weights,
    save_checkpoint,
    sheet_iteration,
    sheet_name,
)
from tmd.checkpoints.contents import about, best_contents, training_contents
from tmd.errors import UserError
from tmd.handlers.ema import average_weights
from tmd.images import ImageKind
from tmd.models import create_generator


def generator_of(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    generator = create_generator(scale=2, n_blocks=1, n_features=8)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.normal_(std=0.1)
    return generator


def described(generator: nn.Module) -> dict:
    configs = {"generator": generator.config}
    return about(2, 3, configs, experiment="srgan", measurement=[["bicubic", {}]])


def same(a, b) -> bool:
    """Two contents of a checkpoint have the same structure, and the same bits."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    return type(a) is type(b) and a == b


def test_the_average_of_the_weights_is_what_is_loaded_and_is_stored_once(tmp_path):

    generator, average = (
        generator_of(),
        average_weights(Engine(lambda *_: None), generator_of(), 0.9),
    )
    parts = {
        "generator": generator.state_dict(),
        "discriminator": {"w": torch.ones(2)},
        "average": average.state_dict(),
        "optimizer_g": {"step": 3},
    }
    with torch.no_grad():
        for value in parts["average"].values():
            value.add_(1)
    networks = ("generator", "discriminator")
    contents = training_contents(described(generator), 7, "pretrain", parts, networks)
    assert "generator" in parts  # what was given is left as it was
    path = tmp_path / "run" / checkpoint_name(7)
    save_checkpoint(path, contents)
    read = load_checkpoint(path)
    assert same({k: v for k, v in read.items() if k not in ("format", "version")}, contents)
    assert list(read["trainer"]) == ["average", "optimizer_g"]
    lr = torch.rand(1, 3, 9, 8)
    with torch.no_grad():
        assert torch.equal(load_generator(path)(lr), average.module.eval()(lr))
        assert torch.equal(load_generator(path, averaged=False)(lr), generator.eval()(lr))
    for name, value in read["ema"].items():
        assert value.data_ptr() == read["trainer"]["average"][f"module.{name}"].data_ptr()


def test_the_best_generator_needs_no_discriminator(tmp_path):
    generator = generator_of()
    contents = best_contents(
        described(generator), 9, "adversarial", generator.state_dict(), {"psnr": 30.0}
    )
    assert "discriminator_config" not in contents
    save_checkpoint(tmp_path / "best.pt", contents)
    lr = torch.rand(1, 3, 9, 8)
    with torch.no_grad():
        assert torch.equal(load_generator(tmp_path / "best.pt")(lr), generator.eval()(lr))


def test_a_checkpoint_that_can_not_be_written_leaves_the_older_one(tmp_path):
    path = tmp_path / "best.pt"
    save_checkpoint(path, {"a": torch.ones(3)})
    with pytest.raises((AttributeError, pickle.PicklingError)):
        save_checkpoint(path, {"a": torch.ones(3), "b": lambda: None})
    assert torch.equal(load_checkpoint(path)["a"], torch.ones(3))
    assert [each.name for each in tmp_path.iterdir()] == ["best.pt"]


class _Calls:
    def __reduce__(self):
        return (open, ("called", "w"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "truncated, or not a PyTorch checkpoint"),
        (b"\x80\x02not a pickle", "truncated, or not a PyTorch checkpoint"),
        ("half", "truncated, or not a PyTorch checkpoint"),
        ({"w": torch.ones(1)}, "not written by this framework"),
        ([1, 2], "not written by this framework"),
        ({"format": "tmd-checkpoint", "version": 99}, "format version 99, this code reads up to 1"),
        ({"format": "tmd-checkpoint"}, "says no version of its format"),
        ({"format": "tmd-checkpoint", "version": "1"}, "says no version of its format"),
        (
            {"format": "tmd-checkpoint", "version": 1, "x": _Calls()},
            r"would run code \(io\.open\), so ",
        ),
    ],
)
def test_what_is_no_checkpoint_of_ours_is_told_in_one_line(tmp_path, monkeypatch, content, message):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "some.pt"
    if content == "half":
        save_checkpoint(path, {"a": torch.ones(1000)})
        path.write_bytes(path.read_bytes()[:-2000])
    elif isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(UserError, match=message) as raised:
        load_checkpoint(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "called").exists()


def test_what_a_checkpoint_lacks_is_named(tmp_path):
    save_checkpoint(tmp_path / "some.pt", {"generator": {}})
    with pytest.raises(UserError, match=r"some\.pt: holds no generator_config"):
        load_generator(tmp_path / "some.pt")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("generator_config", None, "its generator_config is no config"),
        ("generator_config", [1], "its generator_config is no config"),
        ("generator_config", {1: 2}, "its generator_config is no config"),
        ("generator_config", {"name": "srcnn"}, r"no generator of ours \(generator.name='srcnn'"),
        ("generator_config", {"depth": 3}, r"no generator of ours \(generator.options.depth=3"),
        ("generator", None, "holds no weights by name"),
        ("generator", torch.ones(2), "holds no weights by name"),
        ("generator", {1: 2}, "missing head.0.weight, .* unexpected 1$"),
        ("ema", torch.ones(2), "holds no weights by name"),
        ("ema", 3, "holds no weights by name"),
    ],
)
def test_an_entry_of_another_kind_is_told_in_one_line(tmp_path, key, value, message):
    generator = generator_of()
    contents = best_contents(described(generator), 9, "pretrain", generator.state_dict(), None)
    save_checkpoint(tmp_path / "some.pt", {**contents, key: value})
    with pytest.raises(UserError, match=r"some\.pt: .*" + message) as raised:
        load_generator(tmp_path / "some.pt")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [1.0],
        torch.ones(3, 2, dtype=torch.int64),
        torch.ones(3, 2).to_sparse(),
        torch.ones(3, 2, device="meta"),  # would be copied without a word, and without a value
    ],
)
def test_what_are_no_numbers_for_a_weight_are_refused(value):
    network = nn.Linear(2, 3)
    before = {name: each.clone() for name, each in network.state_dict().items()}
    with pytest.raises(UserError, match=r"no numbers of its kind weight$"):
        load_weights(network, {"weight": value, "bias": torch.zeros(3)}, "some.pt")
    assert same(dict(network.state_dict()), before)


def test_weights_of_another_network_are_refused_by_name_and_nothing_is_loaded():
    network = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    theirs = {"0.weight": torch.zeros(3, 2), "0.bias": torch.zeros(4), "2.bias": torch.zeros(1)}
    with pytest.raises(UserError) as raised:
        load_weights(network, theirs, "some.pt")
    assert str(raised.value) == (
        "some.pt: another architecture: missing 1.weight, 1.bias; unexpected 2.bias; "
        "of another shape 0.bias (4,) instead of (3,)"
    )
    assert same(dict(network.state_dict()), before)


def test_names_are_told_apart_and_the_newest_checkpoint_is_last():
    names = ["sheet_00000400.png", "checkpoint_00000800.pt", "best.pt", "checkpoint_.pt"]
    names += ["checkpoint_100000000.pt", "checkpoint_99999999.pt", "checkpoint_00000800.pt.part"]
    assert checkpoints_in(names) == [
        "checkpoint_00000800.pt",
        "checkpoint_99999999.pt",
        "checkpoint_100000000.pt",
    ]
    assert is_checkpoint(checkpoint_name(12))
    assert sheet_iteration(sheet_name(12)) == 12
    assert [sheet_iteration(name) for name in names[:3]] == [400, None, None]


def test_the_kind_of_images_comes_back_and_older_files_are_of_8_bits(tmp_path):
    kind = ImageKind(4, "uint16", (0, 10_000), bands=(3, 2, 1, 7), shown=(3, 2, 1))
    state = about(2, 4, {"generator": {"channels": 4}}, image_kind=kind.state_dict())
    save_checkpoint(tmp_path / "new.pt", state)
    save_checkpoint(tmp_path / "old.pt", about(2, 1, {"generator": {"channels": 1}}))

    assert image_kind(load_checkpoint(tmp_path / "new.pt")) == kind
    assert image_kind(load_checkpoint(tmp_path / "old.pt")) == ImageKind(1)
