"""The list of a store's runs, from an index of those that don't change any more.

The index, ``.index.json`` in a folder, for a database a file of `tmd.cache`, is derived: what it
holds of a run is believed only while the run's files are those that it was read from, by their
times, sizes and inodes, or while the database has the same stamp of it. A store whose index is
absent, damaged, of another version or can't be written is listed from its runs.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from observers.journal import JOURNAL
from observers.reading.files import FileStore
from observers.reading.listing import LastAndBest, Listed, listed
from observers.reading.look import Look
from observers.reading.records import RunRecord, Store
from tmd import __version__
from tmd.cache import cache_file, keep
from tmd.files import write_bytes

INDEX = ".index.json"
_FORMAT = f"tmd {__version__} 2"
_READ = ("run.json", "config.json", "info.json")
_CURVES = ("metrics.json", JOURNAL)
# A file changed so shortly ago may change again without another time: as git's index has it.
_SETTLED = 2_000_000_000
# Fewer runs are read again in less time than an index takes to write.
_WORTHWHILE = 64

#: Times, size and inode of each file, as text: JSON reads one text faster than a dozen numbers.
Signature = list[str]


def list_runs(store: Store, last: int | None = None) -> list[Listed]:
    """The runs of ``store``, by number, as far as they can be read.

    Args:
        last: only so many, the newest.

    Raises:
        UserError: the store can't be read.
    """
    if not isinstance(store, FileStore):
        return _list_stamped(store, last)
    records = store.light_records()
    records = records[-last:] if last else records
    folder = str(store.root)
    known = _read(store.root / INDEX, lambda id: os.path.join(folder, str(id)))
    runs: list[Listed | None] = []
    changed: list[int] = []
    for at, record in enumerate(records):
        kept = known.get(str(record.id))
        same = kept is not None and kept[0] == _signature(record.spec, len(kept[0]))
        runs.append(kept[1] if kept is not None and same else None)
        if not same:
            changed.append(at)
    if len(changed) < _WORTHWHILE:
        for at in changed:
            runs[at] = listed(records[at])
        return [run for run in runs if run is not None]
    return _updated(store.root, records, runs, changed, known)


def _list_stamped(store: Store, last: int | None) -> list[Listed]:
    """List the runs of a database: those with another stamp than the index has are asked for."""
    place = cache_file("lists", store.spec, ".json")
    known = {} if place is None else _read(place, lambda id: f"{store.spec}#{id}")
    there = store.stamps() if known else []
    # By their text, as what another writer numbers runs by may be no key.
    runs = {
        repr(id): known[repr(id)][1]
        for id, stamp in there
        if repr(id) in known and known[repr(id)][0] == [stamp]
    }
    changed = [id for id, _ in there if repr(id) not in runs]
    anew = store.light_records(changed if runs else None) if changed or not known else []
    order = [repr(id) for id, _ in there] if runs else [repr(record.id) for record in anew]
    runs |= {repr(record.id): listed(record) for record in anew}
    if place is not None and len(anew) >= _WORTHWHILE:
        stamped = {repr(record.id): [record.stamp] for record in anew}
        kept = {name: known[name] for name in runs if name not in stamped}
        for name, stamp in stamped.items():
            run = runs[name]
            if run.status != "RUNNING" and not run.warnings and _is_json(run):
                kept[name] = (stamp, run)
        keep(place, lambda file: file.write(_packed(kept)))
    found = [runs[name] for name in order if name in runs]
    return found[-last:] if last else found


def _is_json(run: Listed) -> bool:
    """Return whether a list reads the same from a file of JSON: databases hold other values too."""
    try:
        json.dumps([run.config, run.study, list(run.metrics.values())])
    except (TypeError, ValueError, RecursionError):
        return False
    return type(run.id) in (int, str)


def _updated(
    root: Path,
    records: list[RunRecord],
    runs: list[Listed | None],
    changed: Iterable[int],
    known: dict[str, tuple[Signature, Listed]],
) -> list[Listed]:
    """Read the runs that changed, and write the index of all that can be believed later."""
    began = _clock(root)
    there = {str(record.id) for record in records}
    # A list of the newest runs only is no reason to forget the others.
    kept = {name: each for name, each in known.items() if name not in there}
    for record, run in zip(records, runs, strict=True):
        if run is not None:
            kept[str(record.id)] = known[str(record.id)]
    for at in changed:
        signature, run = _read_anew(records[at])
        runs[at] = run
        if run.status != "RUNNING" and not run.warnings and _is_settled(signature, began):
            kept[str(records[at].id)] = (signature, run)
    if began and kept:
        with contextlib.suppress(OSError):  # a full disk, say
            write_bytes(root / INDEX, _packed(kept), durable=False)
    return [run for run in runs if run is not None]


def _read_anew(record: RunRecord) -> tuple[Signature, Listed]:
    """A run, and the signature that its files had before they were read."""
    signature = _signature(record.spec, len(_READ) + len(_CURVES))
    look = Look(record)
    run = listed(look)
    # Where the record sums its metrics up, the files with their curves have not been looked at.
    summed = isinstance(look.entry.get("metric_summary"), list)
    return signature[: len(_READ)] if summed else signature, run


def _clock(root: Path) -> int:
    """The time by the store's file system; 0 where nothing can be written there."""
    try:
        with tempfile.TemporaryFile(dir=root) as file:
            return os.fstat(file.fileno()).st_ctime_ns
    except OSError:
        return 0


def _signature(folder: str, count: int) -> Signature:
    """Times, size and inode of the files that a run's place in the list was read from."""
    found: Signature = []
    for name in (*_READ, *_CURVES)[:count]:
        try:
            state = os.stat(f"{folder}/{name}")
        except OSError:
            found.append("")
        else:
            times = f"{state.st_mtime_ns} {state.st_ctime_ns}"
            found.append(f"{times} {state.st_size} {state.st_ino}")
    return found


def _is_settled(signature: Signature, began: int) -> bool:
    times = [int(time) for each in signature for time in each.split()[:2]]
    return all(time < began - _SETTLED for time in times)


# How it lies in the file ------------------------------------------------------------------------

_METRIC = functools.partial(tuple.__new__, LastAndBest)


class _Shared:
    """Values that many runs have, each kept once and told by its number."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._numbers: dict[Any, int] = {}

    def number(self, value: Any, key: Any = None) -> int:
        """The number of ``value``; it is taken for the first of the same ``key``."""
        place = self._numbers.setdefault(value if key is None else key, len(self.values))
        if place == len(self.values):
            self.values.append(value)
        return place


def _packed(known: dict[str, tuple[Signature, Listed]]) -> bytes:
    """A line of format and digest, then JSON in which configs differ from one another's only."""
    configs, names, given = _Shared(), _Shared(), _Shared()
    rows: dict[str, Any] = {}
    for name, (signature, run) in known.items():
        base = configs.number(run.config, tuple(run.config))
        model = configs.values[base]
        rest = {key: value for key, value in run.config.items() if not _same(value, model[key])}
        rows[name] = [
            signature,
            [run.id, run.status, run.experiment, run.started, run.seconds],
            [base, rest, given.number(run.given)],
            [names.number(tuple(run.metrics)), *run.metrics.values()],
            run.study,
        ]
    content = {
        "configs": configs.values,
        "metrics": names.values,
        "given": given.values,
        "runs": rows,
    }
    body = json.dumps(content, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return f"{_FORMAT} {_digest(body)}\n".encode() + body


def _read(index: Path, spec_of: Callable[[Any], str]) -> dict[str, tuple[Signature, Listed]]:
    """What an index holds; nothing where it is absent, damaged or of another form."""
    try:
        head, _, body = index.read_bytes().partition(b"\n")
        if head.decode("ascii", "replace") != f"{_FORMAT} {_digest(body)}":
            return {}
        content = json.loads(body)
        configs, names = content["configs"], content["metrics"]
        given = [None if each is None else tuple(each) for each in content["given"]]
        known = {}
        for name, (signature, facts, (base, rest, set_by), metrics, study) in content[
            "runs"
        ].items():
            id, status, experiment, started, seconds = facts
            measured = iter(metrics)
            run = Listed(
                id=id,
                status=status,
                experiment=experiment,
                started=started,
                seconds=seconds,
                config={**configs[base], **rest},
                metrics=dict(zip(names[next(measured)], map(_METRIC, measured), strict=True)),
                study=study,
                given=given[set_by],
                spec=spec_of(id),
            )
            known[name] = (signature, run)
        return known
    except (OSError, ValueError, KeyError, IndexError, TypeError, RecursionError):
        return {}


def _digest(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=16).hexdigest()


def _same(value: Any, other: Any) -> bool:
    """Return whether two values of configs are the same to the text: 1 is not True, nor 1.0."""
    return type(value) is type(other) and repr(value) == repr(other)
