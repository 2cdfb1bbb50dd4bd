"""Scalars that a step returned, averaged over an interval, read from the device once."""

from __future__ import annotations

import math
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import Tensor

from tmd.distributed import ALONE, Share
from tmd.errors import UserError
from tmd.training.events import TrainingEvents


class NonFiniteError(UserError):
    """A loss became NaN or infinite."""


class ScalarLog:
    """Collects the trainer's output and fires `TrainingEvents.LOGGED` with the averages.

    Between two log points the scalars stay on the device; at a log point they are read in one
    transfer, checked, and averaged into ``engine.state.scalars``. What is pending belongs to the
    state, so that a resumed run logs the same averages.

    Args:
        interval: iterations between two log points.
        share: of this process; the averages are over all processes.
    """

    def __init__(self, interval: int, share: Share = ALONE) -> None:
        self.interval = interval
        self.share = share
        self._pending: list[tuple[int, dict[str, Tensor]]] = []
        self._rows: list[tuple[int, dict[str, float]]] = []

    def attach(self, trainer: Engine) -> None:
        """Attach before what reads ``engine.state.scalars``."""
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._collect)

    def _collect(self, trainer: Engine) -> None:
        self._pending.append((trainer.state.iteration, trainer.state.output))
        if trainer.state.iteration % self.interval == 0:
            self.flush(trainer)

    def flush(self, trainer: Engine) -> None:
        """Average and announce what was collected, if anything.

        Raises:
            NonFiniteError: names the iteration and the term.
        """
        self.check()
        if not self._rows:
            return
        values: dict[str, list[float]] = {}
        for _, row in self._rows:
            for name, value in row.items():
                values.setdefault(name, []).append(value)
        trainer.state.scalars = {name: sum(v) / len(v) for name, v in values.items()}
        self._rows = []
        trainer.fire_event(TrainingEvents.LOGGED)

    def check(self) -> None:
        """Read what is pending from the device and raise if a term is not finite."""
        if not self._pending:
            return
        # One transfer for all of them.
        flat = torch.stack([v for _, row in self._pending for v in row.values()])
        values = iter(self.share.mean(flat).tolist())
        for iteration, row in self._pending:
            self._rows.append((iteration, {name: next(values) for name in row}))
        self._pending = []
        for iteration, numbers in self._rows:
            for name, value in numbers.items():
                if not math.isfinite(value):
                    raise NonFiniteError(
                        f"training stopped: {name} became {value} at iteration {iteration} "
                        "(lower the learning rate or adv_weight, or set optimization.clip)"
                    )

    def state_dict(self) -> dict[str, Any]:
        """Rows of the interval under way."""
        self.check()
        return {"rows": list(self._rows)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on as where the state was taken."""
        self._pending = []
        self._rows = list(state["rows"])
