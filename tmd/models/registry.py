"""The tables of architectures, and the check of the arguments that only one of them has."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

from torch import nn

from tmd.errors import UserError
from tmd.registry import Registry

GENERATORS: Registry[Callable[..., nn.Module]] = Registry("generator.name")
DISCRIMINATORS: Registry[Callable[..., nn.Module]] = Registry("discriminator.name")


def check_mapping(key: str, value: Any) -> None:
    """Raise `UserError` unless ``value`` maps names to values."""
    if not isinstance(value, Mapping):
        raise UserError(f"{key}={value!r}: must be a mapping of names to values")


def complete_options(
    registry: Registry, name: str, common: Collection[str], options: dict[str, Any]
) -> dict[str, Any]:
    """All options of the architecture ``name``: the given ones over its defaults.

    Args:
        common: the arguments every architecture of the registry has; they are no options.

    Raises:
        UserError: lists what the architecture takes, when it does not take one that is given.
    """
    defaults = {
        key: parameter.default
        for key, parameter in registry.parameters(name).items()
        if key not in common and parameter.kind is not inspect.Parameter.VAR_KEYWORD
    }
    kind = registry.kind.rsplit(".", 1)[0]
    for key, value in options.items():
        if key not in defaults:
            takes = f"takes {', '.join(sorted(defaults))}" if defaults else "takes no options"
            raise UserError(f"{kind}.options.{key}={value!r}: {name} {takes}")
    return {**defaults, **{key: _plain(value) for key, value in options.items()}}


def _plain(value: Any) -> Any:
    """``value`` with plain lists and dicts: checkpoints with a config's own kinds are not read."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value
