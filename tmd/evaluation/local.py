"""Benchmarks from shards and addresses: copied to a folder of this process's own."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

from tmd.data.places import Root, in_folder, root_of, scan_root
from tmd.errors import UserError
from tmd.images import open_file
from tmd.places import is_address, is_shard


def local_folder(root: str | os.PathLike[str], key: str) -> Path:
    """The folder of a benchmark; of tar shards or an address, a copy that ends with the process.

    Args:
        root: a folder, tar shards, or an address of either.
        key: the config key that messages name.

    Raises:
        UserError: the address is away, or holds no images.
    """
    name = os.fspath(root)
    if os.path.isdir(name) or not (is_address(name) or is_shard(name)):
        return Path(root)
    return _copied(root_of(name, key), name, key)


@lru_cache
def _copied(place: Root, name: str, key: str) -> Path:
    parent = Path(tempfile.mkdtemp(prefix="tmd-benchmark-"))
    atexit.register(shutil.rmtree, parent, ignore_errors=True)
    called = os.path.basename(name.partition("?")[0].rstrip("/")) if is_address(name) else name
    folder = parent / Path(called).name.removesuffix(".tar")
    for path in scan_root(place):
        target = folder / in_folder(place, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with open_file(path) as file, open(target, "wb") as copy:
            shutil.copyfileobj(file, copy)
    if not folder.exists():
        raise UserError(f"{key}={name}: holds no images")
    return folder
