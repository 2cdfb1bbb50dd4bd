"""The folder of one run, in the layout of Sacred's FileStorageObserver.

``run.json``, ``config.json``, ``info.json``, ``cout.txt`` and ``metrics.json`` are as Sacred
documents them; ``run.json`` also says which process writes (``process``), what went wrong while
recording (``observer_failures``) and each metric's last and best (``metric_summary``).
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path
from typing import Any

from observers.names import RESERVED, valid_unicode
from observers.writing.metrics import MetricsWriter
from observers.writing.waiting import Source
from tmd.files import copy_file, replacing_path, write_bytes, write_json

SOURCES = "_sources"
RESOURCES = "_resources"


class RunFolder:
    """Writes the record of one run into a folder of its own.

    Knows nothing of Sacred's calls or of how runs are numbered; every method raises `OSError` when
    the disk does, and leaves what is there valid.

    Args:
        path: an existing empty folder.
        shared: the folder that holds ``_sources`` and ``_resources``.
        entry: what ``run.json`` starts with.
    """

    def __init__(
        self, path: Path, shared: Path, entry: dict[str, Any], metrics_interval: float
    ) -> None:
        self.path = path
        self.shared = shared
        self.entry = entry
        self.metrics = MetricsWriter(path, metrics_interval)
        self.lock = threading.RLock()
        self._written: dict[str, str] = {}

    def write_entry(self) -> None:
        """Write ``run.json``."""
        with self.lock:
            write_json(self.path / "run.json", self.entry)

    def write_if_changed(self, name: str, value: Any) -> None:
        """Write text, or a value as JSON, unless the file holds it already."""
        text = json.dumps(value, sort_keys=True)
        if self._written.get(name) == text:
            return
        write_value(self.path / name, value)
        self._written[name] = text

    def save_artifact(self, name: str, source: Source) -> None:
        """Keep a file; when it returns, the file is durable and listed in ``run.json``.

        Args:
            name: from `observers.names.artifact_name`.
            source: a file to copy, or a function that writes one at the path it is given.
        """
        target = self.path / name
        if callable(source):
            with replacing_path(target) as path:
                source(path)
        elif not (target.exists() and os.path.samefile(source, target)):
            copy_file(source, target)
        with self.lock:
            if name not in self.entry["artifacts"] and name not in RESERVED:
                self.entry["artifacts"].append(name)
            self.write_entry()

    def remove_artifact(self, name: str) -> None:
        """Take a file out of ``run.json``, then off the disk; absent ones are fine."""
        with self.lock:
            if name in self.entry["artifacts"]:
                self.entry["artifacts"].remove(name)
                # First the list, then the file: a reader never finds a name without its file
                # unless it looks between two lines of its own.
                self.write_entry()
                (self.path / name).unlink(missing_ok=True)

    def keep_shared(self, filename: str | os.PathLike[str], kind: str) -> str:
        """Copy a file into ``_sources`` or ``_resources`` unless the same one is there.

        Returns:
            Its path relative to the store.
        """
        digest = hashlib.md5(Path(filename).read_bytes(), usedforsecurity=False).hexdigest()
        stem, suffix = os.path.splitext(valid_unicode(os.path.basename(filename)))
        folder = self.shared / kind
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{stem}_{digest}{suffix}"
        if not target.exists():
            copy_file(filename, target)
        return f"{kind}/{target.name}"


def write_value(path: Path, value: Any) -> None:
    """Write text as it is, anything else as JSON."""
    if isinstance(value, str):
        write_bytes(path, value.encode("utf-8", "backslashreplace"), durable=False)
    else:
        write_json(path, value)
