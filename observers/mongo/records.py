"""Reading runs from MongoDB: ours, and those of Sacred's own observer."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, BinaryIO

import gridfs
from pymongo.errors import PyMongoError

from observers.journal import Metric
from observers.mongo.address import parse_address
from observers.mongo.database import connect, reason, refusal
from observers.plain import plain
from observers.reading.records import RunRecord, Store
from tmd.errors import UserError

# A list of runs needs none of these, and they are most of what a run's document weighs.
_HEAVY = ("captured_out", "info", "fail_trace")


class MongoRecord(RunRecord):
    def __init__(self, store: MongoStore, document: dict[str, Any]) -> None:
        self._store = store
        self.id = document["_id"]
        self.spec = f"{store.spec}#{self.id}"
        self._config = document.pop("config", {})
        self.entry = plain(document)
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def config(self) -> dict[str, Any]:
        return self._config

    @property
    def info(self) -> dict[str, Any]:
        info = plain(self._field("info") or {})
        info.pop("metrics", None)  # the join with the metrics, not the user's
        return info

    @property
    def captured_out(self) -> str:
        return str(self._field("captured_out") or "")

    def metrics(self) -> dict[str, Metric]:
        metrics: dict[str, Metric] = {}
        with self._store.asking():
            parts = list(self._store.database.metrics.find({"run_id": self.id}))
        for part in sorted(parts, key=lambda each: each.get("part", 0)):
            name = part.get("metric", part["name"])
            metric = metrics.setdefault(name, Metric([], [], []))
            metric.steps.extend(part["steps"])
            metric.values.extend(part["values"])
            metric.timestamps.extend(when.isoformat() for when in part["timestamps"])
        return metrics

    def artifacts(self) -> list[str]:
        return list(self._file_ids())

    def open(self, name: str) -> BinaryIO:
        file_id = self._file_ids().get(name)
        if file_id is None:
            raise self._absent(name)
        with self._store.asking():
            return self._store.files.get(file_id)  # type: ignore[return-value]

    def local_path(self, name: str) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="tmd-")
        path = Path(self._folder.name, name)
        if not path.exists():
            with self.open(name) as source, open(path, "wb") as target, self._store.asking():
                while block := source.read(1 << 20):
                    target.write(block)
        return path

    def _file_ids(self) -> dict[str, Any]:
        # Twice the same name is what Sacred's own observer makes of a replaced artifact.
        listed = self._field("artifacts") or []
        return {artifact["name"]: artifact["file_id"] for artifact in listed}

    def _field(self, name: str) -> Any:
        with self._store.asking():
            document = self._store.database.runs.find_one({"_id": self.id}, {name: 1})
        return (document or {}).get(name)


class MongoStore(Store):
    """The runs in the database at ``url``; connects when first asked."""

    def __init__(self, url: str) -> None:
        self._address = parse_address(url)
        self.spec = self._address.public
        self.database = connect(self._address)
        self.files = gridfs.GridFS(self.database)

    def records(self) -> list[RunRecord]:
        with self.asking():
            documents = list(self.database.runs.find({}, dict.fromkeys(_HEAVY, 0)))
        documents.sort(key=lambda each: (isinstance(each["_id"], str), each["_id"]))
        return [MongoRecord(self, document) for document in documents]

    def open(self, run_id: int | str) -> RunRecord:
        number = int(run_id) if str(run_id).isdigit() else run_id
        with self.asking():
            document = self.database.runs.find_one({"_id": number}, dict.fromkeys(_HEAVY, 0))
            if document is None:
                known = self.database.runs.count_documents({})
        if document is None:
            raise UserError(
                f"run {self.spec}#{number}: no such run (the database holds {known}; one not sent "
                "yet is sent by: python -m observers.sync)"
            )
        return MongoRecord(self, document)

    def asking(self) -> _Asking:
        return _Asking(self)


class _Asking:
    """Turns what the driver raises within into one line."""

    def __init__(self, store: MongoStore) -> None:
        self._store = store

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, PyMongoError):
            address = self._store._address
            said = refusal(address, error) or UserError(
                f"MongoDB at {address.public}: does not answer ({reason(error)})"
            )
            raise said from None
