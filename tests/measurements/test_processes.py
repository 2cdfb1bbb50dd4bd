"""Degradations of two processes that `torchrun` starts, against those of one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ingredients.measurement import ingredient
from tmd.measurements import create_measurement

ROOT = Path(__file__).resolve().parents[2]
WORKER = """
import sys
import torch
from tmd.distributed import connect, disconnect
from tmd.measurements import create_measurement

operators, hr = torch.load("given.pt", weights_only=False)
share, _ = connect("cpu")
measure = create_measurement(operators, 4, seed=7).of_share(share)
rows = share.rows(len(hr))
found = [measure.pair(hr[rows], index) for index in range(3)]
torch.save(found, f"found_{share.rank}.pt")
disconnect(share)
"""


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["realesrgan", "jpeg"])
def test_two_processes_degrade_as_one(preset: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    hr = torch.rand(4, 3, 64, 64)
    operators = ingredient.named_configs[preset]()["operators"]
    torch.save((operators, hr), tmp_path / "given.pt")
    (tmp_path / "worker.py").write_text(WORKER)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    meeting = ["--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0", "--local-addr=127.0.0.1"]
    subprocess.run(
        [*launcher, *meeting, "worker.py"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        check=True,
        timeout=600,
    )
    halves = [torch.load(tmp_path / f"found_{rank}.pt") for rank in range(2)]
    measure = create_measurement(operators, 4, seed=7)
    seen = []
    for index in range(3):
        whole = measure.pair(hr, index)
        for kind in range(2):  # LR, and HR as it is trained towards
            together = torch.cat([half[index][kind] for half in halves])
            assert torch.equal(together, whole[kind])
        seen.append(whole[0])
    assert not torch.equal(seen[0], seen[1])
