"""Trackers beside the training: whatever one of them does or lacks, the training goes on."""

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image
from tqdm import tqdm

from tmd.recorders.registry import Recorder, replaces_itself

#: Seconds before a call that failed is tried again: the first time, and at most.
PAUSES = (5.0, 300.0)
#: Calls that may wait, and pictures among them; the oldest give way.
MOST_CALLS = 20_000
MOST_IMAGES = 8
#: Seconds that a run's end may take to hand over what waits.
PATIENCE = 30.0


class _Call(NamedTuple):
    method: str
    arguments: tuple[Any, ...]


class Guarded:
    """A tracker that is called in a thread of its own, and again where it failed.

    Calls return at once and raise nothing. That a tracker raises (a full disk, a lost server) is
    said once; its calls wait in their order and are tried again after pauses that grow. A call that
    fails where the next one succeeds is given up.

    Args:
        tracker: called from one thread only.
        name: in messages.
        artifacts: hand files over, too.
        pauses: seconds between two tries: the first, and the longest.
        patience: seconds that `close` waits for what is outstanding.

    Attributes:
        report: what went wrong, for the run's record: ``failures``, ``lost`` (calls given up) and
            ``error``, the first one; empty when all went well.
    """

    def __init__(
        self,
        tracker: Recorder,
        name: str,
        artifacts: bool = True,
        pauses: tuple[float, float] = PAUSES,
        patience: float = PATIENCE,
    ) -> None:
        self.tracker = tracker
        self.name = name
        self.artifacts = artifacts
        self.pauses = pauses
        self.patience = patience
        self.report: dict[str, Any] = {}
        self._calls: deque[_Call] = deque()
        self._change = threading.Condition()
        self._closing = False
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._thread = threading.Thread(target=self._work, name=f"tracker {name}", daemon=True)

    @property
    def keeps_artifacts(self) -> bool:
        """Does the tracker keep files?"""
        return self.artifacts

    # Called by the training -----------------------------------------------------------------------

    def info(self, values: Mapping[str, Any]) -> None:
        """Hand over."""
        self._add(_Call("info", (dict(values),)))

    def metrics(self, group: str, values: Mapping[str, float], iteration: int) -> None:
        """Hand over."""
        self._add(_Call("metrics", (group, dict(values), iteration)))

    def image(self, name: str, image: Image.Image, iteration: int) -> None:
        """Hand over; of many that wait, the newest."""
        self._add(_Call("image", (name, image, iteration)))

    def artifact(self, name: str, write: Callable[[Path], None]) -> bool:
        """Hand over a copy; the run's own record is where it has to be durable.

        Of a series by number (checkpoints) trackers, which forget nothing, get none.
        """
        if self.artifacts and replaces_itself(name):
            try:
                path = Path(tempfile.mkdtemp(dir=self._folder())) / name
                write(path)
            except Exception as error:
                self._failed(error)
                self._lose(1)
            else:
                self._add(_Call("artifact", (name, path)))
        return True

    def remove(self, name: str) -> None:
        """Nothing: what is removed was never handed over."""

    def close(self) -> None:
        """Wait for what is outstanding, `patience` seconds at most, and say what is left."""
        with self._change:
            self._closing = True
            self._change.notify_all()
        if self._thread.ident is not None:
            self._thread.join(self.patience)
            self._lose(len(self._calls) + self._thread.is_alive())
        if lost := self.report.get("lost"):
            self._say(f"{lost} entries are not recorded there")
        if self._scratch is not None:
            with suppress(OSError):
                self._scratch.cleanup()

    def _folder(self) -> str:
        if self._scratch is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="tmd-")
        return self._scratch.name

    def _add(self, call: _Call) -> None:
        with self._change:
            if call.method == "artifact":  # a newer file takes the place of one that still waits
                self._give_up([each for each in self._calls if each[1][0] == call.arguments[0]], 0)
            if call.method == "image":
                waiting = [each for each in self._calls if each.method == "image"]
                self._give_up(waiting[: max(0, len(waiting) + 1 - MOST_IMAGES)])
            if len(self._calls) >= MOST_CALLS:
                self._give_up([self._calls[0]])
            self._calls.append(call)
            if self._thread.ident is None:
                self._thread.start()
            self._change.notify_all()

    def _give_up(self, calls: list[_Call], lost: int = 1) -> None:
        for call in calls:
            self._calls.remove(call)
            self._lose(lost)
            _discard(call)

    # Called by the thread -------------------------------------------------------------------------

    def _work(self) -> None:
        tries = 0
        while call := self._next():
            if self._works(call):
                tries = 0
                continue
            tries += 1
            if self._superseded(call):
                _discard(call)
                continue
            if (tries > 1 or self._closing) and self._works_with_another():
                if not self._works(call):  # not the tracker is at fault, but this call
                    self._lose(1)
                    _discard(call)
                tries = 0
                continue
            with self._change:
                self._calls.appendleft(call)
                if self._closing:
                    break
                first, longest = self.pauses
                pause = min(longest, first * 2 ** min(tries - 1, 20))
                self._change.wait_for(lambda: self._closing, pause)
        try:
            self.tracker.close()
        except Exception as error:
            self._failed(error)

    def _superseded(self, call: _Call) -> bool:
        """Does a newer file of the name wait, after which this one must not be handed over?"""
        with self._change:
            return call.method == "artifact" and any(
                each.method == "artifact" and each.arguments[0] == call.arguments[0]
                for each in self._calls
            )

    def _next(self) -> _Call | None:
        """The call that has waited longest; None at the end."""
        with self._change:
            self._change.wait_for(lambda: self._calls or self._closing)
            return self._calls.popleft() if self._calls else None

    def _works(self, call: _Call) -> bool:
        arguments = call.arguments
        if call.method == "artifact":
            name, path = arguments
            arguments = (name, lambda target: shutil.copyfile(path, target))
        try:
            getattr(self.tracker, call.method)(*arguments)
        except Exception as error:
            self._failed(error)
            return False
        _discard(call)
        return True

    def _works_with_another(self) -> bool:
        with self._change:
            if not self._calls:
                return False
            other = self._calls.popleft()
        works = self._works(other)
        if not works:
            with self._change:
                self._calls.appendleft(other)
        return works

    def _failed(self, error: Exception) -> None:
        with self._change:  # both threads may come here
            failures = self.report["failures"] = self.report.get("failures", 0) + 1
        if failures == 1:
            text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            self.report["error"] = text
            self._say(f"{text}; the training goes on, and recording there is tried again")

    def _lose(self, count: int) -> None:
        if count:
            with self._change:
                self.report["lost"] = self.report.get("lost", 0) + count

    def _say(self, message: str) -> None:
        tqdm.write(f"warning: {self.name}: {message}", file=sys.stderr)


def _discard(call: _Call) -> None:
    """Delete the file that an artifact's call brought."""
    if call.method == "artifact":
        with suppress(OSError):
            call.arguments[1].unlink()
