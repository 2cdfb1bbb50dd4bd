"""A data worker that is killed ends the stream with a line, and nothing else at another time."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import time

import pytest

from tests.data.test_splits import fill
from tmd.data import create_dataset, loading
from tmd.data.storage import MemoryStorage
from tmd.errors import LostWorkerError


def stream(tmp_path, workers):
    root = fill(tmp_path, range(8))
    data = create_dataset("folder", root, patch_size=8, batch_size=2, workers=workers)
    return data, data.batches()


def test_a_killed_worker_is_told_while_a_batch_is_waited_for(tmp_path):
    others = {process.pid for process in multiprocessing.active_children()}
    data, batches = stream(tmp_path, workers=2)
    next(batches)
    (worker, _) = (p for p in multiprocessing.active_children() if p.pid not in others)
    os.kill(worker.pid, signal.SIGKILL)
    ended = time.monotonic() + 2
    while time.monotonic() < ended:
        pass  # a training step: no exception may come up in it
    with pytest.raises(
        LostWorkerError, match=r"^dataset\.workers=2: .*SIGKILL.*dataset\.workers=0"
    ):
        list(itertools.islice(batches, 20))
    data.close()
    assert not {p.pid for p in multiprocessing.active_children()} - others


@pytest.mark.parametrize("workers", [0, 1])
def test_memory_that_does_not_suffice_is_told_alike(tmp_path, monkeypatch, workers):
    def exhausted(*_):
        raise MemoryError

    monkeypatch.setattr(MemoryStorage, "batch", exhausted)
    data, batches = stream(tmp_path, workers)
    with pytest.raises(LostWorkerError, match="not enough memory"):
        next(batches)
    data.close()


def test_processes_that_can_not_be_started_are_told_alike(tmp_path, monkeypatch):
    class Unstartable:
        def __init__(self, *_, **__):
            pass

        def __iter__(self):
            raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(loading, "DataLoader", Unstartable)
    _, batches = stream(tmp_path, workers=1)
    with pytest.raises(LostWorkerError, match=r"could not be started \(Cannot allocate memory\)"):
        next(batches)


@pytest.mark.parametrize("workers", [0, 1])
def test_other_errors_are_not_taken_for_it(tmp_path, monkeypatch, workers):
    def broken(*_):
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(MemoryStorage, "batch", broken)
    data, batches = stream(tmp_path, workers)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        next(batches)
    data.close()
