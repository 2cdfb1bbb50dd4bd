"""Keeping passwords out of everything that is written or said."""

from __future__ import annotations

import re
from urllib.parse import unquote

HIDDEN = "***"

#: Options of an address that say nothing which must not be known.
HARMLESS_OPTIONS = frozenset(
    {
        "appname",
        "authmechanism",
        "authsource",
        "compressors",
        "connecttimeoutms",
        "directconnection",
        "heartbeatfrequencyms",
        "journal",
        "loadbalanced",
        "localthresholdms",
        "maxidletimems",
        "maxpoolsize",
        "maxstalenessseconds",
        "minpoolsize",
        "readconcernlevel",
        "readpreference",
        "replicaset",
        "retryreads",
        "retrywrites",
        "serverselectiontimeoutms",
        "sockettimeoutms",
        "srvmaxhosts",
        "srvservicename",
        "ssl",
        "tls",
        "uuidrepresentation",
        "w",
        "waitqueuetimeoutms",
        "wtimeoutms",
        "zlibcompressionlevel",
    }
)

# A MongoDB password may hold an unescaped "@" or "/" (a mistake that must not show it), so all up
# to the last "@" goes. Other addresses may have an "@" in their path, which is no secret.
_MONGO = re.compile(r"(mongodb(?:\+srv)?://)[^\s\"'<>]*@", re.IGNORECASE)
_MONGO_OPTIONS = re.compile(r"(mongodb(?:\+srv)?://[^\s\"'<>?]*\?)([^\s\"'<>#]*)", re.IGNORECASE)
_URL = re.compile(r"([a-z][a-z0-9+.-]*://)[^\s/@\"'<>]+@", re.IGNORECASE)

_MIN_SECRET = 6  # shorter ones are also ordinary words, and stand in addresses only
_secrets: set[str] = set()
_users: set[str] = set()  # "user:password@", of any length


def remember_secret(url: str) -> None:
    """Have the passwords in ``url`` hidden wherever they appear, not only within an address."""
    secrets: list[str] = []
    match = re.match(r"[a-z0-9+.-]+://(.*)@", url, re.IGNORECASE | re.DOTALL)
    if match is not None:
        secrets.append(match[1].partition(":")[2])
        _users.add(f"{match[1]}@")
    for option in url.partition("?")[2].split("&"):
        key, _, value = option.partition("=")
        if key.lower() not in HARMLESS_OPTIONS:
            secrets.append(value)
    _secrets.update(
        text for secret in secrets for text in (secret, unquote(secret)) if len(text) >= _MIN_SECRET
    )


def without_credentials(text: str) -> str:
    """``text`` with the user and password of every address in it hidden, and secret options.

    Example:
        >>> without_credentials("-m mongodb://ann:s3cret@db.example.org/sr failed")
        '-m mongodb://***@db.example.org/sr failed'
    """
    if "://" in text:
        text = _URL.sub(rf"\g<1>{HIDDEN}@", _MONGO.sub(rf"\g<1>{HIDDEN}@", text))
        text = _MONGO_OPTIONS.sub(lambda match: match[1] + _harmless(match[2], HIDDEN), text)
    for user in _users:
        if user in text:
            text = text.replace(user, f"{HIDDEN}@")
    for secret in _secrets:
        if secret in text:
            text = text.replace(secret, HIDDEN)
    return text


def without_secret_options(url: str) -> str:
    """``url`` with those of its options only that are known to be harmless."""
    place, _, options = url.partition("?")
    options = _harmless(options, None)
    return f"{place}?{options}" if options else place


def _harmless(options: str, instead: str | None) -> str:
    kept = []
    for option in options.split("&"):
        key, equals, _ = option.partition("=")
        if key.lower() in HARMLESS_OPTIONS:
            kept.append(option)
        elif instead is not None:
            kept.append(f"{key}={instead}" if equals else option)
    return "&".join(kept)
