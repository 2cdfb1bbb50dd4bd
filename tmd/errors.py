"""The exception for what a user can put right, the checks that raise it, and that of signals.

The message is a single line that names the key or file, what was given and what is allowed.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Collection
from types import FrameType
from typing import Any


class UserError(Exception):
    """A mistake in what was asked for; shown as one line, never with a traceback."""


class LostWorkerError(UserError):
    """The end of a process that made batches, for want of memory mostly; the weights are sound."""


class UnreachableError(UserError):
    """An address that does not answer or refuses; it says nothing against what is kept there."""


class Interrupted(KeyboardInterrupt):
    """Raised when a signal asked the process to end.

    Attributes:
        signal: the signal's number; a shell expects the exit code 128 + it.
    """

    def __init__(self, number: int) -> None:
        self.signal = signal.Signals(number)
        super().__init__(f"stopped by {self.signal.name}")


def raise_interrupted(number: int, frame: FrameType | None) -> None:
    """A signal handler that ends what is running at once."""
    raise Interrupted(number)


def check_choice(key: str, value: Any, choices: Collection[Any]) -> None:
    """Raise `UserError` unless ``value`` is one of ``choices``."""
    # `True == 1`, so a flag would otherwise pass where a number is meant.
    if isinstance(value, bool) != any(isinstance(choice, bool) for choice in choices) or (
        value not in choices
    ):
        listed = ", ".join(str(choice) for choice in choices)
        raise UserError(f"{key}={value!r}: must be one of {listed}")


def check_number(
    key: str,
    value: Any,
    minimum: float | None = None,
    maximum: float | None = None,
    *,
    integer: bool = False,
    above: float | None = None,
    below: float | None = None,
) -> None:
    """Raise `UserError` unless ``value`` is a finite number in the stated range.

    Args:
        minimum, maximum: inclusive bounds.
        above, below: exclusive bounds.
        integer: whether only whole numbers are allowed.
    """
    bounds = [
        text
        for bound, text in (
            (minimum, f"at least {minimum}"),
            (above, f"above {above}"),
            (maximum, f"at most {maximum}"),
            (below, f"below {below}"),
        )
        if bound is not None
    ]
    kind = "an integer" if integer else "a number"
    wanted = f"must be {kind}" + (f" {' and '.join(bounds)}" if bounds else "")
    allowed_types = (int,) if integer else (int, float)
    if (
        isinstance(value, bool)
        or not isinstance(value, allowed_types)
        or not math.isfinite(value)
        or (minimum is not None and value < minimum)
        or (maximum is not None and value > maximum)
        or (above is not None and value <= above)
        or (below is not None and value >= below)
    ):
        raise UserError(f"{key}={value!r}: {wanted}")


def check_flag(key: str, value: Any) -> None:
    """Raise `UserError` unless ``value`` is True or False."""
    if not isinstance(value, bool):
        raise UserError(f"{key}={value!r}: must be True or False")


def printable(text: object) -> str:
    r"""``text`` without characters that steer a terminal, which become escapes.

    Example:
        >>> printable("a\x1b[31mb")
        'a\\x1b[31mb'
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )
