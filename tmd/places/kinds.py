"""The store that an address is in."""

from __future__ import annotations

from tmd.places.http import HttpStore
from tmd.places.names import scheme_of
from tmd.places.stores import S3Store, Store

_KINDS = {"s3": S3Store, "http": HttpStore, "https": HttpStore}


def store_of(address: str) -> Store:
    """The store that a checked address is in."""
    scheme = scheme_of(address)
    return _KINDS.get(scheme, Store)(scheme)
