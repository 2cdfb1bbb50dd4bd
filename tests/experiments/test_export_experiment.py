"""export.py writes files that other programs run, and says how near they come."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from trained_files import checkpoint

from experiments.export import ex
from tmd.checkpoints import load_generator
from tmd.errors import UserError

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
    assert os.listdir(tmp_path) == ["generator_x2.onnx"]
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
