"""``resume=elastic``: the run of this `torchrun`'s id goes on where it was interrupted, by itself.

The same command is typed on every machine and again for one that was lost; which run it is about,
torchrun's ``--rdzv-id`` says, which the record of every run has.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from experiments.support.saying import say
from observers import open_store
from observers.addresses import is_mongo
from tmd.errors import UserError
from tmd.launch import is_main_process

if TYPE_CHECKING:
    from tmd.distributed import Share

#: Value of ``resume``.
ELASTIC = "elastic"
#: Entry of a record's ``meta``.
META_KEY = "rendezvous"


def rendezvous() -> str | None:
    """The ``--rdzv-id`` of the `torchrun` that started this process, if it was given one."""
    name = os.environ.get("TORCHELASTIC_RUN_ID")
    return None if name in (None, "", "none") else name


def with_the_interrupted(updates: Mapping[str, Any], store: str, experiment: str) -> dict[str, Any]:
    """Typed entries with the run for which ``resume=elastic`` stands; without it, if there is none.

    Ends the process, with success, where that run is finished: the other machines are done.

    Raises:
        UserError: `torchrun` gave no name.
    """
    name = rendezvous()
    if name is None:
        raise UserError(
            "resume=elastic: is for runs that torchrun starts with --rdzv-id=NAME, the same on "
            "every machine and for each restart"
        )
    rest = {key: value for key, value in updates.items() if key != "resume"}
    from tmd.checkpoints import is_checkpoint  # torch; a list of runs does without it

    # A store that is yet to be made has no runs; a database that is away is an error.
    if not is_mongo(store) and not os.path.isdir(store):
        return rest
    for record in reversed(open_store(store).records()):
        if not _is_of(record, name, experiment):
            continue
        if record.status == "COMPLETED":
            if is_main_process():
                say(f"run {record.id} of --rdzv-id={name} is finished; resume={record.id} goes on")
            sys.exit(0)
        if any(map(is_checkpoint, record.artifacts())):
            return {**rest, "resume": record.spec}
    return rest


def _is_of(record: Any, name: str, experiment: str) -> bool:
    try:
        entry = record.entry
    except UserError:  # it has just been begun, or its record is damaged
        return False
    return bool(
        entry.get("meta", {}).get(META_KEY) == name
        and entry.get("experiment", {}).get("name") == experiment
    )


def check_agreement(share: Share, run: Any, iteration: int | None) -> None:
    """Raise `RuntimeError` unless all processes go on from one checkpoint; `torchrun` tries again.

    A process of before that is about to end may save while the others look.

    Args:
        share: connected.
        run: number of the run that this process continues, or None.
        iteration: of its checkpoint.
    """
    mine = f"run {run}, iteration {iteration}"
    first = share.agreed(mine)
    if share.any(first != mine):
        raise RuntimeError(f"the processes go on from other checkpoints: {mine}, and {first}")
