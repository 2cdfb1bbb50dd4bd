from __future__ import annotations

import threading
import time

import pytest

from tmd.handlers import Background


def test_calls_are_made_in_order_and_beside_the_caller() -> None:
    done: list[tuple[int, str]] = []
    gate = threading.Event()
    background = Background(most=5)

    def note(number: int) -> None:
        gate.wait(10)
        done.append((number, threading.current_thread().name))

    for number in range(4):
        background(note, number)
    assert done == []
    gate.set()
    background.close()
    assert [number for number, _ in done] == [0, 1, 2, 3]
    assert threading.current_thread().name not in {name for _, name in done}


def test_one_too_many_waits_for_the_first() -> None:
    background, running, most_at_once = Background(most=2), [0], [0]
    handed = [0]

    def work() -> None:
        most_at_once[0] = max(most_at_once[0], handed[0] - running[0])
        time.sleep(0.02)
        running[0] += 1

    for _ in range(8):
        background(work)
        handed[0] += 1
    background.close()
    assert running[0] == 8
    assert most_at_once[0] <= 3  # two waiting or under way, and the one handed over just now


@pytest.mark.parametrize("ask", [Background.wait, Background.close])
def test_what_was_raised_is_raised_to_the_caller(ask) -> None:
    def fail() -> None:
        raise OSError("disk full")

    background = Background()
    background(fail)
    with pytest.raises(OSError, match="disk full"):
        ask(background)
    background.close()


def test_a_failure_is_raised_by_the_next_call() -> None:
    background = Background()
    background(lambda: 1 / 0)
    while not background._pending[0].done():
        time.sleep(0.001)
    with pytest.raises(ZeroDivisionError):
        background(print)
    background.close()
