"""Bringing a run's folder into MongoDB, so that any part of it may be done twice."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Callable
from typing import Any

import gridfs
from bson.errors import InvalidDocument
from pymongo.database import Database
from pymongo.errors import DocumentTooLarge, DuplicateKeyError, PyMongoError

from observers.journal import JOURNAL
from observers.mongo.database import highest_run_id, insert_run
from observers.mongo.documents import run_document
from observers.mongo.points import PointsSender
from observers.mongo.uploads import FilesSender, artifacts_here
from observers.writing.spool import Outbox

_ALIVE_SECONDS = 10.0


class Stopped(Exception):
    """Sending was called off in the middle of something long."""


class Sender:
    """Sends one run's folder; not thread-safe.

    Args:
        outbox: the run's; locked by the caller.
        database: where it goes.
        public: the database's address without credentials.
        stopped: asked between two blocks of a large file.
    """

    def __init__(
        self,
        outbox: Outbox,
        database: Database,
        public: str,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self.outbox = outbox
        self.folder = outbox.folder
        self.database = database
        self.public = public
        self.stopped = stopped
        self.run_id: int | None = None
        self._forget()

    def send(self) -> bool:
        """Send what is not there yet.

        Returns:
            Whether the run has ended and the database has all of it.

        Raises:
            PyMongoError: the server went away; call again later.
            Stopped: ``stopped`` said so.
        """
        try:
            return self._send()
        except (PyMongoError, gridfs.errors.GridFSError):
            # What of it the server did before it went is unknown: ask it when it is back.
            self._forget()
            raise

    def unsent(self) -> str:
        """Description of what the database lacks, as far as is known; "" if nothing."""
        entry = self._json("run.json", {})
        points = sum(metric["count"] for metric in entry.get("metric_summary", []))
        points -= self._points.total() if self._points else 0
        names = artifacts_here(self.folder, entry)
        if self._files:
            names = [name for name in names if self._files.outdated(name)]
        said = [f"{points:,} measurements"] if points > 0 else []
        if names:
            said.append(f"{len(names)} artifact{'s' if len(names) > 1 else ''}")
        if not said and self._sent.get("status") != entry.get("status"):
            said.append("its status")
        return " and ".join(said)

    def _forget(self) -> None:
        self._sent: dict[str, Any] = {}
        self._points: PointsSender | None = None
        self._files: FilesSender | None = None
        self._alive_at = time.monotonic()

    def _send(self) -> bool:
        entry = self._json("run.json", None)
        # A run is not said to have ended before all of it is there.
        is_queued = entry["status"] == "QUEUED"
        going_on = {**self._document(entry), "status": "QUEUED" if is_queued else "RUNNING"}
        points, files = self._begin(going_on)
        self._update(going_on)
        files.send_shared(entry)
        points.send()
        files.send_artifacts(entry)
        files.sweep_again()
        self._update(self._document(entry))
        # What was saved meanwhile comes with the next call.
        return entry["status"] != "RUNNING" and self._json("run.json", None) == entry

    def _document(self, entry: dict[str, Any]) -> dict[str, Any]:
        captured = self.folder / "cout.txt"
        document = run_document(
            entry,
            self._json("config.json", {}),
            self._json("info.json", {}),
            captured.read_text("utf-8", "replace") if captured.exists() else "",
        )
        document["info"]["metrics"] = list(self._points.listed) if self._points else []
        document["experiment"]["sources"] = (self._files and self._files.sources) or []
        document["resources"] = list(self._files.resources) if self._files else []
        return document

    def _begin(self, document: dict[str, Any]) -> tuple[PointsSender, FilesSender]:
        """Find out, once, what the database has of this run; give it a place if it has none."""
        if self._points is None or self._files is None:
            marked = self.outbox.run_id()
            found = self.database.runs.find_one({"uid": document["uid"]}, {"_id": 1})
            number = found["_id"] if found else self._insert(document, marked)
            if marked != number:
                self.outbox.mark(self.public, number)
            self.run_id = number
            journal = self.folder / JOURNAL
            self._points = PointsSender(self.database, number, journal, self._stay_alive)
            shared = self.folder.parent if self.outbox.keep else self.folder
            self._files = FilesSender(
                self.database, number, document["uid"], self.folder, shared, self._stay_alive
            )
        return self._points, self._files

    def _insert(self, document: dict[str, Any], wanted: int | None) -> int:
        self.database.metrics.create_index("run_id")
        while True:
            run_id = wanted or highest_run_id(self.database) + 1
            try:
                insert_run(self.database, run_id, document)
                return run_id
            except DuplicateKeyError:
                wanted = None  # taken while the server was away

    def _update(self, document: dict[str, Any]) -> None:
        changed = {
            key: value
            for key, value in document.items()
            if key not in self._sent or self._sent[key] != value
        }
        if not changed:
            return
        runs = self.database.runs
        mine: dict[str, Any] = {"_id": self.run_id}
        if document["status"] == "QUEUED":
            mine["status"] = "QUEUED"  # else it has begun, and another process writes it
        try:
            result = runs.update_one(mine, {"$set": changed})
        except (DocumentTooLarge, InvalidDocument) as error:
            changed["info"] = {
                "left_out": f"{type(error).__name__}: see info.json of the run's files",
                "metrics": document["info"]["metrics"],
            }
            result = runs.update_one(mine, {"$set": changed})
        if result.matched_count == 0 and document["status"] != "QUEUED":
            self._forget()
            raise PyMongoError(f"run {self.run_id} was deleted from the database; sending it anew")
        self._sent.update(changed)
        self._alive_at = time.monotonic()

    def _stay_alive(self) -> None:
        """Beat while something long is sent: a run without a beat looks dead."""
        if self.stopped():
            raise Stopped
        if time.monotonic() - self._alive_at > _ALIVE_SECONDS:
            beat = self._json("run.json", {}).get("heartbeat")
            if beat:
                now = datetime.datetime.fromisoformat(beat)
                self.database.runs.update_one({"_id": self.run_id}, {"$set": {"heartbeat": now}})
            self._alive_at = time.monotonic()

    def _json(self, name: str, default: Any) -> Any:
        try:
            return json.loads((self.folder / name).read_bytes())
        except FileNotFoundError:
            if default is None:
                raise
            return default
