"""The thread that keeps a database up to date with the folder of a run that goes on."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from pathlib import Path

from pymongo.database import Database

from observers.failures import Failures
from observers.mongo.address import Address
from observers.mongo.database import reason
from observers.mongo.sender import Sender, Stopped
from observers.writing.spool import Outbox

logger = logging.getLogger("observers")


class SendingThread(threading.Thread):
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
        """Have it look for news now."""
        self._awake.set()

    def run(self) -> None:
        """Send until the run has ended and all of it is sent, or until `finish`."""
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
