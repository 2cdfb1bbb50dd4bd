"""Trained networks that a run begins with: of a run, of a file of ours or of others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from experiments.support.trained import best_checkpoint, network_file
from observers import open_run
from tmd.checkpoints import image_kind, is_checkpoint, load_checkpoint
from tmd.checkpoints.foreign import load_any
from tmd.errors import UserError
from tmd.shipped import shipped_networks


@dataclass(frozen=True)
class Parent:
    """The networks that a run begins with.

    Attributes:
        name: for people and the record.
        generator: the contents of a checkpoint; its averaged weights are used.
        discriminator: the contents of a checkpoint that has one, or None.
    """

    name: str
    generator: dict[str, Any]
    discriminator: dict[str, Any] | None

    @property
    def trained_on(self) -> dict[str, Any] | None:
        """The images that they were trained on, as `tmd.data.create_dataset` takes it, if known."""
        return (self.discriminator or {}).get("trained_on")

    @property
    def config(self) -> dict[str, Any]:
        """The config entries of the networks: what the user need not type."""
        config: dict[str, Any] = {
            "scale": self.generator["generator_config"]["scale"],
            "dataset": _kind_entries(self.generator),
            "generator": _entries(self.generator["generator_config"], GENERATOR_KEYS),
        }
        state = self.discriminator
        if state is not None and "name" in (state.get("discriminator_config") or {}):
            config["discriminator"] = _entries(state["discriminator_config"], DISCRIMINATOR_KEYS)
        return config


@lru_cache(maxsize=2)
def open_parent(spec: Any, store: str) -> Parent:
    """The networks of a run, of a file of ours or of others, or of the package's by name.

    Read once, though the config, its check and the training need them.

    Raises:
        UserError: there is none, or it can't be read.
    """
    if (path := network_file(spec)) is not None:
        state = load_any(path)
        return Parent(str(spec), state, state if state.get("discriminator") else None)
    try:
        record = open_run(spec, store=store)
    except UserError as problem:
        raise UserError(
            f"{spec}: no file, none of the networks that come along "
            f"({', '.join(shipped_networks())}), and no run ({problem})"
        ) from None
    best = load_checkpoint(best_checkpoint(record))
    newest = sorted(filter(is_checkpoint, record.artifacts()))[-1:]
    return Parent(
        record.spec,
        best,
        load_checkpoint(record.local_path(newest[0])) if newest else None,
    )


def _kind_entries(state: Mapping[str, Any]) -> dict[str, Any]:
    """The dataset's entries for the kind of image of a checkpoint, photos' bits apart."""
    kind = image_kind(state)
    if kind.is_photo and kind.is_eight_bit:
        return {"channels": kind.channels}
    lists = ("value_range", "bands", "shown")
    return {key: list(v) if key in lists and v else v for key, v in kind.state_dict().items()}


GENERATOR_KEYS = ("name", "n_blocks", "n_features", "norm", "spectral_norm", "global_skip")
DISCRIMINATOR_KEYS = ("name", "features", "strides", "norm", "spectral_norm")


def _entries(config: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    """The ingredient's entries for a network of ``config``; what is no key is an option."""
    given = ("scale", "channels")
    options = {k: v for k, v in config.items() if k not in (*keys, *given)}
    return {**{k: config[k] for k in keys if k in config}, "options": options}
