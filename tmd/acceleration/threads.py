"""Number of threads that a training on the CPU computes with, on a machine that others use too.

Threads meet after each operation, so one that waits for its processor holds up all: with another
busy process on two processors, two threads of the default network's step reached a third of their
speed at best, one thread two thirds. To wait for each other passively, or briefly, did not help.

The bits of a training depend on the number: gradients of weights and means are sums of one part a
thread. So it is chosen at the start and stays, unless ``adaptive`` was asked for.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch

from tmd.distributed import started_share
from tmd.errors import UserError

KEY = "training.threads"
AUTO, ADAPTIVE = "auto", "adaptive"
#: Processors that others keep busy, from which on one thread fewer is the faster.
SHARE = 0.6
#: Seconds over which the load is averaged: at the start, and between two looks in a run.
SHORTEST, WINDOW = 0.3, 5.0
#: Looks in a row that have to agree before a number is changed or advised against.
FEWER_AFTER, MORE_AFTER = 2, 6

_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
# Fields of a processor's line in /proc/stat (proc_stat(5)): all but idle and waiting for a disk.
_BUSY = (0, 1, 2, 5, 6, 7)


class Load(NamedTuple):
    """Use of the processors for a while.

    Attributes:
        others: processors that other programs kept busy, on average.
        processors: those that this process may use.
    """

    others: float
    processors: int


class _Reading(NamedTuple):
    time: float  # seconds
    busy: float  # processor seconds of everyone
    own: float  # of this process and its children


class LoadMeter:
    """Load by other programs since it was last read; own children count as one's own."""

    def __init__(self) -> None:
        self.processors = _processors()
        self._last = _reading(self.processors)

    def elapsed(self) -> float:
        """Seconds since it was last read."""
        return time.monotonic() - self._last.time if self._last else 0.0

    def read(self) -> Load | None:
        """Load since the last call; None where the system doesn't tell."""
        now, last = _reading(self.processors), self._last
        self._last = now
        if now is None or last is None or now.time <= last.time:
            return None
        others = (now.busy - last.busy - (now.own - last.own)) / (now.time - last.time)
        count = len(self.processors)
        return Load(min(max(others, 0.0), float(count)), count)


def check_threads(threads: Any) -> None:
    """Raise `UserError` unless ``threads`` is auto, adaptive or a number of at least 1."""
    number = isinstance(threads, int) and not isinstance(threads, bool) and threads >= 1
    if threads not in (AUTO, ADAPTIVE) and not number:
        raise UserError(f"{KEY}={threads!r}: must be {AUTO}, {ADAPTIVE}, or a number of at least 1")


def is_busy(load: Load | None) -> bool:
    """Tell whether others take at least one processor's larger part."""
    return load is not None and load.others >= SHARE


def threads_for(load: Load | None, most: int) -> int:
    """Number of threads that compute fastest under a load.

    Args:
        load: None: nothing is known of it.
        most: what a quiet machine gets.

    Example:
        >>> threads_for(Load(1.0, 2), most=2), threads_for(Load(0.2, 2), most=2)
        (1, 2)
    """
    if load is None:
        return most
    free = load.processors - int(load.others + 1 - SHARE)
    return max(1, min(most, free))


class Threads(NamedTuple):
    """A number of threads, and the line that says why it is not all of them; empty: it is."""

    number: int
    message: str


def choose_threads(
    threads: int | str,
    device: str = "cpu",
    resumed: bool = False,
    meter: LoadMeter | None = None,
    most: int | None = None,
) -> Threads:
    """Number of threads to start with.

    Args:
        threads: what the config says. ``auto``: as many as torch takes, fewer on a busy machine.
        device: on another than the CPU, and with several processes, the load does not count.
        resumed: a run goes on that was started with as many as torch takes, to the same bits.
        meter: read for the load.
        most: what a quiet machine gets; None: as many as torch takes.
    """
    most = MOST if most is None else most
    if isinstance(threads, int):
        return _at_most_the_processors(threads)
    shared = most > 1 and device == "cpu" and started_share().count == 1
    load = _load_at_start(meter or METER) if shared else None
    number = threads_for(load, most)
    if load is None or number == most:
        return Threads(most, "")
    used = _used(load)
    if resumed and threads == AUTO:
        return Threads(
            most,
            f"threads: {most}, as in the resumed run, for its bits; {used}, "
            f"{KEY}={number} or {ADAPTIVE} would be faster",
        )
    if threads == ADAPTIVE:
        return Threads(number, f"threads: {number} of {most} now, as {used}")
    return Threads(
        number,
        f"threads: auto chose {number} of {most}, as {used}; choose with {KEY}={most}, or "
        f"{ADAPTIVE} (follows the load; the bits depend on it)",
    )


def _at_most_the_processors(threads: int) -> Threads:
    processors = len(_processors())
    if threads <= processors:
        return Threads(threads, "")
    return Threads(
        processors,
        f"threads: {processors} instead of {KEY}={threads}, as this process may use {processors} "
        "processors",
    )


def _load_at_start(meter: LoadMeter) -> Load | None:
    time.sleep(max(0.0, SHORTEST - meter.elapsed()))
    return meter.read()


def _used(load: Load) -> str:
    return f"other programs keep {load.others:.1f} of {load.processors} processors busy"


@dataclass
class ThreadWatch:
    """Number of threads beside the load, while a run goes on; to be asked at its log points.

    Args:
        adaptive: change the number; else advise, once.
        most: what a quiet machine gets.
        use: sets the number.
        meter: read for the load.
    """

    adaptive: bool = False
    most: int = 0
    use: Callable[[int], None] = torch.set_num_threads
    meter: LoadMeter = field(default_factory=LoadMeter)

    def __post_init__(self) -> None:
        self.number = torch.get_num_threads()
        self.most = self.most or MOST
        self._wanted = self.number
        self._looks = 0
        self._said: set[bool] = set()

    def look(self) -> str:
        """Follow the load; a line for the user, or an empty one. Costs nothing until it is due."""
        if self.meter.elapsed() < WINDOW:
            return ""
        load = self.meter.read()
        wanted = threads_for(load, self.most)
        self._looks = self._looks + 1 if wanted == self._wanted else 1
        self._wanted = wanted
        fewer = wanted < self.number
        if load is None or wanted == self.number:
            return ""
        if self._looks < (FEWER_AFTER if fewer else MORE_AFTER):
            return ""
        if self.adaptive:
            self.use(wanted)
            self.number = wanted
        if fewer in self._said:
            return ""
        self._said.add(fewer)
        return self._line(load, wanted)

    def _line(self, load: Load, wanted: int) -> str:
        count = f"{wanted} thread{'s' if wanted > 1 else ''}"
        if self.adaptive:
            return f"threads: {wanted} of {self.most} from now on, as {_used(load)}"
        return (
            f"threads: {_used(load)}; this run has {self.number}, {count} would be faster: end it "
            f"by Ctrl-C and go on by resume=RUN {KEY}={wanted} (or {ADAPTIVE}), to other bits"
        )


def _processors() -> frozenset[int]:
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def _reading(processors: frozenset[int]) -> _Reading | None:
    try:
        busy = 0
        for line in Path("/proc/stat").read_text().splitlines():
            name, *fields = line.split()
            if name[:3] == "cpu" and name[3:].isdigit() and int(name[3:]) in processors:
                busy += sum(int(fields[field]) for field in _BUSY)
        return _Reading(time.monotonic(), busy / _TICKS, _own_ticks(os.getpid()) / _TICKS)
    except (OSError, ValueError, IndexError):  # another system, or a /proc that hides it
        return None


def _own_ticks(pid: int) -> int:
    """Of a process, those of its children that have ended, and those that run."""
    # The name, in brackets, may hold anything; fields count from behind it.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    total = sum(int(field) for field in fields[11:15])
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # a thread that has just ended
            for child in (task / "children").read_text().split():
                with suppress(OSError):
                    total += _own_ticks(int(child))
    return total


#: Begins with the imports, which take longer than `SHORTEST` as a rule.
METER = LoadMeter()
#: Threads that torch takes by itself, or the environment gives it.
MOST = torch.get_num_threads()
