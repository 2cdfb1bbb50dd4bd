"""Optimisers by name: ours, and those of libraries, which prove what they can on a small network.

A class of a library is ``library.Class``. Its own options have its own defaults; that they fit,
that it makes steps by gradients alone, and that it goes on from its saved state to the same bits,
is tried before a run.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import io
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tmd.errors import UserError
from tmd.optim.registry import OPTIMIZERS
from tmd.optim.state import go_on, with_kind

#: Library -> the module that has its classes; they come with the extra ``optimizers``, or torch.
LIBRARIES = {
    "torch": "torch.optim",
    "pytorch_optimizer": "pytorch_optimizer",
    "schedulefree": "schedulefree",
}
#: What each of ours is given without being asked.
OWN_ARGUMENTS = ("network", "lr", "betas")


def check_optimizer(key: str, name: Any, options: Any) -> None:
    """Raise `UserError` unless there is such an optimiser, with such options, that can be resumed.

    Args:
        key: of the config, ``optimization.optimizer_g``; its options are ``….options_g``.
        name: in `OPTIMIZERS`, or ``library.Class``.
        options: the optimiser's own.
    """
    options_key = key.replace("optimizer_", "options_")
    if not isinstance(options, Mapping):
        raise UserError(f"{options_key}={options!r}: must be a mapping of names to values")
    if name in OPTIMIZERS:
        takes = [each for each in OPTIMIZERS.parameters(name) if each not in OWN_ARGUMENTS]
        _check_options(options_key, name, options, takes)
        return
    chosen = _class(key, name)
    takes = [each for each in inspect.signature(chosen).parameters if each not in ("params", "lr")]
    if "kwargs" not in takes:
        _check_options(options_key, name, options, takes)
    if problem := _trial(chosen, options):
        raise UserError(f"{key}={name}{f', {options_key}={options}' if options else ''}: {problem}")


def create_optimizer(
    key: str,
    name: str,
    network: nn.Module,
    lr: float,
    betas: tuple[float, float],
    options: Mapping[str, Any],
) -> torch.optim.Optimizer:
    """The optimiser of a network's parameters; see `check_optimizer`.

    Args:
        lr: its learning rate.
        betas: of ours; those of libraries have their own, or one among ``options``.
    """
    if name in OPTIMIZERS:
        return OPTIMIZERS[name](network, lr, betas, **options)
    return _created(_class(key, name), network, lr, options)


def averages_itself(name: str) -> bool:
    """True where the optimiser has, besides those it trains, weights to be used."""
    return name not in OPTIMIZERS and _has_weights_to_use(_class("optimizer", name))


def is_schedule_free(optimizer: torch.optim.Optimizer) -> bool:
    """True where an average takes the place of a decay of the learning rate (arXiv:2405.15682)."""
    return _has_weights_to_use(type(optimizer)) and "weight_sum" in optimizer.param_groups[0]


def _has_weights_to_use(kind: Callable[..., Any]) -> bool:
    return all(callable(getattr(kind, method, None)) for method in ("train", "eval"))


def _class(key: str, name: Any) -> Callable[..., torch.optim.Optimizer]:
    library, dot, wanted = str(name).partition(".")
    if not isinstance(name, str) or not dot or library not in LIBRARIES:
        others = ", ".join(f"{each}.CLASS" for each in LIBRARIES)
        raise UserError(f"{key}={name!r}: must be one of {', '.join(OPTIMIZERS)}, {others}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = importlib.import_module(LIBRARIES[library])
    except ImportError:
        raise UserError(
            f"{key}={name}: needs {library}; pip install -e '.[optimizers]' brings it"
        ) from None
    kinds = {
        each: kind
        for each, kind in vars(module).items()
        if inspect.isclass(kind) and issubclass(kind, torch.optim.Optimizer)
    }
    if wanted not in kinds:
        by_lower = {each.lower(): each for each in kinds}
        close = difflib.get_close_matches(wanted.lower(), by_lower, n=2, cutoff=0.5)
        hint = " or ".join(f"{library}.{by_lower[each]}" for each in close)
        raise UserError(
            f"{key}={name}: {library} has no such optimiser"
            + (f"; did you mean {hint}?" if hint else f", it has {', '.join(sorted(kinds))}")
        )
    return kinds[wanted]


def _check_options(key: str, name: str, options: Mapping[str, Any], takes: list[str]) -> None:
    for option, value in options.items():
        if option not in takes:
            listed = f"takes {', '.join(sorted(takes))}" if takes else "takes no options"
            raise UserError(f"{key}.{option}={value!r}: {name} {listed}")


def _created(
    kind: Callable[..., Any], network: nn.Module, lr: float, options: Mapping[str, Any]
) -> torch.optim.Optimizer:
    optimizer = kind(list(network.parameters()), lr=lr, **options)
    if _has_weights_to_use(kind):
        optimizer.train()
    return optimizer


def _trial(kind: Callable[..., Any], options: Mapping[str, Any]) -> str:
    """Reason why such an optimiser can't train here, in a line; empty: it can."""
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            network = _small_network()
            optimizer = _created(kind, network, 1e-3, options)
            start = [p.detach().clone() for p in network.parameters()]
            _steps(network, optimizer, range(3))
            saved, weights = with_kind(optimizer, _saved(optimizer)), _saved(network)
            _steps(network, optimizer, range(3, 6))
            moved = any(not torch.equal(*each) for each in zip(start, network.parameters()))  # noqa: B905
            other = _small_network()
            other.load_state_dict(weights)
            resumed = _created(kind, other, 1e-3, options)
            go_on(resumed, saved)
            _steps(other, resumed, range(3, 6))
        except Exception as problem:  # whatever a library raises where its arguments don't fit
            said = (str(problem) or type(problem).__name__).splitlines()[0][:200]
            return f"can't train a network of convolutions by its gradients alone ({said})"
    ends = [[p.detach() for p in each.parameters()] for each in (network, other)]
    if not all(bool(each.isfinite().all()) for each in ends[0]):
        return "makes weights that are not finite within six updates of a small network"
    if not moved:
        return "does not move a small network within six updates"
    if not all(map(torch.equal, *ends)):
        return "can't be used: going on from its saved state gives other bits"
    return ""


def _small_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.PReLU(),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.PReLU(),
        nn.Conv2d(8, 3, 3, padding=1),
    )


def _steps(network: nn.Module, optimizer: torch.optim.Optimizer, numbers: range) -> None:
    for number in numbers:
        images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(number))
        optimizer.zero_grad(set_to_none=True)
        (network(images) - images).square().mean().backward()
        optimizer.step()


def _saved(part: Any) -> dict[str, Tensor]:
    """State of a part as a checkpoint gives it back."""
    file = io.BytesIO()
    torch.save(part.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)
