"""The load is followed between two log points, and what is found is said."""

from __future__ import annotations

from ignite.engine import Engine

from tmd.acceleration import threads
from tmd.acceleration.threads import Load, LoadMeter, ThreadWatch
from tmd.handlers import FollowLoad


class Meter(LoadMeter):
    """Two processors, on which others are busy from the third window on."""

    def __init__(self) -> None:
        self.windows = 0

    def elapsed(self) -> float:
        return threads.WINDOW

    def read(self) -> Load:
        self.windows += 1
        return Load(0.0 if self.windows < 3 else 1.0, 2)


def run(adaptive: bool, capsys) -> tuple[list[int], list[str]]:
    used: list[int] = []
    watch = ThreadWatch(adaptive, 2, used.append, Meter())
    watch.number = 2
    trainer = Engine(lambda engine, batch: None)
    FollowLoad(watch=watch).attach(trainer)
    trainer.run(range(6))
    return used, capsys.readouterr().err.splitlines()


def test_an_adaptive_run_gives_way_within_its_first_epoch(capsys):
    used, lines = run(True, capsys)
    assert used == [1]
    assert lines == ["threads: 1 of 2 from now on, as other programs keep 1.0 of 2 processors busy"]


def test_another_is_told_once_and_keeps_its_number(capsys):
    used, lines = run(False, capsys)
    assert used == []
    assert len(lines) == 1
    assert "training.threads=1 (or adaptive)" in lines[0]
