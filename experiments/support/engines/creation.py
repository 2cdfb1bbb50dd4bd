"""Engines by name; what is wrong with one is said before it is connected."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from typing import Any

from experiments.support.engines.contract import Engine
from experiments.support.engines.local import LocalEngine
from experiments.support.engines.ray import RayEngine
from experiments.support.engines.slurm import SlurmEngine
from tmd.errors import UserError, check_choice

#: By name: what makes it of the options, those that it takes, and the package that it needs.
ENGINES: dict[str, tuple[Callable[..., Engine], tuple[str, ...], str | None]] = {
    "local": (LocalEngine, (), None),
    "ray": (RayEngine, ("address", "cpus", "gpus"), "ray"),
    "slurm": (
        SlurmEngine,
        ("partition", "account", "time", "cpus", "gpus", "memory", "cluster"),
        "submitit",
    ),
}


def create_engine(name: str, options: Mapping[str, Any] | None = None) -> Engine:
    """Engine of that name, connected to nothing yet.

    Args:
        name: ``local``: processes on this machine; ``ray``: in a Ray cluster; ``slurm``: jobs.
        options: as ``engine_options`` has them.

    Raises:
        UserError: there is none of that name, its package is absent, or it takes no such option.
    """
    check_choice("engine", name, ENGINES)
    make, known, package = ENGINES[name]
    if options is not None and not isinstance(options, Mapping):
        raise UserError(f"engine_options={options!r}: must be options by name")
    for key in options or {}:
        if key not in known:
            listed = ", ".join(known) or "it takes none"
            raise UserError(f"engine_options.{key}: no option of engine={name} ({listed})")
    if package is not None and importlib.util.find_spec(package) is None:
        raise UserError(f"engine={name}: needs {package}; pip install 'tmd[{name}]' brings it")
    return make(**(options or {}))
