"""Networks between two networks of one architecture (ESRGAN, arXiv:1809.00219, sec. 3.4)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from tmd.errors import UserError, check_number
from tmd.models.generators import create_generator
from tmd.models.weights import load_weights


def interpolate_weights(
    a: Mapping[str, Tensor], b: Mapping[str, Tensor], alpha: float
) -> dict[str, Tensor]:
    """``(1 - alpha)·a + alpha·b`` for each tensor of two state dicts; counters are those of ``a``.

    Raises:
        UserError: the state dicts differ in names or shapes, or ``alpha`` is outside [0, 1].

    Example:
        >>> interpolate_weights({"w": torch.zeros(1)}, {"w": torch.ones(1)}, 0.25)
        {'w': tensor([0.2500])}
    """
    check_number("alpha", alpha, 0, 1)
    shapes = [{name: tensor.shape for name, tensor in weights.items()} for weights in (a, b)]
    if shapes[0] != shapes[1]:
        raise UserError("only networks of one architecture have others between them")
    return {
        name: torch.lerp(tensor, b[name].to(tensor.device), alpha)
        if tensor.is_floating_point()
        else tensor.clone()
        for name, tensor in a.items()
    }


def interpolate_generators(a: nn.Module, b: nn.Module, alpha: float) -> nn.Module:
    """A generator on the way from ``a`` to ``b``, on the device and in the mode of ``a``.

    It has no spectral normalisation: between two estimates of a largest singular value lies no such
    estimate, so that weights are mixed as they act.

    Args:
        a, b: made by `tmd.models.create_generator`, of one architecture.

    Raises:
        UserError: as `interpolate_weights`.
    """
    # Built afresh, not copied: copies of a parametrised layer share the class that removal changes.
    mixed = _without_parametrizations(create_generator(**a.config))  # type: ignore[arg-type]
    load_weights(mixed, interpolate_weights(_acting(a), _acting(b), alpha), "interpolation")
    return mixed.to(next(a.parameters()).device).train(a.training)


@torch.no_grad()
def _acting(network: nn.Module) -> dict[str, Tensor]:
    """The state dict with parametrised weights replaced by what they come to."""
    weights = {k: v for k, v in network.state_dict().items() if "parametrizations." not in k}
    for path, module in network.named_modules():
        if parametrize.is_parametrized(module):
            training = module.training
            module.eval()  # in training mode, reading a weight changes its estimate
            for name in module.parametrizations:  # type: ignore[union-attr]
                weights[f"{path}.{name}"] = getattr(module, name).clone()
            module.train(training)
    return weights


def _without_parametrizations(network: nn.Module) -> nn.Module:
    for module in list(network.modules()):
        if parametrize.is_parametrized(module):
            for name in list(module.parametrizations):  # type: ignore[arg-type]
                parametrize.remove_parametrizations(module, name)
    return network
