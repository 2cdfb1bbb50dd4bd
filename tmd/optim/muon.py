"""Muon: momentum whose kernels are made orthogonal before the step (arXiv:2502.16982, sec. 2)."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

from tmd.optim.eager import EagerOptimizer
from tmd.optim.registry import OPTIMIZERS

#: The polynomial of Keller Jordan's Muon, which takes singular values in (0, 1] to around 1.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
#: The root of an update's mean square, in learning rates: Adam's usual one, so that both take the
#: same rates (arXiv:2502.16982, sec. 2.2).
UPDATE_SIZE = 0.2


@OPTIMIZERS.register("muon")
class Muon(EagerOptimizer):
    """Muon for the convolutions between a network's first and its last, Adam for all else.

    `torch.optim.Muon` takes matrices only; here a kernel is the matrix (outputs, inputs · taps).
    Kernels of one shape are worked on together, and through their small Gram matrices: a quarter of
    the time for 17 kernels of 64 × 64 × 3 × 3 on a CPU core.

    Args:
        network: whose parameters are trained; kernels are taken in the order of its modules.
        lr: the learning rate, for both.
        betas: Adam's.
        momentum: Muon's; Nesterov's kind.
        eps: Adam's.
    """

    def __init__(
        self,
        network: nn.Module,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        momentum: float = 0.95,
        eps: float = 1e-8,
    ) -> None:
        kernels = kernels_between(network)
        chosen = {id(kernel) for kernel in kernels}
        others = [p for p in network.parameters() if id(p) not in chosen]
        groups: list[dict[str, Any]] = [{"params": others, "orthogonal": False}]
        if kernels:
            groups.append({"params": kernels, "orthogonal": True})
        # "fused": a loaded state's counts of steps go to the device too, where `adam` wants them.
        super().__init__(
            groups, {"lr": lr, "betas": betas, "momentum": momentum, "eps": eps, "fused": True}
        )

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Update the parameters that have a gradient; see `torch.optim.Optimizer.step`."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            trained = [p for p in group["params"] if p.grad is not None]
            if group["orthogonal"]:
                self._step_kernels(trained, group["lr"], group["momentum"])
            elif trained:
                self._step_others(trained, group)
        return loss

    def _step_kernels(self, kernels: list[Tensor], lr: float, momentum: float) -> None:
        shapes = defaultdict(list)
        for kernel in kernels:
            if not self.state[kernel]:
                self.state[kernel]["momentum"] = torch.zeros_like(kernel)
            shapes[kernel.shape].append(kernel)
        for shape, group in shapes.items():
            gradients = [kernel.grad for kernel in group if kernel.grad is not None]
            momenta = [self.state[kernel]["momentum"] for kernel in group]
            # All at once: a GPU would wait for each call.
            torch._foreach_lerp_(momenta, gradients, 1 - momentum)
            directions = torch._foreach_lerp(gradients, momenta, momentum)
            updates = orthogonalised(torch.stack([each.flatten(1) for each in directions]))
            size = lr * UPDATE_SIZE * max(updates.shape[1:]) ** 0.5
            torch._foreach_sub_(group, list(updates.view(-1, *shape)), alpha=size)

    def _step_others(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        states = [self.state[p] for p in parameters]
        for parameter, state in zip(parameters, states, strict=True):
            if not state:
                state["step"] = torch.zeros((), device=parameter.device)
                state["mean"] = torch.zeros_like(parameter)
                state["square"] = torch.zeros_like(parameter)
        adam(
            parameters,
            [p.grad for p in parameters],  # type: ignore[misc]
            [state["mean"] for state in states],
            [state["square"] for state in states],
            [],
            [state["step"] for state in states],
            fused=group["fused"],
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=0.0,
            eps=group["eps"],
            maximize=False,
        )


def kernels_between(network: nn.Module) -> list[nn.Parameter]:
    """The kernels of all convolutions but the first and the last, in the order of the modules."""
    return [parameter for parameter in network.parameters() if parameter.ndim == 4][1:-1]


def orthogonalised(matrices: Tensor, steps: int = 5) -> Tensor:
    """(N, R, C) -> (N, R, C): each with its singular values moved to about 1 (0.7 to 1.2).

    Newton-Schulz's iteration multiplies a matrix by polynomials of its Gram matrix, so these can be
    multiplied with each other first, at the size of the shorter side.
    """
    if matrices.shape[1] > matrices.shape[2]:
        return orthogonalised(matrices.mT, steps).mT
    a, b, c = COEFFICIENTS
    matrices = matrices / matrices.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    gram = matrices @ matrices.mT
    identity = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    product = identity.expand_as(gram)
    for _ in range(steps):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c) + a * identity
        product = factor @ product
        gram = factor @ gram @ factor
    return product @ matrices
