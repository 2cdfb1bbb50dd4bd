"""Bringing a run's folder into MongoDB, so that any part of it may be done twice.

The journal of metrics only ever grows. Each metric's document says up to which byte of it its
points reach, in the same update that adds them: whatever breaks in between, and whoever goes on,
no point is missing and none is there twice.
"""

from __future__ import annotations

import datetime
import json
import mimetypes
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gridfs
from bson import ObjectId
from bson.errors import InvalidDocument
from pymongo.database import Database
from pymongo.errors import DocumentTooLarge, DuplicateKeyError, PyMongoError

from observers.database import run_document
from observers.metrics import JOURNAL, JournalLine, read_journal
from observers.spool import Outbox

# A metric goes on in another document long before the 16 MB (380,000 points) that one may have.
PART_POINTS = 100_000
_BATCH_POINTS = 50_000
_BLOCK = 1 << 20
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
        self._files = gridfs.GridFS(database)
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
        """What the database lacks, as far as is known, in words; "" if nothing."""
        entry = self._json("run.json", {})
        points = sum(metric["count"] for metric in entry.get("metric_summary", []))
        points -= sum(part["total"] for part in self._parts.values())
        names = [name for name in self._artifacts_here(entry) if self._outdated(name)]
        said = [f"{points:,} measurements"] if points > 0 else []
        if names:
            said.append(f"{len(names)} artifact{'s' if len(names) > 1 else ''}")
        if not said and self._sent.get("status") != entry.get("status"):
            said.append("its status")
        return " and ".join(said)

    # -------------------------------------------------------------------------------------------

    def _forget(self) -> None:
        self._ready = False
        self._sent: dict[str, Any] = {}
        self._parts: dict[str, dict[str, Any]] = {}
        self._metric_ids: list[dict[str, str]] = []
        self._offset = 0
        self._artifacts: dict[str, dict[str, Any]] = {}
        self._swept: list[ObjectId] = []
        self._sources: list[list[Any]] | None = None
        self._resources: list[list[str]] = []
        self._alive_at = time.monotonic()

    def _send(self) -> bool:
        entry = self._json("run.json", None)
        # A run is not said to have ended before all of it is there.
        going_on = {**self._document(entry), "status": "RUNNING"}
        if not self._ready:
            self._begin(going_on)
        self._update(going_on)
        self._send_sources(entry)
        self._send_resources(entry)
        self._send_metrics()
        self._send_artifacts()
        self._sweep_again()
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
        document["info"]["metrics"] = list(self._metric_ids)
        document["experiment"]["sources"] = self._sources or []
        document["resources"] = list(self._resources)
        return document

    # The run's own document ----------------------------------------------------------------------

    def _begin(self, document: dict[str, Any]) -> None:
        """Find out what the database has of this run; give the run a place if it has none."""
        marker = self.outbox.marker() or {}
        runs = self.database.runs
        found = runs.find_one({"uid": document["uid"]}, {"artifacts": 1})
        if found is None:
            found = {"_id": self._insert(document, marker.get("id")), "artifacts": []}
        self.run_id = found["_id"]
        if marker.get("id") != self.run_id:
            self.outbox.mark(self.public, self.run_id)
        self._load_parts()
        self._load_artifacts(found["artifacts"])
        self._ready = True

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
        try:
            result = runs.update_one({"_id": self.run_id}, {"$set": changed})
        except (DocumentTooLarge, InvalidDocument) as error:
            changed["info"] = {
                "left_out": f"{type(error).__name__}: see info.json of the run's files",
                "metrics": document["info"]["metrics"],
            }
            result = runs.update_one({"_id": self.run_id}, {"$set": changed})
        if result.matched_count == 0:
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

    # Metrics -----------------------------------------------------------------------------------

    def _load_parts(self) -> None:
        self._parts, self._metric_ids, self._offset = {}, [], 0
        fields = {"name": 1, "metric": 1, "part": 1, "journal": 1, "count": 1}
        found = self.database.metrics.find({"run_id": self.run_id}, fields)
        for part in sorted(found, key=lambda each: each["part"]):
            earlier = self._parts.get(part["metric"], {"total": 0})
            part["total"] = earlier["total"] + part["count"]
            self._parts[part["metric"]] = part
            self._metric_ids.append({"name": part["name"], "id": str(part["_id"])})

    def _send_metrics(self) -> None:
        for end, lines in self._batches():
            for name, of_metric in lines.items():
                self._send_lines(name, of_metric)
                self._stay_alive()
            self._offset = end

    def _batches(self) -> Iterator[tuple[int, dict[str, list[JournalLine]]]]:
        """New lines of the journal by metric, some tens of thousands of points at a time."""
        lines: dict[str, list[JournalLine]] = {}
        points = 0
        end = self._offset
        try:
            for line in read_journal(self.folder / JOURNAL, self._offset):
                end = line.end
                if line.end <= self._parts.get(line.name, {"journal": 0})["journal"]:
                    continue
                lines.setdefault(line.name, []).append(line)
                points += len(line.points["steps"])
                if points >= _BATCH_POINTS:
                    yield end, lines
                    lines, points = {}, 0
        except FileNotFoundError:
            return  # nothing measured yet
        yield end, lines

    def _send_lines(self, name: str, lines: list[JournalLine]) -> None:
        while lines:
            part = self._parts.get(name)
            room = PART_POINTS - (part["count"] if part else 0)
            fitting, points = 0, 0
            for line in lines:
                points += len(line.points["steps"])
                if points > room and (fitting or room < PART_POINTS):
                    break
                fitting += 1
            if fitting == 0:
                self._close_part(name)
                continue
            self._push(name, lines[:fitting])
            lines = lines[fitting:]

    def _push(self, name: str, lines: list[JournalLine]) -> None:
        points = {
            "steps": [step for line in lines for step in line.points["steps"]],
            "values": [
                float("nan") if value is None else value
                for line in lines
                for value in line.points["values"]
            ],
            "timestamps": [
                datetime.datetime.fromisoformat(when)
                for line in lines
                for when in line.points["timestamps"]
            ],
        }
        count, end = len(points["steps"]), lines[-1].end
        metrics = self.database.metrics
        part = self._parts.get(name)
        if part is None or part.get("closed"):
            number = part["part"] + 1 if part else 0
            total = part["total"] if part else 0
            identity = ObjectId()
            metrics.insert_one(
                {
                    "_id": identity,
                    "run_id": self.run_id,
                    "name": name,
                    "metric": name,
                    "part": number,
                    "journal": end,
                    "count": count,
                    **points,
                }
            )
            part = {"_id": identity, "part": number, "count": 0, "total": total}
            self._parts[name] = part
            self._metric_ids.append({"name": name, "id": str(identity)})
        else:
            result = metrics.update_one(
                {"_id": part["_id"], "journal": part["journal"]},
                {
                    "$push": {field: {"$each": values} for field, values in points.items()},
                    "$set": {"journal": end},
                    "$inc": {"count": count},
                },
            )
            if result.matched_count == 0:
                raise PyMongoError(f"metric {name} was changed by someone else; looking again")
        part["journal"] = end
        part["count"] += count
        part["total"] += count

    def _close_part(self, name: str) -> None:
        """Go on in a new document; the newest bears the metric's name, for Omniboard's columns."""
        part = self._parts[name]
        earlier_name = f"{name} (part {part['part'] + 1})"
        self.database.metrics.update_one({"_id": part["_id"]}, {"$set": {"name": earlier_name}})
        for listed in self._metric_ids:
            if listed["id"] == str(part["_id"]):
                listed["name"] = earlier_name
        part["closed"] = True
        part["count"] = 0

    # Files -------------------------------------------------------------------------------------

    def _load_artifacts(self, listed: list[dict[str, Any]]) -> None:
        self._artifacts = {}
        for artifact in listed:
            file = self.database.fs.files.find_one({"_id": artifact["file_id"]}) or {}
            signature = (file.get("metadata") or {}).get("signature")
            self._artifacts[artifact["name"]] = {**artifact, "signature": signature}
        self._sweep()

    def _sweep(self) -> None:
        """Delete uploads that broke off, and what replaced and removed artifacts have left."""
        document = self.database.runs.find_one({"_id": self.run_id}, {"uploads": 1}) or {}
        used = {artifact["file_id"] for artifact in self._artifacts.values()}
        for file_id in document.get("uploads", []):
            if file_id not in used and not self._is_shared(file_id):
                self._files.delete(file_id)
                self._swept.append(file_id)
            self.database.runs.update_one({"_id": self.run_id}, {"$pull": {"uploads": file_id}})

    def _sweep_again(self) -> None:
        # The last chunks of a killed sender may have reached the server after the first time.
        for file_id in self._swept:
            self._files.delete(file_id)
        self._swept = []

    def _is_shared(self, file_id: ObjectId) -> bool:
        """Whether it is a complete file that other runs may refer to."""
        file = self.database.fs.files.find_one({"_id": file_id}, {"metadata": 1})
        return file is not None and "md5" in (file.get("metadata") or {})

    def _send_artifacts(self) -> None:
        here = self._artifacts_here(self._json("run.json", {}))
        for name in [name for name in self._artifacts if name not in here]:
            self._drop(name)
        for name in here:
            if self._outdated(name):
                self._upload_artifact(name)

    def _artifacts_here(self, entry: dict[str, Any]) -> list[str]:
        return [name for name in entry.get("artifacts", []) if (self.folder / name).is_file()]

    def _outdated(self, name: str) -> bool:
        known = self._artifacts.get(name)
        return known is None or known["signature"] != _signature(self.folder / name)

    def _upload_artifact(self, name: str) -> None:
        path = self.folder / name
        runs = self.database.runs
        try:
            signature = _signature(path)
            identity = self._upload(
                path,
                filename=f"artifact://runs/{self.run_id}/{name}",
                content_type=mimetypes.guess_type(name)[0],
                metadata={"run_uid": self._sent["uid"], "signature": signature},
            )
        except FileNotFoundError:
            self._sweep()  # pruned before it was sent
            return
        listed = {"name": name, "file_id": identity}
        earlier = self._artifacts.get(name)
        if earlier is None:
            runs.update_one({"_id": self.run_id}, {"$push": {"artifacts": listed}})
        else:
            runs.update_one(
                {"_id": self.run_id, "artifacts.file_id": earlier["file_id"]},
                {"$set": {"artifacts.$": listed}, "$addToSet": {"uploads": earlier["file_id"]}},
            )
        self._artifacts[name] = {**listed, "signature": signature}
        self._sweep()

    def _drop(self, name: str) -> None:
        file_id = self._artifacts[name]["file_id"]
        self.database.runs.update_one(
            {"_id": self.run_id},
            {"$pull": {"artifacts": {"file_id": file_id}}, "$addToSet": {"uploads": file_id}},
        )
        del self._artifacts[name]
        self._sweep()

    def _upload(self, path: Path, **properties: Any) -> ObjectId:
        identity = ObjectId()
        with open(path, "rb") as source:
            # Noted first: whatever happens, the sweep knows whose chunks to delete.
            self.database.runs.update_one({"_id": self.run_id}, {"$push": {"uploads": identity}})
            # Not a `with`: what breaks off must not become a file.
            target = self._files.new_file(_id=identity, **properties)
            while block := source.read(_BLOCK):
                target.write(block)
                self._stay_alive()
            target.close()
        return identity

    def _send_sources(self, entry: dict[str, Any]) -> None:
        if self._sources is None:
            root = self.folder.parent if self.outbox.keep else self.folder
            self._sources = [
                [name, self._shared_file(root / kept, f"source://{Path(kept).name}")]
                for name, kept in entry["experiment"].get("sources", [])
                if (root / kept).is_file()
            ]

    def _send_resources(self, entry: dict[str, Any]) -> None:
        root = self.folder.parent if self.outbox.keep else self.folder
        for original, kept in entry.get("resources", [])[len(self._resources) :]:
            if (root / kept).is_file():
                self._shared_file(root / kept, original)
            digest = Path(kept).stem.rpartition("_")[2]
            self._resources.append([original, digest])

    def _shared_file(self, path: Path, filename: str) -> ObjectId:
        """A file that many runs have in common, named by its digest; sent once."""
        digest = path.stem.rpartition("_")[2]
        known = self.database.fs.files.find_one({"filename": filename, "metadata.md5": digest})
        if known is not None:
            return known["_id"]
        identity = self._upload(path, filename=filename, metadata={"md5": digest})
        self.database.runs.update_one({"_id": self.run_id}, {"$pull": {"uploads": identity}})
        return identity

    def _json(self, name: str, default: Any) -> Any:
        try:
            return json.loads((self.folder / name).read_bytes())
        except FileNotFoundError:
            if default is None:
                raise
            return default


def insert_run(database: Database, run_id: int, document: dict[str, Any]) -> None:
    """Take the number ``run_id``; raises DuplicateKeyError if another run has it."""
    database.runs.insert_one({"_id": run_id, **document, "artifacts": []})


def highest_run_id(database: Database) -> int:
    """The greatest number of a run; text ids, which Sacred's ``-i`` makes, are left out."""
    found = database.runs.find({"_id": {"$type": "number"}}, {"_id": 1}).sort("_id", -1).limit(1)
    return max((int(run["_id"]) for run in found), default=0)


def _signature(path: Path) -> list[int]:
    state = path.stat()
    return [state.st_size, state.st_mtime_ns]
