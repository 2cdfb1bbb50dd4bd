"""export.py writes files that other programs run, and says how near they come."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sacred
import torch
from trained_files import checkpoint

from experiments.evaluate import ex as evaluate
from experiments.export import ex
from observers import RunArtifacts, create_observers, open_run
from tmd.checkpoints import load_generator
from tmd.errors import UserError
from tmd.images import write_image

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("network") / "a.pt")


def test_onnx_as_typed(network, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    done = subprocess.run(
        [sys.executable, ROOT / "experiments/export.py", "with", f"checkpoint={network}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("generator_x2.onnx (")
    assert "onnxruntime gives our output to " in done.stdout
    card = ["generator_x2.onnx.json", "generator_x2.onnx.md"]
    assert sorted(os.listdir(tmp_path)) == ["generator_x2.onnx", *card]
    assert "card and manifest: generator_x2.onnx.md and generator_x2.onnx.json" in done.stdout
    session = onnxruntime.InferenceSession(tmp_path / "generator_x2.onnx")
    lr = torch.rand(2, 3, 11, 6)
    with torch.no_grad():
        ours = load_generator(network)(lr)
    theirs = torch.from_numpy(session.run(None, {"lr": lr.numpy()})[0])
    assert (ours - theirs).abs().max() < 1e-4


def test_safetensors_can_be_exported_again(network, tmp_path):
    pytest.importorskip("safetensors")
    first, second = str(tmp_path / "a.safetensors"), str(tmp_path / "b.safetensors")
    for source, target in ((network, first), (first, second)):
        config = {"checkpoint": str(source), "format": "safetensors", "output": target}
        ex.run(config_updates=config)
    assert Path(first).read_bytes() == Path(second).read_bytes()


def test_torchscript_may_be_named_as_torch_does(network, tmp_path):
    path = tmp_path / "a.pt"
    config = {"checkpoint": str(network), "format": "torchscript", "output": str(path)}
    ex.run(config_updates=config)
    assert torch.jit.load(str(path))(torch.zeros(1, 3, 8, 8)).shape == (1, 3, 16, 16)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "tflite"}, "format='tflite': must be one of onnx, torchscript, safetensors"),
        ({"output": "."}, "output='.': must be a file"),
        (
            {"output": "a.safetensors"},
            "output: ends in .safetensors, and format=torchscript, whose files end in "
            ".torchscript; format=safetensors writes .safetensors",
        ),
        ({"output": "A.PT", "format": "onnx"}, "ends in .pt, and format=onnx"),
        (
            {"checkpoint": None, "run": "photos_x4"},
            "run=photos_x4: no run, but a network that comes with the package; checkpoint=photos_",
        ),
        ({"overwrite": 1}, "overwrite=1: must be True or False"),
        ({"checkpoint": None}, "run, checkpoint: give one of them"),
        ({"run": 3}, "run, checkpoint: give one of them"),
        ({"checkpoint": "gone.pt"}, "checkpoint gone.pt: no such file"),
        ({"checkpoint": "gone"}, "checkpoint=gone: no such file; of those that come with"),
    ],
)
def test_mistakes_get_one_line(tmp_path, monkeypatch, network, changes, message):
    monkeypatch.chdir(tmp_path)
    config = {"checkpoint": str(network), "format": "torchscript", **changes}
    with pytest.raises(UserError) as problem:
        ex.run(config_updates=config)
    assert message in str(problem.value)
    assert os.listdir(tmp_path) == []


def test_card_and_manifest_say_what_records_do(network, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TMD_MONGO_URL", raising=False)
    trained = sacred.Experiment("srgan", save_git_info=False)
    trained.observers.extend(create_observers(file_storage="runs"))
    trained.add_config({"seed": 3, "dataset": {"name": "folder", "root": "/home/eve/BSDS500"}})

    @trained.main
    def main(_run):
        _run.info["data"] = {"train": {"images": 400, "digest": "12ab"}}
        _run.meta_info["command_line"] = (
            "srgan.py -m mongodb://eve:hush99@db/x with root=/home/eve/y"
        )
        RunArtifacts(_run).save("best.pt", network)

    trained.run()
    draws = np.random.default_rng(0)
    for name in "ab":
        write_image(tmp_path / "Toy" / f"{name}.png", torch.from_numpy(draws.random((3, 24, 24))))
    evaluate.run(
        config_updates={"run": 1, "method": "bicubic", "benchmark": "Toy", "metrics": "psnr"},
        options={"--file_storage": "runs"},
    )
    asked = {"run": 1, "format": "safetensors", "output": "out/a.safetensors"}
    more = {"licence": "MIT", "data_licence": "research only", "limits": "Text is smeared."}
    ex.run(config_updates={**asked, **more})
    text = Path("out/a.safetensors.json").read_text()
    card = Path("out/a.safetensors.md").read_text()
    content = json.loads(text)
    assert (
        content["files"]["a.safetensors"]["sha256"]
        == hashlib.sha256(Path("out/a.safetensors").read_bytes()).hexdigest()
    )
    assert content["data"]["names"] == ["BSDS500"]
    assert (content["data"]["images"], content["data"]["licence"]) == (400, "research only")
    assert content["training"]["commands"] == ["srgan.py -m mongodb://***@db/x with root=~/y"]
    assert content["training"]["config"]["seed"] == 3
    assert {"commit", "versions", "device", "seconds"} <= set(content["training"])
    (figures,) = content["figures"]
    result = open_run(2).result["Toy"]
    assert figures["mean"] == pytest.approx(result["run_1"]["psnr"])
    assert figures["bicubic"] == pytest.approx(result["bicubic"]["psnr"])
    for private in ("eve", "hush99"):
        assert private not in text + card
    assert "Text is smeared." in card
    ex.run("check", config_updates={"checkpoint": "out/a.safetensors"})
    assert "a.safetensors: is the file of its manifest, sha256 " in capsys.readouterr().out
    with pytest.raises(UserError, match="exists; overwrite=True replaces it"):
        ex.run(config_updates={**asked, **more})
    # What is exported again keeps what is known of it.
    ex.run(config_updates={"checkpoint": "out/a.safetensors", "format": "half", "output": "b.pt"})
    again = json.loads(Path("b.pt.json").read_text())
    assert again["training"] == content["training"]
    assert again["figures"] == content["figures"]
    assert list(again["files"]) == ["b.pt"]
    Path("out/a.safetensors").write_bytes(b"another")
    with pytest.raises(UserError, match="is not the file of its manifest"):
        ex.run("check", config_updates={"checkpoint": "out/a.safetensors"})


def test_a_key_leaves_the_card_out_and_a_card_alone_is_not_replaced(network, tmp_path):
    config = {"checkpoint": str(network), "format": "half", "output": str(tmp_path / "a.pt")}
    ex.run(config_updates={**config, "card": False})
    assert os.listdir(tmp_path) == ["a.pt"]
    (tmp_path / "a.pt").unlink()
    (tmp_path / "a.pt.md").write_text("mine")
    with pytest.raises(UserError, match=r"a\.pt\.md: exists; overwrite=True replaces it"):
        ex.run(config_updates=config)
    assert os.listdir(tmp_path) == ["a.pt.md"]
