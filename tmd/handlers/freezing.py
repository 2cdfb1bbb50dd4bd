"""After growth, only what is new learns for a while (arXiv:1710.10196 fades in; we freeze)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ignite.engine import Engine, Events
from torch import nn

from tmd.models.frozen import FrozenLayers


class Freezing:
    """Freezes all of a network but some parameters up to an iteration, then thaws them.

    The optimizer has all parameters from the start, so that a thaw leaves the state of those that
    were trained as it is. Which were trained is in ``state_dict``: a resumed run has no parent to
    ask.

    Args:
        network: the network.
        trainable: names of the parameters that are trained all the time.
        until: the last iteration with the others frozen.
    """

    def __init__(self, network: nn.Module, trainable: Collection[str], until: int) -> None:
        self.network = network
        self.trainable = sorted(trainable)
        self.until = until
        self._layers: FrozenLayers | None = None

    def attach(self, trainer: Engine) -> None:
        """Freeze and release before updates."""
        trainer.add_event_handler(Events.ITERATION_STARTED, self)

    def __call__(self, trainer: Engine) -> None:
        if trainer.state.iteration <= self.until:
            if self._layers is None:
                self._layers = FrozenLayers(self.network, self.trainable)
            self._layers.freeze()
        elif self._layers is not None:
            self._layers.thaw()
            self._layers = None

    def state_dict(self) -> dict[str, Any]:
        """Names of the parameters that are always trained."""
        return {"trainable": self.trainable}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on as where the state was taken."""
        self.trainable = state["trainable"]
