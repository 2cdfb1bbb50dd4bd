"""A script does not wait for heavy packages that it may never need."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: What costs a second or more of processor time, or is for few runs only.
HEAVY = (
    *("torchvision", "torch._dynamo", "torch._inductor", "torch.onnx", "matplotlib", "skimage"),
    *("scipy", "tensorboard", "tifffile", "pymongo", "gridfs", "onnx", "onnxruntime", "mlflow"),
    *("wandb", "lpips", "imageio_ffmpeg", "safetensors"),
)
#: For what trains, once its config is found right.
IGNITE = ("ignite", "sympy", "torch.distributed.fsdp", "tmd.session.session")


@pytest.mark.parametrize(
    ("script", "heavy"),
    [
        ("srgan", (*HEAVY, *IGNITE)),
        ("ambientgan", (*HEAVY, *IGNITE)),
        ("upscale", (*HEAVY, *IGNITE)),
        ("evaluate", (*HEAVY, *IGNITE)),
        ("export", (*HEAVY, *IGNITE)),
        ("runs", (*HEAVY, *IGNITE)),
        ("compare", (*HEAVY, *IGNITE)),
    ],
)
def test_heavy_packages_are_not_imported_before_they_are_needed(
    script: str, heavy: tuple[str, ...]
) -> None:
    code = f"import sys, experiments.{script}\nprint(*sorted(set(sys.argv[1:]) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code, *heavy],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == []


def test_a_config_is_shown_and_checked_without_what_trains(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom experiments.srgan import ex\n"
        "ex.run_commandline(['srgan.py', 'print_config', 'with', 'device=cpu'])\n"
        "print(*sorted(set(sys.argv[1:]) & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *HEAVY, *IGNITE],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.splitlines()[-1] == ""


def test_a_training_imports_no_compiler_that_it_does_not_use(tmp_path: Path) -> None:
    code = (
        "import gc, sys\nbefore = gc.get_threshold()\nfrom experiments.srgan import ex\n"
        "ex.run_commandline(['srgan.py', '-u', 'with', 'smoke', 'device=cpu',"
        "'schedule.pretrain=2it', 'schedule.warmup=1it', 'schedule.adversarial=2it',"
        "'generator.n_blocks=1', 'training.speed=float32'])\n"
        "assert gc.get_threshold() == before and gc.get_freeze_count(), 'as trainings need it'\n"
        "print(*sorted(set(sys.argv[1:]) & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "torch._dynamo", "torch._inductor", "triton", "torch.onnx"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.splitlines()[-1] == ""
