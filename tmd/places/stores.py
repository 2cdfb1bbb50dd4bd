"""Stores of objects by fsspec: what is there, how large it is, and its bytes or some of them.

Nothing is written to a store. File systems are fsspec's, which keeps one of each kind in each
process, forked ones included.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import IO, Any, NamedTuple

from tmd.places.names import resolved
from tmd.places.reaching import reached

#: Names under which the kinds of stores tell versions of an object.
_VERSIONS = ("ETag", "etag", "generation", "oid", "blob_id", "Last-Modified")
_CHUNK = 64 << 20
_SECONDS_TO_CONNECT, _SECONDS_TO_ANSWER = 10, 30


class Object(NamedTuple):
    """An object at an address.

    Attributes:
        path: its address.
        size: in bytes, -1 where the listing does not say.
        version: text that changes when the object does; empty where the listing does not say.
    """

    path: str
    size: int
    version: str


class Store:
    """Objects of a kind of address that fsspec knows.

    Args:
        scheme: the kind.
    """

    #: Whether a listing tells sizes and versions.
    tells_sizes = True

    def __init__(self, scheme: str) -> None:
        self.scheme = scheme

    def options(self) -> dict[str, Any]:
        """Options that its file system is made with."""
        return {"use_listings_cache": False}

    def system(self) -> Any:
        """Fsspec's file system, of this process."""
        import fsspec

        return fsspec.filesystem(self.scheme, **self.options())

    def located(self, address: str) -> str:
        """The address as the file system has it, secrets included."""
        return resolved(address).partition("://")[2]

    def objects(self, folder: str) -> Iterator[Object]:
        """All below a folder, through its levels, in no order."""
        found = reached(folder, lambda: self.system().find(self.located(folder), detail=True))
        start = self.located(folder).rstrip("/")
        for name, entry in found.items():
            below = name.removeprefix("/").removeprefix(start).lstrip("/")
            if below and entry["type"] == "file":
                yield Object(f"{folder}/{below}", *told(entry))

    def info(self, address: str) -> Object:
        """Object at an address.

        Raises:
            FileNotFoundError: nothing, or no file.
        """

        def ask() -> Object:
            entry = self.system().info(self.located(address))
            if entry["type"] != "file":
                raise FileNotFoundError(address)
            return Object(address, *told(entry))

        return reached(address, ask)

    def read(self, address: str, start: int, length: int) -> bytes:
        """Some of an object's bytes.

        Raises:
            NoPartsError: only the whole can be had.
        """

        def ask() -> bytes:
            content = self._part(address, start, length)
            if len(content) != length:
                raise ConnectionError(f"{len(content)} of {length} bytes came")
            return content

        return reached(address, ask)

    def _part(self, address: str, start: int, length: int) -> bytes:
        return self.system().cat_file(self.located(address), start=start, end=start + length)

    def download(self, address: str, size: int, file: IO[bytes]) -> None:
        """Write a whole object into a file."""
        for start in range(0, size, _CHUNK):
            file.write(self.read(address, start, min(_CHUNK, size - start)))


def told(entry: Mapping[str, Any]) -> tuple[int, str]:
    """Size in bytes, -1 if unknown, and version, by what a store says of an object."""
    size = entry.get("size")
    marks = [str(mark) for name in _VERSIONS if (mark := entry.get(name)) is not None]
    text = "\0".join([str(size), *marks]).encode()
    return -1 if size is None else int(size), hashlib.blake2b(text, digest_size=8).hexdigest()


class S3Store(Store):
    """Buckets of S3 and of servers that speak as it does (``AWS_ENDPOINT_URL``)."""

    def options(self) -> dict[str, Any]:
        """Without credentials, those of everybody: buckets may be public."""
        limits = {"connect_timeout": _SECONDS_TO_CONNECT, "read_timeout": _SECONDS_TO_ANSWER}
        config = {**limits, "retries": {"max_attempts": 1}}
        return {**super().options(), "anon": not _has_login(), "config_kwargs": config}

    def objects(self, folder: str) -> Iterator[Object]:
        """All below a folder, page by page: a million entries would take a gigabyte as objects."""
        bucket, _, prefix = self.located(folder).partition("/")
        asked = {"Bucket": bucket, "Prefix": f"{prefix}/" if prefix else ""}
        while True:
            page = reached(folder, lambda: self._page(asked))
            for entry in page.get("Contents", ()):
                below = entry["Key"][len(asked["Prefix"]) :]
                if below and not below.endswith("/"):
                    size, version = told({"size": entry["Size"], "ETag": entry.get("ETag")})
                    yield Object(f"{folder}/{below}", size, version)
            if not page.get("IsTruncated"):
                return
            asked["ContinuationToken"] = page["NextContinuationToken"]

    def _page(self, asked: dict[str, str]) -> dict[str, Any]:
        from botocore.exceptions import ClientError
        from s3fs.errors import translate_boto_error

        try:
            return self.system().call_s3("list_objects_v2", **asked)
        except ClientError as problem:
            raise translate_boto_error(problem) from None


def _has_login() -> bool:
    """Return whether this machine has credentials for S3, looked up once."""
    if not _login_known:
        import botocore.session

        _login_known.append(botocore.session.Session().get_credentials() is not None)
    return _login_known[0]


_login_known: list[bool] = []
