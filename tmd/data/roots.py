"""Folders that a config's values name: those of HR images, and those of given LR images."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

from tmd.data.files import check_folders, listed_pairs
from tmd.errors import UserError, check_flag, check_number
from tmd.places import is_packed, is_shard


def folders(root: str | Sequence[str] | None) -> tuple[str, ...]:
    """The folders that a config's value names: one, several separated by commas, or a list."""
    if root is None:
        return ()
    several: list[Any] = list(root) if isinstance(root, (list, tuple)) else [root]
    if len(several) == 1 and not os.path.exists(os.path.expanduser(str(several[0]))):
        parts = re.split(r",(?![^{}]*\})", str(several[0]))  # not at those within braces
        several = parts if len(parts) > 1 else several
    return tuple(os.path.expanduser(str(part).strip()) for part in several)


def lr_folders(roots: Sequence[str], value: Any, key: str) -> list[list[str]]:
    """Folders of given LR images of each root: one, or one a version.

    Args:
        roots: HR folders.
        value: a folder for each root in the same order, or a list of folders of versions in its
            place; for one root, a list is of versions.
        key: the config key that error messages name.

    Raises:
        UserError: there are too many, too few, or one that is no folder.

    >>> lr_folders(["HR"], ["once", "again"], "dataset.lr_root")
    Traceback (most recent call last):
    tmd.errors.UserError: dataset.lr_root=once: no such folder
    """
    entries = list(value) if isinstance(value, (list, tuple)) else list(folders(value))
    versions = [list(folders(entry)) for entry in entries]
    if len(roots) == 1:
        versions = [[folder for some in versions for folder in some]]
    if len(versions) != len(roots) or not all(versions):
        hr_key = key.replace("lr_root", "root")
        raise UserError(
            f"{key}={value!r}: {len(versions)} folders for the {len(roots)} of {hr_key}; give one "
            "for each, in the same order, or a list of some where LR has versions"
        )
    for folder in (folder for some in versions for folder in some):
        if os.path.isfile(folder) and not is_shard(folder) and not is_packed(folder):
            raise UserError(f"{key}={folder}: is a file; pairs are listed by dataset.list_file")
        check_folders([folder], key)
    return versions


def check_lr(chosen: Any) -> None:
    """Raise `UserError` for keys of given LR images that can't be.

    Args:
        chosen: `tmd.data.options.DatasetOptions`.
    """
    check_flag("dataset.align", chosen.align)
    check_number("dataset.made", chosen.made, 0, below=1)
    if chosen.lr_root is None:
        for key in ("lr_pattern", "val_lr_root", "made", "align"):
            if value := getattr(chosen, key):
                raise UserError(f"dataset.{key}={value!r}: needs dataset.lr_root")
        if chosen.list_file is not None and listed_pairs(chosen.request.roots, chosen.list_file):
            raise UserError(
                f"dataset.list_file={chosen.list_file}: has two columns; dataset.lr_root=FOLDER "
                "says where the second one's LR images are"
            )
        return
    if not chosen.request.roots:
        raise UserError(f"dataset.lr_root={chosen.lr_root}: needs dataset.root, the HR images")
    if chosen.factors != [1]:
        raise UserError(f"dataset.shrink={chosen.shrink}: given LR images are not shrunk")
    if (chosen.val_root is None) != (chosen.val_lr_root is None):
        raise UserError(
            f"dataset.val_root={chosen.val_root}, dataset.val_lr_root={chosen.val_lr_root}: "
            "give both or none beside dataset.lr_root"
        )
    _ = chosen.lr_patterns
    lr_folders(chosen.request.roots, chosen.lr_root, "dataset.lr_root")
    if chosen.val_root is not None:
        lr_folders(folders(chosen.val_root), chosen.val_lr_root, "dataset.val_lr_root")
