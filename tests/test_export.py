"""Exported generators give our output in their own runtime and come back unchanged."""

from __future__ import annotations

import dataclasses
import json
import os
import sys

import pytest
import torch

from tmd.checkpoints import load_checkpoint, load_generator
from tmd.errors import UserError
from tmd.export import FORMATS, describe, export_generator
from tmd.models import create_generator

pytest.importorskip("onnxruntime")
safetensors = pytest.importorskip("safetensors.torch")

# Sizes and batches that no exporter has seen.
SIZES = ((1, 1, 1), (2, 5, 33), (1, 50, 7))
LIMITS = {"rrdb": {"growth_channels": 4, "norm": "none"}}


def lively(name: str = "srresnet", **changes):
    arguments = {"scale": 2, "n_blocks": 1, "n_features": 8, **changes, **LIMITS.get(name, {})}
    generator = create_generator(name, **arguments)
    for module in generator.modules():
        if isinstance(module, torch.nn.Conv2d) and not module.weight.any():
            torch.nn.init.normal_(module.weight, std=0.05)
    return generator.eval()


def compact(**changes):
    options = {"scale": 2, "num_feat": 8, "num_conv": 2, **changes}
    return create_generator("compact", **options).eval()


def metadata(generator) -> dict:
    return describe(
        {
            "experiment": "srgan",
            "iteration": 7,
            "scale": generator.scale,
            "channels": generator.channels,
            "generator_config": generator.config,
            "measurement": [{"name": "bicubic"}, {"name": "quantize"}],
            "trainer": {"optimizer": torch.zeros(3)},
        }
    )


def difference(generator, other) -> float:
    worst = 0.0
    for n, height, width in SIZES:
        lr = torch.rand(n, generator.channels, height, width)
        with torch.no_grad():
            worst = max(worst, (generator(lr) - other(lr)).abs().max().item())
    return worst


VARIANTS = (
    ("srresnet", {"scale": 4}),
    ("srresnet", {"scale": 3, "channels": 1, "norm": "batch", "spectral_norm": True}),
    ("srresnet", {"scale": 8, "global_skip": False}),
    *((name, {}) for name in ("rrdb", "subpixel")),
)


@pytest.mark.parametrize(("name", "changes"), VARIANTS, ids=str)
def test_onnxruntime_gives_our_output_on_other_sizes(tmp_path, name, changes):
    import onnxruntime

    generator = lively(name, **changes)
    exported = export_generator(generator, "onnx", tmp_path / "g.onnx", metadata(generator))
    assert exported.difference < 1e-5
    session = onnxruntime.InferenceSession(tmp_path / "g.onnx")
    assert (
        difference(generator, lambda lr: torch.from_numpy(session.run(None, {"lr": lr.numpy()})[0]))
        < 1e-4
    )
    notes = session.get_modelmeta().custom_metadata_map
    assert json.loads(notes["generator_config"]) == generator.config
    assert json.loads(notes["scale"]) == generator.scale
    assert json.loads(notes["measurement"])[0] == {"name": "bicubic"}
    assert os.listdir(tmp_path) == ["g.onnx"]


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(("name", "changes"), VARIANTS, ids=str)
def test_torchscript_gives_our_output_on_other_sizes(tmp_path, name, changes):
    generator = lively(name, **changes)
    export_generator(generator, "torchscript", tmp_path / "g.pt", metadata(generator))
    notes = {"tmd.json": ""}
    assert difference(generator, torch.jit.load(tmp_path / "g.pt", _extra_files=notes)) < 1e-5
    assert json.loads(notes["tmd.json"]) == metadata(generator)


@pytest.mark.parametrize(("name", "changes"), VARIANTS, ids=str)
def test_safetensors_come_back_bit_for_bit(tmp_path, name, changes):
    generator = lively(name, **changes)
    path = tmp_path / "g.safetensors"
    export_generator(generator, "safetensors", path, metadata(generator))
    again = load_generator(path)
    assert again.config == generator.config
    assert not again.training
    for (name_a, a), (name_b, b) in zip(
        generator.state_dict().items(), again.state_dict().items(), strict=True
    ):
        assert name_a == name_b
        assert torch.equal(a, b)
    state = load_checkpoint(path)
    assert state["measurement"] == [{"name": "bicubic"}, {"name": "quantize"}]
    assert (state["scale"], state["iteration"]) == (generator.scale, 7)


@pytest.mark.parametrize(("name", "changes"), VARIANTS, ids=str)
def test_half_is_a_checkpoint_of_half_the_size(tmp_path, name, changes):
    generator = lively(name, **changes)
    exported = export_generator(generator, "half", tmp_path / "g.pt", metadata(generator))
    again = load_generator(tmp_path / "g.pt")
    assert again.config == generator.config
    for a, b in zip(generator.state_dict().values(), again.state_dict().values(), strict=True):
        assert b.dtype == a.dtype
        assert torch.equal(a.half(), b.half())
    assert 0 < max(exported.difference, difference(generator, again)) < 0.5 / 255
    held = load_checkpoint(tmp_path / "g.pt")["generator"].values()
    assert {tensor.dtype for tensor in held if tensor.is_floating_point()} == {torch.float16}


def test_safetensors_are_plain_for_others(tmp_path):
    generator = lively()
    export_generator(generator, "safetensors", tmp_path / "g.safetensors", metadata(generator))
    assert set(safetensors.load_file(tmp_path / "g.safetensors")) == set(generator.state_dict())


def test_a_generator_in_training_is_exported_as_it_evaluates_and_left_alone(tmp_path):
    generator = lively(norm="batch").train()
    export_generator(generator, "safetensors", tmp_path / "g.safetensors", metadata(generator))
    assert generator.training


@pytest.mark.parametrize("format", sorted(FORMATS))
def test_what_differs_is_not_written(tmp_path, monkeypatch, format):
    kind = FORMATS[format]

    def load(path):
        run = kind.load(path)
        return lambda lr: run(lr) + 2 * kind.tolerance

    monkeypatch.setitem(FORMATS, format, dataclasses.replace(kind, load=load))
    generator = compact() if format == "pth" else lively()
    with pytest.raises(UserError, match=r"is off by .*, more than .*; nothing was written"):
        export_generator(generator, format, tmp_path / f"g{kind.suffix}", metadata(generator))
    assert os.listdir(tmp_path) == []


def test_nothing_is_replaced_unasked(tmp_path):
    generator, path = lively(), tmp_path / "g.safetensors"
    path.write_text("precious")
    with pytest.raises(UserError, match="exists; overwrite=True"):
        export_generator(generator, "safetensors", path, metadata(generator))
    assert path.read_text() == "precious"
    export_generator(generator, "safetensors", path, metadata(generator), overwrite=True)
    assert load_generator(path).scale == 2


def test_what_is_missing_or_unknown_is_said_in_a_line(tmp_path, monkeypatch):
    generator = lively()
    with pytest.raises(UserError, match="format='tflite': must be one of onnx, torchscript"):
        export_generator(generator, "tflite", tmp_path / "g", metadata(generator))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"format=onnx: needs onnxruntime; pip install"):
        export_generator(generator, "onnx", tmp_path / "g.onnx", metadata(generator))


def test_files_that_are_not_ours(tmp_path):
    broken, plain = tmp_path / "broken.safetensors", tmp_path / "plain.safetensors"
    generator = lively()
    export_generator(generator, "safetensors", broken, metadata(generator))
    broken.write_bytes(broken.read_bytes()[:-100])
    safetensors.save_file({"a": torch.zeros(2)}, plain)
    with pytest.raises(UserError, match=r"broken\.safetensors: truncated"):
        load_checkpoint(broken)
    with pytest.raises(UserError, match=r"plain\.safetensors: says nothing of its architecture"):
        load_checkpoint(plain)
    with pytest.raises(UserError, match="no such file"):
        load_checkpoint(tmp_path / "none.safetensors")


@pytest.mark.parametrize("text", ["", "{", "3", "[1]", '"x"', "null"])
def test_a_description_that_is_not_ours_is_one_line(tmp_path, text):
    path = tmp_path / "odd.safetensors"
    safetensors.save_file({"a": torch.zeros(2)}, path, {"tmd": text})
    with pytest.raises(UserError, match=r"odd\.safetensors: its description is not JSON of ours$"):
        load_checkpoint(path)
