"""Values as a record holds them: text, whole numbers, finite floats, lists and mappings.

JSON has neither NaN nor infinity. In a config, an info or a result they become the strings "nan",
"inf" and "-inf"; a measurement that is not finite is `None` (``null`` in files, a gap in a plot).
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from typing import Any

from observers.credentials import without_credentials
from observers.names import valid_unicode


def plain(value: Any) -> Any:
    """``value`` as JSON can say it, without credentials; anything else becomes its text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        # The training thread may add keys meanwhile: a list of the items is taken in one go.
        return {_text(key): plain(item) for key, item in list(value.items())}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in list(value)]
    if isinstance(value, (datetime.datetime, datetime.date)):
        return value.isoformat()
    if callable(getattr(value, "tolist", None)):  # tensors and arrays, scalar or not
        return plain(value.tolist())
    return _text(value)


def _text(value: Any) -> str:
    return valid_unicode(without_credentials(str(value)))


def measurement(value: Any) -> float | None:
    """A measured value as a finite float, `None` if it is not finite.

    Raises:
        TypeError, ValueError: ``value`` is not one number.
    """
    number = float(value)
    return number if math.isfinite(number) else None


def step(value: Any) -> int | float:
    """A step as a plain number, whole where it is whole."""
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"step {value!r} is not finite")
    return int(value) if number.is_integer() else number
