"""Configs of runs that earlier versions recorded, completed by what their defaults were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Keys that came later -> what runs without them have done.
_BEFORE: dict[str, dict[str, Any]] = {"dataset": {"dtype": "uint8"}}


def with_what_went_without_saying(config: Mapping[str, Any]) -> dict[str, Any]:
    """``config`` with the entries that it lacks and whose default is another one now.

    Files of any bits were read in 8, for example.
    """
    return {
        part: {**_BEFORE[part], **entries}
        if part in _BEFORE and isinstance(entries, Mapping)
        else entries
        for part, entries in config.items()
    }
