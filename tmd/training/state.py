"""State of a training: all that changes in it, as one thing that can be saved and put back."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor
from torch.optim import Optimizer

from tmd.optim.state import go_on, with_kind


class Stateful(Protocol):
    """A part of a training that can be saved and put back: a network, an optimiser, a handler."""

    def state_dict(self) -> dict[str, Any]:
        """Return all that changes in training."""

    def load_state_dict(self, state: dict[str, Any]) -> Any:
        """Put back what `state_dict` returned."""


def copied_to_cpu(value: Any) -> Any:
    """A copy of nested containers in which no tensor shares memory with ``value``."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: copied_to_cpu(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(copied_to_cpu(item) for item in value)
    return value


class TrainingState:
    """Named parts with ``state_dict`` and ``load_state_dict``.

    Example:
        >>> from torch import nn
        >>> state = TrainingState({"generator": nn.Linear(2, 2)})
        >>> before = state.snapshot()
        >>> nn.init.zeros_(state.parts["generator"].weight).sum().item()
        0.0
        >>> state.load(before)  # none was left as it is
        []
    """

    def __init__(self, parts: dict[str, Stateful]) -> None:
        self.parts = parts

    def snapshot(self, *names: str) -> dict[str, Any]:
        """A copy, on the CPU, of the named parts' states (of all if none is named)."""
        return {
            name: copied_to_cpu(_state(part))
            for name, part in self.parts.items()
            if not names or name in names
        }

    def load(self, snapshot: dict[str, Any]) -> list[str]:
        """Put the parts that ``snapshot`` has back to what they were.

        Optimisers keep their own settings, learning rates and betas say: what they have seen comes
        from the snapshot.

        Returns:
            The optimisers that were left as they are, the snapshot being of another kind.
        """
        left = []
        for name, state in snapshot.items():
            part = self.parts[name]
            # Optimisers adopt the tensors they are given and would train the snapshot along.
            state = copied_to_cpu(state)
            if not isinstance(part, Optimizer):
                part.load_state_dict(state)
            elif not go_on(part, state):
                left.append(name)
        return left


def _state(part: Stateful) -> dict[str, Any]:
    state = part.state_dict()
    return with_kind(part, state) if isinstance(part, Optimizer) else state
