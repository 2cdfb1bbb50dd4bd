"""Contents of a session's checkpoints, and how a session goes on from one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from tmd.checkpoints import load_weights
from tmd.checkpoints.contents import about, best_contents, training_contents
from tmd.handlers import Best, NonFiniteError
from tmd.session.capture import Broken
from tmd.training.phases import Phases
from tmd.training.state import TrainingState
from tmd.training.steps import all_finite


class Contents:
    """The contents of a session's checkpoints.

    Args:
        networks: by name.
        state: all that changes, the networks too.
        best: the best generator so far.
        phases: of the run.
        frame: what every checkpoint says of itself besides: ``scale``, ``channels``, the
            ``data``'s fingerprint, ...
        judged_by: what the best state's metrics hang on; those of another are not compared.
    """

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        state: TrainingState,
        best: Best,
        phases: Phases,
        frame: Mapping[str, Any],
        judged_by: Mapping[str, Any],
    ) -> None:
        self.networks = networks
        self.state = state
        self.best = best
        self.phases = phases
        self.frame = frame
        self.judged_by = dict(judged_by)

    def _described(self) -> dict[str, Any]:
        configs = {name: getattr(n, "config", None) for name, n in self.networks.items()}
        return about(configs=configs, judged_by=self.judged_by, **self.frame)

    def of_broken(self, broken: Broken, **more: Any) -> dict[str, Any]:
        """All that a broken update is made of; the state is that before it."""
        iteration = broken.iteration - 1
        return training_contents(
            {**self._described(), "captured": broken.contents(**more)},
            iteration,
            self.phases.at(max(1, iteration)),
            broken.parts,
            tuple(self.networks),
        )

    def of_training(self, iteration: int, exact: bool = True, **more: Any) -> dict[str, Any]:
        """Copy of all that an exact resume needs.

        Args:
            iteration: updates made.
            exact: whether all is as an iteration's end leaves it.
            more: entries that only this kind of checkpoint has.

        Raises:
            NonFiniteError: weights are not finite.
        """
        for name, network in self.networks.items():
            if not all_finite(network.state_dict().values()):
                raise NonFiniteError(
                    f"training stopped: the {name}'s weights are not finite after iteration "
                    f"{iteration} (lower the learning rate or adv_weight, or set optimization.clip)"
                )
        return training_contents(
            {**self._described(), **more},
            iteration,
            self.phases.at(max(1, iteration)),
            self.state.snapshot(),
            tuple(self.networks),
            exact,
        )

    def of_best(self) -> dict[str, Any] | None:
        """The best generator; None before there is one."""
        if self.best.weights is None:
            return None
        return best_contents(
            self._described(),
            self.best.iteration,
            self.phases.at(max(1, self.best.iteration)),
            self.best.weights,
            self.best.metrics,
        )

    def load(self, checkpoint: Mapping[str, Any]) -> list[str]:
        """Put all that changes back to what it was, and return what is to be said of it.

        Where the best state was decided by other images or another score, it is left out: it, its
        metrics and the adversarial weight's memory begin anew.

        Raises:
            UserError: the checkpoint is of other networks.
        """
        for name, network in self.networks.items():
            load_weights(network, checkpoint[name], f"resumed {name}")
        theirs, ours, notes = dict(checkpoint["trainer"]), self.state.parts, []
        if not self.is_comparable(checkpoint):
            theirs.pop("best", None)
            theirs.pop("adversarial_weight", None)
            notes.append(
                "note: the resumed run was validated on other images or by another score: the best "
                "state, its metrics and the adversarial weight's memory begin anew"
            )
        for name in self.state.load({name: theirs[name] for name in theirs if name in ours}):
            notes.append(f"note: the resumed run has another {name}; it begins anew")
        notes += self._note_of_images(checkpoint)
        if not checkpoint.get("exact", True):
            notes.append(
                f"note: an error during an update saved iteration {checkpoint['iteration']}: from "
                "there on, the run is not bit for bit the one it continues"
            )
        return notes

    def _note_of_images(self, checkpoint: Mapping[str, Any]) -> list[str]:
        then, now = (each.get("data", {}).get("train") for each in (checkpoint, self.frame))
        if not then or not now or then["digest"] == now["digest"]:
            return []
        return [
            f"note: the resumed run learnt from other images ({then['images']}, now "
            f"{now['images']}): from here on, this run is not the one that it would have been"
        ]

    def is_comparable(self, checkpoint: Mapping[str, Any]) -> bool:
        """True where the checkpoint's best state was decided by what this session's is."""
        judged_by = checkpoint.get("judged_by")
        return judged_by is None or judged_by == self.judged_by
