"""Entries that a search for images left aside, counted by reason, with an example of each."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable


class Aside:
    """Entries of folders that are not learnt from.

    Attributes:
        reasons: reason -> (how many, an example's path).
        doubts: a line each on what may be no original, and is learnt from all the same.
    """

    def __init__(self) -> None:
        self.reasons: dict[str, tuple[int, str]] = {}
        self.doubts: list[str] = []

    def add(self, path: str, reason: str, count: int = 1) -> None:
        """Count ``count`` entries of which ``path`` is one."""
        before, example = self.reasons.get(reason, (0, path))
        self.reasons[reason] = (before + count, min(example, path))

    @classmethod
    def joined(cls, several: Iterable[Aside]) -> Aside:
        """All that several searches left aside."""
        all_ = cls()
        for one in several:
            for reason, (count, example) in one.reasons.items():
                all_.add(example, reason, count)
            all_.doubts += one.doubts
        return all_

    def text(self, root: str = "") -> str:
        """One line, with examples below ``root``; empty: nothing was left aside."""
        return ", ".join(
            f"{reason}: {count} ({os.path.relpath(example, root) if root else example})"
            for reason, (count, example) in sorted(self.reasons.items())
        )

    def coded(self) -> str:
        """All of it as text, for `decoded`."""
        return json.dumps([self.reasons, self.doubts])

    @classmethod
    def decoded(cls, text: str) -> Aside:
        """The entries that `coded` gave the text of."""
        aside = cls()
        reasons, aside.doubts = json.loads(text)
        aside.reasons = {reason: (count, example) for reason, (count, example) in reasons.items()}
        return aside
