"""Things that a user names: runs; images by file, folder, glob, or lists of these."""

from __future__ import annotations

import glob
import mimetypes
import os
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

from tmd.errors import UserError
from tmd.images import list_images, split_name


def several(value: Any) -> list[Any]:
    """``None``, one or several of something, as Sacred's command line gives it.

    Example:
        >>> several("runs/3,runs/4"), several(3), several(None)
        (['runs/3', 'runs/4'], [3], [])
    """
    if value is None:
        return []
    if isinstance(value, (list, tuple)):
        return list(value)
    # An address may list several hosts, and a path may hold a comma.
    if isinstance(value, str) and "://" not in value and not Path(value).exists():
        return [part.strip() for part in value.split(",") if part.strip()]
    return [value]


def check_folder(key: str, name: str) -> None:
    """Raise `UserError` for a name of a picture's file, or of a file, where a folder is meant.

    Args:
        key: of the config.
        name: its value; a slash at its end says that it is a folder.
    """
    if os.path.isdir(name):
        return
    if os.path.exists(name):
        raise UserError(f"{key}={name}: is a file; give a folder")
    check_place(key, name)
    kind = (mimetypes.guess_type(name)[0] or "").partition("/")[0]
    if kind in ("image", "video") and not name.endswith(("/", os.sep)):
        raise UserError(
            f"{key}={name}: is a folder's name here, and ends like a file's; {name}/ makes that "
            "folder all the same"
        )


def check_place(key: str, name: str) -> None:
    """Raise `UserError` where what ``name`` is to be can't be made: a file is in its way."""
    above = next(each for each in Path(os.path.abspath(name)).parents if os.path.lexists(each))
    if not above.is_dir():
        raise UserError(f"{key}={name}: {above} is a file, and no folder")
    if not os.access(above, os.W_OK | os.X_OK):
        raise UserError(f"{key}={name}: nothing can be written in {above}")


def find_images(inputs: Any, output: Path) -> Iterator[tuple[Path, Path]]:
    """(file, its place below the output folder) for all that ``inputs`` names, each file once.

    What lies below ``output`` is left out where that is inside of an input folder: last time's
    results.
    """
    results = os.path.realpath(output)
    seen = set()
    for entry in several(inputs):
        base, files = _matches(str(entry))
        inside = base is not None and _is_within(results, os.path.realpath(base))
        for file in files:
            place = os.path.realpath(file)  # Path.resolve raises for a link in a circle
            if place not in seen and not (inside and _is_within(place, results)):
                seen.add(place)
                yield file, Path(file.name) if base is None else file.relative_to(base)


def _is_within(path: str, folder: str) -> bool:
    return path != folder and os.path.commonpath([path, folder]) == folder


def _matches(entry: str) -> tuple[Path | None, list[Path]]:
    """The folder that an entry searches, none for a single file, and what it finds there."""
    path = Path(entry).expanduser()
    if path.is_dir():
        return path, list_images(path)
    file, number = split_name(path)
    in_stack = number is not None and os.path.lexists(file)
    if in_stack or os.path.lexists(path) or not glob.has_magic(entry):
        return None, [path]  # an absent file is reported when it is its turn
    base = Path(*takewhile(lambda part: not glob.has_magic(part), path.parts))
    found = sorted(Path(name) for name in glob.glob(str(path), recursive=True))
    return base, [file for file in found if not file.is_dir()]
