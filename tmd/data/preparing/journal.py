"""Parts of a preparation that are done, so that one that was stopped goes on.

A line of JSON each, the first of which says what is prepared and how. A line that was cut short by
a kill is of a part that will be done again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tmd.errors import UserError
from tmd.files import write_bytes


class Photo(NamedTuple):
    """Fate of a photo.

    Attributes:
        tiles: how many were written.
        flat: how many were not, having no detail.
        reason: why the photo was left out, empty where it was not; and what else there is to know.
        note: what that reason is about.
    """

    tiles: int
    flat: int = 0
    reason: str = ""
    note: str = ""


class Part(NamedTuple):
    """Photos one after the other that are written together.

    Attributes:
        first: the number of the first.
        photos: their fates.
        bytes: that were written.
    """

    first: int
    photos: list[Photo]
    bytes: int


class Journal:
    """Parts that are done, kept in a file.

    Args:
        path: of the file.
        head: what is prepared and how, JSON-able.

    Attributes:
        parts: that are done, by the number of their first photo.

    Raises:
        UserError: the file is of another preparation.
    """

    def __init__(self, path: Path, head: Mapping[str, Any]) -> None:
        self.path = path
        self.parts: dict[int, Part] = {}
        lines = path.read_bytes().splitlines(keepends=True) if path.is_file() else []
        whole = [line for line in lines if line.endswith(b"\n")]
        if not whole:
            write_bytes(path, json.dumps(head).encode() + b"\n")
            return
        began = json.loads(whole[0])
        if began != json.loads(json.dumps(head)):
            raise UserError(f"{path.parent}: was begun {_difference(began, head)}; {WAYS_OUT}")
        if whole != lines:
            os.truncate(path, sum(map(len, whole)))
        for line in whole[1:]:
            part = json.loads(line)
            photos = [Photo(*photo) for photo in part["photos"]]
            self.parts[part["first"]] = Part(part["first"], photos, part["bytes"])

    def add(self, part: Part) -> None:
        """Note that a part is done; its files must be on the disk."""
        self.parts[part.first] = part
        with open(self.path, "ab") as file:
            file.write(json.dumps(part._asdict()).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


WAYS_OUT = "give another output, or overwrite=True"


def _difference(began: Mapping[str, Any], head: Mapping[str, Any]) -> str:
    """Words on the first thing in which a preparation differs from the one that was begun."""
    options = began.get("options", {})
    for key, value in head["options"].items():
        if options.get(key) != json.loads(json.dumps(value)):
            return f"with {key}={options.get(key)}"
    return "from other photos"
