"""Records runs in MongoDB, by way of the disk: training never waits for a server."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from pathlib import Path
from typing import Any

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, PyMongoError

from observers.database import Address, connect, parse_address, reason, refusal, run_document
from observers.failures import Failures
from observers.files import FileObserver, highest_id, whole_number
from observers.plain import plain
from observers.sending import Sender, Stopped, highest_run_id, insert_run
from observers.spool import SPOOL, Outbox, next_provisional_id
from tmd.errors import UserError

logger = logging.getLogger("observers")


class MongoObserver(FileObserver):
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
        self.address = parse_address(url)
        self.in_files = root is not None
        self.patience = patience
        super().__init__(spool if root is None else root, metrics_interval, priority)
        self.keep_journal = True
        self._thread: _SendingThread | None = None

    def __repr__(self) -> str:
        return f"MongoObserver({self.address.public!r})"

    @property
    def spec(self) -> str:
        return super().spec if self.in_files else f"{self.address.public}#{self.run_id}"

    def join(self) -> None:
        """Wait, but not for ever, until the database has all of the run."""
        super().join()
        if self._thread is not None:
            self._thread.finish(self.patience)
            self._thread = None

    def _changed(self) -> None:
        if self._thread is not None:
            self._thread.wake()

    def _start(
        self, entry: dict[str, Any], ex_info: dict, config: dict, _id: int | str | None
    ) -> int:
        if _id is not None:
            _id = whole_number(_id)
        database = connect(self.address)
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            document = run_document(entry, plain(config), {}, "")
            self.run_id, path, agreed = self._reserve_in_both(database, document, _id)
            outbox = Outbox(path, keep=self.in_files)
            outbox.mark(self.address.public, self.run_id)
            outbox.lock()
            self._open_folder(path, self.root if self.in_files else path, entry, ex_info, config)
        except OSError as error:
            raise UserError(f"file storage {self.root}: {error.strerror or error}") from None
        self._thread = _SendingThread(outbox, database, self.address, self.failures, not agreed)
        self._thread.start()
        return self.run_id

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
        self.failures.add(
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


class _SendingThread(threading.Thread):
    """Keeps a database up to date with a run's folder."""

    def __init__(
        self,
        outbox: Outbox,
        database: Database,
        address: Address,
        failures: Failures,
        away: bool,
    ) -> None:
        super().__init__(name="observers.mongo", daemon=True)
        self.outbox = outbox
        self.address = address
        self.failures = failures
        self.away = away
        self._client = database.client
        self._halt = threading.Event()
        self._awake = threading.Event()
        self._done = threading.Event()
        self._attempts = 0
        self._sender = Sender(outbox, database, address.public, self._halt.is_set)

    def wake(self) -> None:
        self._awake.set()

    def run(self) -> None:
        while not self._halt.is_set():
            self._awake.clear()
            try:
                ended = self._sender.send()
            except Stopped:
                return
            except Exception as error:
                self._lost(error)
            else:
                self._back()
                if ended:
                    self._done.set()
                    return
            self._attempts += 1
            self._awake.wait(10.0)

    def finish(self, patience: float) -> None:
        """Wait for the rest to be sent, ``patience`` seconds at most; say what remains."""
        with contextlib.suppress(KeyboardInterrupt):
            self._await(patience)
        self._halt.set()
        self.wake()
        self.join(timeout=5.0)
        if self._done.is_set():
            self.outbox.clear()
        else:
            self._say_what_remains()
        self.outbox.unlock()
        self._client.close()

    def _await(self, patience: float) -> None:
        deadline = time.monotonic() + patience
        first = seen = self._attempts
        self.wake()
        while not self._done.wait(0.05) and time.monotonic() < deadline:
            if self._attempts == seen:
                continue
            seen = self._attempts
            if self.away and seen > first + 1:
                return  # it was away, it was asked once more, it is still away
            self.wake()

    def _say_what_remains(self) -> None:
        number = self._sender.run_id
        store = self.outbox.folder.parent if self.outbox.keep else self.outbox.folder.parents[1]
        store = Path(os.path.relpath(store))
        logger.warning(
            "%s is not in %s in full: still to be sent: %s. It is kept in %s; send it with: "
            "python -m observers.sync%s",
            "the run" if number is None else f"run {number}",
            self.address.public,
            self._sender.unsent() or "its end",
            self.outbox.folder,
            "" if str(store) == "runs" else f" --store {store}",
        )

    def _lost(self, error: Exception) -> None:
        if not self.away:
            self.away = True
            self.failures.add(
                f"MongoDB at {self.address.public} can't be written to; what is recorded is kept "
                "on disk and sent when it can",
                reason(error),
            )

    def _back(self) -> None:
        if self.away:
            self.away = False
            logger.warning("observer: MongoDB at %s answers; all is sent", self.address.public)
