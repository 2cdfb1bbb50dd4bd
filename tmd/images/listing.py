"""The image files below a folder."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from tmd.errors import UserError
from tmd.images.formats import IMAGE_SUFFIXES, PathLike

#: Called with a path and the reason for which it is left aside.
OnAside = Callable[[str, str], object]

HIDDEN = "hidden"
OTHER_FILES = "files of other kinds"
LINKS_TWICE = "links to folders that are searched anyway"
LINKS_IN_A_CIRCLE = "links in a circle"
UNREADABLE = "folders that can't be read"
_ODD = {
    stat.S_IFIFO: "named pipes",
    stat.S_IFSOCK: "sockets",
    stat.S_IFBLK: "devices",
    stat.S_IFCHR: "devices",
}
# Folders that systems put beside images, with resource forks and thumbnails.
_SYSTEM_FOLDERS = ("__MACOSX", "@eaDir")

_log = logging.getLogger("tmd.images")


def list_images(root: PathLike, recursive: bool = True) -> list[Path]:
    """The image files under a folder, sorted by path; hidden files and folders are left out.

    So is what can't be read as a file, of which a warning tells.
    """
    return [Path(path) for path in sorted(scan_images(root, recursive))]


def scan_images(
    root: PathLike,
    recursive: bool = True,
    on_folder: Callable[[str], object] | None = None,
    on_aside: OnAside | None = None,
) -> Iterator[str]:
    """The paths of `list_images`, in no order, as they are found; fit for millions of files.

    Args:
        root: the folder.
        recursive: whether the folders in it are searched too, whatever their names end in.
        on_folder: called with each folder before it is searched, and with links to folders that are
            left out as they lead to what is searched anyway.
        on_aside: called with what is left aside, and why; None warns of what is odd.

    Raises:
        UserError: the root can't be read.
    """
    aside = on_aside or _warn_of_odd
    folders = [os.fspath(root)]
    seen = {os.path.realpath(root)}
    while folders:
        folder = folders.pop()
        if on_folder is not None:
            on_folder(folder)
        try:
            entries = os.scandir(folder)
        except OSError as problem:
            if folder == os.fspath(root):
                raise UserError(f"{problem.filename}: {problem.strerror}") from None
            aside(folder, UNREADABLE)
            continue
        with entries:
            for entry in entries:
                if is_hidden(entry.name):
                    aside(entry.path, HIDDEN)
                elif _is_folder(entry):
                    if not recursive:
                        continue
                    if not entry.is_symlink() or _leads_to_new(entry.path, seen):
                        folders.append(entry.path)
                    else:
                        aside(entry.path, LINKS_TWICE)
                        if on_folder is not None:
                            on_folder(entry.path)
                elif reason := _why_no_image(entry):
                    aside(entry.path, reason)
                else:
                    yield entry.path


def is_hidden(name: str) -> bool:
    """Return whether a file or folder of this name is left out, with all that is in it."""
    return name.startswith(".") or name in _SYSTEM_FOLDERS


def is_image(name: str) -> bool:
    """Return whether a file is an image by the end of its name."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


def _why_no_image(entry: os.DirEntry[str]) -> str:
    """Why an entry is left aside; empty for an image, and for a link to nothing: reading tells."""
    if not is_image(entry.name):
        return OTHER_FILES
    try:
        if entry.is_file():
            return ""
        return _ODD.get(stat.S_IFMT(entry.stat().st_mode), "")
    except FileNotFoundError:
        return ""
    except OSError:
        return LINKS_IN_A_CIRCLE


def _warn_of_odd(path: str, reason: str) -> None:
    if reason in (*_ODD.values(), LINKS_IN_A_CIRCLE, UNREADABLE):
        _log.warning("%s: left aside (%s)", path, reason)


def _leads_to_new(link: str, seen: set[str]) -> bool:
    """Return whether a linked folder is neither in nor around one seen; if so, it is seen now."""
    target = os.path.realpath(link)
    if any(os.path.commonpath([target, folder]) in (target, folder) for folder in seen):
        return False
    seen.add(target)
    return True
