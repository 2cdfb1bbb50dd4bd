"""Writers of tiles: a file each, or in tars that appear whole or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tmd.files import replacing, sweep_leftovers, write_bytes

#: Takes a file's name and content.
Add = Callable[[str, bytes], None]


@contextlib.contextmanager
def folder_writer(folder: Path) -> Iterator[Add]:
    """Files by their names below a folder, of which none was there before."""
    shutil.rmtree(folder, ignore_errors=True)  # begun, but not done
    made: set[Path] = set()

    def add(name: str, content: bytes) -> None:
        path = folder / name
        if path.parent not in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            made.add(path.parent)
        write_bytes(path, content, durable=False)

    yield add
    os.sync()  # one by one, the files of a million tiles would be waited for


@contextlib.contextmanager
def shard_writer(path: Path) -> Iterator[Add]:
    """A tar of files, with nothing in it that depends on when."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep_leftovers(path.parent)
    with replacing(path) as file, tarfile.open(fileobj=file, mode="w") as tar:

        def add(name: str, content: bytes) -> None:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))

        yield add
