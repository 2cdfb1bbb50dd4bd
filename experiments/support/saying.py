"""Lines that a script tells people: what is logged, and what ends a command, in a line each."""

from __future__ import annotations

import difflib
import logging
import os
import re
import sys
from typing import Any

from sacred import commands
from sacred.utils import ConfigAddedError

from observers import without_credentials
from observers.names import printable
from tmd.errors import UserError
from tmd.files import FULL


class _Stderr(logging.StreamHandler):
    """Writes to what `sys.stderr` is at the moment: Sacred replaces it while a run is captured."""

    @property
    def stream(self) -> Any:
        return sys.stderr

    @stream.setter
    def stream(self, value: Any) -> None:
        pass


class _Lines(logging.Formatter):
    """Says nothing that steers a terminal: messages hold names of files, and of config keys."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(printable, super().format(record).splitlines()))


def _is_worth_saying(record: logging.LogRecord) -> bool:
    """Not that a named config has a docstring, and not what our checks and errors say better."""
    message = record.getMessage()
    if message.startswith("Failed after") and isinstance(sys.exc_info()[1], UserError):
        return False
    checked = ("Changed type of config entry", "Added new config entry")
    return "__doc__" not in message and not message.startswith(checked)


def shown_logger() -> logging.Logger:
    """Sacred's logger; what the library logs is shown from here on, too, word for word."""
    for name, form, level in (
        ("sacred", "%(levelname)s: %(message)s", logging.NOTSET),
        ("tmd", "%(message)s", logging.INFO),
    ):
        logger = logging.getLogger(name)
        if not logger.handlers:
            handler = _Stderr()
            handler.setFormatter(_Lines(form))
            handler.addFilter(_is_worth_saying)
            logger.addHandler(handler)
            logger.setLevel(level)
    # An engine says of an exception what is raised, and told, anyway.
    logging.getLogger("ignite").setLevel(logging.CRITICAL)
    sacreds = logging.getLogger("sacred")
    sacreds.propagate = False
    return sacreds


def without_colours() -> None:
    """Have Sacred's commands print plain text, for a file or another program to read."""
    for name, value in list(vars(commands).items()):
        if name.startswith("COLOR_") or name in ("ENDC", "LEGEND"):
            setattr(commands, name, re.sub(r"\x1b\[\d+m", "", value))


def be_silent() -> None:
    """Leave to the first process what all of a run would say; the others only fail aloud."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # until the process ends
    os.environ["TQDM_DISABLE"] = "1"
    logging.disable(logging.WARNING)


def say(message: str) -> None:
    """Write a line to stderr, without credentials and without what steers a terminal."""
    print(printable(without_credentials(message)), file=sys.stderr)


def full_disk(problem: BaseException | None) -> str | None:
    """Line on the disk that took no more, if that is what raised ``problem``."""
    while problem is not None:
        if isinstance(problem, OSError) and problem.errno in FULL:
            return f"{problem.filename}: {problem.strerror}" if problem.filename else str(problem)
        problem = problem.__cause__ or problem.__context__
    return None


def one_line(problem: Exception) -> str:
    """The message of a user's mistake."""
    if isinstance(problem, ConfigAddedError):
        return _unknown_key(problem)
    return " ".join(str(problem).split()) or type(problem).__name__


def _unknown_key(problem: ConfigAddedError) -> str:
    key = ", ".join(str(each) for each in problem.__conflicting_configs__)
    prefix, _, leaf = key.rpartition(".")
    known = [str(k) for k in problem.__config__ if k != leaf]
    close = difflib.get_close_matches(leaf, known, n=1)
    where = f"{prefix}." if prefix else ""
    hint = f"did you mean {where}{close[0]}?" if close else "`print_config` lists those there are"
    return f"{key}: no such config key; {hint}"
