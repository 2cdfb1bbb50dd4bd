"""Reading runs from MongoDB: ours, and those of Sacred's own observer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import gridfs
from bson.codec_options import DatetimeConversion
from pymongo.errors import PyMongoError

from observers.mongo.address import parse_address
from observers.mongo.database import connect, reason, refusal
from observers.names import is_artifact_name
from observers.plain import plain
from observers.reading import shapes
from observers.reading.records import RunRecord, Store, as_id, by_number, place_of
from observers.reading.shapes import Note
from observers.scratch import Scratch
from tmd.errors import UnreachableError, UserError
from tmd.files import replacing

# A list of runs needs none of these, and they are most of what a run's document weighs.
_HEAVY = ("captured_out", "info", "fail_trace")
# All that one shows.
_LISTED = (
    *("status", "process", "heartbeat", "start_time", "stop_time"),
    *("experiment.name", "config", "result", "metric_summary", "info.study", "info.metrics_meta"),
    *("meta.given", "meta.config_updates"),
)
#: Of them, those that tell that a record has changed: writers change one of them with all else.
_STAMPED = ("status", "heartbeat", "start_time", "stop_time", "info.study")


def _stamp(document: Mapping[str, Any]) -> str:
    info = document.get("info")
    study = info.get("study") if isinstance(info, Mapping) else None
    said = [document.get(name) for name in _STAMPED[:-1]]
    return hashlib.blake2b(repr([*said, study]).encode(), digest_size=12).hexdigest()


class MongoRecord(RunRecord):
    """A run as a document.

    Args:
        store: where it is.
        document: without what `_HEAVY` names.
    """

    def __init__(self, store: MongoStore, document: Mapping[str, Any]) -> None:
        super().__init__(document["_id"], f"{store.spec}#{document['_id']}")
        self._store = store
        self._document = document
        self._entry: dict[str, Any] | None = None
        self._scratch = Scratch()

    @property
    def entry(self) -> dict[str, Any]:
        """The document, config apart."""
        if self._entry is None:
            rest = {key: value for key, value in self._document.items() if key != "config"}
            self._entry = self._plain(rest, "document")
        return self._entry

    @property
    def config(self) -> dict[str, Any]:
        """The document's config."""
        return self._mapping(self._document.get("config"), "config")

    @property
    def info(self) -> dict[str, Any]:
        """The info, asked for anew unless it came with the list."""
        known = self._document["info"] if "info" in self._document else self._field("info")
        info = dict(self._mapping(known, "info"))
        info.pop("metrics", None)  # the join with the metrics, not the user's
        return info

    @property
    def captured_out(self) -> str:
        """The captured output, asked for anew."""
        return str(self._field("captured_out") or "")

    @property
    def stamp(self) -> str:
        """See `RunRecord.stamp`."""
        return _stamp(self._document)

    def open(self, name: str) -> BinaryIO:
        """The artifact in GridFS, opened."""
        file_id = self._file_ids(_ignore).get(name)
        if file_id is None:
            raise self._absent(name)
        with self._store.asking():
            return self._store.files.get(file_id)  # type: ignore[return-value]

    def local_path(self, name: str) -> Path:
        """A copy of the artifact, gone with this object."""
        with self.open(name) as source:
            path = self._scratch.path / name
            if not path.exists():
                with replacing(path, durable=False) as target, self._store.asking():
                    while block := source.read(1 << 20):
                        target.write(block)
        return path

    def _listed_artifacts(self, note: Note) -> list[str]:
        return list(self._file_ids(note))

    def _points(self) -> Iterable[tuple[str, Any]]:
        with self._store.asking():
            parts = list(self._store.database.metrics.find({"run_id": self.id}))
        for part in sorted(parts, key=_place):
            yield str(part.get("metric", part.get("name"))), part

    def _file_ids(self, note: Note) -> dict[str, Any]:
        listed = self._field("artifacts")
        if listed is not None and not isinstance(listed, list):
            note(f"its list of artifacts is no list but {type(listed).__name__}")
            return {}
        found: dict[str, Any] = {}
        for artifact in listed or []:
            if not isinstance(artifact, Mapping) or "file_id" not in artifact:
                note("its list of artifacts has an entry without a file")
            elif not is_artifact_name(artifact.get("name")):
                shapes.artifact_names([artifact.get("name")], note)
            else:
                # Twice the same name is what Sacred's own observer makes of a replaced artifact.
                found[artifact["name"]] = artifact["file_id"]
        return found

    def _mapping(self, value: Any, what: str) -> dict[str, Any]:
        if value is not None and not isinstance(value, Mapping):
            raise UserError(f"run {self.spec}: its {what} is no mapping")
        return self._plain(value or {}, what)

    def _plain(self, value: Any, what: str) -> dict[str, Any]:
        try:
            return plain(value)
        except RecursionError:
            raise UserError(f"run {self.spec}: its {what} is nested too deeply") from None

    def _field(self, name: str) -> Any:
        with self._store.asking():
            document = self._store.runs.find_one({"_id": self.id}, {name: 1})
        return (document or {}).get(name)


class MongoStore(Store):
    """The runs in the database at ``url``; connects when first asked."""

    def __init__(self, url: str) -> None:
        self._address = parse_address(url)
        self.spec = self._address.public
        self.database = connect(self._address)
        self.files = gridfs.GridFS(self.database)
        # One run's text or time that is none is no reason not to read the others.
        lenient = self.database.codec_options.with_options(
            unicode_decode_error_handler="replace",
            datetime_conversion=DatetimeConversion.DATETIME_CLAMP,
        )
        self.runs = self.database.get_collection("runs", codec_options=lenient)

    def records(self) -> list[RunRecord]:
        """The runs of the database, by number."""
        with self.asking():
            documents = list(self.runs.find({}, dict.fromkeys(_HEAVY, 0)))
        return sorted((MongoRecord(self, document) for document in documents), key=by_number)

    def light_records(self, ids: Sequence[Any] | None = None) -> list[RunRecord]:
        """As `records`, by a query that asks for what a list shows and nothing else."""
        wanted = {} if ids is None else {"_id": {"$in": list(ids)}}
        with self.asking():
            documents = list(self.runs.find(wanted, dict.fromkeys(_LISTED, 1)))
        # One without any info is not asked for it again.
        made = (MongoRecord(self, {"info": {}, **document}) for document in documents)
        return sorted(made, key=by_number)

    def stamps(self) -> list[tuple[Any, str]]:
        """See `Store.stamps`."""
        with self.asking():
            documents = list(self.runs.find({}, dict.fromkeys(_STAMPED, 1)))
        documents.sort(key=lambda document: place_of(document["_id"]))
        return [(document["_id"], _stamp(document)) for document in documents]

    def open(self, run_id: int | str) -> RunRecord:
        """The run whose ``_id`` is ``run_id``."""
        number = as_id(run_id)
        with self.asking():
            document = self.runs.find_one({"_id": number}, dict.fromkeys(_HEAVY, 0))
            if document is None:
                known = self.runs.count_documents({})
        if document is None:
            raise UserError(
                f"run {self.spec}#{number}: no such run (the database holds {known}; one not sent "
                "yet is sent by: python -m observers.sync)"
            )
        return MongoRecord(self, document)

    def check(self) -> None:
        """Raise `UnreachableError` where the server does not answer."""
        with self.asking():
            self.runs.find_one({}, {"_id": 1})

    def asking(self) -> _Asking:
        """A context in which what the driver raises becomes one line."""
        return _Asking(self)


class _Asking:
    def __init__(self, store: MongoStore) -> None:
        self._store = store

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, PyMongoError):
            address = self._store._address
            said = refusal(address, error) or UnreachableError(
                f"MongoDB at {address.public}: does not answer ({reason(error)})"
            )
            raise said from None


def _place(part: Mapping[str, Any]) -> float:
    """The place of a metric's document among those of the metric."""
    return shapes.number(part.get("part")) or 0


def _ignore(problem: str) -> None:
    pass
