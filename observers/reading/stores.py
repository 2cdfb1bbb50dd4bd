"""Runs and stores by the names that users give them."""

from __future__ import annotations

import os
import re
from pathlib import Path

from observers.credentials import without_credentials
from observers.reading.files import FileStore
from observers.reading.records import RunRecord, Store
from tmd.errors import UserError


def open_store(spec: str | os.PathLike[str]) -> Store:
    """The store called ``spec``: a folder, or ``mongodb://[user:password@]host[:port]/database``.

    Raises:
        UserError: it can't be reached, or the address names no database.
    """
    if is_mongo(spec):
        from observers.mongo.records import MongoStore  # pymongo only where it is used

        return MongoStore(str(spec))
    return FileStore(spec)


def open_run(spec: int | str, store: str | os.PathLike[str] = "runs") -> RunRecord:
    """The run called ``spec``.

    Args:
        spec: a number in ``store`` (3 or "3"), a run's folder ("runs/3"), or
            "mongodb://host/database#3".

    Raises:
        UserError: there is no such run; one line says what was looked for and what there is.
    """
    text = str(spec).strip()
    if is_mongo(text):
        address, hash_sign, number = text.rpartition("#")
        if not hash_sign or not number.isdigit():
            raise UserError(
                f"run {without_credentials(text)}: which one? mongodb://host/database#3, say"
            )
        return open_store(address).open(int(number))
    if text.isdigit():
        return open_store(store).open(int(text))
    path = Path(text)
    return FileStore(path.parent).open(path.name)


def is_mongo(spec: str | os.PathLike[str]) -> bool:
    return re.match(r"mongodb(\+srv)?://", str(spec)) is not None
