"""Stores of runs: written while a run goes on, read back afterwards."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

# sacred 0.8.7 imports pkg_resources, about which setuptools warns every user on every start.
warnings.filterwarnings("ignore", message="pkg_resources is deprecated", category=UserWarning)

from sacred.observers import RunObserver

from observers.credentials import without_credentials
from observers.reading.records import RunRecord, Store
from observers.reading.stores import open_run, open_store, store_spec
from observers.writing.artifacts import RunArtifacts
from observers.writing.beats import beat, one_beat_at_a_time
from observers.writing.files import FileObserver, FolderObserver
from observers.writing.output import record_output, tidy_output

__all__ = [
    "FileObserver",
    "RunArtifacts",
    "RunRecord",
    "Store",
    "beat",
    "create_observers",
    "one_beat_at_a_time",
    "open_run",
    "open_store",
    "record_output",
    "run_folder",
    "run_spec",
    "store_spec",
    "tidy_output",
    "without_credentials",
]


def create_observers(
    file_storage: str | os.PathLike[str] | None = "runs", mongo_url: str | None = None
) -> list[RunObserver]:
    """Observers that record a run.

    Args:
        file_storage: folder of the file store; `None` for none.
        mongo_url: ``mongodb://[user:password@]host[:port]/database``, or a short form of it
            (see `observers.addresses`); `None` for none.
    """
    if mongo_url is not None:
        from observers.mongo.observer import MongoObserver  # pymongo only where it is used

        return [MongoObserver(mongo_url, file_storage)]
    return [] if file_storage is None else [FileObserver(file_storage)]


def run_spec(run: Any) -> str:
    """Name that ``resume=`` and ``run=`` find a Sacred run by, typed where it was started."""
    folder = run_folder(run)
    if folder is not None:
        return str(folder)
    for observer in run.observers:
        address = getattr(observer, "address", None)  # a database's
        if address is not None and not os.environ.get("TMD_MONGO_URL"):
            return f"{address.public}#{run._id}"
    return str(run._id)


def run_folder(run: Any) -> Path | None:
    """The folder in which a file store keeps a Sacred run; `None` if none does."""
    for observer in run.observers:
        if isinstance(observer, FolderObserver) and observer.store_folder is not None:
            return observer.store_folder
    return None
