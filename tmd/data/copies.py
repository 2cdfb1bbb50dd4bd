"""Smaller copies among the images of a folder: LR images as the field lays them out, thumbnails.

To learn from them, and to validate on them, would teach what small images look like. An ordinary
image must never be taken for one: a name that says so is only a reason to look, and what counts is
a larger image of the same name and content.
"""

from __future__ import annotations

import itertools
import math
import os
import re
from collections import Counter, defaultdict

import numpy as np
import torch
from torch.nn.functional import interpolate

from tmd.data.aside import Aside
from tmd.data.paths import PackedStrings
from tmd.errors import UnreachableError, UserError
from tmd.images import read_image, read_size

COPIES = "smaller copies (LR images, thumbnails)"

# DIV2K_train_LR_bicubic/X2, LRbicx4, testLR, x4, lq, thumbs, small, ...
_FOLDER = re.compile(
    r"(?i:(?:^|[^a-z])l[rq](?:$|[^a-z]|bi|x)|^x[2-8]$|thumb|low[ _-]?res|bicubic|downs(?:ampl|cal)"
    r"|^(?:previews?|small|mini|low|half|quarter)$)|[a-z]LR(?:$|[^a-zA-Z])"
)
# DIV2K_train_HR, testHR, GTmod12
_FOLDER_OF_ORIGINALS = re.compile(
    r"(?i:(?:^|[^a-z])(?:hr|gt)(?:$|[^a-z]|mod))|[a-z]HR(?:$|[^a-zA-Z])"
)
# 0001x2, 0801x4w1, baby_LRBI_x4, Canon_001_LR4, img_001_SRF_4_LR, photo_thumb, photo-150x150
_FILE = re.compile(
    r"(?:[ _-]?x[1-8](?:[mdw]\d?)?|[ _-]l[rq](?:bi|bd|dn)?(?:[ _-]?x?[2-8])?"
    r"|[ _-](?:thumb(?:nail)?|small|preview|low[ _-]?res)|-\d{2,4}x\d{2,4})$",
    re.IGNORECASE,
)
_ORIGINAL = re.compile(r"[ _-](?:hr|gt)(?:[ _-]?x?[2-8])?$", re.IGNORECASE)
_SCALE_IN_NAME = re.compile(r"_SRF_[2-8]$", re.IGNORECASE)

_SIZES_COMPARED = 8
_IMAGES_COMPARED = 3
_CANDIDATES = 4
_MOST_COMPARED = 20_000
_LEAST_FACTOR = 1.5
_SIDE = 32
_LEAST_CORRELATION = 0.9


def smaller_copies(paths: PackedStrings, root: str, aside: Aside) -> np.ndarray:
    """(n,), ascending: which of the images are smaller copies of others among them.

    Args:
        paths: of images below ``root``, whose own name says nothing.
        root: the folder that was searched.
        aside: is told of them, and of what only looks like copies by its name.
    """
    names = list(paths)
    marked: dict[tuple[str, str], list[int]] = defaultdict(list)
    marks: dict[str, tuple[bool, bool]] = {}
    for index, path in enumerate(names):
        folder, name = os.path.split(path)
        if folder not in marks:
            below = os.path.relpath(folder, root).split(os.sep)
            copies = any(map(_FOLDER.search, below))
            marks[folder] = copies, not copies and any(map(_FOLDER_OF_ORIGINALS.search, below))
        of_copies, of_originals = marks[folder]
        stem = os.path.splitext(name)[0]
        tag = None if of_originals else _FILE.search(stem)
        if (tag or of_copies) and not _ORIGINAL.search(stem):
            marked[folder, tag[0].lower() if tag else ""].append(index)
    if len(names) <= _MOST_COMPARED:
        unmarked = {*range(len(names))} - {index for group in marked.values() for index in group}
        aside.doubts += _folders_alike([names[index] for index in sorted(unmarked)])
    if not marked:
        return np.empty(0, dtype=np.int64)
    originals = _originals(names, marked)
    found: list[int] = []
    for (folder, _), group in marked.items():
        with_original = [i for i in group if _known_as(names[i]) in originals]
        verdict = _are_copies(names, with_original, originals)
        if verdict:
            found += with_original
            aside.add(names[with_original[0]], COPIES, len(with_original))
            group = sorted({*group} - {*with_original})
        if group and (marks[folder][0] or verdict):
            aside.doubts.append(
                f"{names[group[0]]}: by its name a smaller copy, as are {len(group) - 1} others, "
                "but no larger image here has its content; learnt from"
            )
    return np.array(sorted(found), dtype=np.int64)


def _folders_alike(names: list[str]) -> list[str]:
    """A line on each folder whose images are smaller copies of another's, by nothing in its name.

    Somebody may want to learn from several sizes.
    """
    by_name: dict[str, dict[str, str]] = defaultdict(dict)
    for path in names:
        folder, name = os.path.split(path)
        by_name[os.path.splitext(name)[0].lower()][folder] = path
    pairs: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for places in by_name.values():
        if len(places) <= _CANDIDATES:  # else a name that numbers give, in any folder
            for (one, path), (other, namesake) in itertools.combinations(sorted(places.items()), 2):
                pairs[one, other].append((path, namesake))
    images = Counter(map(os.path.dirname, names))
    lines = []
    for (one, other), alike in pairs.items():
        if len(alike) < max(2, 0.8 * min(images[one], images[other])):
            continue
        for small, large in ((0, 1), (1, 0)):
            if all(_is_smaller_copy(pair[small], pair[large], True) for pair in alike[:2]):
                lines.append(
                    f"{(one, other)[small]}: its images look like smaller copies of those in "
                    f"{(one, other)[large]}; learnt from, unless dataset.root names what to take"
                )
    return lines


def _originals(names: list[str], marked: dict[tuple[str, str], list[int]]) -> dict[str, list[str]]:
    """Unmarked images by what copies of them would be known as, as far as there are marked ones."""
    copies = {index for group in marked.values() for index in group}
    wanted = {_known_as(names[index]) for index in copies}
    originals: dict[str, list[str]] = defaultdict(list)
    for index, path in enumerate(names):
        if index not in copies and (known_as := _known_as(path)) in wanted:
            originals[known_as].append(path)
    return originals


def _known_as(path: str) -> str:
    """The name that an image and its copies have in common."""
    stem = os.path.splitext(os.path.basename(path))[0]
    return _SCALE_IN_NAME.sub("", _ORIGINAL.sub("", _FILE.sub("", stem))).lower()


def _are_copies(names: list[str], group: list[int], originals: dict[str, list[str]]) -> bool:
    """Return whether all of the group that are looked at are copies of what bears their name."""
    if not group:
        return False
    places = np.unique(np.linspace(0, len(group) - 1, _SIZES_COMPARED).astype(int)).tolist()
    looked_at = places[:: max(1, len(places) // _IMAGES_COMPARED)]
    for place in places:
        copy = names[group[place]]
        near = sorted((-len(os.path.commonpath([o, copy])), o) for o in originals[_known_as(copy)])
        candidates = [original for _, original in near[:_CANDIDATES]]
        if not any(_is_smaller_copy(copy, each, place in looked_at) for each in candidates):
            return False
    return True


def _is_smaller_copy(copy: str, original: str, look: bool) -> bool:
    try:
        small, large = read_size(copy), read_size(original)
        if not _is_shrunk(small, large):
            return False
        return (_is_scaled(small, large) and not look) or _show_the_same(copy, original)
    except UnreachableError:
        raise
    except UserError:
        return False


def _is_shrunk(small: tuple[int, int], large: tuple[int, int]) -> bool:
    sides = all(side < whole for side, whole in zip(small, large, strict=True))
    return sides and math.prod(large) >= _LEAST_FACTOR**2 * math.prod(small)


def _is_scaled(small: tuple[int, int], large: tuple[int, int]) -> bool:
    """Return whether one factor makes both sides of ``small``, to a pixel."""
    ratios = [
        (whole / (side + 1), whole / max(side - 1, 0.5))
        for side, whole in zip(small, large, strict=True)
    ]
    return max(least for least, _ in ratios) < min(most for _, most in ratios)


def _show_the_same(copy: str, original: str) -> bool:
    """Return whether two images look alike at the size of an icon."""
    icons = [
        interpolate(read_image(path, 1)[None].float(), (_SIDE, _SIDE), mode="area").flatten()
        for path in (copy, original)
    ]
    if min(icon.std() for icon in icons) < 2:  # flat: nothing to correlate
        return bool((icons[0] - icons[1]).abs().mean() < 8)
    return bool(torch.corrcoef(torch.stack(icons))[0, 1] > _LEAST_CORRELATION)
