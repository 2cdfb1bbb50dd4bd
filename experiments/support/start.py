"""A start from a command line: its options, its stores, and what a run's record says of them."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from typing import Any

from experiments.support.elastic import META_KEY, rendezvous
from observers import without_credentials
from tmd.errors import UserError, check_choice

DEFAULT_STORE = "runs"
STORE_OPTIONS = ("--file_storage", "--mongo_db")

#: Variable that tells a process which queued run it is, or goes on with.
QUEUE_ITEM = "TMD_QUEUED"
#: Variable that tells it which run of that item, which was killed, it goes on with.
QUEUE_AFTER = "TMD_QUEUED_AFTER"


def take_stores(options: dict[str, Any]) -> dict[str, str | None]:
    """The stores that are asked for, by their options, which Sacred is not to see."""
    stores = {name: options.pop(name) for name in STORE_OPTIONS}
    stores["--mongo_db"] = stores["--mongo_db"] or os.environ.get("TMD_MONGO_URL")
    if stores["--file_storage"]:
        stores["--file_storage"] = os.path.expanduser(stores["--file_storage"])
    return stores


def started_by(options: Mapping[str, Any], stores: Mapping[str, str | None]) -> dict[str, Any]:
    """Entries of a run's record that say how it was started."""
    started: dict[str, Any] = {
        "command_line": without_credentials(shlex.join(sys.argv)),
        "options": {
            **options,
            **{name: value and without_credentials(value) for name, value in stores.items()},
        },
    }
    if (name := rendezvous()) is not None:
        started[META_KEY] = name
    if options["--queue"]:
        started["folder"] = os.getcwd()
    if item := os.environ.get(QUEUE_ITEM):
        started["queued"] = int(item)
    if after := os.environ.get(QUEUE_AFTER):
        started["queued_after"] = int(after)
    return started


def check_options(options: Mapping[str, Any]) -> None:
    """Raise `UserError` for a value that one of Sacred's own options can't have."""
    for name in ("--beat-interval", "--priority"):
        if (text := options[name]) is not None:
            try:
                float(text)
            except ValueError:
                raise UserError(f"{name}={text}: must be a number") from None
    if options["--capture"] is not None:
        check_choice("--capture", options["--capture"], ("no", "sys", "fd"))
    level = options["--loglevel"]
    if level is not None and not level.isdigit():
        check_choice("--loglevel", level, ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"))
