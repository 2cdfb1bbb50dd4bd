"""Limits of a study: what a trial may be or take at most, so that others are not trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tmd.errors import UserError, check_number


@dataclass(frozen=True)
class Limits:
    """See the module's docstring; None: no limit.

    Attributes:
        parameters: of the generator.
        seconds_per_iteration: of its training on the worker's device.
    """

    parameters: float | None = None
    seconds_per_iteration: float | None = None

    def exceeded(self, told: Mapping[str, Any]) -> str:
        """Reason for which a training that tells this is beyond a limit; or ""."""
        count = told.get("parameters", {}).get("generator", 0)
        if self.parameters is not None and count > self.parameters:
            return f"its generator has {count:,} parameters, over {self.parameters:,.0f}"
        seconds = told.get("seconds_per_iteration", 0.0)
        if self.seconds_per_iteration is not None and seconds > self.seconds_per_iteration:
            return f"an iteration takes {seconds:.3g} s, over {self.seconds_per_iteration:g}"
        return ""


NO_LIMITS = Limits()


def checked_limits(limits: Any) -> Limits:
    """The limits that were typed as ``limits.NAME=NUMBER``.

    Raises:
        UserError: there is none of that name, or it is no number above 0.
    """
    known = Limits.__dataclass_fields__
    if not isinstance(limits, Mapping):
        raise UserError(f"limits={limits!r}: give limits.NAME=NUMBER ({', '.join(known)})")
    for name, value in limits.items():
        if name not in known:
            raise UserError(f"limits.{name}: no such limit ({', '.join(known)})")
        check_number(f"limits.{name}", value, above=0)
    return Limits(**limits)
