"""Addresses of MongoDB databases: what is connected to, and what may be written down."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from pymongo.errors import ConfigurationError, InvalidURI
from pymongo.uri_parser import parse_uri

from observers.addresses import URL_VARIABLE, long_form
from observers.credentials import (
    HIDDEN,
    remember_secret,
    without_credentials,
    without_secret_options,
)
from tmd.errors import UserError


@dataclass(frozen=True)
class Address:
    """A database: ``url`` to connect with, ``public`` to write down and to say."""

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
    url = long_form(text)
    remember_secret(url)
    hidden = without_credentials(_without_user(url, f"{HIDDEN}@"))
    _check_user(url, hidden)
    public = without_secret_options(_without_user(url, ""))
    try:
        parsed = parse_uri(url, validate=True)
    except (InvalidURI, ConfigurationError, ValueError) as error:
        raise UserError(
            f"MongoDB address {hidden}: {_complaint(url, error)} "
            "(must be mongodb://[user:password@]host[:port]/database)"
        ) from None
    if not parsed["database"]:
        raise UserError(
            f"MongoDB address {hidden}: names no database (mongodb://host:port/DATABASE)"
        )
    known = os.environ.get(URL_VARIABLE)
    if known and known != text and not parsed["username"]:
        elsewhere = parse_address(known)
        if _place(elsewhere.public) == _place(public):
            return Address(elsewhere.url, public, parsed["database"])
    return Address(url, public, parsed["database"])


def _check_user(url: str, hidden: str) -> None:
    """Raise if user or password break the address up: the driver would take a part for a host."""
    rest = url.partition("://")[2]
    host = re.match("[^/?]*", rest)
    assert host is not None
    authority, tail = host[0], rest[host.end() :]
    user = authority.rpartition("@")[0]
    if (
        "@" in tail.partition("?")[0]
        or (tail.startswith("?") and "@" in tail)
        or re.search(r"[@#\[\]\s]|:.*:|%(?![0-9a-fA-F]{2})", user)
    ):
        raise UserError(
            f"MongoDB address {hidden}: its user or password holds a character that has to be "
            "written as its percent code: @ as %40, / as %2F, : as %3A, ? as %3F, # as %23, "
            "% as %25"
        )


def _without_user(url: str, instead: str) -> str:
    """``url`` with all up to its last "@" replaced: also where the password is not encoded."""
    scheme, separator, rest = url.partition("://")
    place, at, _ = rest.rpartition("@")
    if at and "?" in place and re.fullmatch(r"[^@]*/[^@]*\?[^@]*", place):
        return url  # the "@" is one of an option
    return f"{scheme}{separator}{instead if at else ''}{rest.rpartition('@')[2]}"


def _complaint(url: str, error: Exception) -> str:
    """The driver's; it quotes pieces of an address."""
    said = str(error).splitlines()[0].rstrip(".")
    credentials = url.partition("://")[2].rpartition("@")[0]
    for piece in re.split("[:/@?]", credentials):
        if piece:
            said = said.replace(piece, HIDDEN)
    return without_credentials(said)


def _place(public: str) -> str:
    return public.partition("?")[0].replace(":27017", "").lower()
