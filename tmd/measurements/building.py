"""Operators built from a config's list; whatever can't be is said in one line."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from tmd.errors import UserError, check_number
from tmd.measurements.composition import Chain
from tmd.measurements.operator import MEASUREMENTS, Operator

#: Option that every operator takes beside its own.
PROBABILITY = "probability"


def entry(operator: Any, key: str) -> dict[str, Any]:
    """An operator of a config's list, a name or a dict with one, as a dict that JSON can hold."""
    if isinstance(operator, str):
        return {"name": operator}
    if not isinstance(operator, Mapping) or not isinstance(operator.get("name"), str):
        raise UserError(f"{key}: {operator!r} is neither a name nor has one")
    return _plain(operator)


def build_chain(operators: Any, scale: int, key: str) -> Chain:
    """The operators of a config's list, one after the other.

    Args:
        key: of the list.
    """
    if isinstance(operators, (str, Mapping)) or not isinstance(operators, Sequence):
        raise UserError(f"{key}={operators!r}: must be a list")
    return Chain([build(each, scale, f"{key}[{i}]") for i, each in enumerate(operators)])


def build(operator: Any, scale: int, key: str) -> Operator:
    """The operator that an entry of a config's list describes; of a list, a chain.

    Args:
        key: of the entry.

    Raises:
        UserError: an operator or an option that does not exist, a value that can't be.
    """
    if isinstance(operator, (list, tuple)):
        return build_chain(operator, scale, key)
    options = entry(operator, key)
    name, probability = options.pop("name"), options.pop(PROBABILITY, 1.0)
    if name not in MEASUREMENTS:
        raise UserError(f"{key}={name!r}: must be one of {', '.join(MEASUREMENTS)}")
    check_number(f"{key}.{PROBABILITY}", probability, 0, 1)
    builder = MEASUREMENTS[name]
    allowed = [option for option in inspect.signature(builder).parameters if option != "scale"]
    for option in options:
        if option not in allowed:
            listed = ", ".join(allowed) or "nothing"
            raise UserError(f"{key}: {name} takes {listed}, not {option!r}")
    try:
        built = builder(scale=scale, **options)
    except UserError as problem:
        # Operators call an option by their own name, which says not where in the list they are.
        said = str(problem)
        own = f"measurement {name} "
        raise UserError(key + "." + said[len(own) :] if said.startswith(own) else said) from None
    except TypeError:
        wanted = [
            option
            for option, parameter in inspect.signature(builder).parameters.items()
            if parameter.default is parameter.empty and option not in ("scale", *options)
        ]
        if not wanted:
            raise
        raise UserError(f"{key}: {name} needs {', '.join(wanted)}") from None
    built.name, built.probability = name, probability
    return built


def _plain(value: Any) -> Any:
    """``value`` of dicts, lists, text and numbers alone."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value
