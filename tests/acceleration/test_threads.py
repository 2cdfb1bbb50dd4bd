"""The number of threads follows the load by others, and never a bit unasked."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from tmd.acceleration import threads as module
from tmd.acceleration.threads import (
    Load,
    LoadMeter,
    ThreadWatch,
    check_threads,
    choose_threads,
    threads_for,
)
from tmd.errors import UserError

BUSY = "import time, sys\nprint(1, flush=True)\nt = time.time()\nwhile time.time() - t < 20: pass"
on_linux = pytest.mark.skipif(not os.path.exists("/proc/stat"), reason="needs Linux's /proc")


class Meter(LoadMeter):
    """A meter that reads what a test says, one after the other, each time a window is over."""

    def __init__(self, *others: float | None, processors: int = 2) -> None:
        self.loads = [None if each is None else Load(each, processors) for each in others]

    def elapsed(self) -> float:
        return module.WINDOW

    def read(self) -> Load | None:
        return self.loads.pop(0)


@pytest.mark.parametrize(
    ("others", "processors", "most", "expected"),
    [
        (0.0, 2, 2, 2),
        (0.3, 2, 2, 2),  # what a desktop does beside
        (0.67, 2, 2, 1),  # a busy process, beside two threads of ours
        (1.0, 2, 2, 1),
        (2.0, 2, 2, 1),
        (1.0, 16, 16, 15),
        (1.0, 16, 8, 8),
        (9.5, 16, 8, 7),
        (16.0, 16, 16, 1),
        (1.0, 1, 1, 1),
    ],
)
def test_as_many_threads_as_processors_are_free(others, processors, most, expected):
    assert threads_for(Load(others, processors), most) == expected
    assert threads_for(None, most) == most


@pytest.mark.parametrize("given", ["auto", "adaptive", 1, 64])
def test_what_may_be_asked_for(given):
    check_threads(given)


@pytest.mark.parametrize("given", [0, -1, 1.5, "many", "2", None, True, [1]])
def test_anything_else_is_one_line(given):
    with pytest.raises(UserError, match=r"^training\.threads=.*: must be auto, adaptive, or a num"):
        check_threads(given)


def test_a_quiet_machine_gets_all_threads_and_no_line():
    assert choose_threads("auto", meter=Meter(0.1), most=2) == (2, "")
    assert choose_threads("adaptive", meter=Meter(0.1), most=2) == (2, "")
    assert choose_threads("auto", meter=Meter(None), most=2) == (2, "")


def test_a_busy_machine_gets_fewer_and_the_line_says_how_to_choose():
    number, line = choose_threads("auto", meter=Meter(1.0), most=2)
    assert number == 1
    assert line == (
        "threads: auto chose 1 of 2, as other programs keep 1.0 of 2 processors busy; "
        "choose with training.threads=2, or adaptive (follows the load; the bits depend on it)"
    )
    assert choose_threads("adaptive", meter=Meter(1.0), most=2).number == 1


def test_a_resumed_run_keeps_its_bits_and_is_told_what_would_be_faster():
    number, line = choose_threads("auto", resumed=True, meter=Meter(1.0), most=2)
    assert number == 2
    assert "training.threads=1 or adaptive would be faster" in line
    assert "\n" not in line
    assert choose_threads("adaptive", resumed=True, meter=Meter(1.0), most=2).number == 1


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_the_load_does_not_count_on_a_gpu(device):
    assert choose_threads("auto", device, meter=Meter(2.0), most=2) == (2, "")


def test_several_processes_are_no_load_for_each_other(monkeypatch):
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "1")
    assert choose_threads("auto", meter=Meter(2.0), most=2) == (2, "")


def test_a_number_is_taken_as_it_is_unless_the_machine_is_smaller(monkeypatch):
    monkeypatch.setattr(module, "_processors", lambda: frozenset({0, 3}))
    assert choose_threads(1, meter=Meter(), most=2) == (1, "")
    assert choose_threads(2, meter=Meter(), most=2) == (2, "")
    number, line = choose_threads(16, meter=Meter(), most=2)
    assert number == 2
    assert "2 instead of training.threads=16" in line


def watch(*others: float | None, adaptive: bool = False, number: int = 2):
    used: list[int] = []
    result = ThreadWatch(adaptive, 2, used.append, Meter(*others))
    result.number = result._wanted = number
    return result, used


def test_a_run_is_told_once_that_fewer_would_be_faster_and_keeps_its_bits():
    watched, used = watch(0.1, 1.0, 1.0, 1.0, 0.1, 1.0, 1.0)
    lines = [watched.look() for _ in range(7)]
    assert [bool(line) for line in lines] == [False, False, True, False, False, False, False]
    assert lines[2] == (
        "threads: other programs keep 1.0 of 2 processors busy; this run has 2, 1 thread would be "
        "faster: end it by Ctrl-C and go on by resume=RUN training.threads=1 (or adaptive), "
        "to other bits"
    )
    assert used == []


def test_a_busy_moment_changes_nothing():
    watched, used = watch(0.1, 1.0, 0.1, 1.0, 0.1, None, 1.0, adaptive=True)
    assert not any(watched.look() for _ in range(7))
    assert used == []


def test_adaptive_gives_way_at_once_and_comes_back_when_it_stays_quiet():
    quiet = [0.1] * module.MORE_AFTER
    watched, used = watch(1.0, 1.0, *quiet, 0.1, 1.0, 1.0, adaptive=True)
    lines = [watched.look() for _ in range(len(quiet) + 5)]
    assert used == [1, 2, 1]
    assert [line for line in lines if line] == [
        "threads: 1 of 2 from now on, as other programs keep 1.0 of 2 processors busy",
        "threads: 2 of 2 from now on, as other programs keep 0.1 of 2 processors busy",
    ]


def test_a_run_with_fewer_threads_is_told_when_the_machine_stays_quiet():
    watched, used = watch(*[0.0] * module.MORE_AFTER, number=1)
    lines = [watched.look() for _ in range(module.MORE_AFTER)]
    assert not any(lines[:-1])
    assert "this run has 1, 2 threads would be faster" in lines[-1]
    assert used == []


def test_nothing_is_read_before_a_window_is_over(monkeypatch):
    meter = Meter()  # to read it would be an error
    monkeypatch.setattr(meter, "elapsed", lambda: module.WINDOW - 0.1)
    assert ThreadWatch(False, 2, meter=meter).look() == ""


def test_the_load_is_what_all_did_less_what_this_process_did(monkeypatch):
    readings = [(10.0, 100.0, 50.0), (20.0, 113.0, 54.0), (20.0, 113.0, 54.0), (25.0, 114.0, 59.0)]
    given = iter([module._Reading(*each) for each in readings])
    monkeypatch.setattr(module, "_processors", lambda: frozenset({0, 1}))
    monkeypatch.setattr(module, "_reading", lambda processors: next(given))
    meter = LoadMeter()
    assert meter.read() == Load(pytest.approx(0.9), 2)
    assert meter.read() is None
    assert meter.read() == Load(0.0, 2)  # ticks are coarse


def test_a_system_that_does_not_tell_is_taken_as_quiet(monkeypatch):
    def hidden(*_):
        raise PermissionError

    monkeypatch.setattr(module.Path, "read_text", hidden)
    meter = LoadMeter()
    assert meter.read() is None
    assert choose_threads("auto", meter=meter, most=2) == (2, "")


@on_linux
def test_what_children_do_is_ones_own_while_they_run_and_after():
    before = module._own_ticks(os.getpid())
    child = subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE)
    try:
        until = time.monotonic() + 15
        while module._own_ticks(os.getpid()) - before < 30 and time.monotonic() < until:
            time.sleep(0.05)
        running = module._own_ticks(os.getpid()) - before
    finally:
        child.kill()
        child.communicate()
    assert running >= 30
    assert module._own_ticks(os.getpid()) - before >= running


@on_linux
def test_what_strangers_do_is_load():
    meter = LoadMeter()
    # Its parent ends at once, so that it is nobody's child of ours.
    command = f"{sys.executable} -c '{BUSY}' > /dev/null 2>&1 & echo $!"
    started = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=30)
    pid = int(started.stdout.split()[0])
    try:
        time.sleep(1.5)
        load = meter.read()
    finally:
        os.kill(pid, 9)
    assert load is not None
    assert load.others > 0.3
