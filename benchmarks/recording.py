"""Cost of recording: a beat at the start and after a million points, memory, listing runs.

    python benchmarks/recording.py [--points 1000000] [--runs 1000]

Compares with Sacred's own file observer at the sizes it still manages.
"""

from __future__ import annotations

import argparse
import datetime
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from sacred.observers import FileStorageObserver, RunObserver

from observers import FileObserver, open_store
from observers.reading.listing import listed

NAMES = [f"train.metric_{index}" for index in range(30)]
NOW = datetime.datetime(2024, 5, 1, 12, 0, 0, 123456)


def start(observer: RunObserver) -> None:
    observer.started_event(
        ex_info={"name": "benchmark", "base_dir": ".", "sources": [], "dependencies": []},
        command="main",
        host_info={},
        start_time=NOW,
        config={"seed": 1},
        meta_info={},
        _id=None,
    )


#: Points of fifty beats, of which the first five times metrics.json are made.
FEWEST = 60 * 20 * len(NAMES)


def beat(observer: RunObserver, first: int, points: int) -> tuple[float, float]:
    """Seconds by the clock and of the processor for a beat of ``points`` points of each metric."""
    metrics: dict[str, Any] = {
        name: {
            "name": name,
            "steps": list(range(first, first + points)),
            "values": [index / 7 for index in range(first, first + points)],
            "timestamps": [NOW] * points,
        }
        for name in NAMES
    }
    began, worked = time.perf_counter(), time.thread_time()
    observer.log_metrics(metrics_by_name=metrics, info={})
    observer.heartbeat_event(info={}, captured_out="", beat_time=NOW, result=None)
    return time.perf_counter() - began, time.thread_time() - worked


def shown(costs: list[tuple[float, float]]) -> str:
    by_clock, of_processor = (
        statistics.median(column) * 1e3 for column in zip(*costs, strict=True)
    )
    return f"median {by_clock:.1f} ms, {of_processor:.1f} ms of the processor"


def measure_beats(points: int) -> None:
    """A run that logs 30 metrics twice a second: a beat every ten, metrics.json every 120 s."""
    with tempfile.TemporaryDirectory() as folder:
        observer = FileObserver(folder, metrics_interval=float("inf"))
        start(observer)
        assert observer.folder is not None
        of_each = 20
        beats = points // (of_each * len(NAMES))
        before = resident()
        costs, makings = [], []
        for number in range(beats):
            costs.append(beat(observer, number * of_each, of_each))
            if number % 12 == 11:
                began, worked = time.perf_counter(), time.thread_time()
                observer.folder.metrics.materialise()
                makings.append((time.perf_counter() - began, time.thread_time() - worked))
        memory = resident() - before
        for label, part in (("first", costs[:50]), ("last", costs[-50:])):
            print(
                f"a beat of {of_each * len(NAMES)} points, {label} 50 of {beats:,}: {shown(part)}"
            )
        size = Path(folder, "1", "metrics.json").stat().st_size / 1e6
        print(f"making metrics.json, first 5: {shown(makings[:5])}")
        print(f"making metrics.json, last 5 ({size:.0f} MB): {shown(makings[-5:])}")
        print(f"memory grew by {memory:.1f} MB", flush=True)
        began = time.perf_counter()
        (record,) = open_store(folder)
        count = sum(len(metric.steps) for metric in record.metrics().values())
        print(f"{count:,} points read back in {time.perf_counter() - began:.1f} s", flush=True)


def measure_sacred(points: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        observer = FileStorageObserver(folder)
        start(observer)
        for done in range(0, points, points // 2):
            beat(observer, done // len(NAMES), points // 2 // len(NAMES))
        cost = shown([beat(observer, points, 20)])
        print(f"Sacred's own observer, a beat at {points:,} points: {cost}", flush=True)


def measure_listing(runs: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        observer = FileObserver(folder)
        for _ in range(runs):
            start(observer)
            beat(observer, 0, 1)
            observer.completed_event(stop_time=NOW, result=None)
        began, worked = time.perf_counter(), time.thread_time()
        rows = [listed(record) for record in open_store(folder)]
        clock, processor = time.perf_counter() - began, time.thread_time() - worked
        print(f"{len(rows):,} runs listed in {clock:.2f} s, {processor:.2f} s of the processor")


def resident() -> float:
    """Peak resident memory in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=1000)
    options = parser.parse_args()
    if options.points < FEWEST:
        parser.error(f"--points {options.points}: must be at least {FEWEST:,}, for fifty beats")
    measure_beats(options.points)
    measure_sacred(min(options.points, 100_000))
    measure_listing(options.runs)


if __name__ == "__main__":
    main()
