"""The queues of both stores: runs that are recorded as QUEUED, and wait for somebody to begin them.

A run that was begun and whose process was killed is back in the queue, to be gone on with.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from observers.addresses import is_mongo
from observers.liveness import DEAD, STALE_SECONDS, parse_time, utc_now
from observers.reading.records import RunRecord, Store
from observers.reading.stores import open_store
from observers.writing.queued import CLAIM, ITEM, LEASES
from tmd.errors import UserError
from tmd.files import write_json
from tmd.leases import Leases
from tmd.processes import is_alive, this_process


class Queue(ABC):
    """The runs of a store that are to be begun, or gone on with.

    Args:
        store: with the runs.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    def waiting(self) -> list[RunRecord]:
        """The runs in their turn: of higher priority (``-P``) first, then by number."""
        latest: dict[Any, RunRecord] = {}
        for record in self.store.records():
            with contextlib.suppress(UserError):  # a damaged one is no reason not to do the others
                if record.status == "QUEUED" or item_of(record) != record.id:
                    latest[item_of(record)] = record
                elif meta_of(record).get(ITEM) is not None:
                    latest[record.id] = record
        found = [each for each in latest.values() if each.status in ("QUEUED", DEAD)]
        return sorted(found, key=lambda each: -(meta_of(each).get("priority") or 0))

    @abstractmethod
    def claimed(self, record: RunRecord) -> contextlib.AbstractContextManager[bool]:
        """A block in which no other worker begins the run; False if another one does."""

    @abstractmethod
    def fail(self, record: RunRecord, why: str) -> None:
        """Mark a queued run as FAILED that can't be begun."""


def meta_of(record: RunRecord) -> Mapping[str, Any]:
    """The entries of a record on how it was started; none of other writers'."""
    meta = record.entry.get("meta")
    return meta if isinstance(meta, Mapping) else {}


def item_of(record: RunRecord) -> Any:
    """The number of the queued run that this one is, or goes on with."""
    item = meta_of(record).get(ITEM)
    return record.id if item is None else item


def failed(why: str) -> dict[str, Any]:
    """The entries of the record of a run that can't be begun."""
    return {"status": "FAILED", "fail_trace": [why]}


class FileQueue(Queue):
    """The queue of a folder, told apart by leases in it."""

    def __init__(self, store: Store, root: Path) -> None:
        super().__init__(store)
        self.root = root
        self._leases = Leases(root / LEASES)

    @contextlib.contextmanager
    def claimed(self, record: RunRecord) -> Iterator[bool]:
        """See `Queue.claimed`; held for as long as the block lasts."""
        lease = self._leases.take(f"item-{item_of(record)}")
        if lease is None:
            yield False
            return
        with lease:
            # It may have been begun, and ended, since the list was read.
            now = {each.id for each in self.waiting()}
            yield record.id in now

    def fail(self, record: RunRecord, why: str) -> None:
        """See `Queue.fail`."""
        path = self.root / str(record.id) / "run.json"
        entry = json.loads(path.read_bytes())
        if entry["status"] == "QUEUED":
            write_json(path, {**entry, **failed(why), "stop_time": utc_now().isoformat()})


class MongoQueue(Queue):
    """The queue of a database, told apart by a claim in the run's document."""

    @contextlib.contextmanager
    def claimed(self, record: RunRecord) -> Iterator[bool]:
        """See `Queue.claimed`; the claim is not renewed: it has to last until the run has begun."""
        claim = record.entry.get(CLAIM)
        if claim is not None and _is_claimed(claim):
            yield False
            return
        mine = {"token": secrets.token_hex(8), "time": utc_now(), "process": this_process()}
        unchanged = {"$exists": False} if claim is None else claim["token"]
        runs = self.store.runs  # type: ignore[attr-defined]
        with self.store.asking():  # type: ignore[attr-defined]
            found = runs.find_one_and_update(
                {
                    "_id": record.id,
                    "status": record.entry["status"],
                    f"{CLAIM}.token": unchanged,
                },
                {"$set": {CLAIM: mine}},
            )
        try:
            yield found is not None
        finally:
            if found is not None:
                with contextlib.suppress(UserError), self.store.asking():  # type: ignore[attr-defined]
                    runs.update_one(
                        {"_id": record.id, f"{CLAIM}.token": mine["token"]}, {"$unset": {CLAIM: ""}}
                    )

    def fail(self, record: RunRecord, why: str) -> None:
        """See `Queue.fail`."""
        with self.store.asking():  # type: ignore[attr-defined]
            self.store.runs.update_one(  # type: ignore[attr-defined]
                {"_id": record.id, "status": "QUEUED"},
                {"$set": {**failed(why), "stop_time": utc_now()}},
            )


def _is_claimed(claim: Any) -> bool:
    alive = is_alive(claim.get("process"))
    if alive is None:
        made = parse_time(claim.get("time"))
        alive = made is not None and (utc_now() - made).total_seconds() < STALE_SECONDS
    return alive


def open_queue(spec: str) -> Queue:
    """The queue of the store called ``spec``, see `observers.open_store`.

    Raises:
        UserError: it can't be reached.
    """
    store = open_store(spec)
    return MongoQueue(store) if is_mongo(spec) else FileQueue(store, Path(spec))
