"""Finding image files: in several folders, by a list, each file once."""

from __future__ import annotations

import filecmp
import logging
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tmd.data.aside import Aside
from tmd.data.framing import Unusable
from tmd.data.paths import PackedStrings, with_stacks_images
from tmd.data.places import Root, common_folder, finder, list_roots, root_of, scan_root
from tmd.data.progress import progress
from tmd.data.sources import FileSource
from tmd.errors import UnreachableError, UserError
from tmd.images import ImageKind, open_file, read_size, split_name
from tmd.places import (
    check_address,
    ending_elsewhere,
    in_shard,
    is_address,
    is_elsewhere,
    open_elsewhere,
)

_THREADS = 16
_ENDING = 1024
# More comparisons than this, each of which asks a server, would delay the start.
_MOST_FETCHED = 2_000

_log = logging.getLogger("tmd.data")


def check_folders(roots: Sequence[str], key: str = "dataset.root") -> None:
    """Raise `UserError` unless each folder, or tar, exists, or is an address that can be asked."""
    for root in roots:
        root_of(root, key)


def check_roots(roots: Sequence[str], key: str = "dataset.root") -> None:
    """Raise `UserError` unless each root exists and holds an image, which ends the search."""
    check_folders(roots, key)
    for root in roots:
        if next(scan_root(root_of(root, key)), None) is None:
            raise UserError(f"{key}={root}: holds no images")


def check_files(
    roots: Sequence[str], list_file: str | None, fit: Callable[[int, int], object]
) -> None:
    """Raise `UserError` unless there is an image that can be used, which ends the search."""
    if list_file is None:
        check_roots(roots)
        paths: Iterable[str] = (path for root in roots for path in scan_root(root_of(root)))
    else:
        paths = _paths_of_list([root_of(root) for root in roots], list_file)
    count, problem = 0, ""
    for path in paths:
        count += 1
        try:
            fit(*read_size(path))
            return
        except UnreachableError:
            raise
        except UserError as bad_file:
            problem = problem or str(bad_file)
        except Unusable as bad_size:
            problem = problem or f"{path}: {bad_size}"
    key, value = ("root", ", ".join(roots)) if list_file is None else ("list_file", list_file)
    raise UserError(
        f"dataset.{key}={value}: none of its {count} images can be used, for example {problem}"
    )


def find_files(
    roots: Sequence[str],
    kind: ImageKind | int,
    list_file: str | None = None,
    key: str = "dataset.root",
    copies: bool = False,
) -> FileSource:
    """The images under the folders, sorted, each file once even where folders overlap.

    Args:
        roots: folders, searched through all their levels.
        kind: of the images, or channels of 8 bits.
        list_file: text file with one path a line, relative to a root (or absolute): only these. A
            stack stands for all of its images, ``cells.tif[3]`` for one.
        key: the config key that error messages name.
        copies: whether smaller copies of others are taken, too.
    """
    places = [root_of(root, key) for root in roots]
    common = common_folder(places)
    if list_file is not None:
        listed = _paths_of_list(places, list_file)
        in_shards = any(in_shard(path) for path in listed)
        return FileSource(listed, kind, common, in_shards=in_shards)
    listings = list_roots(_distinct(places), copies)
    paths = PackedStrings.concatenated([listing.paths for listing in listings])
    if not len(paths):
        raise UserError(f"{key}={', '.join(roots)}: holds no images")
    known = [listing.sizes for listing in listings if listing.sizes is not None]
    sizes = np.concatenate(known) if len(known) == len(listings) else None
    aside = Aside.joined(listing.aside for listing in listings)
    in_shards = any(listing.in_shards for listing in listings)
    return FileSource(paths, kind, common, sizes, aside, in_shards)


def named(files: FileSource, names: Collection[str]) -> FileSource:
    """The files whose names, without their folders, are among these."""
    paths = enumerate(files.names())
    return files.subset([i for i, path in paths if os.path.basename(path) in names])


def copies_among(train: FileSource, validation: FileSource) -> list[int]:
    """Numbers of the training files that are validation files too, by identity or by content.

    Files of equal length and ending are compared by their bytes, so that a copy under another name
    is found.
    """
    lengths = validation.bytes_each()
    # Most files are told apart by their length, and only the rest is opened.
    suspects = np.flatnonzero(np.isin(train.bytes_each(), lengths[lengths >= 0])).tolist()
    if train.is_far and len(suspects) > _MOST_FETCHED:
        _log.warning(
            "%s: %d images are as long as one held out; they are not compared with it",
            train.root,
            len(suspects),
        )
        return []
    copies: dict[tuple[int, bytes], list[str]] = {}
    for index in np.flatnonzero(np.isin(lengths, train.bytes_each()[suspects])).tolist():
        path = validation.name(index)
        copies.setdefault((int(lengths[index]), file_ending(path)), []).append(path)

    def is_held_out(index: int) -> bool:
        path = train.name(index)
        alike = copies.get((int(train.bytes_each()[index]), file_ending(path)), ())
        return any(_are_equal(path, other) for other in alike)

    suspects = progress(suspects, len(suspects), "Comparing with validation")
    return [index for index in suspects if is_held_out(index)]


def without(train: FileSource, validation: FileSource) -> FileSource:
    """The training files that are not validation files too; see `copies_among`."""
    copies = copies_among(train, validation)
    return train.subset(np.delete(np.arange(len(train)), copies)) if copies else train


def listed_pairs(roots: Sequence[str], list_file: str) -> dict[str, list[str]]:
    """HR file -> what the second column says of it, a text a line; empty: there is one column.

    Raises:
        UserError: only some of the lines have two columns.
    """
    pairs: dict[str, list[str]] = {}
    single = ""
    for path, other in _rows_of_list([root_of(root) for root in roots], list_file):
        if other is None:
            single = single or path
        else:
            pairs.setdefault(path, []).append(other)
    if pairs and single:
        raise UserError(f"dataset.list_file={list_file}: {single} has one column, others have two")
    return pairs


def _paths_of_list(roots: Sequence[Root], list_file: str) -> list[str]:
    """The files that a text file names, in its order, each once."""
    paths = dict.fromkeys(path for path, _ in _rows_of_list(roots, list_file))
    return list(dict.fromkeys(with_stacks_images(PackedStrings.of(paths))))


def _rows_of_list(roots: Sequence[Root], list_file: str) -> list[tuple[str, str | None]]:
    """The file that each line names, and its second column where there is one."""
    lines = list(filter(None, map(str.strip, _lines(list_file))))
    finders = [finder(root) for root in roots]

    def row(line: str) -> tuple[str, str | None] | None:
        separator = next((mark for mark in "\t;," if mark in line), None)
        columns = [part.strip() for part in line.split(separator)]
        # A name may hold what separates columns.
        for name, *others in ([line], columns):
            path = found_by(finders, name)
            if path is not None and len(others) < 2:
                return path, others[0] if others else None
        return None

    with ThreadPoolExecutor(_THREADS) as pool:
        rows = []
        for line, found in zip(lines, pool.map(row, lines), strict=True):
            if found is None:
                places = ", ".join(root.path for root in roots)
                raise UserError(f"dataset.list_file={list_file}: {line} is not in {places}")
            rows.append(found)
    if not rows:
        raise UserError(f"dataset.list_file={list_file}: names no images")
    return rows


def found_by(finders: Iterable[Callable[[str], str | None]], name: str) -> str | None:
    """The path of a file, or of an image of a stack, in the first of the roots that has it."""
    file, _ = split_name(name)
    found = next((path for find in finders if (path := find(file)) is not None), None)
    return None if found is None else found + name[len(file) :]


def _lines(list_file: str) -> list[str]:
    """The lines of a text file on this machine or at an address."""
    if os.path.exists(list_file) and not os.path.isfile(list_file):  # a pipe may never answer
        raise UserError(f"dataset.list_file={list_file}: not a file")
    try:
        if is_address(list_file):
            check_address("dataset.list_file", list_file)
            with open_elsewhere(list_file) as file:
                return file.read().decode("utf-8").splitlines()
        return Path(list_file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        reason = getattr(problem, "strerror", None) or "not a text file"
        if isinstance(problem, FileNotFoundError):
            reason = "No such file or directory"
        raise UserError(f"dataset.list_file={list_file}: {reason}") from None


def _distinct(roots: Sequence[Root]) -> list[Root]:
    """The roots without folders that lie inside another one of them."""
    real = {
        root: root.path if is_address(root.path) else os.path.realpath(root.path) for root in roots
    }
    kept: list[Root] = [root for root in real if root.shards is not None]
    outer: list[str] = []
    for root in sorted(real, key=lambda root: len(real[root])):
        if root.shards is None and not any(_is_within(real[root], folder) for folder in outer):
            kept.append(root)
            outer.append(real[root])
    return [root for root in real if root in kept]


def _is_within(path: str, folder: str) -> bool:
    return f"{path.rstrip('/')}/".startswith(f"{folder.rstrip('/')}/")


def _are_equal(path: str, other: str) -> bool:
    """By identity or by content; what can't be read is like nothing, and reading it says why."""
    (path, number), (other, others) = split_name(path), split_name(other)
    if number != others:
        return False
    try:
        if is_elsewhere(path) or is_elsewhere(other):
            with open_file(path) as file, open_file(other) as another:
                return file.read() == another.read()
        return os.path.samefile(path, other) or filecmp.cmp(path, other, shallow=False)
    except OSError:
        return False


def file_ending(path: str) -> bytes:
    """The last 1024 bytes of a file, or its path where it can't be read."""
    try:
        path, _ = split_name(path)
        if is_elsewhere(path):
            return ending_elsewhere(path, _ENDING)
        with open(path, "rb", buffering=0) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _ENDING))
            return file.read(_ENDING)
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
