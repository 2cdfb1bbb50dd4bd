from __future__ import annotations

from typing import Any

from ignite.engine import Engine, Events

from tmd.handlers import Checkpoints
from tmd.training import TrainingEvents


class Folder:
    """A store that remembers every operation in its order."""

    def __init__(self, full_from: int | None = None) -> None:
        self.files: dict[str, Any] = {}
        self.log: list[str] = []
        self.full_from = full_from
        self.late: tuple[int, ...] = ()

    def save(self, name: str, contents: dict[str, Any]) -> bool:
        if contents["iteration"] in self.late:
            self.files[name] = contents  # not durable yet, but in a while
            return False
        if self.full_from is not None and contents["iteration"] >= self.full_from:
            return False
        self.files[name] = contents
        self.log.append(f"+{name}")
        return True

    def remove(self, name: str) -> None:
        self.files.pop(name, None)
        self.log.append(f"-{name}")


def run(
    iterations: int,
    every: int,
    best_at: tuple[int, ...] = (),
    full_from: int | None = None,
    late: tuple[int, ...] = (),
) -> Folder:
    folder = Folder(full_from)
    folder.late = late
    trainer = Engine(lambda engine, batch: None)
    trainer.register_events(*TrainingEvents)
    best: dict[str, Any] = {}

    @trainer.on(Events.ITERATION_COMPLETED)
    def validate(engine: Engine) -> None:
        engine.state.is_best = engine.state.iteration in best_at
        if engine.state.is_best:
            best["iteration"] = engine.state.iteration
        engine.fire_event(TrainingEvents.VALIDATED)

    Checkpoints(
        lambda: {"iteration": trainer.state.iteration},
        lambda: dict(best) or None,
        folder.save,
        folder.remove,
        every,
        iterations,
    ).attach(trainer)
    trainer.run(range(iterations), max_epochs=1)
    return folder


def test_the_last_two_are_kept_and_the_new_one_is_there_before_the_old_one_goes() -> None:
    folder = run(7, every=2)
    assert sorted(folder.files) == ["checkpoint_00000006.pt", "checkpoint_00000007.pt"]
    assert folder.log == [
        "+checkpoint_00000002.pt",
        "+checkpoint_00000004.pt",
        "+checkpoint_00000006.pt",
        "-checkpoint_00000002.pt",
        "+checkpoint_00000007.pt",
        "-checkpoint_00000004.pt",
    ]


def test_the_best_is_replaced_when_there_is_a_better_one_only() -> None:
    folder = run(6, every=100, best_at=(2, 3))
    assert folder.files["best.pt"] == {"iteration": 3}
    assert folder.log.count("+best.pt") == 2


def test_what_could_not_be_written_is_tried_again_at_the_same_iteration() -> None:
    folder = Folder(full_from=0)
    trainer = Engine(lambda engine, batch: None)
    trainer.register_events(*TrainingEvents)
    checkpoints = Checkpoints(
        lambda: {"iteration": 1}, lambda: None, folder.save, folder.remove, every=1, last=1
    )
    checkpoints.attach(trainer)
    trainer.run([0], max_epochs=1)
    assert folder.files == {}
    folder.full_from = None
    checkpoints.save(trainer)
    checkpoints.save(trainer)
    assert folder.log == ["+checkpoint_00000001.pt"]


def test_while_a_new_one_can_not_be_written_the_old_ones_stay() -> None:
    folder = run(10, every=2, full_from=5)
    assert sorted(folder.files) == ["checkpoint_00000002.pt", "checkpoint_00000004.pt"]


def test_what_became_durable_later_is_pruned_too() -> None:
    folder = run(10, every=2, late=(4, 6))
    assert sorted(folder.files) == ["checkpoint_00000008.pt", "checkpoint_00000010.pt"]
