"""Where runs are written and how they are read back."""

from __future__ import annotations

import os

from sacred.observers import RunObserver

from observers.artifacts import RunArtifacts
from observers.credentials import without_credentials
from observers.files import FileObserver
from observers.output import record_output, tidy_output
from observers.records import RunRecord, Store, open_run, open_store

__all__ = [
    "FileObserver",
    "RunArtifacts",
    "RunRecord",
    "Store",
    "create_observers",
    "open_run",
    "open_store",
    "record_output",
    "tidy_output",
    "without_credentials",
]


def create_observers(
    file_storage: str | os.PathLike[str] | None = "runs", mongo_url: str | None = None
) -> list[RunObserver]:
    """The observers of a run.

    Args:
        file_storage: folder of the file store; `None` for none.
        mongo_url: ``mongodb://[user:password@]host[:port]/database``; `None` for none.
    """
    if mongo_url is not None:
        from observers.mongo import MongoObserver  # pymongo only where it is used

        return [MongoObserver(mongo_url, file_storage)]
    return [] if file_storage is None else [FileObserver(file_storage)]
