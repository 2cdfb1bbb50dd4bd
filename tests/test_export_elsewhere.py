"""Files for other programs hold our pixels there, or are not written."""

from __future__ import annotations

import dataclasses
import math
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from models.small_networks import SMALL
from torch import nn

from tmd.checkpoints import load_generator
from tmd.checkpoints.foreign import load_any
from tmd.errors import UserError
from tmd.export import FORMATS, describe, export_generator
from tmd.export.exporting import photo
from tmd.export.preparing import computed, grouped
from tmd.models import GENERATORS, create_generator
from tmd.models.generators import has_own_sizes

spandrel = pytest.importorskip("spandrel")
pytest.importorskip("safetensors")

PUBLISHED = sorted(name for name in GENERATORS if has_own_sizes(name))
SIZES = ((2, 2), (5, 33), (20, 7))


def network(name: str = "srresnet", scale: int = 2, **changes) -> nn.Module:
    """A small one in which every layer counts."""
    torch.manual_seed(0)
    # ATD's number of categories is not to be seen from its weights.
    sizes = SMALL.get(name, {"n_blocks": 1, "n_features": 8})
    sizes = {key: value for key, value in sizes.items() if key != "category_size"}
    generator = create_generator(name, scale=scale, **{**sizes, **changes})
    for module in generator.modules():
        weight = getattr(module, "weight", None)
        if isinstance(module, nn.Conv2d) and weight is not None and not weight.any():
            nn.init.normal_(weight, std=0.05)
    return generator.eval()


def metadata(generator: nn.Module) -> dict:
    config = {"scale": generator.scale, "generator_config": generator.config}
    return describe({**config, "measurement": [{"name": "bicubic"}]})


def export(generator: nn.Module, format: str, path: Path, **options):
    return export_generator(generator, format, path, metadata(generator), **options)


# Weights -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("format", "name"),
    [("safetensors", "compact"), ("safetensors", "span"), *(("pth", name) for name in PUBLISHED)],
)
def test_spandrel_opens_every_network_of_the_field(tmp_path, format, name):
    generator = network(name)
    path = tmp_path / f"g{FORMATS[format].suffix}"
    exported = export(generator, format, path)
    assert exported.difference < 1e-4
    theirs = spandrel.ModelLoader().load_from_file(path)
    assert theirs.scale == 2
    assert theirs.input_channels == 3
    lr = photo(3, (64, 64))
    with torch.no_grad():
        # RCAN's class writes into what it is given.
        assert (theirs(lr.clone()) - generator(lr).clamp(0, 1)).abs().max() < 1e-4
    # And it comes back from the file alone, as a stranger would find it.
    state = load_any(path) if format == "pth" else load_any(stripped(path))
    again = load_generator(state)
    assert again.config["name"] == name
    with torch.no_grad():
        assert torch.equal(again(lr), generator(lr))


def stripped(path: Path) -> Path:
    """The tensors of a safetensors file without our description."""
    from safetensors.torch import load_file, save_file

    target = path.with_name("stripped.safetensors")
    save_file(load_file(path), target)
    return target


def test_the_container_is_the_fields(tmp_path):
    generator = network("compact")
    export(generator, "pth", tmp_path / "g.pth", precision="float16")
    content = torch.load(tmp_path / "g.pth", weights_only=True)
    assert list(content) == ["params_ema"]
    assert set(content["params_ema"]) == set(generator.state_dict())
    assert {tensor.dtype for tensor in content["params_ema"].values()} == {torch.float16}


def test_rrdb_as_published_is_esrgan_elsewhere(tmp_path):
    published = {"global_skip": False, "n_blocks": 2}
    generator = network("rrdb", scale=4, **published)
    export(generator, "pth", tmp_path / "g.pth")
    theirs = spandrel.ModelLoader().load_from_file(tmp_path / "g.pth")
    assert (theirs.architecture.id, theirs.scale) == ("ESRGAN", 4)
    lr = torch.rand(1, 3, 9, 13)
    with torch.no_grad():
        assert (theirs.model(lr) - generator(lr)).abs().max() < 1e-5
        generator.stages[1].activation.weight.fill_(0.21)  # learnt
    with pytest.raises(UserError, match="format=pth: no other program knows rrdb"):
        export(generator, "pth", tmp_path / "h.pth")


@pytest.mark.parametrize("name", ["srresnet", "subpixel", "rrdb"])
def test_what_no_other_program_knows_is_said(tmp_path, name):
    generator = network(name)
    with pytest.raises(UserError, match=f"no other program knows {name}; onnx, openvino and ncnn"):
        export(generator, "pth", tmp_path / "g.pth")
    assert os.listdir(tmp_path) == []
    exported = export(generator, "safetensors", tmp_path / "g.safetensors")
    assert "checkpoint= takes it; no other program knows" in exported.note


def test_what_weights_do_not_tell_makes_another_network_elsewhere_and_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"format=pth: spandrel is off by .*; nothing was written"):
        export(network("atd", category_size=32), "pth", tmp_path / "g.pth")
    assert os.listdir(tmp_path) == []


def test_what_is_taken_for_another_network_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setitem(
        FORMATS,
        "pth",
        dataclasses.replace(FORMATS["pth"], misunderstood=lambda path, g: "it is taken for x"),
    )
    with pytest.raises(UserError, match="spandrel it is taken for x; nothing was written"):
        export(network("compact"), "pth", tmp_path / "g.pth")
    assert os.listdir(tmp_path) == []


# Arithmetic --------------------------------------------------------------------------------------

VARIANTS = (
    ("srresnet", {"scale": 4}),
    ("srresnet", {"scale": 3, "channels": 1, "norm": "batch", "spectral_norm": True}),
    ("rrdb", {"scale": 2, "growth_channels": 4}),
    ("compact", {}),
    ("span", {}),
)


SOME = [
    pytest.param(name, changes, marks=[] if name in ("compact", "srresnet") else pytest.mark.slow)
    for name, changes in VARIANTS[1:]
]


@pytest.mark.parametrize(("name", "changes"), SOME, ids=str)
def test_ncnn_gives_our_output_on_other_sizes(tmp_path, name, changes):
    ncnn = pytest.importorskip("ncnn")
    pytest.importorskip("pnnx")
    generator = network(name, **changes)
    exported = export(generator, "ncnn", tmp_path / "g.param")
    assert exported.difference < 1e-4
    assert sorted(os.listdir(tmp_path)) == ["g.bin", "g.param"]
    net = ncnn.Net()
    assert net.load_param(str(tmp_path / "g.param")) == 0
    assert net.load_model(str(tmp_path / "g.bin")) == 0
    for height, width in SIZES:
        lr = torch.rand(1, generator.channels, height, width)
        extractor = net.create_extractor()
        extractor.input("data", ncnn.Mat(lr[0].numpy()).clone())
        status, result = extractor.extract("output")
        assert status == 0
        with torch.no_grad():
            assert (generator(lr)[0] - torch.from_numpy(np.array(result))).abs().max() < 1e-4


@pytest.mark.parametrize(("name", "changes"), SOME[::3], ids=str)
def test_openvino_gives_our_output_on_other_sizes(tmp_path, name, changes):
    openvino = pytest.importorskip("openvino")
    generator = network(name, **changes)
    exported = export(generator, "openvino", tmp_path / "g.xml")
    assert exported.difference < 1e-4
    assert sorted(os.listdir(tmp_path)) == ["g.bin", "g.xml"]
    hint = {"INFERENCE_PRECISION_HINT": "f32"}
    model = openvino.Core().compile_model(str(tmp_path / "g.xml"), "CPU", hint)
    for height, width in SIZES:
        lr = torch.rand(2, generator.channels, height, width)
        with torch.no_grad():
            theirs = torch.from_numpy(model({"lr": lr.numpy()})["sr"].copy())
            assert (generator(lr) - theirs).abs().max() < 1e-4


def test_half_of_onnx_is_half_the_size_and_near_here_of_one_size(tmp_path):
    onnx = pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    generator = network(n_features=24, n_blocks=2)
    path = tmp_path / "g.onnx"
    half = export(generator, "onnx", path, precision="float16", size=(8, 12))
    weights = 4 * sum(each.numel() for each in generator.state_dict().values())
    assert path.stat().st_size < 0.7 * weights
    assert 1e-6 < half.difference < 2 / 255
    assert 55 < half.psnr < 120
    held = {each.data_type for each in onnx.load(path).graph.initializer}
    assert onnx.TensorProto.FLOAT16 in held
    session = onnxruntime.InferenceSession(path)
    assert session.get_inputs()[0].shape[1:] == [3, 8, 12]
    lr = torch.rand(1, 3, 8, 12)
    theirs = torch.from_numpy(session.run(["sr"], {"lr": lr.numpy()})[0])
    with torch.no_grad():
        assert (generator(lr) - theirs).abs().max() < 2 / 255
    with pytest.raises(UserError, match="format=pth: is for any size; leave size out"):
        export(network("compact"), "pth", tmp_path / "g.pth", size=(8, 12))


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_every_network_of_the_field_is_exported_whole_or_refused(tmp_path, name):
    generator = network(name)
    told = []
    for format in ("onnx", "openvino", "ncnn"):
        for size in (None, (64, 64)):
            path = tmp_path / f"{format}{FORMATS[format].suffix}"
            try:
                export(generator, format, path, size=size, overwrite=True)
            except UserError as problem:
                told.append(str(problem))
            assert path.exists() == (f"format={format}" not in "".join(told[-1:]))
            if path.exists():
                break
    assert not [line for line in told if "\n" in line]
    assert sorted({path.suffix for path in tmp_path.iterdir()}) or told


@pytest.mark.parametrize("prepare", [computed, grouped])
def test_preparing_leaves_the_original_as_it_is(prepare):
    generator = network(spectral_norm=True)
    lr = torch.rand(1, 3, 6, 7)
    with torch.no_grad():
        before = generator(lr)
        copied = prepare(generator)
        assert (copied(lr) - before).abs().max() < 1e-6
        assert torch.equal(generator(lr), before)
    assert not [name for name in copied.state_dict() if "parametrizations" in name]


def test_the_photo_has_any_bands_and_any_size():
    assert photo(1, None).shape == (1, 1, 96, 128)
    assert photo(5, (3, 700)).shape == (1, 5, 3, 700)
    assert 0 <= photo(3, None).min() < photo(3, None).max() <= 1


@pytest.mark.parametrize(
    ("format", "module", "extra"),
    [("openvino", "openvino", "openvino"), ("ncnn", "pnnx", "ncnn"), ("onnx", "onnx", "export")],
)
def test_a_missing_package_is_a_line(tmp_path, monkeypatch, format, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    message = rf"format={format}: needs {module}; pip install -e '\.\[{extra}\]' brings it"
    with pytest.raises(UserError, match=message):
        export(network(), format, tmp_path / f"g{FORMATS[format].suffix}")


@pytest.mark.parametrize(
    ("format", "options", "message"),
    [
        ("torchscript", {"precision": "float16"}, "torchscript: has no precision=float16; onnx, "),
        ("onnx", {"precision": "int8"}, "precision='int8': must be one of float32, float16"),
        ("ncnn", {}, r"g\.x: must end in \.param; its weights are written beside it"),
    ],
)
def test_mistakes_get_a_line(tmp_path, format, options, message):
    pytest.importorskip("ncnn")
    with pytest.raises(UserError, match=message):
        export(network(), format, tmp_path / "g.x", **options)
    assert os.listdir(tmp_path) == []
    assert math.isinf(export(network(), "safetensors", tmp_path / "g.safetensors").psnr)
