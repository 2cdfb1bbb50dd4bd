"""Config entries that are not what they say: of earlier builds, and of networks not chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def with_todays_names(config: Mapping[str, Any]) -> dict[str, Any]:
    """``config`` of a run or of a file, where it is one from before a generator got another name.

    Runs of today have ``optimization.freeze_g``, and the sizes of our own networks whatever their
    generator is; those of before the change have not the former.
    """
    generator = config.get("generator")
    optimization = config.get("optimization")
    if not isinstance(generator, Mapping) or (
        isinstance(optimization, Mapping) and "freeze_g" in optimization
    ):
        return dict(config)
    from tmd.models.generators import renamed_config  # it takes torch, a list of runs does not

    return {**config, "generator": renamed_config(generator)}


def sizes_of_others(config: Mapping[str, Any], typed: Mapping[str, Any]) -> dict[str, Any]:
    """Sizes of our own networks, as before a named config set them, for a network without them.

    ``smoke`` and ``bsds500`` set them; whoever types ``generator.name=span`` beside means the rest.

    Args:
        typed: entries by path; a size among them is meant, and refused by the check.
    """
    from tmd.models.generators import SIZES, has_own_sizes
    from tmd.models.options import GeneratorOptions
    from tmd.models.registry import GENERATORS

    name = config["generator"]["name"]
    if name not in GENERATORS or not has_own_sizes(name):
        return {}
    fresh = GeneratorOptions()
    return {
        f"generator.{key}": getattr(fresh, key) for key in SIZES if f"generator.{key}" not in typed
    }
