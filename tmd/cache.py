"""Files kept from one start to the next because finding out again takes time.

All of it is below ``$XDG_CACHE_HOME/tmd`` (else ``~/.cache/tmd``) and can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

from tmd.files import replacing, sweep_leftovers

_log = logging.getLogger("tmd.cache")


def cache_file(kind: str, key: str | bytes, suffix: str) -> Path | None:
    """Path of the file that is kept for ``key``; it may not exist. None: there is no home for it.

    Args:
        kind: the folder's name.
        key: the thing that the file tells something about.
        suffix: the file's.

    Example:
        >>> place = cache_file("listings", "/data/photos", ".npz")
    """
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if not os.path.isabs(cache):
        return None
    name = hashlib.blake2b(os.fsencode(key), digest_size=16).hexdigest()
    return Path(cache, "tmd", kind, f"{name}{suffix}")


def keep(place: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Have a file written, whole or not at all; without it the next start takes longer."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        sweep_leftovers(place.parent)
        with replacing(place, durable=False) as file:
            write(file)
    except OSError as problem:
        _log.debug("%s: %s", place, problem)
