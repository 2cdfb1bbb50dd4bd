"""Sets that `tmd prepare` wrote, as a dataset's root: the manifest, and where the images are."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tmd.errors import UserError

MANIFEST = "manifest.json"
JOURNAL = "prepare.jsonl"
#: Folders in a prepared one: of its tiles or shards; of those of pairs.
IMAGES, HR, LR = "images", "hr", "lr"
FORMAT = "tmd prepare 1"


def read_manifest(folder: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The manifest of a prepared folder; None where it is none.

    Raises:
        UserError: the preparation has not ended.
    """
    folder = Path(folder)
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        manifest = None
    if isinstance(manifest, dict) and manifest.get("format") == FORMAT:
        return manifest
    if (folder / JOURNAL).is_file():
        raise UserError(f"{folder}: tmd prepare has not ended; typed once more, it goes on")
    return None


def images_folder(root: str, key: str = "dataset.root") -> str:
    """The folder of the images of a prepared one; ``root`` itself where it is none.

    Raises:
        UserError: the preparation has not ended, or ``root`` holds pairs.
    """
    if "://" in root or (manifest := read_manifest(root)) is None:
        return root
    if manifest["pairs"]:
        raise UserError(
            f"{key}={root}: holds pairs; dataset.root={root}/{HR} dataset.lr_root={root}/{LR}"
        )
    return os.path.join(root, IMAGES)
