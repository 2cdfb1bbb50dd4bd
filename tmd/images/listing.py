"""The image files below a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from tmd.errors import UserError

PathLike = str | os.PathLike[str]

_RASTER = "png jpg jpeg jpe bmp tif tiff webp gif ppm pgm pnm jp2 tga"
IMAGE_SUFFIXES = frozenset(f".{suffix}" for suffix in _RASTER.split())


def list_images(root: PathLike, recursive: bool = True) -> list[Path]:
    """The image files under a folder, sorted by path; hidden files and folders are left out."""
    return [Path(path) for path in sorted(scan_images(root, recursive))]


def scan_images(
    root: PathLike, recursive: bool = True, on_folder: Callable[[str], object] | None = None
) -> Iterator[str]:
    """The paths of `list_images`, in no order, as they are found; fit for millions of files.

    Args:
        root: the folder.
        recursive: whether the folders in it are searched too.
        on_folder: called with each folder before it is searched, and with links to folders that are
            left out as they lead to what is searched anyway.
    """
    folders = [os.fspath(root)]
    seen = {os.path.realpath(root)}
    while folders:
        folder = folders.pop()
        if on_folder is not None:
            on_folder(folder)
        try:
            entries = os.scandir(folder)
        except OSError as problem:
            raise UserError(f"{problem.filename}: {problem.strerror}") from None
        with entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES:
                    if not entry.is_dir():
                        yield entry.path
                elif recursive and entry.is_dir() and entry.name != "__MACOSX":
                    if not entry.is_symlink() or _leads_to_new(entry.path, seen):
                        folders.append(entry.path)
                    elif on_folder is not None:
                        on_folder(entry.path)


def _leads_to_new(link: str, seen: set[str]) -> bool:
    """Whether a linked folder is neither inside nor around one that is seen; if so, it is now."""
    target = os.path.realpath(link)
    if any(os.path.commonpath([target, folder]) in (target, folder) for folder in seen):
        return False
    seen.add(target)
    return True
