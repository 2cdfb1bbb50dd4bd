"""Metrics on disk: a journal that is only appended to, and Sacred's ``metrics.json`` made from it.

A beat costs the same at the millionth point as at the first: it appends to the journal. The
``metrics.json`` is made anew now and then by copying the bytes of the last one (no parsing, next
to no memory) with the points since then put behind each of its lists.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, BinaryIO

from observers.journal import FIELDS, JOURNAL, MetricSummary
from observers.names import valid_unicode
from observers.plain import measurement, step
from tmd.files import replacing

_BLOCK = 1 << 20
_LINE_POINTS = 5000  # a line of the journal fits in memory and in one update of a database


class MetricsWriter:
    """Appends the points of one run and keeps its ``metrics.json`` up to date.

    Args:
        folder: the run's.
        interval: seconds between two makings of ``metrics.json``.
    """

    def __init__(self, folder: Path, interval: float = 120.0) -> None:
        self.folder = folder
        self.interval = interval
        self.unusable = 0
        self._summaries: dict[str, MetricSummary] = {}
        self._tails: dict[str, dict[str, list[str]]] = {}
        self._pending = b""
        self._size = 0
        self._materialised_at = time.monotonic()
        self._dirty = False
        self._journal_removed = False
        self._file: BinaryIO | None = None
        self._spans: dict[str, dict[str, tuple[int, int]]] = {}

    def summary(self) -> list[dict[str, Any]]:
        """The summary of each metric, as an entry of ``run.json``."""
        return [dict(summary.entry) for summary in list(self._summaries.values())]

    def append(self, metrics_by_name: dict[str, dict[str, list]]) -> None:
        """Write what Sacred hands an observer's ``log_metrics``; what fails is tried next time."""
        for name, points in metrics_by_name.items():
            valid = valid_unicode(str(name))
            for begin in range(0, len(points["steps"]), _LINE_POINTS):
                span = slice(begin, begin + _LINE_POINTS)
                self._accept(valid, {field: points[field][span] for field in FIELDS})
        if self._pending:
            self._write_pending()

    def due(self) -> bool:
        """Return whether it is time to make ``metrics.json`` anew."""
        return self._dirty and time.monotonic() - self._materialised_at >= self.interval

    def materialise(self) -> None:
        """Make ``metrics.json`` hold every point."""
        if not self._dirty and self._file is not None:
            return
        spans: dict[str, dict[str, tuple[int, int]]] = {}
        with replacing(self.folder / "metrics.json") as new:
            self._write_all(new, spans)
            # The next making copies from this file, whatever happens to its name.
            kept = os.fdopen(os.dup(new.fileno()), "rb")
        if self._file is not None:
            self._file.close()
        self._file, self._spans, self._tails = kept, spans, {}
        self._dirty = False
        self._materialised_at = time.monotonic()

    def write_to(self, path: Path) -> None:
        """Write every point as ``metrics.json`` would hold it, on another disk say."""
        with open(path, "wb") as file:
            self._write_all(file, {})

    def remove_journal(self) -> None:
        """For a run that has ended, whose ``metrics.json`` is complete."""
        self._journal_removed = True
        (self.folder / JOURNAL).unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file that the next making would copy from."""
        if self._file is not None:
            self._file.close()

    def _accept(self, name: str, points: dict[str, list]) -> None:
        steps: list[int | float] = []
        values: list[float | None] = []
        timestamps: list[str] = []
        triples = zip(points["steps"], points["values"], points["timestamps"], strict=True)
        for at, value, when in triples:
            try:
                plain_value, plain_step = measurement(value), step(at)
            except (TypeError, ValueError, RuntimeError, OverflowError):
                self.unusable += 1
                continue
            steps.append(plain_step)
            values.append(plain_value)
            timestamps.append(when.isoformat())
        if not steps:
            return
        texts = {
            "steps": json.dumps(steps)[1:-1],
            "timestamps": json.dumps(timestamps)[1:-1],
            "values": json.dumps(values, allow_nan=False)[1:-1],
        }
        lists = ", ".join(f'"{field}": [{texts[field]}]' for field in FIELDS)
        self._pending += f'{{"name": {json.dumps(name)}, {lists}}}\n'.encode()
        self._summaries.setdefault(name, MetricSummary(name)).add(steps, values)
        tail = self._tails.setdefault(name, {field: [] for field in FIELDS})
        for field in FIELDS:
            tail[field].append(texts[field])
        self._dirty = True

    def _write_pending(self) -> None:
        if self._journal_removed:
            self._pending = b""  # the tails hold it, for the next `materialise`
            return
        handle = os.open(self.folder / JOURNAL, os.O_WRONLY | os.O_CREAT, 0o666)
        try:
            # What an earlier attempt left half written is overwritten.
            os.ftruncate(handle, self._size)
            os.lseek(handle, self._size, os.SEEK_SET)
            view = memoryview(self._pending)
            while view:
                view = view[os.write(handle, view) :]
            os.fsync(handle)  # a checkpoint that is durable may be gone on with after a power cut
        finally:
            os.close(handle)
        self._size += len(self._pending)
        self._pending = b""

    def _write_all(self, new: BinaryIO, spans: dict[str, dict[str, tuple[int, int]]]) -> None:
        new.write(b"{")
        for index, name in enumerate(self._summaries):
            new.write((", " if index else "").encode() + json.dumps(name).encode() + b": {")
            spans[name] = self._write_metric(self._file, new, name)
            new.write(b"}")
        new.write(b"}\n")
        new.flush()

    def _write_metric(
        self, old: BinaryIO | None, new: BinaryIO, name: str
    ) -> dict[str, tuple[int, int]]:
        spans = {}
        for index, field in enumerate(FIELDS):
            new.write(f'{", " if index else ""}"{field}": ['.encode())
            begin = new.tell()
            if old is not None and name in self._spans:
                _copy_span(old, new, *self._spans[name][field])
            for text in self._tails.get(name, {}).get(field, []):
                if new.tell() > begin:
                    new.write(b", ")
                new.write(text.encode())
            spans[field] = (begin, new.tell())
            new.write(b"]")
        return spans


def _copy_span(old: BinaryIO, new: BinaryIO, begin: int, end: int) -> None:
    while begin < end:
        block = os.pread(old.fileno(), min(_BLOCK, end - begin), begin)
        if not block:
            raise OSError("metrics.json was cut short by someone else")
        new.write(block)
        begin += len(block)
