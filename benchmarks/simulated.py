"""A run of `experiments/srgan.py with smoke` as it is, but for data and step, which cost nothing.

All else is the run's own: engine, handlers, Sacred, the file observer, checkpoints, validation.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine
from torch import Tensor

import tmd.session
from experiments import srgan
from tmd.session import TrainingSession

Step = Callable[[Engine, Any], dict[str, Tensor]]

#: What the adversarial phase logs.
SCALARS = {
    name: torch.tensor(0.5)
    for name in ("loss_g", "content", "adversarial", "loss_d", "d_real", "d_fake")
}


def step(engine: Engine, batch: Any) -> dict[str, Tensor]:
    """New scalars, as a training step returns them."""
    return {name: value.detach() for name, value in SCALARS.items()}


class OneBatch:
    """A run's data, of which one batch comes again and again."""

    def __init__(self, data: Any) -> None:
        self.data = data
        stream = data.batches()
        self.batch = next(stream)
        stream.close()

    def batches(self, first: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        return itertools.repeat(self.batch)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.data, name)


def simulate(
    folder: Path,
    iterations: int,
    prepare: Callable[[TrainingSession, Step], None],
    config: dict[str, Any],
    beat_interval: float = 10,
) -> None:
    """Run the adversarial phase for so many iterations.

    Args:
        folder: of the file store.
        prepare: called with the session before it trains and with the step that it would make.
        config: entries that differ from ``smoke``'s.
        beat_interval: seconds between two beats of Sacred's; 0 for none but the last.
    """

    class Simulated(TrainingSession):
        def train(self) -> dict[str, float]:
            real, self.trainer._process_function = self.trainer._process_function, step
            self.data = OneBatch(self.data)
            prepare(self, real)
            return super().train()

    updates = {
        "device": "cpu",
        "dataset.workers": 0,
        "schedule.pretrain": "0it",
        "schedule.warmup": "0it",
        "schedule.adversarial": f"{iterations}it",
        **config,
    }
    whole, tmd.session.TrainingSession = TrainingSession, Simulated  # type: ignore[misc]
    try:
        # The bar stays; what is printed of validations would hide the table.
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
            srgan.ex.run(
                named_configs=["smoke"],
                config_updates=updates,
                options={"--file_storage": str(folder), "--beat-interval": beat_interval},
            )
    finally:
        tmd.session.TrainingSession = whole  # type: ignore[misc]
