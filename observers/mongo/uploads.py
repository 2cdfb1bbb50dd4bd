"""Bringing a run's artifacts, sources and resources into GridFS, without leaving chunks behind."""

from __future__ import annotations

import mimetypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gridfs
from bson import ObjectId
from pymongo.database import Database

from observers.names import is_artifact_name, valid_unicode

_BLOCK = 1 << 20


class FilesSender:
    """Sends the files of one run; finds out at its making which ones are there.

    What is being uploaded, or is not referred to any more, stands in ``uploads`` of the run's
    document until its bytes are complete, or gone.

    Args:
        database: where they go.
        run_id: the run's number there.
        uid: the run's own name, which its files bear.
        folder: the run's.
        shared: the folder that holds ``_sources`` and ``_resources``.
        stay_alive: called between two blocks of a large file.
    """

    def __init__(
        self,
        database: Database,
        run_id: int,
        uid: str,
        folder: Path,
        shared: Path,
        stay_alive: Callable[[], None],
    ) -> None:
        self._database = database
        self._run_id = run_id
        self._uid = uid
        self._folder = folder
        self._shared = shared
        self._stay_alive = stay_alive
        self._files = gridfs.GridFS(database)
        self._swept: list[ObjectId] = []
        #: Entries of ``experiment.sources`` and ``resources`` in the run's document.
        self.sources: list[list[Any]] | None = None
        self.resources: list[list[str]] = []
        self._artifacts: dict[str, dict[str, Any]] = {}
        found = database.runs.find_one({"_id": run_id}, {"artifacts": 1}) or {}
        for artifact in found.get("artifacts", []):
            file = database.fs.files.find_one({"_id": artifact["file_id"]}) or {}
            signature = (file.get("metadata") or {}).get("signature")
            self._artifacts[artifact["name"]] = {**artifact, "signature": signature}
        self._sweep()

    def send_shared(self, entry: dict[str, Any]) -> None:
        """Send the sources and resources that ``run.json`` lists and the database has not."""
        self._send_sources(entry)
        self._send_resources(entry)

    def send_artifacts(self, entry: dict[str, Any]) -> None:
        """Send the artifacts that ``run.json`` lists as they are here; drop those it does not."""
        here = artifacts_here(self._folder, entry)
        for name in self._artifacts.keys() - set(map(valid_unicode, here)):
            self._drop(name)
        for name in here:
            if self.outdated(name):
                self._upload_artifact(name)

    def outdated(self, name: str) -> bool:
        """Return whether the artifact is here and the database has not this state of it."""
        signature = _signature(self._folder / name)
        known = self._artifacts.get(valid_unicode(name))
        return signature is not None and (known is None or known["signature"] != signature)

    def sweep_again(self) -> None:
        """Delete what came late: the last chunks of a killed sender, after the first sweep."""
        for file_id in self._swept:
            self._files.delete(file_id)
        self._swept = []

    def _sweep(self) -> None:
        """Delete uploads that broke off, and what replaced and removed artifacts have left."""
        document = self._database.runs.find_one({"_id": self._run_id}, {"uploads": 1}) or {}
        used = {artifact["file_id"] for artifact in self._artifacts.values()}
        for file_id in document.get("uploads", []):
            if file_id not in used and not self._is_shared(file_id):
                self._files.delete(file_id)
                self._swept.append(file_id)
            self._update({"$pull": {"uploads": file_id}})

    def _is_shared(self, file_id: ObjectId) -> bool:
        """Return whether it is a complete file that other runs may refer to."""
        file = self._database.fs.files.find_one({"_id": file_id}, {"metadata": 1})
        return file is not None and "md5" in (file.get("metadata") or {})

    def _upload_artifact(self, name: str) -> None:
        path = self._folder / name
        signature = _signature(path)
        try:
            identity = self._upload(
                path,
                filename=f"artifact://runs/{self._run_id}/{valid_unicode(name)}",
                content_type=mimetypes.guess_type(name)[0],
                metadata={"run_uid": self._uid, "signature": signature},
            )
        except FileNotFoundError:
            return  # pruned before it was sent
        name = valid_unicode(name)
        listed = {"name": name, "file_id": identity}
        earlier = self._artifacts.get(name)
        if earlier is None:
            self._update({"$push": {"artifacts": listed}})
        else:
            self._database.runs.update_one(
                {"_id": self._run_id, "artifacts.file_id": earlier["file_id"]},
                {"$set": {"artifacts.$": listed}, "$addToSet": {"uploads": earlier["file_id"]}},
            )
        self._artifacts[name] = {**listed, "signature": signature}
        self._sweep()

    def _drop(self, name: str) -> None:
        file_id = self._artifacts[name]["file_id"]
        self._update(
            {"$pull": {"artifacts": {"file_id": file_id}}, "$addToSet": {"uploads": file_id}}
        )
        del self._artifacts[name]
        self._sweep()

    def _upload(self, path: Path, **properties: Any) -> ObjectId:
        identity = ObjectId()
        with open(path, "rb") as source:
            # Noted first: whatever happens, the sweep knows whose chunks to delete.
            self._update({"$push": {"uploads": identity}})
            # Not a `with`: what breaks off must not become a file.
            target = self._files.new_file(_id=identity, **properties)
            while block := source.read(_BLOCK):
                target.write(block)
                self._stay_alive()
            target.close()
        return identity

    def _send_sources(self, entry: dict[str, Any]) -> None:
        if self.sources is None:
            self.sources = [
                [valid_unicode(name), self._sent_once(kept, f"source://{Path(kept).name}")]
                for name, kept in entry["experiment"].get("sources", [])
                if (self._shared / kept).is_file()
            ]

    def _send_resources(self, entry: dict[str, Any]) -> None:
        for original, kept in entry.get("resources", [])[len(self.resources) :]:
            original = valid_unicode(original)
            if (self._shared / kept).is_file():
                self._sent_once(kept, original)
            self.resources.append([original, _digest(kept)])

    def _sent_once(self, kept: str, filename: str) -> ObjectId:
        """Send a file that many runs have in common, named by its digest, once."""
        filename, digest = valid_unicode(filename), _digest(kept)
        known = self._database.fs.files.find_one({"filename": filename, "metadata.md5": digest})
        if known is not None:
            return known["_id"]
        identity = self._upload(self._shared / kept, filename=filename, metadata={"md5": digest})
        self._update({"$pull": {"uploads": identity}})
        return identity

    def _update(self, change: dict[str, Any]) -> None:
        self._database.runs.update_one({"_id": self._run_id}, change)


def artifacts_here(folder: Path, entry: dict[str, Any]) -> list[str]:
    """Names that ``entry`` lists and whose files are in the run's folder."""
    names = entry.get("artifacts", [])
    return [name for name in names if is_artifact_name(name) and (folder / name).is_file()]


def _digest(kept: str) -> str:
    return valid_unicode(Path(kept).stem.rpartition("_")[2])


def _signature(path: Path) -> list[int] | None:
    """What changes with a file's content; `None` of a file that is not there."""
    try:
        state = path.stat()
    except FileNotFoundError:
        return None
    return [state.st_size, state.st_mtime_ns]
