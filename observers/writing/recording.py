"""The record of one run, brought up to date in its folder as the run goes on."""

from __future__ import annotations

import datetime
import functools
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from observers.credentials import without_credentials
from observers.failures import Failures, guarded
from observers.names import RESERVED, artifact_name
from observers.plain import plain
from observers.writing.folder import RESOURCES, SOURCES, RunFolder, write_value
from observers.writing.output import final_output
from observers.writing.waiting import Source, Waiting
from tmd.files import write_json
from tmd.metrics.registry import INFO_KEY, metric

logger = logging.getLogger("observers")


def _nothing() -> None:
    pass


class Recording:
    """Everything an observer of ours does with a run's folder, once it has one.

    Knows neither Sacred's classes nor how runs get their numbers. After `begin` no method raises.

    Args:
        metrics_interval: at most so many seconds lie between two makings of ``metrics.json``
            while the run goes on.
        changed: called after the record has changed.
        keep_journal: leave the journal of metrics when the run has ended, for a sender.
    """

    def __init__(
        self,
        metrics_interval: float = 120.0,
        changed: Callable[[], None] = _nothing,
        keep_journal: bool = False,
    ) -> None:
        self.metrics_interval = metrics_interval
        self.keep_journal = keep_journal
        self.failures = Failures()
        self.folder: RunFolder | None = None
        self._changed = changed
        self._ended = False
        self._waiting = Waiting()
        self._unwritten: dict[str, Any] = {}
        self._described: Any = {}
        self._artifacts_lock = threading.RLock()
        self._metrics_lock = threading.Lock()

    def begin(
        self,
        path: Path,
        shared: Path,
        entry: dict[str, Any],
        ex_info: dict,
        config: dict,
        was_queued: bool = False,
    ) -> None:
        """Begin the record in the folder ``path``; a run that can't begin leaves none.

        Args:
            path: the run's folder.
            shared: the folder that holds ``_sources`` and ``_resources``.
            entry: what ``run.json`` starts with.
            ex_info, config: as Sacred hands them over.
            was_queued: the folder holds its record as one of a queue, which stays in any case.

        Raises:
            OSError: the disk says no.
        """
        self._ended = False
        folder = RunFolder(path, shared, entry, self.metrics_interval)
        try:
            entry["experiment"]["sources"] = self._keep_sources(folder, ex_info)
            write_json(path / "config.json", plain(config))
            folder.write_if_changed("cout.txt", "")
            folder.write_entry()
        except BaseException:
            if not was_queued:
                shutil.rmtree(path, ignore_errors=True)
            raise
        self.folder = folder

    @guarded
    def heartbeat(
        self, info: dict, captured_out: str, beat_time: datetime.datetime, result: Any
    ) -> None:
        """Write what is known by now."""
        folder = self.folder
        if folder is None:
            return
        self._retry()
        self._described = info.get(INFO_KEY) or {}
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
    def log_metrics(self, metrics_by_name: dict) -> None:
        """Append points to the journal."""
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
    def add_resource(self, filename: str) -> None:
        """Keep a file that the run reads, among those of all runs."""
        if self.folder is None:
            return
        kept = self.folder.keep_shared(filename, RESOURCES)
        with self.folder.lock:
            self.folder.entry["resources"].append([plain(filename), kept])
            self.folder.write_entry()

    def save_artifact(self, name: str, source: Source) -> bool:
        """Keep an artifact; see `observers.writing.artifacts.RunArtifacts.save`."""
        if self.folder is None:
            return False
        with self._artifacts_lock:
            name = artifact_name(name)
            if not self._deliver(name, source):
                return False
            self._waiting.drop(name)
            self._retry()
        self._changed()
        return True

    @guarded
    def remove_artifact(self, name: str) -> None:
        """Drop an artifact and its bytes; absent ones are fine."""
        if self.folder is None:
            return
        name = artifact_name(name)
        with self._artifacts_lock:
            for pending in self._waiting:
                if pending.name == name:
                    self._waiting.delivered(pending)
            self.folder.remove_artifact(name)
        self._changed()

    def undelivered(self) -> list[str]:
        """Places of the artifacts that the store could not take, after one more try."""
        if self.folder is not None:
            self._retry()
        return self._waiting.places()

    @guarded
    def end(self, stop_time: datetime.datetime, status: str, **more: Any) -> None:
        """Write the run's end.

        Args:
            more: further entries of ``run.json``.
        """
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

    def finish(self) -> None:
        """Write, at the very last, what could not be written: elsewhere if it still can't be."""
        folder = self.folder
        if folder is None or not self._ended:
            return
        self._retry()
        for name, value in list(self._unwritten.items()):
            self._write_last(name, functools.partial(write_value, value=value))
        with self._metrics_lock:
            if self._try(self._finish_metrics) is not None:
                self._waiting.put("metrics.json", folder.metrics.write_to)
        with folder.lock:
            # Whoever copies them into the folder, when there is room, has them in the record.
            listed = folder.entry["artifacts"]
            kept = [each.name for each in self._waiting if each.in_file]
            listed += [name for name in kept if name not in (*listed, *RESERVED)]
            self._note()
            self._write_last("run.json", functools.partial(write_value, value=folder.entry))
        self._waiting.close()

    def say_what_remains(self) -> None:
        """Say where that lies for which the run's folder had no room; nothing if there is none."""
        if self.folder is None or not self._waiting:
            return
        kept = ", ".join(each.place for each in self._waiting if each.in_file)
        unwritten = [each.name for each in self._waiting if not each.in_file]
        lost = ", ".join([*self._waiting.lost, *unwritten])
        logger.error(
            "%s had no room for all of its run%s%s",
            os.path.relpath(self.folder.path),
            f"; no disk had any for {lost}" if lost else "",
            f"; copy there what is kept in: {kept}" if kept else "",
        )

    # -------------------------------------------------------------------------------------------

    def _deliver(self, name: str, source: Source) -> bool:
        error = self._try_to_save(name, source)
        if error is None:
            return True
        if not callable(source) and not os.path.exists(source):
            self.failures.add(f"save artifact {name}", error)
            return False
        pending = self._waiting.put(name, source)
        self.failures.add(
            f"save artifact {name}",
            f"{type(error).__name__}: {error}; it is kept in "
            f"{pending.place if pending.in_file else 'memory'} and tried again",
            once="save artifact",
        )
        return False

    def _try_to_save(self, name: str, source: Source) -> Exception | None:
        folder = self.folder
        assert folder is not None
        return self._try(lambda: folder.save_artifact(name, source))

    def _try(self, write: Callable[[], None]) -> Exception | None:
        """What ``write`` raises; `None` if it does its work."""
        try:
            write()
        except Exception as error:
            return error
        return None

    def _keep_sources(self, folder: RunFolder, ex_info: dict) -> list[list[str]]:
        kept = []
        for name, _ in ex_info.get("sources", []):
            try:
                path = Path(ex_info["base_dir"], name)
                kept.append([plain(name), folder.keep_shared(path, SOURCES)])
            except OSError as error:
                self.failures.add(f"keep source {name}", error, once="keep source")
        return kept

    def _write_text(self, name: str, make: Callable[[], Any]) -> None:
        # One file that can't be written is no reason to leave out the others.
        assert self.folder is not None
        try:
            value = make()
            if value or (self.folder.path / name).exists():
                self._unwritten[name] = value
                self.folder.write_if_changed(name, value)
                del self._unwritten[name]
        except Exception as error:
            self.failures.add(f"write {name}", error)

    def _write_last(self, name: str, write: Callable[[Path], None]) -> None:
        assert self.folder is not None
        path = self.folder.path / name
        error = self._try(lambda: write(path))
        if error is not None:
            self.failures.add(f"write {name}", error)
            self._waiting.put(name, write)

    def _note(self) -> None:
        assert self.folder is not None
        self.folder.entry["observer_failures"] = self.failures.entry()
        # With each metric its direction, so that a list of runs need not open their infos.
        self.folder.entry["metric_summary"] = [
            {**each, "higher_is_better": metric(each["name"], self._described).higher_is_better}
            for each in self.folder.metrics.summary()
        ]

    def _retry(self) -> None:
        # A beat does not wait for an artifact that is being saved: that is tried with it.
        if not self._artifacts_lock.acquire(blocking=False):
            return
        try:
            for pending in self._waiting:
                if isinstance(pending.source, Path) and not pending.source.exists():
                    self._waiting.delivered(pending)  # its owner took it away
                elif self._try_to_save(pending.name, pending.source) is None:
                    self._waiting.delivered(pending)
        finally:
            self._artifacts_lock.release()

    def _finish_metrics(self) -> None:
        assert self.folder is not None
        writer = self.folder.metrics
        writer.append({})
        if writer.summary():
            writer.materialise()
            if not self.keep_journal:
                writer.remove_journal()
        self._note()
