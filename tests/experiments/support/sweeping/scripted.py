"""Trainings that are small processes with a curve for a result, so that studies take seconds.

What a worker does with them is what it does with real ones: it starts, hears, prunes, ends them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna

from experiments.support.sweeping import runs_of_trials
from experiments.support.sweeping.runs_of_trials import Ended, Training
from experiments.support.sweeping.space import parse_space
from experiments.support.sweeping.spec import Spec
from experiments.support.sweeping.starting import Fresh
from experiments.support.sweeping.studies import OpenStudy, create_or_join
from experiments.support.sweeping.worker import StoreOptions, Worker

ITERATIONS = 20

#: Writes what a training reports: validations that near `height(x, y)` from below.
TRAINING = """
import json, os, select, sys, time
from pathlib import Path
study = json.loads(os.environ["TMD_STUDY"])
report = Path(os.environ["TMD_STUDY_REPORT"])
params = study["params"]
file = open(report, "a", buffering=1)
def tell(**line):
    file.write(json.dumps(line) + "\\n")
    while True:
        try:
            offset, wanted = report.with_suffix(".seen").read_text().split()
        except (OSError, ValueError):
            offset, wanted = 0, "True"
        if wanted == "False" or select.select([sys.stdin], [], [], 0)[0]:  # or its worker is gone
            print(sys.stdin.readline().strip())
            sys.exit(143)
        if int(offset) >= file.tell():
            return
        time.sleep(0.002)
tell(run=study["trial"] + 1, total=20)
tell(parameters={"generator": int(1000 * params.get("y", 0))})
x, y = params.get("x", 0.5), params.get("y", 0)
for iteration in range(2, 21, 2):
    psnr = 30 - 100 * (x - 0.3) ** 2 - 10 / iteration
    tell(iteration=iteration, metrics={"psnr": psnr})
tell(result={"psnr": psnr, "score": (x - 0.7) ** 2 + y})
"""


def in_step() -> Callable[..., Ended]:
    """`Training.watch` such that a training waits until each line that it told was considered."""
    watch = Training.watch

    def watched(
        training: Training,
        told: Callable[[Mapping[str, Any]], None],
        is_wanted: Callable[[], bool],
        farewell: Callable[[], str],
    ) -> Ended:
        seen = training.report.with_suffix(".seen")
        seen.unlink(missing_ok=True)

        def wanted() -> bool:
            answer = is_wanted()
            replace_text(seen, f"{training._read} {answer}")
            return answer

        try:
            return watch(training, told, wanted, farewell)
        finally:
            seen.unlink(missing_ok=True)

    return watched


def replace_text(path: Path, text: str) -> None:
    """Write a file that is never seen half-written."""
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").rename(path)


class Scripted:
    """A `Starter` of such trainings."""

    def threads(self) -> int:
        return 1

    def start(self, words: Sequence[str], threads: int, env: Mapping[str, str], log: Path) -> Fresh:
        with open(log, "wb") as file:
            return Fresh(["-c", TRAINING], env, file.fileno())

    def close(self) -> None:
        pass


def study_of(folder: Path, name: str = "scripted", **more) -> OpenStudy:
    """A study over x in 0..1, and y in 0..1, with a place in ``folder``."""
    trials = more.pop("trials", 6)
    space = parse_space(more.pop("space", {"x": "0.0..1.0", "y": "0.0..1.0"}))
    storage = more.pop("storage", str(folder / "studies"))
    objectives = more.pop("objectives", ("validation.psnr",))
    found = create_or_join(name, storage, Spec("srgan", (), {}, space, objectives, **more))
    found.ask_for(trials)
    return found


def work(study: OpenStudy, folder: Path, stale_after: float = 60.0) -> int:
    """Have a worker end all trials."""
    worker = Worker(study, StoreOptions([], str(folder / "runs")), stale_after)
    worker.starter = Scripted()  # type: ignore[assignment]
    return worker.work()


def states(study: OpenStudy) -> list[str]:
    """State of each trial, by number."""
    return [trial.state.name for trial in study.trials()]


def psnr(params: Mapping[str, float], iteration: int) -> float:
    """What the training with ``params`` validates at."""
    return 30 - 100 * (params["x"] - 0.3) ** 2 - 10 / iteration


def pruned_by_optuna(study: OpenStudy) -> list[bool]:
    """Trials that Optuna itself prunes, of the same draws and curves, with nobody in between."""
    other = optuna.create_study(
        study_name=study.name,
        direction="maximize",
        sampler=study.optuna.sampler,
        pruner=study.optuna.pruner,
    )

    def objective(trial: optuna.Trial) -> float:
        params = {name: trial.suggest_float(name, 0.0, 1.0) for name in ("x", "y")}
        for iteration in range(2, ITERATIONS + 1, 2):
            trial.report(psnr(params, iteration), 100 * iteration // ITERATIONS)
            if iteration < ITERATIONS and trial.should_prune():
                raise optuna.TrialPruned
        return psnr(params, ITERATIONS)

    other.optimize(objective, n_trials=study.asked)
    return [trial.state.name == "PRUNED" for trial in other.trials]


if __name__ == "__main__":
    runs_of_trials.POLL = 0.01
    Training.watch = in_step()  # type: ignore[method-assign]
    name, folder, stale_after = sys.argv[1:]
    from experiments.support.sweeping.studies import open_study

    work(open_study(name, str(Path(folder) / "studies")), Path(folder), float(stale_after))
