"""Each switch of `training.speed` does its own thing and leaves the result as it is."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from tmd.acceleration.autotune import fastest
from tmd.acceleration.speed import OPTIONS, PRECISIONS, Speed, with_torchs_convolutions
from tmd.errors import UserError
from tmd.models import create_generator

CPU = torch.device("cpu")


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("option", ["", *OPTIONS])
def test_what_is_written_is_what_is_read(precision: str, option: str) -> None:
    text = f"{precision}+{option}".rstrip("+")
    speed = Speed.parse(text)
    assert str(speed) == text
    assert speed.precision == precision
    assert [name for name in OPTIONS if getattr(speed, name)] == ([option] if option else [])


@pytest.mark.parametrize("text", ["fast", "compile", "float32+quick", "float32+", "", 3, None])
def test_what_there_is_not_is_refused(text: object) -> None:
    with pytest.raises(UserError, match=r"training\.speed=.*must be auto, or one of float32"):
        Speed.parse(text)


def test_the_fastest_here_can_be_said() -> None:
    assert Speed.parse(str(fastest(CPU))) == fastest(CPU)


def gradients(speed: Speed) -> tuple[torch.Tensor, list[torch.Tensor]]:
    torch.manual_seed(0)
    network = create_generator("srresnet", 2, 3, 2, 64, "none", False, True)
    nn.init.normal_(network.output.weight, std=0.01)
    names = list(network.state_dict())
    network = speed.prepare(network, CPU)
    assert list(network.state_dict()) == names
    assert network.scale == 2
    lr = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(1))
    with torch.autocast("cpu", speed.autocast, enabled=speed.autocast is not None):
        sr = network(lr)
    sr.float().square().mean().backward()
    return sr.detach(), [p.grad for p in network.parameters()]


@pytest.mark.parametrize(
    ("text", "tolerance"),
    [
        ("float32+channels_last", 1e-4),
        ("float32+rows", 1e-4),
        ("float32+winograd", 1e-4),
        ("bfloat16+channels_last", 5e-2),
        pytest.param("float32+compile", 1e-4, marks=pytest.mark.slow),
        pytest.param("bfloat16+channels_last+compile", 5e-2, marks=pytest.mark.slow),
        pytest.param("float32+rows+winograd+compile", 1e-4, marks=pytest.mark.slow),
    ],
)
def test_a_faster_step_has_the_same_result(text: str, tolerance: float) -> None:
    expected, theirs = gradients(Speed())
    sr, ours = gradients(Speed.parse(text))
    torch.testing.assert_close(sr, expected, rtol=tolerance, atol=tolerance)
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine - other).norm() <= tolerance * other.norm() + 1e-6


def test_graphs_are_asked_of_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, object]] = []
    monkeypatch.setattr(nn.Module, "compile", lambda network, **given: asked.append(given))
    for text in ("float32+graphs", "float32+compile+graphs", "float32+compile", "float32"):
        Speed.parse(text).prepare(nn.Conv2d(1, 1, 1), CPU)
    assert [given["mode"] for given in asked] == ["reduce-overhead", "reduce-overhead", None]


def test_channels_last_is_a_layout() -> None:
    network = Speed("float32", channels_last=True).prepare(nn.Conv2d(8, 8, 3), CPU)
    assert network.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("option", ["rows", "winograd"])
def test_torchs_convolutions_can_be_had_again(option: str) -> None:
    plain = create_generator("srresnet", 2, 3, 1, 64)
    names = [list(vars(layer)) for layer in plain.modules()]
    network = Speed.parse(f"float32+{option}").prepare(plain, CPU)
    assert [list(vars(layer)) for layer in network.modules()] != names
    with_torchs_convolutions(network)
    assert [list(vars(layer)) for layer in network.modules()] == names


@pytest.fixture
def tf32_switches() -> Iterator[list[Any]]:
    switches = [torch.backends.cuda.matmul, torch.backends.cudnn]
    before = [each.allow_tf32 for each in switches]
    yield switches
    for each, value in zip(switches, before, strict=True):
        each.allow_tf32 = value


@pytest.mark.parametrize("tf32", [False, True])
def test_a_gpus_matrix_products_are_exact(tf32: bool, tf32_switches: list[Any]) -> None:
    for each in tf32_switches:
        each.allow_tf32 = not tf32
    Speed("float32", tf32=tf32).switch_device(torch.device("cuda"))
    assert [each.allow_tf32 for each in tf32_switches] == [False, tf32]


FAULTS = """
import resource, torch
from tmd.acceleration.speed import Speed
Speed.parse({speed!r}).switch_device(torch.device("cpu"))
for repetition in range(20):
    torch.ones(1 << 24)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    if repetition == 9:
        before = faults
print(faults - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_kept_memory_is_not_asked_for_again() -> None:
    def pages(speed: str) -> int:
        command = [sys.executable, "-c", FAULTS.format(speed=speed)]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    assert pages("float32") > 200  # 10 · 64 MB in pages of 2 MB; of 4 kB mostly
    assert pages("float32+keep_memory") < 100
