"""What `speed=auto` takes is what took the least time, on every start the same."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tmd.acceleration import autotune as module
from tmd.acceleration.autotune import (
    CPU_SPEEDS,
    GPU_SPEEDS,
    candidates,
    choice,
    fastest,
    is_provisional,
    work_of,
)
from tmd.acceleration.speed import Speed
from tmd.acceleration.threads import Load

CPU = torch.device("cpu")
Costs = Callable[[list[float]], list[str]]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    module._fastest.cache_clear()
    module._provisional.clear()
    let_others_use(monkeypatch, 0.0)
    yield tmp_path / "tmd" / "speeds"
    module._fastest.cache_clear()


def let_others_use(monkeypatch: pytest.MonkeyPatch, processors: float | None) -> None:
    load = None if processors is None else Load(processors, 2)
    monkeypatch.setattr(module.LoadMeter, "read", lambda self: load)


def busy(milliseconds: float) -> None:
    until = time.process_time() + milliseconds / 1e3
    while time.process_time() < until:
        pass


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch) -> Costs:
    """Let speeds take so many milliseconds; those that were timed, in the order they were made."""

    def let_take(milliseconds: list[float]) -> list[str]:
        made: list[str] = []

        def work(speed: Speed, device: torch.device) -> module.Work:
            made.append(str(speed))
            return lambda: busy(milliseconds[CPU_SPEEDS.index(speed)])

        monkeypatch.setattr(module, "work_of", work)
        return made

    return let_take


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [([3, 1, 2], 1), ([3, 2, 1], 2), ([2, 3, 1.97], 0), ([1, 2, 2], 0)],
)
def test_the_fastest_is_taken_unless_a_more_exact_one_is_as_good(
    costs: Costs, milliseconds: list[float], expected: int
) -> None:
    costs(milliseconds)
    assert fastest(CPU) == CPU_SPEEDS[expected]


def test_a_machine_is_timed_once(costs: Costs, cache: Path) -> None:
    made = costs([3, 1, 2])
    first = fastest(CPU)
    assert made == [str(speed) for speed in CPU_SPEEDS]
    assert fastest(CPU) == first
    module._fastest.cache_clear()  # as another process begins
    made = costs([1, 2, 3])
    assert fastest(CPU) == first
    assert made == []
    (place,) = cache.iterdir()
    kept = json.loads(place.read_text())
    assert kept["fastest"] == str(first)
    assert kept["milliseconds"][str(first)] == pytest.approx(1, abs=0.5)
    assert torch.__version__ in kept["machine"]


def test_what_was_timed_in_a_busy_second_is_used_and_not_remembered(
    costs: Costs, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_others_use(monkeypatch, 1.0)
    made = costs([3, 1, 2])
    assert fastest(CPU) == CPU_SPEEDS[1]
    assert is_provisional(CPU)
    assert not cache.exists()
    assert fastest(CPU) == CPU_SPEEDS[1]
    assert len(made) == 3  # once a process all the same
    module._fastest.cache_clear()  # as another process begins
    module._provisional.clear()
    let_others_use(monkeypatch, 0.2)
    costs([1, 2, 3])
    assert fastest(CPU) == CPU_SPEEDS[0]
    assert not is_provisional(CPU)
    assert len(list(cache.iterdir())) == 1


def test_what_a_quiet_machine_told_counts_on_a_busy_one(
    costs: Costs, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs([3, 1, 2])
    first = fastest(CPU)
    module._fastest.cache_clear()
    let_others_use(monkeypatch, 1.0)
    assert costs([1, 2, 3]) == []
    assert fastest(CPU) == first
    assert not is_provisional(CPU)


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '"float32"', '{"fastest": 3}', '{"fastest": "float32+compile"}']
)
def test_what_cannot_have_been_timed_is_timed_again(
    costs: Costs, cache: Path, content: str
) -> None:
    costs([3, 1, 2])
    fastest(CPU)
    (place,) = cache.iterdir()
    place.write_text(content)
    module._fastest.cache_clear()
    costs([3, 2, 1])
    assert fastest(CPU) == CPU_SPEEDS[2]


def test_another_number_of_threads_is_another_machine(costs: Costs, cache: Path) -> None:
    costs([3, 1, 2])
    threads = torch.get_num_threads()
    fastest(CPU)
    try:
        torch.set_num_threads(threads + 1)
        fastest(CPU)
    finally:
        torch.set_num_threads(threads)
    assert len(list(cache.iterdir())) == 2


def test_without_a_home_it_is_timed_every_time(
    costs: Costs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    costs([3, 1, 2])
    assert fastest(CPU) == CPU_SPEEDS[1]
    module._fastest.cache_clear()
    made = costs([3, 2, 1])
    assert fastest(CPU) == CPU_SPEEDS[2]
    assert len(made) == 3


@pytest.mark.parametrize("speed", CPU_SPEEDS, ids=str)
def test_what_is_timed_computes_what_the_speed_says(
    speed: Speed, monkeypatch: pytest.MonkeyPatch
) -> None:
    precisions, switches = [], []
    convolve = torch.nn.functional.conv2d

    def seen(images, *others, **options):
        result = convolve(images, *others, **options)
        precisions.append(result.dtype)
        switches.append(torch.backends.cudnn.enabled and torch.backends.cudnn.benchmark)
        return result

    work = work_of(speed, CPU)
    before = torch.random.get_rng_state()
    monkeypatch.setattr(torch.nn.functional, "conv2d", seen)
    work()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(switches)  # as in training, where there is a GPU
    assert set(precisions) == {speed.autocast or torch.float32}
    # The wide ones go another way.
    assert len(precisions) == (1 if speed.winograd else 3)


def test_a_gpu_without_bfloat16_stays_with_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    for has, expected in ((True, list(GPU_SPEEDS)), (False, list(GPU_SPEEDS[:2]))):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *, has=has, **_: has)
        assert list(candidates(torch.device("cuda"))) == expected


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_is_timed() -> None:
    assert fastest(torch.device("cuda")) in GPU_SPEEDS


def test_a_later_one_has_to_beat_the_best_so_far() -> None:
    assert choice([1.0]) == 0
    assert choice([3.0, 2.0, 1.9, 1.0]) == 3
    assert choice([3.0, 2.0, 1.9]) == 1
