"""Names of the files that a training run keeps."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: The best generator so far.
BEST = "best.pt"
_CHECKPOINT = re.compile(r"checkpoint_(\d+)\.pt")
_SHEET = re.compile(r"sheet_(\d+)\.png")


def checkpoint_name(iteration: int) -> str:
    """Name of the checkpoint of an iteration; names sort as iterations do.

    Example:
        >>> checkpoint_name(400)
        'checkpoint_00000400.pt'
    """
    return f"checkpoint_{iteration:08d}.pt"


def captured_name(iteration: int) -> str:
    """Name of the file of an update that broke.

    Example:
        >>> captured_name(37)
        'nonfinite_00000037.pt'
    """
    return f"nonfinite_{iteration:08d}.pt"


def is_checkpoint(name: str) -> bool:
    """Tell a checkpoint's name."""
    return _CHECKPOINT.fullmatch(name) is not None


def checkpoints_in(names: Iterable[str]) -> list[str]:
    """Names of checkpoints among ``names``, the newest last."""
    return sorted(filter(is_checkpoint, names), key=lambda name: int(name[11:-3]))


def sheet_name(iteration: int) -> str:
    """Name of the preview of an iteration.

    Example:
        >>> sheet_name(400)
        'sheet_00000400.png'
    """
    return f"sheet_{iteration:08d}.png"


def sheet_iteration(name: str) -> int | None:
    """Iteration of the preview called ``name``, or None where that is no preview's name.

    Example:
        >>> sheet_iteration("sheet_00000400.png"), sheet_iteration("best.pt")
        (400, None)
    """
    found = _SHEET.fullmatch(name)
    return int(found[1]) if found else None
