"""Beginning a run with trained networks: those of the same scale, or grown ones of half of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from experiments.support.parents import Parent, open_parent
from experiments.support.resume import Resumed, different
from experiments.support.weights import check_weights, recorded, take_weights
from tmd.checkpoints import load_generator, load_weights
from tmd.errors import UserError
from tmd.models import create_discriminator
from tmd.models.growth import check_growth, grow, grow_discriminator, trained_after_growth
from tmd.models.weights import FitReport


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


def inherited_config(start_from: Any, store: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The config entries of the networks that ``start_from`` names: what the user need not type."""
    return _opened(start_from, store).config


def _opened(start_from: Any, store: str) -> Parent:
    parent = open_parent(start_from, store)
    if parent.generator.get("generator_config") is None:
        raise UserError(
            f"start_from={start_from}: {parent.generator['problem']}; "
            f"generator.weights={start_from} takes over what fits the config's network"
        )
    return parent


def check_beginning(
    start_from: Any,
    grow_from: Any,
    store: str,
    networks: Mapping[str, nn.Module],
    weights: Mapping[str, Any],
) -> None:
    """Raise `UserError` unless the networks of the config can begin as the user says.

    Args:
        networks: by name; they need no weights.
        weights: of each, as ``generator.weights`` names them, or None.
    """
    wanted = _config(networks["generator"])
    given = {
        "start_from": start_from,
        "grow_from": grow_from,
        "generator.weights": weights.get("generator"),
    }
    told = [f"{key}={value}" for key, value in given.items() if value is not None]
    if len(told) > 1:
        raise UserError(f"{', '.join(told)}: a run begins with one network; give one of them")
    check_weights(weights, store, networks)
    if grow_from is not None:
        parent = open_parent(grow_from, store)
        if "weights_file" in parent.generator:
            raise UserError(
                f"grow_from={grow_from}: growth is for networks of ours; generator.weights="
                f"{grow_from} takes over what fits of another scale's"
            )
        try:
            check_growth(parent.generator["generator_config"], dict(wanted))
        except UserError as problem:
            raise UserError(f"grow_from={grow_from}: {problem}") from None
    if start_from is not None:
        _check_same(start_from, _opened(start_from, store), wanted)


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
    reports: dict[str, FitReport] = field(default_factory=dict)

    def trainable(self, freeze_output: bool) -> list[str]:
        """The generator's parameters that learn from the start, where the others are frozen."""
        if "generator" not in self.reports:
            return []
        generator = self.networks["generator"]
        return trained_after_growth(generator, self.reports["generator"], freeze_output)


def begin(
    start_from: Any,
    grow_from: Any,
    store: str,
    fresh: Mapping[str, nn.Module],
    weights: Mapping[str, Any],
) -> Beginning:
    """The networks that a run begins with, checked by `check_beginning`, and a line that says so.

    Args:
        fresh: generator and discriminator of the config, freshly initialised; the latter stays so
            where there is none to begin with.
        weights: see `check_beginning`.
    """
    if grow_from is not None:
        begun = _grown(open_parent(grow_from, store), fresh)
    elif start_from is not None:
        begun = _started(open_parent(start_from, store), fresh)
    else:
        begun = Beginning(dict(fresh))
    if taken := take_weights(weights, store, begun.networks):
        begun.info["weights"] = taken
    return begun


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
    info = {"growth": {"from": parent.name, **{n: recorded(r) for n, r in reports.items()}}}
    return Beginning({"generator": generator, "discriminator": discriminator}, info, reports)


def _config(network: nn.Module) -> dict[str, Any]:
    return network.config  # type: ignore[return-value]
