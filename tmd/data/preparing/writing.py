"""Writers of tiles: a file each, or in tars that appear whole or not at all."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterable
from pathlib import Path

from tmd.files import replacing, write_bytes

Files = Iterable[tuple[str, bytes]]


def write_files(folder: Path, files: Files) -> int:
    """Write files by their names below a folder; the bytes that they have."""
    total = 0
    made: set[Path] = set()
    for name, content in files:
        path = folder / name
        if path.parent not in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            made.add(path.parent)
        write_bytes(path, content, durable=False)
        total += len(content)
    os.sync()  # one by one, the files of a million tiles would be waited for
    return total


def write_shard(path: Path, files: Files) -> int:
    """Write a tar of files, with nothing in it that depends on when; the bytes of the files."""
    total = 0
    with replacing(path) as file, tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
            total += len(content)
    return total
