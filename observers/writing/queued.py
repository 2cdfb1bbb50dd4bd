"""Runs that were queued and now begin, under the number and in the folder that they have."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tmd.errors import UserError
from tmd.leases import Leases

#: The folder in a file store for the leases of its queue.
LEASES = "_queue"
#: The entry of a run's ``meta`` that says which queued run it is, or goes on with.
ITEM = "queued"
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

    Args:
        root: the store.
        entry: what the ``run.json`` starts with.
        _id: the number that was asked for.

    Raises:
        UserError: it is queued no more.
    """
    if not is_beginning(entry, _id):
        yield None
        return
    lease = Leases(root / LEASES).take(f"begin-{_id}")
    if lease is None:
        raise UserError(f"run {_id}: another process begins it in {root}")
    with lease:
        folder = root.absolute() / str(_id)
        if json.loads((folder / "run.json").read_bytes())["status"] != "QUEUED":
            raise UserError(f"run {_id}: is queued no more in {root}")
        yield folder
