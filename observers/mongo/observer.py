"""Records runs in MongoDB, by way of the disk: training never waits for a server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, PyMongoError

from observers.mongo.address import parse_address
from observers.mongo.database import connect, highest_run_id, insert_run, reason, refusal
from observers.mongo.documents import run_document
from observers.mongo.thread import SendingThread
from observers.plain import plain
from observers.writing.entry import highest_id, whole_number
from observers.writing.files import FolderObserver
from observers.writing.queued import AFTER, CLAIM, ITEM, is_beginning, queued_run
from observers.writing.recording import Recording
from observers.writing.spool import SPOOL, Outbox, next_provisional_id
from observers.writing.sweeping import sweep_beside
from tmd.errors import UserError


class MongoObserver(FolderObserver):
    """Records a run in a folder, and sends the folder to a database in the background.

    Everything Sacred says goes to the folder at once; a thread brings the database up to date with
    it after each beat. While the server is away the folder just grows; what a run could not send
    is sent by ``python -m observers.sync``.

    Args:
        url: ``mongodb://[user:password@]host[:port]/database``.
        root: the file store that records the run as well, under the same number; without one the
            folder lies in ``spool`` until all of it is sent.
        spool: see ``root``.
        patience: seconds to wait at the run's end for what is still to be sent.

    Raises:
        UserError: ``url`` is not an address; when the run starts: the server says no, for example
            to the password. A server that does not answer is no error.
    """

    def __init__(
        self,
        url: str,
        root: str | os.PathLike[str] | None = None,
        spool: str | os.PathLike[str] = Path("runs", SPOOL),
        patience: float = 30.0,
        metrics_interval: float = 120.0,
        priority: int = 30,
    ) -> None:
        recording = Recording(metrics_interval, changed=self._wake, keep_journal=True)
        super().__init__(recording, priority)
        self.address = parse_address(url)
        self.in_files = root is not None
        self.root = Path(spool if root is None else root)
        self.patience = patience
        self._thread: SendingThread | None = None

    def __repr__(self) -> str:
        return f"MongoObserver({self.address.public!r})"

    @property
    def store_folder(self) -> Path | None:
        """The run's folder in the file store, which stays, if it is recorded there as well."""
        if self.run_id is None or not self.in_files:
            return None
        return self.root / str(self.run_id)

    def begin(
        self, entry: dict[str, Any], ex_info: dict, config: dict, _id: int | str | None
    ) -> int:
        """Take a number in both stores, begin the recording and the sending."""
        if _id is not None:
            _id = whole_number(_id)
        database = connect(self.address)
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            document = run_document(entry, plain(config), {}, "")
            here = entry if self.in_files else {}
            with queued_run(self.root, here, _id) as queued:
                if _id is not None and is_beginning(entry, _id):
                    self.run_id, path, agreed = self._take_over(database, document, _id, queued)
                else:
                    self.run_id, path, agreed = self._reserve_in_both(database, document, _id)
                outbox = Outbox(path, keep=self.in_files)
                outbox.mark(self.address.public, self.run_id)
                outbox.lock()
                shared = self.root if self.in_files else path
                self.recording.begin(path, shared, entry, ex_info, config, queued is not None)
        except OSError as error:
            raise UserError(f"file storage {self.root}: {error.strerror or error}") from None
        sweep_beside(self.root)
        failures = self.recording.failures
        self._thread = SendingThread(outbox, database, self.address, failures, not agreed)
        self._thread.start()
        return self.run_id

    def join(self) -> None:
        """Wait, but not for ever, until the database has all of the run."""
        self.recording.finish()
        if self._thread is not None:
            self._thread.finish(self.patience)
            self._thread = None
        self.recording.say_what_remains()

    def _wake(self) -> None:
        if self._thread is not None:
            self._thread.wake()

    def _take_over(
        self, database: Database, document: dict[str, Any], run_id: int, queued: Path | None
    ) -> tuple[int, Path, bool]:
        """As `_reserve_in_both`, of a run that is queued under its number in the database."""
        try:
            found = database.runs.find_one_and_update(
                {"_id": run_id, "status": "QUEUED"}, {"$set": document, "$unset": {CLAIM: ""}}
            )
        except PyMongoError as error:
            raise refusal(self.address, error) or UserError(
                f"MongoDB at {self.address.public}: does not answer ({reason(error)})"
            ) from None
        if found is None:
            raise UserError(f"run {run_id}: is queued no more in {self.address.public}")
        path = queued or self._make_folder(run_id, document["uid"], asked=True)
        assert path is not None  # asked for, so that it raises where it is there
        return run_id, path, True

    def _reserve_in_both(
        self, database: Database, document: dict[str, Any], _id: int | str | None
    ) -> tuple[int, Path, bool]:
        """The run's number, its folder, and whether the database has agreed to the number.

        The folder is made first and the document inserted second; both fail where the number is
        taken, so that no two runs share one in either store.
        """
        answers = True
        run_id = 0
        while True:
            if _id is not None:
                run_id = int(_id)
            else:
                answers, highest = self._highest(database) if answers else (False, 0)
                run_id = max(run_id, highest, self._highest_here(answers)) + 1
            path = self._make_folder(run_id, document["uid"], asked=_id is not None)
            if path is None:
                continue
            try:
                if answers:
                    insert_run(database, run_id, document)
                    self._yield_to_another(database, document, run_id, path)
                return run_id, path, answers
            except DuplicateKeyError:
                path.rmdir()
                if _id is not None:
                    raise UserError(
                        f"run {run_id}: exists already in {self.address.public}"
                    ) from None
            except PyMongoError as error:
                self._note_absence(error)
                return run_id, path, False

    def _yield_to_another(
        self, database: Database, document: dict[str, Any], run_id: int, path: Path
    ) -> None:
        """Take the run back where another goes on with the same killed run of the queue.

        Of two that begin at once, that with the lower number stays: it was there before the
        higher one could be known.

        Raises:
            UserError: there is another.
        """
        meta = document.get("meta") or {}
        if meta.get(AFTER) is None:
            return
        between = {"$gt": meta[AFTER], "$lt": run_id}
        other = database.runs.find_one({"_id": between, f"meta.{ITEM}": meta[ITEM]}, {"_id": 1})
        if other is not None:
            database.runs.delete_one({"_id": run_id, "uid": document["uid"]})
            path.rmdir()
            raise UserError(
                f"run {meta[AFTER]}: run {other['_id']} goes on with it in {self.address.public}"
            )

    def _highest(self, database: Database) -> tuple[bool, int]:
        try:
            return True, highest_run_id(database)
        except PyMongoError as error:
            self._note_absence(error)
            return False, 0

    def _highest_here(self, answers: bool) -> int:
        if self.in_files:
            return highest_id(self.root)
        return 0 if answers else next_provisional_id(self.root) - 1

    def _note_absence(self, error: PyMongoError) -> None:
        """Note that the server does not answer; raise if it did, and said no."""
        refused = refusal(self.address, error)
        if refused is not None:
            raise refused from None
        self.recording.failures.add(
            f"MongoDB at {self.address.public} does not answer; the run is kept on disk and sent "
            "when it does",
            reason(error),
        )

    def _make_folder(self, run_id: int, uid: str, asked: bool) -> Path | None:
        path = self.root.absolute() / (str(run_id) if self.in_files else uid)
        try:
            path.mkdir()
        except FileExistsError:
            if asked:
                raise UserError(f"run {run_id}: exists already in {self.root}") from None
            return None
        return path
