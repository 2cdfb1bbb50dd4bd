"""Keeping passwords out of everything that is written or said."""

from __future__ import annotations

import re
from urllib.parse import unquote

HIDDEN = "***"

# A MongoDB password may hold an unescaped "@" or "/" (a mistake that must not show it), so all up
# to the last "@" goes. Other addresses may have an "@" in their path, which is no secret.
_MONGO = re.compile(r"(mongodb(?:\+srv)?://)[^\s\"'<>]*@", re.IGNORECASE)
_URL = re.compile(r"([a-z][a-z0-9+.-]*://)[^\s/@\"'<>]+@", re.IGNORECASE)

_MIN_SECRET = 6  # shorter ones are also ordinary words, and stand in addresses only
_secrets: set[str] = set()


def remember_secret(url: str) -> None:
    """Have the password of ``url`` hidden wherever it appears, not only within an address."""
    match = re.match(r"[a-z0-9+.-]+://(.*)@", url, re.IGNORECASE | re.DOTALL)
    if match is None:
        return
    password = match[1].partition(":")[2]
    _secrets.update(text for text in (password, unquote(password)) if len(text) >= _MIN_SECRET)


def without_credentials(text: str) -> str:
    """``text`` with the user and password of every address in it hidden.

    Example:
        >>> without_credentials("-m mongodb://ann:s3cret@db.example.org/sr failed")
        '-m mongodb://***@db.example.org/sr failed'
    """
    if "://" in text:
        text = _URL.sub(rf"\g<1>{HIDDEN}@", _MONGO.sub(rf"\g<1>{HIDDEN}@", text))
    for secret in _secrets:
        if secret in text:
            text = text.replace(secret, HIDDEN)
    return text
