"""Finding image files: in several folders, by a list, each file once."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from tmd.data.framing import Unusable
from tmd.data.progress import progress
from tmd.data.sources import FileSource
from tmd.errors import UserError
from tmd.images import read_size, scan_images


def check_folders(roots: Sequence[str], key: str = "dataset.root") -> None:
    """Raise `UserError` unless each folder exists."""
    for root in roots:
        if not os.path.isdir(root):
            raise UserError(f"{key}={root}: no such folder")


def check_roots(roots: Sequence[str], key: str = "dataset.root") -> None:
    """Raise `UserError` unless each folder exists and holds an image, which ends the search."""
    check_folders(roots, key)
    for root in roots:
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
        check_folders(roots)
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
    key, value = ("root", ", ".join(roots)) if list_file is None else ("list_file", list_file)
    raise UserError(
        f"dataset.{key}={value}: none of its {count} images can be used, for example {problem}"
    )


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
    check_folders(roots, key)
    roots = [os.path.abspath(root) for root in roots]
    if list_file is not None:
        found = _paths_of_list(roots, list_file)
    else:
        found = [path for root in _distinct(roots) for path in sorted(scan_images(root))]
    if not found:
        raise UserError(f"{key}={', '.join(roots)}: holds no images")
    return FileSource(found, channels, os.path.commonpath(roots))


def named(files: FileSource, names: Collection[str]) -> FileSource:
    """The files whose names, without their folders, are among these."""
    paths = enumerate(files.names())
    return files.subset([i for i, path in paths if os.path.basename(path) in names])


def without(train: FileSource, validation: FileSource) -> FileSource:
    """The training files that are not validation files too, by identity or by content.

    Files of equal length and ending are compared by their bytes, so that a copy under another name
    is found.
    """
    identities: set[tuple[int, int]] = set()
    lengths: set[int] = set()
    copies: dict[tuple[int, bytes], list[str]] = {}
    for path in validation.names():
        if stat := _stat(path):
            identities.add((stat.st_dev, stat.st_ino))
            lengths.add(stat.st_size)
            copies.setdefault((stat.st_size, _ending(path)), []).append(path)

    def is_held_out(path: str) -> bool:
        stat = _stat(path)
        if stat is None:
            return False
        if (stat.st_dev, stat.st_ino) in identities:
            return True
        # Most files are told apart by their length, and only the rest is opened.
        if stat.st_size not in lengths:
            return False
        alike = copies.get((stat.st_size, _ending(path)), ())
        return any(filecmp.cmp(path, other, shallow=False) for other in alike)

    paths = progress(train.names(), len(train), "Comparing with validation")
    kept = [i for i, path in enumerate(paths) if not is_held_out(path)]
    return train if len(kept) == len(train) else train.subset(kept)


def _paths_of_list(roots: Sequence[str], list_file: str) -> list[str]:
    """The files that a text file names, in its order, each once."""
    try:
        lines = Path(list_file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        reason = getattr(problem, "strerror", None) or "not a text file"
        raise UserError(f"dataset.list_file={list_file}: {reason}") from None
    paths: dict[str, None] = {}
    for line in filter(None, (line.strip() for line in lines)):
        candidates = (os.path.join(root, line) for root in roots)
        existing = next((path for path in candidates if os.path.isfile(path)), None)
        if existing is None:
            raise UserError(f"dataset.list_file={list_file}: {line} is not in {', '.join(roots)}")
        paths[existing] = None
    if not paths:
        raise UserError(f"dataset.list_file={list_file}: names no images")
    return list(paths)


def _distinct(roots: Sequence[str]) -> list[str]:
    """The folders without those that lie inside another one of them."""
    real = {root: os.path.realpath(root) for root in roots}
    kept: list[str] = []
    for root in sorted(real, key=lambda root: len(real[root])):
        if not any(os.path.commonpath([real[root], real[outer]]) == real[outer] for outer in kept):
            kept.append(root)
    return [root for root in real if root in kept]


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None  # a link that leads nowhere: reading it will say so


def _ending(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 1024))
            return file.read(1024)
    except OSError:
        return os.fsencode(path)  # like no other; reading the image will say what is wrong


def find_near(
    roots: Sequence[str], patterns: Sequence[str], below: Sequence[str] = ()
) -> Path | None:
    """The first file of such a name in a root, a folder ``below`` it, or the folder it lies in."""
    for root in map(Path, roots):
        for folder in (root, *(root / name for name in below), root.absolute().parent):
            for pattern in patterns:
                if found := sorted(folder.glob(pattern)):
                    return found[0]
    return None
