"""The three phases of a training run and where they begin and end."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tmd.errors import UserError

PHASES = ("pretrain", "warmup", "adversarial")


def parse_length(key: str, value: object, epoch_length: int) -> int:
    """A length in iterations from what the config says.

    Args:
        key: the config's key, for the message.
        value: a number of epochs (``3``, ``0.5``) or iterations as text (``"500it"``).
        epoch_length: iterations an epoch.

    Raises:
        UserError: it is neither, or negative.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e9:
        return round(value * epoch_length)
    if isinstance(value, str) and (match := re.fullmatch(r"\s*(\d+)\s*it\s*", value)):
        return int(match.group(1))
    raise UserError(
        f"{key}={value!r}: must be a number of epochs (3, 0.5) or of iterations (500it), at least 0"
    )


@dataclass(frozen=True)
class Phases:
    """Lengths in iterations; a phase of length 0 is skipped.

    Attributes:
        pretrain: the generator alone, by a pixel loss.
        warmup: the discriminator alone, against the frozen generator.
        adversarial: both, in turn.
    """

    pretrain: int
    warmup: int
    adversarial: int

    @property
    def total(self) -> int:
        """Updates of all phases."""
        return self.pretrain + self.warmup + self.adversarial

    def at(self, iteration: int) -> str:
        """The phase of the update number ``iteration`` (the first one is 1)."""
        for phase in PHASES:
            if iteration <= self.end(phase):
                return phase
        return "adversarial"

    def length(self, phase: str) -> int:
        """Updates of ``phase``."""
        return int(getattr(self, phase))

    def start(self, phase: str) -> int:
        """Updates made before ``phase`` begins."""
        return sum(self.length(earlier) for earlier in PHASES[: PHASES.index(phase)])

    def end(self, phase: str) -> int:
        """The last update of ``phase``."""
        return self.start(phase) + self.length(phase)

    def is_end(self, iteration: int) -> bool:
        """True where a phase that is not empty ends with update ``iteration``."""
        return any(self.length(p) and iteration == self.end(p) for p in PHASES)
