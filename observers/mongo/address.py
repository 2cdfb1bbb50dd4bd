"""Addresses of MongoDB databases: what is connected to, and what may be written down."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from pymongo.errors import ConfigurationError, InvalidURI
from pymongo.uri_parser import parse_uri

from observers.credentials import remember_secret, without_credentials
from tmd.errors import UserError

URL_VARIABLE = "TMD_MONGO_URL"


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
