"""Beginning a run with the networks of another, one scale below."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from experiments.support.trained import best_checkpoint
from observers import open_run
from tmd.checkpoints import checkpoints_in, load_checkpoint, load_generator, load_weights
from tmd.errors import UserError
from tmd.models import create_discriminator
from tmd.models.growth import GrowthReport, check_growth, grow, grow_discriminator


@dataclass
class Parent:
    """What a run grows from.

    Attributes:
        name: for people and the record.
        generator: the contents of a checkpoint; its averaged weights are used.
        discriminator: the contents of a checkpoint that has one, or None.
    """

    name: str
    generator: dict[str, Any]
    discriminator: dict[str, Any] | None


def open_parent(grow_from: Any, store: str) -> Parent:
    """The networks of a run, or of a checkpoint's file.

    Raises:
        UserError: neither is there, or it can't be read.
    """
    path = Path(str(grow_from))
    if path.is_file():
        state = load_checkpoint(path)
        return Parent(str(path), state, state if state.get("discriminator") else None)
    record = open_run(grow_from, store=store)
    best = load_checkpoint(best_checkpoint(record))
    newest = checkpoints_in(record.artifacts())[-1:]
    return Parent(
        record.spec,
        best,
        load_checkpoint(record.local_path(newest[0])) if newest else None,
    )


def check_parent(grow_from: Any, parent: Parent, wanted: dict[str, Any]) -> None:
    """Raise `UserError` unless the parent's generator can grow into one of config ``wanted``."""
    try:
        check_growth(parent.generator["generator_config"], wanted)
    except UserError as problem:
        raise UserError(f"grow_from={grow_from}: {problem}") from None


@dataclass
class Grown:
    """Grown networks and what became of their parents' weights."""

    generator: nn.Module
    discriminator: nn.Module
    reports: dict[str, GrowthReport]

    def record(self) -> dict[str, Any]:
        """For the run's info: plain numbers and names."""
        return {
            network: {
                "carried_parameters": report.carried_parameters,
                "new_parameters": report.new_parameters,
                "carried_share": report.carried_share,
                "carried": report.carried,
                "new": report.new,
                "reinitialised": report.reinitialised,
                "dropped": report.dropped,
            }
            for network, report in self.reports.items()
        }

    def print_summary(self, parent: Parent) -> None:
        for network, report in self.reports.items():
            print(f"{network} grown from {parent.name}: {report.summary()}")


def grow_networks(parent: Parent, fresh_generator: nn.Module, discriminator: nn.Module) -> Grown:
    """The networks to begin with.

    Args:
        fresh_generator: of the config that the grown one is to have.
        discriminator: of the config, freshly initialised; stays so where the parent has none.
    """
    wanted: dict[str, Any] = fresh_generator.config  # type: ignore[assignment]
    generator, generator_report = grow(load_generator(parent.generator), wanted)
    reports = {"generator": generator_report}
    state = parent.discriminator
    if state is not None and state.get("discriminator_config"):
        old = create_discriminator(**state["discriminator_config"])
        load_weights(old, state["discriminator"], f"discriminator of {parent.name}")
        config: dict[str, Any] = discriminator.config  # type: ignore[assignment]
        discriminator, reports["discriminator"] = grow_discriminator(old, config)
    return Grown(generator, discriminator, reports)
