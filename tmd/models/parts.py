"""Parts of a network by patterns of its parameters' names: frozen, or trained at other rates."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from tmd.errors import UserError, check_number


def patterns_in(key: str, value: Any) -> list[str]:
    """One pattern or several, as a config gives them.

    Raises:
        UserError: they are no texts.
    """
    patterns = [value] if isinstance(value, str) else value
    if not isinstance(patterns, (list, tuple)) or not all(
        isinstance(each, str) and each for each in patterns
    ):
        raise UserError(f"{key}={value!r}: must be names of layers or patterns, like ['body.*']")
    return list(patterns)


def factors_in(key: str, value: Any) -> dict[str, float]:
    """Factors by pattern, as a config gives them, which makes nested mappings of dots.

    Raises:
        UserError: it is no mapping, or a factor is no number above 0.

    Example:
        >>> factors_in("optimization.lr_scale_g", {"tail": {"*": 10}, "head": 0.1})
        {'tail.*': 10, 'head': 0.1}
    """
    if not isinstance(value, Mapping):
        raise UserError(f"{key}={value!r}: must map patterns to factors, like {{'body.*': 0.1}}")
    found: dict[str, float] = {}
    for name, each in value.items():
        if isinstance(each, Mapping):
            found |= {f"{name}.{k}": v for k, v in factors_in(f"{key}.{name}", each).items()}
        else:
            check_number(f"{key}.{name}", each, above=0)
            found[str(name)] = each
    return found


def matched_parameters(key: str, patterns: Collection[str], network: nn.Module) -> dict[str, str]:
    """Parameters that patterns match, each with the pattern that matches it.

    A pattern matches a parameter's whole name, with ``*``, ``?`` and ``[…]`` as in a shell, or the
    name of a layer, and then all that is in it.

    Args:
        key: of the config, for the message.

    Returns:
        Patterns by name, in the order of the network.

    Raises:
        UserError: a pattern matches nothing.

    Example:
        >>> matched_parameters("freeze_g", ["0"], nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)))
        {'0.weight': '0', '0.bias': '0'}
    """
    names = [name for name, _ in network.named_parameters()]
    found: dict[str, str] = {}
    for pattern in patterns:
        matched = [n for n in names if fnmatchcase(n, pattern) or fnmatchcase(n, f"{pattern}.*")]
        if not matched:
            raise UserError(f"{key}: {pattern} matches nothing; {_similar(pattern, network)}")
        found |= dict.fromkeys(matched, pattern)
    return {name: found[name] for name in names if name in found}


def check_apart(key: str, factors: Mapping[str, float], network: nn.Module) -> None:
    """Raise `UserError` for a pattern that matches nothing, or two factors of one parameter."""
    seen: dict[str, str] = {}
    for pattern in factors:
        for name in matched_parameters(key, [pattern], network):
            if factors[seen.setdefault(name, pattern)] != factors[pattern]:
                raise UserError(
                    f"{key}: {name} is matched by {seen[name]} and by {pattern}, which have "
                    "different factors"
                )


def _similar(pattern: str, network: nn.Module) -> str:
    """Names near to a pattern or, where none is, those of the network's parts."""
    known = [n for n, module in network.named_modules() if n and [*module.parameters()]]
    known += [name for name, _ in network.named_parameters()]
    close = difflib.get_close_matches(pattern.removesuffix(".*"), known, n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(close)}?"
    parts = list(dict.fromkeys(name.partition(".")[0] for name, _ in network.named_parameters()))
    return f"the network has {', '.join(parts[:12])}"
