"""Pairs of HR and LR images: found by name or by a list, of sizes that fit, or one line on all.

All that is wrong is found before a run exists, from names and files' headers alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from torch import Tensor

from tmd.data.files import find_files, found_by, listed_pairs
from tmd.data.matching import is_marked_lr, match
from tmd.data.options import DatasetOptions
from tmd.data.parts import PartsSource
from tmd.data.places import common_folder, finder, root_of
from tmd.data.roots import lr_folders
from tmd.data.sources import FileSource, ImageSource
from tmd.data.storage import in_threads
from tmd.errors import UnreachableError, UserError
from tmd.images import split_name
from tmd.places import in_shard

Size = tuple[int, int]

_NAMED = 3
_OTHER_SCALES = "of other scales by their names"


@dataclass
class Pairing:
    """Each HR image's LR images, and the parts of both that show the same.

    Attributes:
        sources: of LR images.
        rows: an HR image's name -> its pairs, one for each version of LR.
        places: (n, 2): the LR image of a pair, as `PartsSource` takes it.
        windows: (n, 2, 4): the rectangles of LR and of HR, each top, left, height, width.
        problems: pairs of which a file can't be read, with the reasons.
        cropped: how many pairs are cropped to a size that the scale explains.
        left_out: reason -> how many LR images that are nobody's.
    """

    sources: list[ImageSource]
    rows: dict[str, list[int]] = field(default_factory=dict)
    places: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int32))
    windows: np.ndarray = field(default_factory=lambda: np.zeros((0, 2, 4), dtype=np.int32))
    problems: dict[int, str] = field(default_factory=dict)
    cropped: int = 0
    left_out: dict[str, int] = field(default_factory=dict)

    def sides(
        self, hr: ImageSource, versions: int | None = None
    ) -> tuple[PartsSource, PartsSource]:
        """LR and HR of these HR images, of equal numbers.

        All images of the first version of LR come first, then those of the second.

        Args:
            hr: images of this pairing.
            versions: how many of the versions of LR are taken, the first ones; None: all.
        """
        found = [self.rows[hr.name(i)] for i in range(len(hr))]
        most = max(map(len, found), default=0)
        order = [
            (image, rows[version])
            for version in range(most if versions is None else min(most, versions))
            for image, rows in enumerate(found)
            if version < len(rows)
        ]
        images, rows = np.array(order, dtype=np.int64).reshape(-1, 2).T
        problems = {i: self.problems[row] for i, row in enumerate(rows) if row in self.problems}
        of_hr = np.stack([np.zeros_like(images), images], axis=1)
        return (
            PartsSource(self.sources, self.places[rows], self.windows[rows, 0], problems),
            PartsSource([hr], of_hr, self.windows[rows, 1], problems),
        )


def pair_up(chosen: DatasetOptions, scale: int) -> Pairing:
    """Pair the images of ``dataset.root``, and of ``dataset.val_root``, with given LR images.

    Raises:
        UserError: everything that is wrong, by name, in a line.
    """
    parts = [_Search(chosen, scale, "dataset.lr_root", chosen.lr_root)]
    if chosen.val_root is not None:
        held_out = replace(chosen, name="folder", root=chosen.val_root, list_file=None)
        parts.append(_Search(held_out, scale, "dataset.val_lr_root", chosen.val_lr_root))
    pairing = Pairing([], {})
    for part in parts:
        part.search()
        part.measure()
        part.add_to(pairing)
    return pairing


def pair_folder(hr: FileSource, folder: str, scale: int, key: str) -> Pairing:
    """Pair image files with the LR images of a folder by their names.

    Args:
        hr: the files.
        folder: of LR images.
        scale: between the two.
        key: the config key that error messages name.

    Raises:
        UserError: everything that is wrong, by name, in a line.
    """
    search = _Search(DatasetOptions("folder", hr.root, lr_root=folder), scale, key, folder)
    search.images = len(hr)
    labels = {number: hr.label(number) for number in range(len(hr))}
    search.take_named(hr, labels, find_files([folder], hr.kind, key=key, copies=True))
    search.measure()
    pairing = Pairing([], {})
    search.add_to(pairing)
    return pairing


def common_size(hr: Size, lr: Size, scale: int) -> Size | None:
    """(h, w) of the LR part that HR has ``scale`` times; None where more than rounding differs.

    >>> common_size((321, 481), (81, 120), 4), common_size((320, 482), (80, 122), 4)
    ((80, 120), None)
    """
    if any(abs(side - scale * small) >= scale for side, small in zip(hr, lr, strict=True)):
        return None
    height, width = (min(small, side // scale) for side, small in zip(hr, lr, strict=True))
    return (height, width) if height and width else None


def common_part(lr: Tensor, hr: Tensor, scale: int) -> tuple[Tensor, Tensor]:
    """LR (..., h, w) and HR (..., scale·h, scale·w) of the largest size that both have."""
    height, width = (
        min(small, side // scale) for small, side in zip(lr.shape[-2:], hr.shape[-2:], strict=True)
    )
    return lr[..., :height, :width], hr[..., : scale * height, : scale * width]


@dataclass(frozen=True)
class _Found:
    """A pair: an HR image and an LR image, each a source and a number in it."""

    hr: ImageSource
    image: int
    lr: ImageSource
    other: int

    def sizes(self) -> tuple[Size, Size] | str:
        """Sizes of HR and LR by the files' headers, or why one can't be read."""
        try:
            return self.hr.size(self.image), self.lr.size(self.other)
        except UnreachableError:
            raise
        except UserError as problem:
            return str(problem)

    def text(self, hr: Size, lr: Size) -> str:
        """Both names and sizes for people."""
        return (
            f"{self.hr.label(self.image)} {hr[1]}×{hr[0]} and "
            f"{self.lr.label(self.other)} {lr[1]}×{lr[0]}"
        )


class _Search:
    """The pairs of one set of HR images, and all that is wrong with them.

    Args:
        chosen: the set.
        scale: between HR and LR.
        key, value: of the config, that says where LR is.
    """

    def __init__(self, chosen: DatasetOptions, scale: int, key: str, value: Any) -> None:
        self.chosen = chosen
        self.scale = scale
        self.key = key
        self.value = value
        self.roots = chosen.request.roots
        self.found: list[_Found] = []
        self.wrong: list[str] = []
        self.images = 0
        self.left_out = 0
        self.sizes: list[tuple[Size, Size] | str] = []
        self.parts: list[Size] = []

    def search(self) -> None:
        """Find the pairs by the list, or by their names."""
        pools = self.chosen.kind.pools(self.chosen.request)
        images = [pools.train, *([] if pools.validation is None else [pools.validation])]
        self.images = sum(map(len, images))
        folders_of = lr_folders(self.roots, self.value, self.key)
        if self.chosen.list_file is not None:
            listed = listed_pairs(self.roots, self.chosen.request.list_file or "")
            if listed:
                lr_roots = [folder for some in folders_of for folder in some]
                for source in images:
                    self._take_listed(source, listed, [*lr_roots, *self.roots])
                return
        for source in images:
            labels = self._by_root(source)
            for root, given in zip(self.roots, folders_of, strict=True):
                for folder in given:
                    lr = find_files([folder], source.kind, key=self.key, copies=True)
                    self.take_named(source, labels[root], lr)

    def _by_root(self, source: ImageSource) -> dict[str, dict[int, str]]:
        """Of each root its images, by their numbers, and the names that they have below it."""
        if len(self.roots) == 1:
            return {self.roots[0]: {i: source.label(i) for i in range(len(source))}}
        number_of = {source.name(i): i for i in range(len(source))}
        labels: dict[str, dict[int, str]] = {}
        for root in self.roots:
            alone = self.chosen.kind.pools(
                replace(self.chosen.request, roots=(root,), list_file=None)
            ).train
            names = ((number_of.get(alone.name(i)), alone.label(i)) for i in range(len(alone)))
            labels[root] = {number: label for number, label in names if number is not None}
        return labels

    def take_named(self, hr: ImageSource, labels: dict[int, str], lr: ImageSource) -> None:
        """Match by name; an image that is on both sides is on the one that its name says."""
        mine = {hr.name(i): i for i in labels}
        shared = [j for j in range(len(lr)) if lr.name(j) in mine]
        whole = len(shared) == len(mine)  # one folder holds both
        of_lr = {lr.name(j) for j in shared if not whole or is_marked_lr(lr.label(j))}
        of_hr = {lr.name(j) for j in shared} - of_lr
        images = [i for i in labels if hr.name(i) not in of_lr]
        others = [j for j in range(len(lr)) if lr.name(j) not in of_hr]
        names, their_names = [labels[i] for i in images], [lr.label(j) for j in others]
        self.images -= len(labels) - len(images)
        for pattern in self.chosen.lr_patterns:
            matches = match(names, their_names, self.scale, pattern)
            self.found += [
                _Found(hr, images[i], lr, others[j]) for i, j in sorted(matches.partners.items())
            ]
            turned = match(their_names, names, self.scale).partners if pattern is None else {}
            if turned and not matches.partners:
                self._say("LR images are called as HR; are the two swapped?", their_names)
                continue
            self.left_out += len(matches.of_other_scales)
            hint = ""
            if matches.of_other_scales and not matches.partners:
                example = their_names[matches.of_other_scales[0]]
                hint = f"; LR images are not of scale={self.scale} by their names, as {example}"
            self._say("HR images have no partner", [names[i] for i in matches.without_lr], hint)
            self._say(
                "HR images have several partners, or share one",
                [
                    f"{', '.join(names[i] for i in ours)}: "
                    f"{', '.join(their_names[j] for j in theirs)}"
                    for ours, theirs in matches.several
                ],
            )
            if self.chosen.list_file is None:
                alone = [their_names[j] for j in matches.without_hr]
                self._say("LR images have no HR image", alone)

    def _take_listed(
        self, hr: ImageSource, listed: dict[str, list[str]], lr_roots: Sequence[str]
    ) -> None:
        finders = [finder(root_of(root)) for root in lr_roots]
        absent, rows, paths = [], [], []
        for number in range(len(hr)):
            for name in _listed_for(hr.name(number), listed):
                path = found_by(finders, name)
                if path is None:
                    absent.append(name)
                    continue
                rows.append(number)
                paths.append(path)
        root = common_folder([root_of(root) for root in lr_roots])
        lr = FileSource(paths, hr.kind, root, in_shards=any(map(in_shard, paths)))
        self.found += [_Found(hr, number, lr, row) for row, number in enumerate(rows)]
        self._say("LR images of the list are absent", absent)

    def measure(self) -> None:
        """Look at the sizes, and raise `UserError` for all that is wrong so far."""
        looked = in_threads(
            lambda i: self.found[i].sizes(), range(len(self.found)), "Sizes of pairs"
        )
        self.sizes = list(looked)
        wrong = []
        for pair, sizes in zip(self.found, self.sizes, strict=True):
            part = (0, 0) if isinstance(sizes, str) else common_size(*sizes, self.scale)
            self.parts.append(part or (0, 0))
            if part is None:
                wrong.append((pair, sizes))
        if wrong:
            self._say_sizes(wrong)
        if self.wrong:
            raise UserError(
                f"{self.key}={self.value}: {'; '.join(self.wrong)} ({self.images} HR images)"
            )

    def _say_sizes(self, wrong: list[tuple[_Found, Any]]) -> None:
        listed = [pair.text(*sizes) for pair, sizes in wrong]
        both = len(wrong) == len(self.found)
        if both and all(min(lr) > max(hr) or lr > hr for _, (hr, lr) in wrong):
            self._say("LR images are larger than HR; are the two swapped?", listed)
            return
        factors = {_factor(*sizes) for _, sizes in wrong}
        hint = f"; all are of factor {factors.pop()}" if both and len(factors) == 1 else ""
        hint = "" if hint.endswith("None") else hint
        self._say(f"pairs are of sizes that scale={self.scale} does not explain", listed, hint)

    def _say(self, what: str, examples: Sequence[str], hint: str = "") -> None:
        if examples:
            more = ", …" if len(examples) > _NAMED else ""
            self.wrong.append(
                f"{len(examples)} {what} ({', '.join(examples[:_NAMED])}{more}){hint}"
            )

    def add_to(self, pairing: Pairing) -> None:
        """Add the pairs to those that are there."""
        first = len(pairing.places)
        sources = {id(pair.lr): pair.lr for pair in self.found}
        number_of = {key: len(pairing.sources) + i for i, key in enumerate(sources)}
        pairing.sources += sources.values()
        places = np.zeros((len(self.found), 2), dtype=np.int32)
        windows = np.zeros((len(self.found), 2, 4), dtype=np.int32)
        for row, (pair, sizes, part) in enumerate(
            zip(self.found, self.sizes, self.parts, strict=True)
        ):
            pairing.rows.setdefault(pair.hr.name(pair.image), []).append(first + row)
            places[row] = number_of[id(pair.lr)], pair.other
            if isinstance(sizes, str):
                pairing.problems[first + row] = sizes
                continue
            pairing.cropped += sizes != (_times(part, self.scale), part)
            windows[row] = [[0, 0, *part], [0, 0, *_times(part, self.scale)]]
        pairing.places = np.concatenate([pairing.places, places])
        pairing.windows = np.concatenate([pairing.windows, windows])
        if self.left_out:
            before = pairing.left_out.get(_OTHER_SCALES, 0)
            pairing.left_out[_OTHER_SCALES] = before + self.left_out


def _listed_for(name: str, listed: dict[str, list[str]]) -> list[str]:
    """What a list says of an image; a stack's line is of all of its images."""
    if name in listed:
        return listed[name]
    file, number = split_name(name)
    return [f"{other}[{number}]" for other in listed[file]]


def _times(size: Size, scale: int) -> Size:
    return size[0] * scale, size[1] * scale


def _factor(hr: Size, lr: Size) -> int | None:
    """The whole factor that explains two sizes, where there is one."""
    factor = round(hr[0] / lr[0])
    return factor if factor and common_size(hr, lr, factor) else None
