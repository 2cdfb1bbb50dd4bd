"""Keys of a config that somebody set: typed, of a named config, or of the run that is resumed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sacred.run import Run
from sacred.utils import iterate_flattened


def given_keys(run: Run, typed: Mapping[str, Any], defaults: Mapping[str, Any]) -> list[str]:
    """Paths of the config's entries that are not as the experiment leaves them by itself.

    Args:
        run: made of what was given alone, before anything was resolved.
        typed: the entries that were typed, by path; they count whatever their values.
        defaults: entries that every run of the experiment begins with.
    """
    config = {path: value for path, value in iterate_flattened(run.config) if "__doc__" not in path}
    changes = run.config_modifications
    changed = {*changes.modified, *changes.added, *changes.typechanged}
    own = {path for path, value in iterate_flattened(defaults) if config.get(path) == value}
    return sorted(path for path in config if path in typed or path in changed - own)
