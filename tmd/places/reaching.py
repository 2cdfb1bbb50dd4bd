"""Calls over a network: again after a pause while that may help, else one line that says why."""

from __future__ import annotations

import errno
import logging
import re
import time
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

from tmd.errors import UnreachableError, UserError
from tmd.places.names import SCHEMES, scheme_of, without_secrets

T = TypeVar("T")

#: Seconds to wait before each further try; a server that never answered is given up sooner.
PAUSES = (0.5, 1, 2, 4, 8, 16)
PAUSES_AT_FIRST = (0.5, 1)
_LOGINS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or ~/.aws/credentials",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, or gcloud's own",
    "hf": "HF_TOKEN, or hf auth login",
    "http": "~/.netrc, or user:${NAME}@ in the address",
    "https": "~/.netrc, or user:${NAME}@ in the address",
}

# Many threads may wait for one server.
_SECONDS_BETWEEN_LINES = 10.0
# Requests are signed in their queries.
_QUERY = re.compile(r"(://[^\s\"'?]*)\?[^\s\"']*")

_log = logging.getLogger("tmd.places")
_answered: set[str] = set()
_said: dict[str, float] = {}


class NoPartsError(Exception):
    """The server sends files as a whole only."""


def reached(address: str, call: Callable[[], T]) -> T:
    """The call's result, tried again while the connection fails.

    Raises:
        FileNotFoundError: nothing is at the address.
        NoPartsError: the call asked for a part, and only the whole is sent.
        UnreachableError: it does not answer, or refuses.
        UserError: a package is missing.
    """
    host = urlsplit(address).netloc
    pauses = list(PAUSES if host in _answered else PAUSES_AT_FIRST)
    began = time.monotonic()
    while True:
        try:
            result = call()
            _answered.add(host)
            return result
        except (FileNotFoundError, NoPartsError, UserError):
            _answered.add(host)
            raise
        except ImportError as problem:
            package = SCHEMES[scheme_of(address)]
            raise UserError(
                f"{address}: needs {package} ({_reason(problem, address)}); "
                "pip install -e '.[cloud]' brings it"
            ) from None
        except Exception as problem:  # each library has its own
            reason = _reason(problem, address)
            if _is_refusal(problem):
                raise UnreachableError(
                    f"{address}: refused ({reason}); who asks is known by "
                    f"{_LOGINS[scheme_of(address)]}"
                ) from None
            if not pauses or not _may_pass(problem):
                waited = time.monotonic() - began
                tried = f", tried for {waited:.0f} s" if waited > 1 else ""
                raise UnreachableError(f"{address}: can't be reached ({reason}{tried})") from None
            if time.monotonic() - _said.get(host, -_SECONDS_BETWEEN_LINES) > _SECONDS_BETWEEN_LINES:
                _said[host] = time.monotonic()
                _log.info("%s: %s; tried again", address, reason)
            time.sleep(pauses.pop(0))


def _reason(problem: BaseException, address: str) -> str:
    """One short line on what a library raised, without any secret of the address."""
    if isinstance(message := getattr(problem, "message", None), str) and _status(problem):
        return f"HTTP {_status(problem)} {message}"  # aiohttp's own text has the address
    cause: BaseException | None = getattr(problem, "os_error", problem)  # aiohttp's
    text = ""
    while cause is not None and not text:
        text = " ".join(str(getattr(cause, "strerror", None) or cause).split())
        cause = cause.__cause__
    text = _QUERY.sub(r"\1", without_secrets(text, address))
    return text[:200] or type(problem).__name__


def _status(problem: BaseException) -> int:
    """The HTTP status of an answer, 0 where there was none."""
    for owner in (problem, getattr(problem, "response", None)):
        if isinstance(owner, dict):
            return int(owner.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        for name in ("status", "status_code", "code"):
            value = getattr(owner, name, None)
            if isinstance(value, int):
                return value
    return 0


def _is_refusal(problem: BaseException) -> bool:
    if isinstance(problem, PermissionError) or _status(problem) in (401, 403):
        return True
    return type(problem).__name__ in ("NoCredentialsError", "PartialCredentialsError", "Forbidden")


def _may_pass(problem: BaseException) -> bool:
    """Return whether another try may succeed: an answer that says otherwise is final."""
    status = _status(problem)
    if 400 <= status < 500:
        return status in (408, 425, 429)
    return not (isinstance(problem, OSError) and problem.errno in (errno.EINVAL, errno.ENOSPC))
