"""The file store: one folder a run, in the layout of Sacred's FileStorageObserver.

``run.json``, ``config.json``, ``info.json``, ``cout.txt`` and ``metrics.json`` are as Sacred
documents them; ``run.json`` also says which process writes (``process``), what went wrong while
recording (``observer_failures``) and each metric's last and best (``metric_summary``).
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sacred.observers import RunObserver

from observers import atomic
from observers.credentials import without_credentials
from observers.failures import Failures, guarded
from observers.liveness import this_process
from observers.metrics import MetricsWriter
from observers.output import final_output
from observers.plain import plain
from tmd.errors import UserError

RESERVED = frozenset({"run.json", "config.json", "info.json", "cout.txt", "metrics.json"})
SOURCES = "_sources"
RESOURCES = "_resources"


def artifact_name(name: str) -> str:
    """``name`` as a flat file name that collides with nothing of the record."""
    flat = name.replace("\\", "_").replace("/", "_").lstrip(".") or "artifact"
    return f"artifact_{flat}" if flat in RESERVED else flat


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
        with self.lock:
            atomic.write_json(self.path / "run.json", self.entry)

    def write_if_changed(self, name: str, value: Any) -> None:
        text = json.dumps(value, sort_keys=True)
        if self._written.get(name) == text:
            return
        if isinstance(value, str):
            content = value.encode("utf-8", "backslashreplace")
            atomic.write_bytes(self.path / name, content, durable=False)
        else:
            atomic.write_json(self.path / name, value)
        self._written[name] = text

    def save_artifact(self, name: str, source: str | os.PathLike[str]) -> None:
        """Copy ``source`` in; when it returns, the copy is durable and listed in ``run.json``."""
        with self.lock:
            target = self.path / name
            if not (target.exists() and os.path.samefile(source, target)):
                atomic.copy_file(source, target)
            if name not in self.entry["artifacts"]:
                self.entry["artifacts"].append(name)
            self.write_entry()

    def remove_artifact(self, name: str) -> None:
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
        stem, suffix = os.path.splitext(os.path.basename(filename))
        folder = self.shared / kind
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{stem}_{digest}{suffix}"
        if not target.exists():
            atomic.copy_file(filename, target)
        return f"{kind}/{target.name}"


class FileObserver(RunObserver):
    """Records runs under ``root``, each in a folder named by its number.

    Args:
        root: the store; made when the first run starts. Many processes may write to one.
        metrics_interval: at most so many seconds lie between two makings of ``metrics.json``
            while the run goes on.
        priority: Sacred calls observers of higher priority first.

    Raises:
        UserError: when a run starts and its folder can't be made. Nothing after that raises.
    """

    #: Whether the run stays in ``root`` when it has ended.
    in_files = True

    def __init__(
        self,
        root: str | os.PathLike[str],
        metrics_interval: float = 120.0,
        priority: int = 20,
    ) -> None:
        self.root = Path(root)
        self.metrics_interval = metrics_interval
        self.priority = priority
        self.failures = Failures()
        self.folder: RunFolder | None = None
        self.run_id: int | None = None
        self.keep_journal = False
        self._ended = False
        self._retry_artifacts: dict[str, Path] = {}
        self._metrics_lock = threading.Lock()

    def __repr__(self) -> str:
        return f"FileObserver({str(self.root)!r})"

    @property
    def spec(self) -> str:
        """Where the run is: what `open_run` finds it by."""
        return str(self.root / str(self.run_id))

    # What Sacred calls -----------------------------------------------------------------------

    def started_event(
        self,
        ex_info: dict,
        command: str,
        host_info: dict,
        start_time: datetime.datetime,
        config: dict,
        meta_info: dict,
        _id: int | str | None,
    ) -> int:
        entry = run_entry(ex_info, command, host_info, meta_info, start_time)
        return self._start(entry, ex_info, config, _id)

    def queued_event(
        self,
        ex_info: dict,
        command: str,
        host_info: dict,
        queue_time: datetime.datetime,
        config: dict,
        meta_info: dict,
        _id: int | str | None,
    ) -> int:
        entry = run_entry(ex_info, command, host_info, meta_info, None)
        return self._start(entry, ex_info, config, _id)

    @guarded
    def heartbeat_event(
        self, info: dict, captured_out: str, beat_time: datetime.datetime, result: Any
    ) -> None:
        folder = self.folder
        if folder is None:
            return
        self._retry()
        self._write_text("info.json", lambda: plain(info))
        self._write_text("cout.txt", lambda: without_credentials(final_output(captured_out)))
        with folder.lock:
            folder.entry["heartbeat"] = beat_time.isoformat()
            if not self._ended:
                folder.entry["result"] = plain(result)
            self._note()
            folder.write_entry()
        self._changed()

    @guarded
    def log_metrics(self, metrics_by_name: dict, info: dict) -> None:
        if self.folder is None:
            return
        writer = self.folder.metrics
        with self._metrics_lock:
            unusable = writer.unusable
            try:
                writer.append(metrics_by_name)
            finally:
                for _ in range(writer.unusable - unusable):
                    self.failures.add("log scalar", "a value that is not one number was left out")
            # Sacred waits two seconds for the last beat and then goes on without it.
            if self._ended:
                self._finish_metrics()
            elif writer.due():
                writer.materialise()

    @guarded
    def completed_event(self, stop_time: datetime.datetime, result: Any) -> None:
        self._end(stop_time, "COMPLETED", result=plain(result))

    @guarded
    def interrupted_event(self, interrupt_time: datetime.datetime, status: str) -> None:
        self._end(interrupt_time, status)

    @guarded
    def failed_event(self, fail_time: datetime.datetime, fail_trace: list[str]) -> None:
        self._end(fail_time, "FAILED", fail_trace=plain(fail_trace))

    @guarded
    def resource_event(self, filename: str) -> None:
        if self.folder is None:
            return
        kept = self.folder.keep_shared(filename, RESOURCES)
        with self.folder.lock:
            self.folder.entry["resources"].append([filename, kept])
            self.folder.write_entry()

    def artifact_event(
        self,
        name: str,
        filename: str,
        metadata: dict | None = None,
        content_type: str | None = None,
    ) -> None:
        self.save_artifact(name, filename)

    @guarded
    def join(self) -> None:
        """Last chance for what could not be written: Sacred calls it when all is over."""
        if self.folder is not None and self._ended:
            self._retry()
            with self._metrics_lock:
                self._finish_metrics()
            self.folder.write_entry()

    # What `RunArtifacts` calls -----------------------------------------------------------------

    def save_artifact(self, name: str, source: str | os.PathLike[str]) -> bool:
        """Keep a copy of ``source``.

        Returns:
            Whether the copy is durable now. If not, it is tried again at every beat for as long as
            ``source`` exists.
        """
        if self.folder is None:
            return False
        name = artifact_name(name)
        try:
            self.folder.save_artifact(name, source)
        except Exception as error:
            self.failures.add(f"save artifact {name}", error)
            self._retry_artifacts[name] = Path(source)
            return False
        self._retry_artifacts.pop(name, None)
        self._changed()
        return True

    @guarded
    def remove_artifact(self, name: str) -> None:
        if self.folder is not None:
            name = artifact_name(name)
            self._retry_artifacts.pop(name, None)
            self.folder.remove_artifact(name)
            self._changed()

    # -------------------------------------------------------------------------------------------

    def _start(
        self, entry: dict[str, Any], ex_info: dict, config: dict, _id: int | str | None
    ) -> int:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self.run_id, path = self._reserve(_id)
            self._open_folder(path, self.root, entry, ex_info, config)
        except OSError as error:
            raise UserError(f"file storage {self.root}: {error.strerror or error}") from None
        return self.run_id

    def _changed(self) -> None:
        """Called after the record has changed."""

    def _open_folder(
        self, path: Path, shared: Path, entry: dict[str, Any], ex_info: dict, config: dict
    ) -> None:
        """Begin the record in the empty folder ``path``; a run that can't begin leaves none."""
        self._ended = False
        folder = RunFolder(path, shared, entry, self.metrics_interval)
        try:
            entry["experiment"]["sources"] = self._keep_sources(folder, ex_info)
            atomic.write_json(path / "config.json", plain(config))
            folder.write_if_changed("cout.txt", "")
            folder.write_entry()
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            raise
        self.folder = folder

    def _reserve(self, _id: int | str | None) -> tuple[int, Path]:
        """Make the folder of the next number, or of ``_id``; nobody else can have it then."""
        if _id is not None:
            number = whole_number(_id)
            path = self.root.absolute() / str(number)
            try:
                path.mkdir()
            except FileExistsError:
                raise UserError(f"run {number}: exists already in {self.root}") from None
            return number, path
        candidate = highest_id(self.root) + 1
        while True:
            path = self.root.absolute() / str(candidate)
            try:
                path.mkdir()
            except FileExistsError:
                candidate += 1
            else:
                return candidate, path

    def _keep_sources(self, folder: RunFolder, ex_info: dict) -> list[list[str]]:
        kept = []
        for name, _ in ex_info.get("sources", []):
            try:
                kept.append([name, folder.keep_shared(Path(ex_info["base_dir"], name), SOURCES)])
            except OSError as error:
                self.failures.add(f"keep source {name}", error)
        return kept

    def _write_text(self, name: str, make: Callable[[], Any]) -> None:
        # One file that can't be written is no reason to leave out the others.
        assert self.folder is not None
        try:
            value = make()
            if value or (self.folder.path / name).exists():
                self.folder.write_if_changed(name, value)
        except Exception as error:
            self.failures.add(f"write {name}", error)

    def _note(self) -> None:
        assert self.folder is not None
        self.folder.entry["observer_failures"] = self.failures.entry()
        self.folder.entry["metric_summary"] = self.folder.metrics.summary()

    def _retry(self) -> None:
        for name, source in list(self._retry_artifacts.items()):
            if source.exists():
                self.save_artifact(name, source)
            else:
                self._retry_artifacts.pop(name, None)

    def _end(self, stop_time: datetime.datetime, status: str, **more: Any) -> None:
        if self.folder is None:
            return
        self._ended = True
        with self._metrics_lock:
            try:
                self._finish_metrics()
            except Exception as error:
                self.failures.add("write metrics.json", error)
        with self.folder.lock:
            self.folder.entry.update(more, stop_time=stop_time.isoformat(), status=status)
            self._note()
        for pause in (0.2, 1.0, 3.0, None):
            try:
                self.folder.write_entry()
                self._changed()
                return
            except OSError as error:
                self.failures.add("write run.json", error)
                if pause is not None:
                    time.sleep(pause)

    def _finish_metrics(self) -> None:
        assert self.folder is not None
        writer = self.folder.metrics
        writer.append({})
        if writer.summary():
            writer.materialise()
            if not self.keep_journal:
                writer.remove_journal()
        self._note()


def run_entry(
    ex_info: dict,
    command: str,
    host_info: dict,
    meta_info: dict,
    start_time: datetime.datetime | None,
) -> dict[str, Any]:
    """What ``run.json`` says when a run starts (or, without ``start_time``, is queued)."""
    entry: dict[str, Any] = {
        "uid": uuid.uuid4().hex,
        "format": "tmd-1",
        "experiment": plain(ex_info),
        "command": command,
        "host": plain(host_info),
        "meta": plain(meta_info),
        "status": "QUEUED",
        "resources": [],
        "artifacts": [],
        "metric_summary": [],
        "heartbeat": None,
        "result": None,
        "observer_failures": {"count": 0, "messages": []},
        "process": this_process(),
    }
    if start_time is not None:
        entry.update(status="RUNNING", start_time=start_time.isoformat())
    return entry


def whole_number(_id: int | str) -> int:
    """Sacred's ``--id`` as the number it has to be: text ids break the numbering after them."""
    if not str(_id).isdigit():
        raise UserError(f"--id {_id}: must be a whole number")
    return int(_id)


def highest_id(root: Path) -> int:
    """The greatest number a run under ``root`` has; 0 without runs."""
    with os.scandir(root) as entries:
        return max((int(e.name) for e in entries if e.name.isdigit()), default=0)
