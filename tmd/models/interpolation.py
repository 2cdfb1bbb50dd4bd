"""Networks between two networks of one architecture (ESRGAN, arXiv:1809.00219, sec. 3.4)."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from tmd.errors import UserError, check_number


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


def interpolate_networks(a: nn.Module, b: nn.Module, alpha: float) -> nn.Module:
    """A copy of ``a`` with weights on the way to ``b``'s.

    Spectral normalisation is worked into the weights first: between two estimates of a largest
    singular value lies no such estimate.

    Raises:
        UserError: as `interpolate_weights`.
    """
    mixed, other = _plain_copy(a), _plain_copy(b)
    mixed.load_state_dict(interpolate_weights(mixed.state_dict(), other.state_dict(), alpha))
    return mixed


def _plain_copy(network: nn.Module) -> nn.Module:
    training = network.training
    plain = copy.deepcopy(network).eval()  # in training mode, reading a weight changes its estimate
    for module in list(plain.modules()):
        if parametrize.is_parametrized(module):
            for name in list(module.parametrizations):  # type: ignore[arg-type]
                parametrize.remove_parametrizations(module, name, leave_parametrized=True)
    return plain.train(training)
