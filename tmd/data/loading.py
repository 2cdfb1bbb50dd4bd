"""An endless stream of batches that can begin anywhere, from this process or from workers."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.multiprocessing as multiprocessing
from torch.utils.data import DataLoader, Dataset
from torch.utils.data import Sampler as TorchSampler

from tmd.data.sampling import Sampler
from tmd.data.storage import Skips, Storage
from tmd.errors import LostWorkerError, UserError


class Loaded(NamedTuple):
    """A worker's message: a batch or an error, and the images found unusable since the last."""

    batch: torch.Tensor | None
    skipped: Skips
    error: str | None


class _NumberedBatches(Dataset):
    """Batch ``i`` on demand."""

    def __init__(self, storage: Storage, sampler: Sampler) -> None:
        self.storage = storage
        self.sampler = sampler
        self.reported = set(storage.skipped)

    def __getitem__(self, index: int) -> Loaded:
        batch, error = None, None
        try:
            batch = self.storage.batch(self.sampler, index)
        except UserError as problem:
            # Raised in a worker, it would arrive wrapped in a traceback.
            error = str(problem)
        new = {i: why for i, why in self.storage.skipped.items() if i not in self.reported}
        self.reported.update(new)
        return Loaded(batch, new, error)


class _CountingFrom(TorchSampler):
    def __init__(self, first: int) -> None:
        self.first = first

    def __iter__(self) -> Iterator[int]:
        return itertools.count(self.first)


def endless_batches(
    storage: Storage, sampler: Sampler, first: int, workers: int, pin_memory: bool
) -> Iterator[Loaded]:
    """Batches ``first``, ``first`` + 1, and so on, the same for any number of workers.

    Raises:
        LostWorkerError: a worker ended, or could not be started; only while a batch is waited for.
    """
    context: Any = None
    if workers and "fork" in multiprocessing.get_all_start_methods():
        # Forked workers share the decoded images; others would get a copy through /dev/shm.
        context = multiprocessing.get_context("fork")
    loader = DataLoader(
        _NumberedBatches(storage, sampler),
        batch_size=None,
        sampler=_CountingFrom(first),
        num_workers=workers,
        pin_memory=pin_memory,
        worker_init_fn=_leave_signals_to_parent,
        multiprocessing_context=context,
    )
    with _no_error_elsewhere():
        try:
            batches = iter(loader)
        except OSError as problem:
            raise _lost(workers, f"could not be started ({problem.strerror or problem})") from None
    while True:
        try:
            yield next(batches)
        except MemoryError:
            raise _lost(workers, "had not enough memory") from None
        except RuntimeError as problem:
            codes = [process.exitcode for process in getattr(batches, "_workers", ())]
            ended = [code for code in codes if code is not None]
            if not ended:
                raise problem from None
            killed = -ended[0] in signal.valid_signals()
            how = signal.Signals(-ended[0]).name if killed else f"code {ended[0]}"
            raise _lost(workers, f"was ended by {how}") from None


@contextmanager
def _no_error_elsewhere() -> Iterator[None]:
    """Keep torch from raising at whatever statement is executed when a worker ends.

    Between the two updates of an iteration, the state would be that of no iteration. It looks
    after its workers while it waits for a batch, too.
    """
    if not hasattr(signal, "SIGCHLD") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGCHLD)
    try:
        yield
    finally:
        if before is not None:  # else it isn't Python's
            signal.signal(signal.SIGCHLD, before)


def _lost(workers: int, how: str) -> LostWorkerError:
    ways = "fewer workers, dataset.workers=0, or " if workers else ""
    return LostWorkerError(
        f"dataset.workers={workers}: a process that makes batches {how}; less memory is taken by "
        f"{ways}a smaller dataset.batch_size or dataset.patch_size"
    )


def _leave_signals_to_parent(worker: int) -> None:
    """Keep working when Ctrl-C or a scheduler signals the whole group: the parent may still save.

    The parent ends its workers through their queue, or by a SIGTERM of its own.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Only a waiting thread is told who sent a signal, and not on every system.
    if hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_when_parent_says, daemon=True).start()


def _end_when_parent_says() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
