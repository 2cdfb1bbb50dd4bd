"""A captured update made again: the same numbers, and where they first are none."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from ignite.engine import Engine
from torch import Tensor, nn

from tmd.data.measured import Pair
from tmd.images import ImageKind
from tmd.session.capture import Watch, make_update, quiet_engine, same_bits
from tmd.session.options import SessionOptions
from tmd.session.scoring import Scoring
from tmd.session.session import TrainingSession
from tmd.training import Updater
from tmd.training.place import Place
from tmd.training.state import copied_to_cpu


class Assembled(NamedTuple):
    """A run's trainer and all that it trains, ready for a session.

    Attributes:
        trainer: the engine.
        networks: by name.
        updaters: by the letter of the network.
        handlers: by the name of their state in a checkpoint.
    """

    trainer: Engine
    networks: dict[str, nn.Module]
    updaters: dict[str, Updater]
    handlers: dict[str, Any]


@dataclass
class CapturedData:
    """The data of a single update, where a session wants data."""

    kind: ImageKind
    batch_size: int = 1
    fingerprint: dict[str, Any] = field(default_factory=dict)
    skipped: list[list[str]] = field(default_factory=list)
    trained_on: dict[str, Any] = field(default_factory=dict)

    def batches(self, first: int = 0) -> Iterator[Any]:
        """None."""
        return iter(())

    def held_out(self) -> list[Pair]:
        """None."""
        return []

    def close(self) -> None:
        """Nothing."""


class Replayed(NamedTuple):
    """A captured update, made again.

    Attributes:
        output: its scalars.
        same: whether these are the captured ones, to the bit.
        found: first tensors that are not finite, in words, by their kind; see `Watch`.
    """

    output: dict[str, Tensor]
    same: bool
    found: dict[str, str]


def replay(
    assembled: Assembled, checkpoint: Mapping[str, Any], options: SessionOptions, place: Place
) -> Replayed:
    """Make the captured update again.

    Args:
        assembled: as for the run, with any weights.
        checkpoint: contents of a captured file.
        options, place: the run's.
    """
    captured = checkpoint["captured"]
    with contextlib.redirect_stderr(io.StringIO()):  # notes for those who train
        session = TrainingSession(
            assembled.trainer,
            assembled.networks,
            assembled.updaters,
            CapturedData(ImageKind.of_state(checkpoint.get("image_kind"))),
            options,
            scoring=Scoring(),
            place=place,
            handlers=assembled.handlers,
        )
        session.state.load(
            {**checkpoint["trainer"], **{name: checkpoint[name] for name in assembled.networks}}
        )
    torch.set_rng_state(captured["random"])
    groups = _on(captured["groups"], place.device)
    engine = quiet_engine(assembled.trainer, session.changing, captured["iteration"] - 1)
    with Watch(assembled.networks) as watch:
        watch.inputs(groups)
        output = copied_to_cpu(make_update(engine, groups))
        watch.weights()
    return Replayed(output, same_bits(output, captured["output"]), watch.found)


def _on(nested: Any, device: torch.device) -> Any:
    if isinstance(nested, Tensor):
        return nested.to(device)
    return tuple(_on(each, device) for each in nested)
