"""The forms in which users name a MongoDB database; told from folders without a driver."""

from __future__ import annotations

import os
import re

#: The environment variable that names the database where no option does.
URL_VARIABLE = "TMD_MONGO_URL"

_LOCAL = "localhost:27017"
_SCHEME = re.compile(r"mongodb(\+srv)?://")
_HOST_PORT_NAME = re.compile(r"(?P<host>[^\s:@/]+):(?P<port>\d+):(?P<name>[^\s:@/]+)")
_NAME = re.compile(r"[^\s:@/.]+")
# What has neither scheme nor colons in Sacred's way, but a port or a user: no folder's name.
_PLACE = re.compile(r"[^\s/]+(:\d+|@[^\s/@]+)/[^\s/]+")


def is_mongo(spec: str | os.PathLike[str]) -> bool:
    """Return whether ``spec`` names a database rather than a folder.

    Example:
        >>> is_mongo("mongodb://host/sr"), is_mongo("localhost:27017:sr"), is_mongo("runs")
        (True, True, False)
    """
    text = str(spec).strip()
    if _SCHEME.match(text):
        return True
    forms = (_HOST_PORT_NAME, _PLACE)
    return any(form.fullmatch(text) for form in forms) and not os.path.isdir(text)


def long_form(text: str) -> str:
    """The address that ``-m`` takes ``text`` for.

    Example:
        >>> long_form("localhost:27017:sr"), long_form("sr")
        ('mongodb://localhost:27017/sr', 'mongodb://localhost:27017/sr')
    """
    text = text.strip()
    if "://" in text:
        return text
    if match := _HOST_PORT_NAME.fullmatch(text):
        return f"mongodb://{match['host']}:{match['port']}/{match['name']}"
    if _NAME.fullmatch(text):
        return f"mongodb://{_LOCAL}/{text}"
    return f"mongodb://{text}"
