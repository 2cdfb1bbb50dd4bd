"""LR images found by the names of their HR images, as the field writes both.

Knows names alone: which file holds what, and whether the sizes fit, is `tmd.data.pairing`'s.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import Formatter
from typing import Any, TypeVar

from tmd.errors import UserError
from tmd.images import split_name

#: A folder, and a name in it.
Key = tuple[str, str]
K = TypeVar("K")
PLACES = ("name", "stem", "scale")

# DIV2K_train_HR, GT, HR_sub, DIV2K_train_LR_bicubic, X4, LRbicx4, lq, train_sharp_bicubic
_FOLDER = re.compile(
    r"(?i:(?:^|[^a-z])(?:[lh]r|gt|[lh]q)(?:$|[^a-z]|bi|x|mod)|bicubic|^x[1-8]$"
    r"|(?:low|high)[ _-]?res)|[a-z](?:LR|HR)(?:$|[^a-zA-Z])"
)
_FOLDERS_SCALE = re.compile(r"(?:^|[^a-z0-9])(?:lr|lrbic)?x([1-8])$", re.IGNORECASE)
# baby_HR, 0001-gt, Canon_001_HR4, DSC_1_x1, img_001_SRF_4; and before the name: HR_0001
_HR_MARKS = (
    re.compile(r"[ _-](?:hr|gt|hq|high[ _-]?res)(?:[ _-]?x?[1-8])?$", re.IGNORECASE),
    re.compile(r"[ _-]x1$", re.IGNORECASE),
    re.compile(r"_SRF_[1-8]$", re.IGNORECASE),
    re.compile(r"^(?:hr|gt|hq)[ _-]", re.IGNORECASE),
)
# 0801x4, baby_x4, 0801x4w1, 0801x4d, baby_LRBI_x4, Canon_001_LR4, img_001_SRF_4_LR; LR_0001
_LR_MARKS = (
    re.compile(r"[ _-]?x(?P<scale>[1-8])(?:[mdw]\d?)?$", re.IGNORECASE),
    re.compile(
        r"[ _-](?:l[rq](?:bi|bd|dn)?|low[ _-]?res|bicubic)(?:[ _-]?x?(?P<scale>[1-8]))?$",
        re.IGNORECASE,
    ),
    re.compile(r"_SRF_(?P<scale>[1-8])$", re.IGNORECASE),
    re.compile(r"^(?:l[rq])[ _-]", re.IGNORECASE),
)


@dataclass
class Matches:
    """Partners by name.

    Attributes:
        partners: HR image -> LR image, by their numbers.
        without_lr, without_hr: numbers of those that have none.
        several: (HR images, LR images) of one name that are more than one of each.
        of_other_scales: numbers of the LR images whose names say another scale.
    """

    partners: dict[int, int] = field(default_factory=dict)
    without_lr: list[int] = field(default_factory=list)
    without_hr: list[int] = field(default_factory=list)
    several: list[tuple[list[int], list[int]]] = field(default_factory=list)
    of_other_scales: list[int] = field(default_factory=list)


def match(hr: Sequence[str], lr: Sequence[str], scale: int, pattern: str | None = None) -> Matches:
    """Find each HR image's LR image.

    In this order: equal paths; equal folders and names apart from what marks HR and LR, such as
    ``x4`` and ``_LR``; equal names in whatever folders. Suffixes do not count.

    Args:
        hr, lr: paths below the folders of the two.
        scale: LR images whose names say another one are nobody's.
        pattern: an LR image's name without suffix, made of ``{name}``, ``{stem}`` and ``{scale}``;
            see `pattern_of`. Then nothing else counts, and what has another name is left out.

    Example:
        >>> match(["a.png", "b_HR.png"], ["ax4.png", "b_LR4.jpg", "ax2.png"], 4).partners
        {0: 0, 1: 1}
    """
    found = Matches()
    names = [_split(path) for path in hr]
    others = [_split(path) for path in lr]
    exact_lr = [(folder, stem + page) for folder, stem, page in others]
    if pattern is not None:
        wanted = [_formatted(pattern, *name, scale) for name in names]
        _pair(found, wanted, exact_lr, range(len(hr)), range(len(lr)))
        _pair_unique(found, wanted, exact_lr)
        return _with_rest(found, len(hr), ())
    exact_hr = [(folder, stem + page) for folder, stem, page in names]
    _pair(found, exact_hr, exact_lr, range(len(hr)), range(len(lr)))
    # At scale 1 both are of one size, and what a name says is how LR was made.
    told = [None if scale == 1 else _scale_said(folder, stem) for folder, stem, _ in others]
    taken = set(found.partners.values())
    found.of_other_scales = [
        i for i, said in enumerate(told) if said not in (None, scale) and i not in taken
    ]
    plain_hr = [_plain(folder, without_hr_marks(stem), page) for folder, stem, page in names]
    plain_lr = [_plain(folder, without_lr_marks(stem), page) for folder, stem, page in others]
    left_hr, left_lr = _left(found, len(hr), len(lr))
    _pair(found, plain_hr, plain_lr, left_hr, left_lr)
    _pair_unique(found, plain_hr, plain_lr)
    return _with_rest(found, len(hr), range(len(lr)))


def without_hr_marks(stem: str) -> str:
    """A name without what marks it as HR.

    >>> without_hr_marks("img_001_SRF_4_HR")
    'img_001'
    """
    return _stripped(stem, _HR_MARKS)


def without_lr_marks(stem: str) -> str:
    """A name without what marks it as LR.

    >>> [without_lr_marks(stem) for stem in ("babyx4", "baby_LRBI_x4", "img_001_SRF_4_LR")]
    ['baby', 'baby', 'img_001']
    """
    return _stripped(stem, _LR_MARKS)


def is_marked_lr(path: str) -> bool:
    """Return whether a path says that it is an LR image.

    >>> is_marked_lr("Canon_001_LR4.png"), is_marked_lr("Canon_001_HR.png")
    (True, False)
    """
    _, stem, _ = _split(path)
    return without_hr_marks(stem) == stem and without_lr_marks(stem) != stem


def pattern_of(key: str, value: Any) -> str:
    """The pattern that a config's value is: ``{}`` is ``{name}``.

    ``{name}`` is the HR image's name without suffix and what marks it as HR, ``{stem}`` with that;
    ``{scale}`` is the factor. A pattern with a slash begins at the LR folder.

    Raises:
        UserError: it is none.

    >>> pattern_of("dataset.lr_pattern", "{}x4")
    '{name}x4'
    """
    wanted = (
        f"{key}={value!r}: must be text with {{name}} or {{stem}}, such as '{{name}}x{{scale}}'"
    )
    if not isinstance(value, str):
        raise UserError(wanted)
    text = value.replace("{}", "{name}")
    try:
        fields = [name for _, name, _, _ in Formatter().parse(text) if name is not None]
    except ValueError:
        raise UserError(wanted) from None
    if not {"name", "stem"} & {*fields} or {*fields} - {*PLACES}:
        raise UserError(wanted)
    return text


def _formatted(pattern: str, folder: str, stem: str, page: str, scale: int) -> Key:
    text = pattern.format(name=without_hr_marks(stem), stem=stem, scale=scale)
    inside, slash, name = text.rpartition("/")
    return (inside if slash else folder), name + page


def _split(path: str) -> tuple[str, str, str]:
    """The folder of an image, its name without suffix, and its number in a stack, as text."""
    file, number = split_name(path.replace(os.sep, "/"))
    folder, name = os.path.split(file)
    return folder, os.path.splitext(name)[0], "" if number is None else f"[{number}]"


def _plain(folder: str, name: str, page: str) -> Key:
    """In lower case, without the folders whose names only say HR, LR or a scale."""
    parts = (part for part in folder.split("/") if part and not _FOLDER.search(part))
    return "/".join(parts).casefold(), name.casefold() + page


def _scale_said(folder: str, stem: str) -> int | None:
    """The scale that an LR image's name, or the folder it is in, says."""
    name = stem
    for _ in range(3):
        for mark in _LR_MARKS:
            if found := mark.search(name):
                if "scale" in mark.groupindex and found["scale"]:
                    return int(found["scale"])
                name = mark.sub("", name)
    for part in reversed(folder.split("/")):
        if found := _FOLDERS_SCALE.search(part):
            return int(found[1])
    return None


def _stripped(stem: str, marks: Sequence[re.Pattern[str]]) -> str:
    before = None
    while before != stem:
        before = stem
        for mark in marks:
            stem = mark.sub("", stem) or stem
    return stem


def _grouped(keys: Sequence[K], numbers: Sequence[int]) -> Mapping[K, list[int]]:
    groups: dict[K, list[int]] = defaultdict(list)
    for number in numbers:
        groups[keys[number]].append(number)
    return groups


def _pair(
    found: Matches,
    hr: Sequence[K],
    lr: Sequence[K],
    left_hr: Sequence[int],
    left_lr: Sequence[int],
) -> None:
    """Match those left whose keys are equal; all of a key that is not one of each are several."""
    theirs = _grouped(lr, left_lr)
    for key, ours in _grouped(hr, left_hr).items():
        others = theirs.get(key, [])
        if len(ours) == len(others) == 1:
            found.partners[ours[0]] = others[0]
        elif others:
            found.several.append((ours, others))


def _pair_unique(found: Matches, hr: Sequence[Key], lr: Sequence[Key]) -> None:
    """Match those left by names that no other HR image has, as numbered frames of folders do."""
    left_hr, left_lr = _left(found, len(hr), len(lr))
    names, others = [name for _, name in hr], [name for _, name in lr]
    alike = _grouped(names, range(len(hr)))
    _pair(found, names, others, [i for i in left_hr if len(alike[names[i]]) == 1], left_lr)


def _left(found: Matches, hr: int, lr: int) -> tuple[list[int], list[int]]:
    """Numbers of those of which nothing is known yet."""
    of_hr = {*found.partners, *(i for some, _ in found.several for i in some)}
    of_lr = {*found.partners.values(), *(i for _, some in found.several for i in some)}
    of_lr |= {*found.of_other_scales}
    return [i for i in range(hr) if i not in of_hr], [i for i in range(lr) if i not in of_lr]


def _with_rest(found: Matches, hr: int, lr: Sequence[int]) -> Matches:
    found.without_lr, found.without_hr = _left(found, hr, len(lr))
    return found
