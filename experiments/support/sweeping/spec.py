"""Description of a study: all that its trials have in common, as its storage remembers it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from sacred.utils import get_by_dotted_path

from experiments.support.sweeping.limits import NO_LIMITS, Limits
from experiments.support.sweeping.space import Dimension, value_text, with_words
from experiments.support.values import parse_updates
from tmd.errors import UserError
from tmd.metrics.registry import metric

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True)
class Spec:
    """A study.

    Attributes:
        experiment: the script's name.
        named: named configs and config files of every trial.
        settings: config entries of every trial, by dotted path.
        space: what differs.
        objectives: names of metrics.
        sampler, pruner: by name.
        repeats: runs of a trial, with a seed each.
        sampler_seed: of the sampler's draws.
        seed: of the first repeat.
        limits: beyond which a trial is not trained on.
    """

    experiment: str
    named: tuple[str, ...]
    settings: Mapping[str, Any]
    space: tuple[Dimension, ...]
    objectives: tuple[str, ...]
    sampler: str = "tpe"
    pruner: str = "none"
    repeats: int = 1
    sampler_seed: int = 1
    seed: int = 1
    limits: Limits = NO_LIMITS
    keys: tuple[str, ...] = field(init=False, repr=False, default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", tuple(each.key for each in self.space))

    @property
    def directions(self) -> list[Literal["maximize", "minimize"]]:
        """``maximize`` or ``minimize`` of each objective."""
        return ["maximize" if metric(o).higher_is_better else "minimize" for o in self.objectives]

    @property
    def default_name(self) -> str:
        """The experiment's name and eight digits that hang on everything else."""
        digits = hashlib.blake2b(json.dumps(self.plain(), sort_keys=True).encode(), digest_size=4)
        return f"{self.experiment}-{digits.hexdigest()}"

    def plain(self) -> dict[str, Any]:
        """As JSON can say it; `from_plain` reads it back."""
        content = {**asdict(self), "space": [each.plain() for each in self.space]}
        del content["keys"]
        if self.limits == NO_LIMITS:  # studies of earlier builds had none, and keep their names
            del content["limits"]
        return json.loads(json.dumps(content))

    @classmethod
    def from_plain(cls, content: Mapping[str, Any]) -> Spec:
        """The study that `plain` described."""
        known = {each.name for each in fields(cls) if each.init}
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in content.items() if k in known
        }
        values["space"] = tuple(Dimension.from_plain(each) for each in content["space"])
        values["limits"] = Limits(**content.get("limits", {}))
        return cls(**values)

    def difference(self, other: Spec) -> str:
        """The first thing in which ``other``, the study that there is, is another; or ""."""
        ours, theirs = self.plain(), other.plain()
        for key in ("experiment", "space", "objectives", "named", "settings", "limits", *ours):
            if ours.get(key) != theirs.get(key):
                return f"its {key} is {other.said(key)}, not {self.said(key)}"
        return ""

    def said(self, key: str) -> str:
        """An attribute for people."""
        value = getattr(self, key)
        if key == "space":
            return " ".join(f"{each.key}={each}" for each in self.space)
        if isinstance(value, Limits):
            value = {k: v for k, v in asdict(value).items() if v is not None}
        if isinstance(value, Mapping):
            return " ".join(f"{k}={v}" for k, v in value.items()) or "none"
        return ",".join(value) or "none" if isinstance(value, tuple) else str(value)

    def words(self, params: Mapping[str, Any], repeat: int) -> list[str]:
        """The words after ``with`` for one run of a trial."""
        names, chosen = with_words(self.space, params)
        entries = {**self.settings, **chosen}
        if self.repeats > 1:
            entries["seed"] = self.seed + repeat
        return [
            *self.named,
            *names,
            *(f"{key}={_text(key, value)}" for key, value in entries.items()),
        ]


def check_name(name: str) -> None:
    """Raise `UserError` unless ``name`` can name a study: it names a folder as well."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UserError(f"study={name!r}: must be letters, digits and _ . - (a folder's name)")


def _text(key: str, value: Any) -> str:
    """Text that a config reads ``value`` from again, without quotes where that can be."""
    if isinstance(value, str) and value:
        read, _ = parse_updates([f"{key}={value}"])
        if get_by_dotted_path(read, key) == value:
            return value
    return repr(value)


def same(a: Any, b: Any) -> bool:
    """Are two config values the same, 1 and True apart?"""
    return value_text(a) == value_text(b)
