"""Addresses of MongoDB databases, connecting to them, and runs as documents for them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any

import pymongo
from pymongo.database import Database
from pymongo.errors import (
    ConfigurationError,
    InvalidURI,
    OperationFailure,
    PyMongoError,
)
from pymongo.uri_parser import parse_uri

from observers.credentials import remember_secret, without_credentials
from observers.liveness import parse_time
from tmd.errors import UserError

URL_VARIABLE = "TMD_MONGO_URL"
_TIMES = ("start_time", "stop_time", "heartbeat")
_INT64 = 1 << 63


@dataclass(frozen=True)
class Address:
    """Where a database is: ``url`` to connect with, ``public`` to write down and to say."""

    url: str
    public: str
    database: str


def parse_address(text: str) -> Address:
    """The database that ``text`` names.

    Args:
        text: ``mongodb://[user:password@]host[:port]/database[?options]``, or Sacred's own
            ``host:port:database`` or ``database``. An address without a user takes the one of
            ``TMD_MONGO_URL`` if that is the same place.

    Raises:
        UserError: it is none of these; the message holds no password.
    """
    url = _long_form(text.strip())
    remember_secret(url)
    public = without_credentials(url).replace("***@", "")
    try:
        parsed = parse_uri(url, validate=True)
    except (InvalidURI, ConfigurationError, ValueError) as error:
        raise UserError(
            f"MongoDB address {without_credentials(url)}: {_complaint(url, error)} "
            "(must be mongodb://[user:password@]host[:port]/database)"
        ) from None
    if not parsed["database"]:
        raise UserError(
            f"MongoDB address {without_credentials(url)}: names no database "
            "(mongodb://host:port/DATABASE)"
        )
    known = os.environ.get(URL_VARIABLE)
    if known and known != text and not parsed["username"]:
        elsewhere = parse_address(known)
        if _place(elsewhere.public) == _place(public):
            return Address(elsewhere.url, public, parsed["database"])
    return Address(url, public, parsed["database"])


def connect(address: Address) -> Database:
    """The database at ``address``; nothing is sent yet. Waits for an absent server are short."""
    patience = {
        "serverSelectionTimeoutMS": 3000,
        "connectTimeoutMS": 3000,
        "socketTimeoutMS": 30000,
    }
    said = address.url.lower()
    options: dict[str, Any] = {k: v for k, v in patience.items() if k.lower() not in said}
    return pymongo.MongoClient(address.url, appname="tmd", **options)[address.database]


def refusal(address: Address, error: PyMongoError) -> UserError | None:
    """The error to show if the server answered and said no; `None` if it did not answer."""
    if isinstance(error, OperationFailure):
        reason = without_credentials(str(error.details.get("errmsg") if error.details else error))
        return UserError(f"MongoDB at {address.public}: {reason}")
    return None


def reason(error: BaseException) -> str:
    """An error of the driver in a few words; its own go on for a screen."""
    text = without_credentials(str(error)).splitlines()[0] if str(error) else ""
    text = re.split(r", Timeout: | \(configured timeouts|, Topology Description", text)[0]
    return f"{type(error).__name__}: {text}"[:200]


def run_document(
    entry: dict[str, Any], config: dict[str, Any], info: dict[str, Any], captured_out: str
) -> dict[str, Any]:
    """A run as a document of the ``runs`` collection, but for what lies in other collections.

    Args:
        entry: ``run.json``.
    """
    document = {
        **{key: value for key, value in entry.items() if key not in ("artifacts", "resources")},
        "config": config,
        "info": dict(info),
        "captured_out": captured_out,
    }
    if entry["observer_failures"]["count"]:
        document["info"]["observer_failures"] = entry["observer_failures"]
    document["experiment"] = {**entry["experiment"], "sources": []}
    document = encodable(document)
    for key in _TIMES:
        if document.get(key) is not None:
            document[key] = parse_time(document[key])
    return document


def encodable(value: Any) -> Any:
    """JSON-able ``value`` with keys and whole numbers that BSON and every MongoDB server take."""
    if isinstance(value, dict):
        return {_key(key): encodable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [encodable(item) for item in value]
    if isinstance(value, int) and not -_INT64 <= value < _INT64:
        return str(value)
    return value


def _key(key: str) -> str:
    key = key.replace(".", ",").replace("\0", "")
    return f"@{key[1:]}" if key.startswith("$") else key


def _complaint(url: str, error: Exception) -> str:
    """The driver's; it quotes pieces of an address that a password with "/" or "@" broke up."""
    said = str(error).splitlines()[0].rstrip(".")
    credentials = url.partition("://")[2].rpartition("@")[0]
    for piece in re.split("[:/@?]", credentials):
        if piece:
            said = said.replace(piece, "***")
    return without_credentials(said)


def _long_form(text: str) -> str:
    if "://" in text:
        return text
    if match := re.fullmatch(r"([^\s:@/]+):(\d+):([^\s:@/]+)", text):
        return f"mongodb://{match[1]}:{match[2]}/{match[3]}"
    if re.fullmatch(r"[^\s:@/.]+", text):
        return f"mongodb://localhost:27017/{text}"
    return f"mongodb://{text}"


def _place(public: str) -> str:
    return public.partition("?")[0].replace(":27017", "").lower()
