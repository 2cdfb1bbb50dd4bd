"""Runs that were queued and now begin, under the number and in the folder that they have."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tmd.errors import UserError
from tmd.leases import Leases

#: The folder in a file store for the leases of its queue.
LEASES = "_queue"
#: The entry of a run's ``meta`` that says which queued run it is, or goes on with.
ITEM = "queued"
#: The entry of a run's ``meta`` that says which killed run of that item it goes on with.
AFTER = "queued_after"
#: The entry of a document in MongoDB that says which worker is about to begin it.
CLAIM = "claim"


def is_beginning(entry: Mapping[str, Any], _id: int | str | None) -> bool:
    """True if the run of this ``run.json`` was queued as ``_id`` and now begins."""
    item = (entry.get("meta") or {}).get(ITEM)
    return _id is not None and item is not None and str(item) == str(_id)


@contextlib.contextmanager
def queued_run(
    root: Path, entry: Mapping[str, Any], _id: int | str | None
) -> Iterator[Path | None]:
    """The folder of the queued run that now begins, for one process alone; `None` of others.

    In the block, no other process begins a run of the same item of the queue. The process itself
    sees to that, since the worker that started it may have ended and another have started another.

    Args:
        root: the store.
        entry: what the ``run.json`` starts with.
        _id: the number that was asked for.

    Raises:
        UserError: it is queued no more, or another run goes on with the killed one.
    """
    item, after = _item_and_after(entry)
    if item is None:
        yield None
        return
    lease = Leases(root / LEASES).take(f"begin-{item}")
    if lease is None:
        raise UserError(f"run {item}: another process begins it in {root}")
    with lease:
        if after is not None and (other := _another_after(root, item, after)) is not None:
            raise UserError(f"run {after}: run {other} goes on with it in {root}")
        if not is_beginning(entry, _id):
            yield None
            return
        folder = root.absolute() / str(_id)
        if json.loads((folder / "run.json").read_bytes())["status"] != "QUEUED":
            raise UserError(f"run {_id}: is queued no more in {root}")
        yield folder


def _item_and_after(entry: Mapping[str, Any]) -> tuple[Any, Any]:
    meta = entry.get("meta") or {}
    return meta.get(ITEM), meta.get(AFTER)


def _another_after(root: Path, item: Any, after: int) -> int | None:
    """The number of a run of the item with a number above ``after``."""
    for number in sorted(int(name) for name in os.listdir(root) if name.isdigit()):
        if number > after:
            with contextlib.suppress(OSError, ValueError, AttributeError):  # none of ours
                entry = json.loads((root / str(number) / "run.json").read_bytes())
                if _item_and_after(entry)[0] == item:
                    return number
    return None
