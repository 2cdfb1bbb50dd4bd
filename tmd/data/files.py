"""Finding image files: in several folders, by a list, each file once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tmd.data.framing import Unusable
from tmd.data.sources import FileSource
from tmd.errors import UserError
from tmd.images import read_size, scan_images


def check_roots(roots: Sequence[str], key: str = "dataset.root") -> None:
    """Raise `UserError` unless each folder exists and holds an image, which ends the search."""
    for root in roots:
        if not os.path.isdir(root):
            raise UserError(f"{key}={root}: no such folder")
        if next(scan_images(root), None) is None:
            raise UserError(f"{key}={root}: holds no images")


def check_files(
    roots: Sequence[str], list_file: str | None, fit: Callable[[int, int], object]
) -> None:
    """Raise `UserError` unless there is an image that can be used, which ends the search."""
    if list_file is None:
        check_roots(roots)
        paths: Iterable[str] = (path for root in roots for path in scan_images(root))
    else:
        paths = _paths_of_list(roots, list_file)
    count, problem = 0, ""
    for path in paths:
        count += 1
        try:
            fit(*read_size(path))
            return
        except UserError as bad_file:
            problem = problem or str(bad_file)
        except Unusable as bad_size:
            problem = problem or f"{path}: {bad_size}"
    where = f"dataset.root={', '.join(roots)}" if list_file is None else f"list_file={list_file}"
    raise UserError(f"{where}: none of its {count} images can be used, for example {problem}")


def find_files(
    roots: Sequence[str], channels: int, list_file: str | None = None, key: str = "dataset.root"
) -> FileSource:
    """The images under the folders, sorted, each file once even where folders overlap.

    Args:
        roots: folders, searched through all their levels.
        channels: 1 or 3.
        list_file: text file with one path a line, relative to a root (or absolute): only these.
        key: the config key that error messages name.
    """
    if list_file is not None:
        listed = _paths_of_list(roots, list_file)
        return FileSource(list(listed), channels, list(listed.values()))
    check_roots(roots, key)
    found = [(path, len(root)) for root in _distinct(roots) for path in sorted(scan_images(root))]
    return FileSource([path for path, _ in found], channels, [prefix for _, prefix in found])


def without(train: FileSource, validation: FileSource) -> FileSource:
    """The training files that are not validation files too, by identity or by content.

    Files of equal length are compared by their bytes, so that a copy under another name is found.
    """
    held_out = [os.stat(validation.name(i)) for i in range(len(validation))]
    identities = {(stat.st_dev, stat.st_ino) for stat in held_out}
    by_length: dict[int, list[int]] = {}
    for index, stat in enumerate(held_out):
        by_length.setdefault(stat.st_size, []).append(index)
    digests: dict[int, set[bytes]] = {}

    def is_held_out(path: str) -> bool:
        stat = os.stat(path)
        if (stat.st_dev, stat.st_ino) in identities:
            return True
        if stat.st_size not in by_length:
            return False
        if stat.st_size not in digests:
            same_length = by_length[stat.st_size]
            digests[stat.st_size] = {_digest(validation.name(index)) for index in same_length}
        return _digest(path) in digests[stat.st_size]

    return train.subset([i for i in range(len(train)) if not is_held_out(train.name(i))])


def _paths_of_list(roots: Sequence[str], list_file: str) -> dict[str, int]:
    """The files that a text file names, in its order, each with the length of its root's path."""
    try:
        lines = Path(list_file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        reason = getattr(problem, "strerror", None) or "not a text file"
        raise UserError(f"dataset.list_file={list_file}: {reason}") from None
    paths: dict[str, int] = {}
    for line in filter(None, (line.strip() for line in lines)):
        candidates = ((os.path.join(root, line), len(root)) for root in roots)
        existing = next((entry for entry in candidates if os.path.isfile(entry[0])), None)
        if existing is None:
            raise UserError(f"dataset.list_file={list_file}: {line} is not in {', '.join(roots)}")
        paths.setdefault(*existing)
    if not paths:
        raise UserError(f"dataset.list_file={list_file}: names no images")
    return paths


def _distinct(roots: Sequence[str]) -> list[str]:
    """The folders without those that lie inside another one of them."""
    real = {root: os.path.realpath(root) for root in roots}
    kept: list[str] = []
    for root in sorted(real, key=lambda root: len(real[root])):
        if not any(os.path.commonpath([real[root], real[outer]]) == real[outer] for outer in kept):
            kept.append(root)
    return [root for root in real if root in kept]


def _digest(path: str) -> bytes:
    return hashlib.blake2b(Path(path).read_bytes()).digest()
