"""The file store: one folder a run, and the observers that record runs in folders."""

from __future__ import annotations

import datetime
import os
from abc import abstractmethod
from pathlib import Path
from typing import Any

from sacred.observers import RunObserver

from observers.plain import plain
from observers.writing.entry import highest_id, run_entry, whole_number
from observers.writing.folder import RunFolder
from observers.writing.queued import queued_run
from observers.writing.recording import Recording
from observers.writing.sweeping import sweep_beside
from observers.writing.waiting import Source
from tmd.errors import UserError


class FolderObserver(RunObserver):
    """Passes on what Sacred says to the recording of the run in a folder.

    Args:
        recording: of the runs, one after the other.
        priority: Sacred calls observers of higher priority first.
    """

    def __init__(self, recording: Recording, priority: int) -> None:
        self.recording = recording
        self.priority = priority
        self.run_id: int | None = None

    @abstractmethod
    def begin(
        self, entry: dict[str, Any], ex_info: dict, config: dict, _id: int | str | None
    ) -> int:
        """Give the run a number and a folder, and begin its recording there.

        Args:
            entry: the beginning of its ``run.json``.
            ex_info, config: as Sacred hands them over.
            _id: the number to take; `None` for the next.

        Returns:
            The number.

        Raises:
            UserError: the number is taken, or the store can't be written.
        """

    @property
    @abstractmethod
    def store_folder(self) -> Path | None:
        """The run's folder in a file store, which stays; `None` if there is none."""

    @property
    def folder(self) -> RunFolder | None:
        """The run's folder, once it has one."""
        return self.recording.folder

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
        """Begin the record; returns the run's number."""
        entry = run_entry(ex_info, command, host_info, meta_info, start_time)
        return self.begin(entry, ex_info, config, _id)

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
        """Begin the record of a run that is to be started later."""
        entry = run_entry(ex_info, command, host_info, meta_info, None)
        run_id = self.begin(entry, ex_info, config, _id)
        self.join()  # Sacred does not, where a run is only queued
        return run_id

    def heartbeat_event(
        self, info: dict, captured_out: str, beat_time: datetime.datetime, result: Any
    ) -> None:
        """Write what is known by now."""
        self.recording.heartbeat(info, captured_out, beat_time, result)

    def log_metrics(self, metrics_by_name: dict, info: dict) -> None:
        """Append points."""
        self.recording.log_metrics(metrics_by_name)

    def completed_event(self, stop_time: datetime.datetime, result: Any) -> None:
        """End the record."""
        self.recording.end(stop_time, "COMPLETED", result=plain(result))

    def interrupted_event(self, interrupt_time: datetime.datetime, status: str) -> None:
        """End the record."""
        self.recording.end(interrupt_time, status)

    def failed_event(self, fail_time: datetime.datetime, fail_trace: list[str]) -> None:
        """End the record, with the traceback."""
        self.recording.end(fail_time, "FAILED", fail_trace=plain(fail_trace))

    def resource_event(self, filename: str) -> None:
        """Keep a file that the run reads."""
        self.recording.add_resource(filename)

    def artifact_event(
        self,
        name: str,
        filename: str,
        metadata: dict | None = None,
        content_type: str | None = None,
    ) -> None:
        """Keep a file that the run made."""
        self.recording.save_artifact(name, filename)

    def join(self) -> None:
        """Last chance for what could not be written: Sacred calls it when all is over."""
        self.recording.finish()
        self.recording.say_what_remains()

    # What `RunArtifacts` calls -----------------------------------------------------------------

    def save_artifact(self, name: str, source: Source) -> bool:
        """Keep an artifact; see `RunArtifacts.save`."""
        return self.recording.save_artifact(name, source)

    def remove_artifact(self, name: str) -> None:
        """Drop an artifact; see `RunArtifacts.remove`."""
        self.recording.remove_artifact(name)

    def undelivered(self) -> list[str]:
        """Places of what is not durable; see `RunArtifacts.undelivered`."""
        return self.recording.undelivered()


class FileObserver(FolderObserver):
    """Records runs under ``root``, each in a folder named by its number.

    Args:
        root: the store; made when the first run starts. Many processes may write to one.
        metrics_interval: at most so many seconds lie between two makings of ``metrics.json``
            while the run goes on.
        priority: Sacred calls observers of higher priority first.

    Raises:
        UserError: when a run starts and its folder can't be made. Nothing after that raises.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        metrics_interval: float = 120.0,
        priority: int = 20,
    ) -> None:
        super().__init__(Recording(metrics_interval), priority)
        self.root = Path(root)

    def __repr__(self) -> str:
        return f"FileObserver({str(self.root)!r})"

    @property
    def store_folder(self) -> Path | None:
        """The run's folder in the store."""
        return None if self.run_id is None else self.root / str(self.run_id)

    def begin(
        self, entry: dict[str, Any], ex_info: dict, config: dict, _id: int | str | None
    ) -> int:
        """Take the next number, and begin the recording in a folder of that name."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with queued_run(self.root, entry, _id) as queued:
                self.run_id, path = (int(queued.name), queued) if queued else self._reserve(_id)
                self.recording.begin(path, self.root, entry, ex_info, config, queued is not None)
        except OSError as error:
            raise UserError(f"file storage {self.root}: {error.strerror or error}") from None
        sweep_beside(self.root)
        return self.run_id

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
