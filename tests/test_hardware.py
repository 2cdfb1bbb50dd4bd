"""What a machine is called, against what the system's own tools say."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from tmd.hardware import device_name

CPU = torch.device("cpu")


def test_a_processor_has_the_name_that_lscpu_gives() -> None:
    if shutil.which("lscpu") is None:
        pytest.skip("no lscpu")
    text = subprocess.run(["lscpu"], capture_output=True, text=True, check=True).stdout
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if "Model name:" in line]
    if not names or names[0] == "-":
        pytest.skip("lscpu knows no name")
    assert device_name(CPU) == names[0]


@pytest.mark.parametrize("content", [None, "processor\t: 0\nBogoMIPS\t: 50.00\n"])
def test_a_processor_without_a_name_is_called_by_its_architecture(
    content: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(self: Path, *_: object, **__: object) -> str:
        if content is None:
            raise FileNotFoundError(self)
        return content

    monkeypatch.setattr(Path, "read_text", read)
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert device_name(CPU) == platform.machine()


def test_a_gpu_has_the_name_that_torch_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
    assert device_name(torch.device("cuda:1")) == "GPU 1"
