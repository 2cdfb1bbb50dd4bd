"""Names of places: addresses, tar shards, and files in them. Text alone: nothing is opened here.

A file in a shard is named by the shard's path, a slash and its name there, so that every path
leads to one file: ``/data/train-000000.tar/a/1.png``, ``s3://bucket/train-000000.tar/a/1.png``.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from urllib.parse import parse_qsl, quote, urlsplit

from tmd.errors import UserError

#: Kinds of addresses, and the package that each needs.
SCHEMES = {
    "s3": "s3fs",
    "gs": "gcsfs",
    "hf": "huggingface_hub",
    "http": "aiohttp",
    "https": "aiohttp",
}
SHARD_SUFFIX = ".tar"
PACKED_SUFFIXES = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")

_SHARD = re.compile(r"\.tar(?:\?[^/]*)?(?=/)")
_BRACES = re.compile(r"\{([^{}]*)\}")
_NUMBERS = re.compile(r"(\d+)\.\.(\d+)")
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_SECRET = re.compile(r"sig|token|secret|passw|pwd|key|cred|auth", re.IGNORECASE)
_MOST = 1_000_000


def is_address(path: object) -> bool:
    """Return whether a path leads away from this machine's file systems."""
    return "://" in str(path)


def scheme_of(address: str) -> str:
    """The kind of an address, in lower case: a key of `SCHEMES` once it was checked."""
    return address.partition("://")[0].lower()


def is_shard(path: str) -> bool:
    """Return whether a path is that of a tar, by its name."""
    if is_address(path):
        path = path.partition("?")[0]
    return path.endswith(SHARD_SUFFIX)


def is_packed(path: str) -> bool:
    """Return whether a path is that of a compressed tar, which has no random access."""
    return path.partition("?")[0].lower().endswith(PACKED_SUFFIXES)


def in_shard(path: str) -> tuple[str, str] | None:
    """The shard and the name in it, of a path that leads into one; None for any other.

    Example:
        >>> in_shard("s3://bucket/train-000000.tar/a/1.png")
        ('s3://bucket/train-000000.tar', 'a/1.png')
    """
    if SHARD_SUFFIX not in path:
        return None
    for match in _SHARD.finditer(path):
        shard = path[: match.end()]
        if is_address(path) or not _is_folder(shard):
            return shard, path[match.end() + 1 :]
    return None


@lru_cache(maxsize=4096)
def _is_folder(path: str) -> bool:
    """Asked once of each shard, and not for each of its images."""
    return os.path.isdir(path)


def names_several(path: str) -> bool:
    """Return whether a path is a pattern with braces."""
    return _BRACES.search(_VARIABLE.sub("", path)) is not None


def expanded(pattern: str) -> list[str]:
    """The paths that braces stand for, in order, as a shell and WebDataset expand them.

    Raises:
        UserError: they stand for more than a million.

    Example:
        >>> expanded("train-{008..010}.tar"), expanded("{a,b}.tar")
        (['train-008.tar', 'train-009.tar', 'train-010.tar'], ['a.tar', 'b.tar'])
    """
    variables = _VARIABLE.findall(pattern)
    parts = _BRACES.split(_VARIABLE.sub("\0", pattern))
    choices = [_choices(part) if odd else [part] for odd, part in _alternating(parts)]
    if (count := _product(map(len, choices))) > _MOST:
        raise UserError(f"{pattern}: stands for {count} paths; at most {_MOST}")
    paths = []
    for combination in itertools.product(*choices):
        path = "".join(combination)
        for name in variables:
            path = path.replace("\0", f"${{{name}}}", 1)
        paths.append(path)
    return paths


def _alternating(parts: Sequence[str]) -> Iterator[tuple[bool, str]]:
    return ((bool(index % 2), part) for index, part in enumerate(parts))


def _product(numbers: Iterator[int]) -> int:
    product = 1
    for number in numbers:
        product *= number
    return product


def _choices(inside: str) -> Sequence[str]:
    if numbers := _NUMBERS.fullmatch(inside):
        first, last = numbers.groups()
        width = len(first) if first.startswith("0") else 0
        return [f"{n:0{width}}" for n in range(int(first), min(int(last), int(first) + _MOST) + 1)]
    return inside.split(",") if "," in inside else [f"{{{inside}}}"]


def check_address(key: str, address: str) -> None:
    """Raise `UserError` for an address of an unknown kind, or with a password in it.

    Addresses are recorded with a run, and passwords never are: one is named in the address by a
    variable of the environment, ``${NAME}``.
    """
    scheme = scheme_of(address)
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    if scheme not in SCHEMES:
        raise UserError(
            f"{key}={scheme}://{host}: must be a folder, tar shards, or an address that begins "
            f"with {', '.join(f'{each}://' for each in SCHEMES)}"
        )
    if not parts.netloc:
        raise UserError(f"{key}={scheme}://: names no host or bucket")
    literal = [_VARIABLE.sub("", parts.netloc.rpartition("@")[0].partition(":")[2])]
    literal += [
        _VARIABLE.sub("", value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
        if _SECRET.search(name)
    ]
    if any(literal) or (scheme in ("s3", "gs") and "@" in parts.netloc):
        raise UserError(
            f"{key}: the address at {host} holds a password or key, which a run's record would "
            "keep; put it into a variable of the environment and write ${NAME} in its place"
        )
    resolved(address)


def resolved(address: str) -> str:
    """The address with ``${NAME}`` replaced by the environment's variables; never to be shown.

    Raises:
        UserError: there is no such variable.
    """

    def value(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise UserError(f"{address}: the environment has no variable {match[1]}")
        return os.environ[match[1]]

    return _VARIABLE.sub(value, address)


def without_secrets(text: str, address: str) -> str:
    """``text`` with what the environment's variables in ``address`` stand for shown by name."""
    for name in _VARIABLE.findall(address):
        if secret := os.environ.get(name):
            for written in (secret, quote(secret), quote(secret, safe="")):
                text = text.replace(written, f"${{{name}}}")
    return text
