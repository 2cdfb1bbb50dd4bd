"""Runs and stores by the names that users give them."""

from __future__ import annotations

import os
from pathlib import Path

from observers.addresses import is_mongo, long_form
from observers.credentials import without_credentials
from observers.names import printable
from observers.reading.files import FileStore
from observers.reading.records import RunRecord, Store, as_id
from tmd.errors import UserError


def open_store(spec: str | os.PathLike[str]) -> Store:
    """The store called ``spec``.

    Args:
        spec: a folder, or ``mongodb://[user:password@]host[:port]/database``, or the short form
            of it ``host:port:database``.

    Raises:
        UserError: it can't be reached, or the address names no database.
    """
    if is_mongo(spec):
        from observers.mongo.records import MongoStore  # pymongo only where it is used

        return MongoStore(str(spec))
    return FileStore(spec)


def store_spec(file_storage: str | None, mongo_url: str | None, default: str) -> str:
    """Name, for `open_store`, of the store in which a run of these options looks for others.

    Args:
        file_storage, mongo_url: as given to ``-F`` and ``-m``.
        default: the file store of a run with neither.
    """
    return file_storage or (mongo_url and long_form(mongo_url)) or default


def open_run(spec: int | str, store: str | os.PathLike[str] = "runs") -> RunRecord:
    """The run called ``spec``.

    Args:
        spec: a number in ``store`` (3 or "3"), a run's folder ("runs/3"), or
            "mongodb://host/database#3", with any form of an address that ``-m`` takes.

    Raises:
        UserError: there is no such run; one line says what was looked for and what there is.
    """
    text = str(spec).strip()
    address, hash_sign, number = text.rpartition("#")
    if hash_sign and isinstance(as_id(number), int) and not os.path.isdir(text):
        if os.path.isdir(address):
            return FileStore(address).open(number)
        return open_store(long_form(address)).open(number)
    if is_mongo(text):
        said = printable(without_credentials(long_form(text)))
        raise UserError(f"run {said}: which one? mongodb://host/database#3, say")
    if isinstance(as_id(text), int):
        return open_store(store).open(text)
    path = Path(text)
    return FileStore(path.parent).open(path.name)
