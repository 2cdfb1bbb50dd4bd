"""Updates of a network: down one loss, or down the mean of several that never exist together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from tmd.optim import GradientRule


class LossScaling:
    """Factor of a float16 loss that keeps its gradients above the least number (arXiv:1710.03740).

    An update whose gradients are not finite is skipped and halves the factor; after 2,000 that were
    it doubles. Neither is waited for, where the optimiser can skip an update by itself, as torch's
    fused ones can.

    Args:
        device: type of the network's device.

    Attributes:
        skipped: updates that were, a scalar on the device.
    """

    def __init__(self, device: str = "cpu") -> None:
        self.scaler = torch.amp.GradScaler(device)
        self.skipped = torch.zeros((), dtype=torch.int64, device=device)

    def scaled(self, loss: Tensor) -> Tensor:
        """The loss times the factor."""
        return self.scaler.scale(loss)  # type: ignore[return-value]

    def step(
        self,
        optimizer: torch.optim.Optimizer,
        parameters: list[nn.Parameter],
        gradient_rule: GradientRule | None,
    ) -> None:
        """Divide the gradients by the factor, limit them, and step where all are finite."""
        self.scaler.unscale_(optimizer)
        gradients = [p.grad for p in parameters if p.grad is not None]
        largest = torch.stack(torch._foreach_norm(gradients, float("inf"))).max()
        self.skipped += ~largest.isfinite()
        if gradient_rule is not None:
            gradient_rule(parameters)
        self.scaler.step(optimizer)
        self.scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """The factor, how long it has held, and the updates that were skipped."""
        return {**self.scaler.state_dict(), "skipped": self.skipped}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on as where the state was taken."""
        self.skipped = state["skipped"].to(self.skipped)
        self.scaler.load_state_dict({k: v for k, v in state.items() if k != "skipped"})


class Updater:
    """Moves one network's parameters down one loss.

    Args:
        module: the network.
        optimizer: over its parameters.
        gradient_rule: what is done to the gradients before the step, if anything.

    Attributes:
        scaling: of the loss, where the network works in float16.
    """

    def __init__(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        gradient_rule: GradientRule | None = None,
    ) -> None:
        self.optimizer = optimizer
        self.parameters = list(module.parameters())
        self.gradient_rule = gradient_rule
        self.scaling: LossScaling | None = None

    def __call__(self, loss: Tensor) -> None:
        """Step down ``loss``, a scalar."""
        self.over([loss], 1)

    def over(self, losses: Iterable[Tensor], count: int) -> None:
        """Step down the mean of ``count`` losses.

        Args:
            losses: scalars; each is made, by a generator say, when the gradient of the one before
                has been taken.
        """
        self.optimizer.zero_grad(set_to_none=True)
        for loss in losses:
            part = loss / count if count > 1 else loss
            (self.scaling.scaled(part) if self.scaling else part).backward()
        self._step([p for p in self.parameters if p.grad is not None])

    def _step(self, parameters: list[nn.Parameter]) -> None:
        if self.scaling is not None:
            self.scaling.step(self.optimizer, parameters, self.gradient_rule)
            return
        if self.gradient_rule is not None:
            self.gradient_rule(parameters)
        self.optimizer.step()


def descend(update: Callable[[Tensor], None], losses: Iterator[Tensor], count: int) -> None:
    """Step down the mean of ``count`` losses; of a single one, any function of it will do.

    Args:
        update: an `Updater`.
        losses: see `Updater.over`.
    """
    if count == 1:
        update(next(losses))
    else:
        update.over(losses, count)  # type: ignore[attr-defined]
