"""Devices by name: what torch has here, and a line for what it has not."""

from __future__ import annotations

import pytest
import torch

from experiments.support.devices import available_device
from tmd.acceleration.autotune import candidates, fastest
from tmd.acceleration.speed import Speed
from tmd.distributed import Share
from tmd.errors import UserError
from tmd.hardware import device_name


@pytest.mark.parametrize("device", ["mps", "xpu", "xpu:1"])
def test_a_gpu_that_is_not_here_is_one_line(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.xpu, "device_count", lambda: 0)
    with pytest.raises(UserError, match=rf"^device={device}: torch has no (Apple|Intel) GPU"):
        available_device(device)


def test_a_gpu_that_torch_has_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.xpu, "device_count", lambda: 2)
    assert available_device("mps") == "mps"
    assert available_device("xpu:1") == "xpu:1"
    with pytest.raises(UserError, match=r"device=xpu:2: torch has 2 Intel GPU"):
        available_device("xpu:2")
    monkeypatch.setattr("experiments.support.devices.started_share", lambda: Share(0, 2))
    with pytest.raises(UserError, match="several processes train on device=cpu or cuda"):
        available_device("mps")


@pytest.mark.parametrize("device", ["tpu", 3, "meta", "cuda:99"])
def test_what_is_no_device_here_is_one_line(device) -> None:
    with pytest.raises(UserError) as raised:
        available_device(device)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", ["mps", "xpu"])
def test_nothing_is_timed_on_a_gpu_that_nobody_tried(kind: str) -> None:
    device = torch.device(kind)
    assert candidates(device) == (Speed(),)
    assert fastest(device) == Speed()
    assert device_name(device).startswith(kind)
