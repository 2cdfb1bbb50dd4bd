"""Beginning a run with trained networks: those of the same scale, or grown ones of half of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from torch import nn

from experiments.support.resume import Resumed, different
from experiments.support.trained import best_checkpoint, network_file
from observers import open_run
from tmd.checkpoints import image_kind, is_checkpoint, load_checkpoint, load_generator, load_weights
from tmd.errors import UserError
from tmd.models import create_discriminator
from tmd.models.growth import (
    GrowthReport,
    check_growth,
    grow,
    grow_discriminator,
    trained_after_growth,
)
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


@lru_cache(maxsize=2)
def open_parent(spec: Any, store: str) -> Parent:
    """The networks of a run, of a checkpoint's file, or those that come with the package by name.

    Read once, though the config, its check and the training need them.

    Raises:
        UserError: there is none, or it can't be read.
    """
    if (path := network_file(spec)) is not None:
        state = load_checkpoint(path)
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


def learnt_from(resumed: Resumed | None, spec: Any, store: str) -> dict[str, Any] | None:
    """Images that the networks were trained on, as `tmd.data.create_dataset` takes them, if known.

    None of it is held out.

    Args:
        resumed: a run that goes on.
        spec: what another one begins with; see `open_parent`.
    """
    if resumed is not None:
        return resumed[1].get("trained_on")
    return None if spec is None else open_parent(spec, store).trained_on


def inherited_config(start_from: Any, store: str) -> dict[str, Any]:
    """The config entries of the networks that ``start_from`` names: what the user need not type."""
    parent = open_parent(start_from, store)
    config: dict[str, Any] = {
        "scale": parent.generator["generator_config"]["scale"],
        "dataset": _kind_entries(parent.generator),
        "generator": _entries(parent.generator["generator_config"], GENERATOR_KEYS),
    }
    state = parent.discriminator
    if state is not None and "name" in (state.get("discriminator_config") or {}):
        config["discriminator"] = _entries(state["discriminator_config"], DISCRIMINATOR_KEYS)
    return config


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


def check_beginning(start_from: Any, grow_from: Any, store: str, wanted: Mapping[str, Any]) -> None:
    """Raise `UserError` unless a generator of config ``wanted`` can begin as the user says."""
    if start_from is not None and grow_from is not None:
        raise UserError(
            f"start_from={start_from}, grow_from={grow_from}: a run begins with one network; "
            "give one of them"
        )
    if grow_from is not None:
        parent = open_parent(grow_from, store)
        try:
            check_growth(parent.generator["generator_config"], dict(wanted))
        except UserError as problem:
            raise UserError(f"grow_from={grow_from}: {problem}") from None
    if start_from is not None:
        _check_same(start_from, open_parent(start_from, store), wanted)


def _check_same(start_from: Any, parent: Parent, wanted: Mapping[str, Any]) -> None:
    theirs = parent.generator["generator_config"]
    if 2 * theirs["scale"] == wanted["scale"]:
        raise UserError(
            f"start_from={start_from}: a ×{theirs['scale']} network, and scale={wanted['scale']}; "
            f"grow_from={start_from} grows it"
        )
    if listed := different(theirs, wanted):
        raise UserError(
            f"start_from={start_from}: another generator than the config's ({listed}); leave these "
            "keys out, and the config is the network's"
        )


@dataclass
class Beginning:
    """Networks to begin with.

    Attributes:
        networks: by name.
        info: for the run's record.
        reports: of growth, by the networks' names.
    """

    networks: dict[str, nn.Module]
    info: dict[str, Any] = field(default_factory=dict)
    reports: dict[str, GrowthReport] = field(default_factory=dict)

    def trainable(self, freeze_output: bool) -> list[str]:
        """The generator's parameters that learn from the start, where the others are frozen."""
        if "generator" not in self.reports:
            return []
        generator = self.networks["generator"]
        return trained_after_growth(generator, self.reports["generator"], freeze_output)


def begin(start_from: Any, grow_from: Any, store: str, fresh: Mapping[str, nn.Module]) -> Beginning:
    """The networks that a run begins with, checked by `check_beginning`, and a line that says so.

    Args:
        fresh: generator and discriminator of the config, freshly initialised; the latter stays so
            where there is none to begin with.
    """
    if grow_from is not None:
        return _grown(open_parent(grow_from, store), fresh)
    if start_from is not None:
        return _started(open_parent(start_from, store), fresh)
    return Beginning(dict(fresh))


def _started(parent: Parent, fresh: Mapping[str, nn.Module]) -> Beginning:
    generator, discriminator = fresh["generator"], fresh.get("discriminator")
    trained = load_generator(parent.generator).state_dict()
    load_weights(generator, trained, f"generator of {parent.name}")
    said = "its generator" + ("" if discriminator is None else "; the discriminator is new")
    state = parent.discriminator
    if (
        state is not None
        and discriminator is not None
        and not different(state.get("discriminator_config") or {}, _config(discriminator))
    ):
        load_weights(discriminator, state["discriminator"], f"discriminator of {parent.name}")
        said = "its generator and discriminator"
    print(f"starts from {parent.name}: {said}; optimisers, schedule and best are new")
    return Beginning(dict(fresh), {"started_from": parent.name})


def _grown(parent: Parent, fresh: Mapping[str, nn.Module]) -> Beginning:
    wanted = _config(fresh["generator"])
    generator, generator_report = grow(load_generator(parent.generator), wanted)
    reports = {"generator": generator_report}
    discriminator = fresh["discriminator"]
    state = parent.discriminator
    if state is not None and state.get("discriminator_config"):
        old = create_discriminator(**state["discriminator_config"])
        load_weights(old, state["discriminator"], f"discriminator of {parent.name}")
        discriminator, reports["discriminator"] = grow_discriminator(old, _config(discriminator))
    for network, report in reports.items():
        print(f"{network} grown from {parent.name}: {report.summary()}")
    info = {"growth": {"from": parent.name, **{n: _recorded(r) for n, r in reports.items()}}}
    return Beginning({"generator": generator, "discriminator": discriminator}, info, reports)


def _config(network: nn.Module) -> dict[str, Any]:
    return network.config  # type: ignore[return-value]


def _recorded(report: GrowthReport) -> dict[str, Any]:
    """Plain numbers and names."""
    return {
        "carried_parameters": report.carried_parameters,
        "new_parameters": report.new_parameters,
        "carried_share": report.carried_share,
        "carried": report.carried,
        "new": report.new,
        "reinitialised": report.reinitialised,
        "dropped": report.dropped,
    }
