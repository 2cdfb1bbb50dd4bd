"""Results of a study, as lines for a terminal or Markdown."""

from __future__ import annotations

import math
import shlex
import statistics
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from experiments.support.sweeping.samplers import params_of
from experiments.support.sweeping.studies import OpenStudy, repeat_of
from observers.reading.listing import short
from tmd.errors import UserError, check_choice, printable
from tmd.metrics.registry import metric

WORDS = {
    TrialState.COMPLETE: "done",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}
#: Probability that an interval of a mean covers.
CONFIDENCE = 0.95
#: Stands for a value that a trial does not have.
ABSENT = "–"


def said_at_the_start(study: OpenStudy, workers: int) -> str:
    """Lines on what is about to be done."""
    spec, counts = study.spec, _counts(study)
    goals = ", ".join(
        f"{direction} {name}"
        for direction, name in zip(spec.directions, spec.objectives, strict=True)
    )
    repeats = f" of {spec.repeats} runs" if spec.repeats > 1 else ""
    return "\n".join(
        [
            f"study {study.name} in {printable(study.storage.place)}: {study.asked} trials"
            f"{repeats} of {spec.experiment}, by {spec.sampler}; {goals}",
            f"space: {spec.said('space')}",
            f"{counts}; {workers} worker{'s' if workers > 1 else ''}",
        ]
    )


def said_at_the_end(study: OpenStudy) -> str:
    """Lines on what came out."""
    lines = ["", _counts(study)]
    if any(trial.state is TrialState.COMPLETE for trial in study.trials()):
        lines.append(best(study))
    lines.append(f"\ntable:        tmd sweep table with {_study_words(study)}")
    return "\n".join(lines)


def one_trial(study: OpenStudy, trial: FrozenTrial) -> str:
    """A trial in a line."""
    params = " ".join(f"{key}={short(value)}" for key, value in params_of(trial).items())
    said = f"trial {trial.number}: {params}: "
    if trial.state is TrialState.COMPLETE:
        values = zip(study.spec.objectives, trial.values, strict=True)
        return said + ", ".join(f"{name} {metric(name).text(value)}" for name, value in values)
    return said + f"{WORDS[trial.state]}: {trial.user_attrs.get('reason', '')}".rstrip(": ")


def status(study: OpenStudy) -> str:
    """Numbers of trials by state, and those that run or failed in a line each."""
    lines = [f"study {study.name} in {printable(study.storage.place)}: {study.spec.experiment}"]
    lines += [f"space: {study.spec.said('space')}", _counts(study)]
    for trial in study.trials():
        if trial.state in (TrialState.RUNNING, TrialState.FAIL, TrialState.PRUNED):
            runs = _runs(study, trial)
            listed = f" (run {', '.join(map(str, runs))})" if runs else ""
            lines.append(f"{one_trial(study, trial)}{listed}")
    return "\n".join(lines)


def _counts(study: OpenStudy) -> str:
    counts = Counter(trial.state for trial in study.trials())
    listed = ", ".join(f"{counts[state]} {word}" for state, word in WORDS.items() if counts[state])
    return f"{study.asked} trials: {listed}"


def _runs(study: OpenStudy, trial: FrozenTrial) -> list[Any]:
    """Numbers of the runs of a trial; of a repeat that was gone on with, the last."""
    found = (trial.user_attrs.get(f"runs_{repeat}") for repeat in range(study.spec.repeats))
    return [runs[-1] for runs in found if runs]


def best(study: OpenStudy) -> str:
    """The best trial, or those on the Pareto front, and the command line of each.

    Raises:
        UserError: no trial is done.
    """
    spec = study.spec
    done = [trial for trial in study.trials() if trial.state is TrialState.COMPLETE]
    if not done:
        raise UserError(f"study={study.name}: no trial is done yet ({_counts(study)})")
    front = _front(study, done)
    lines = []
    if len(spec.objectives) > 1:
        lines.append(f"{len(front)} of {len(done)} trials, none of which another is better than:")
    for trial in front:
        runs = ", ".join(map(str, _runs(study, trial)))
        lines.append(f"{one_trial(study, trial)} (run {runs})")
        words = " ".join(shlex.quote(word) for word in _words(study, trial))
        lines.append(f"    tmd {spec.experiment} with {words}")
    return "\n".join(lines)


def _words(study: OpenStudy, trial: FrozenTrial) -> list[str]:
    return study.spec.words(params_of(trial), 0)


def _front(study: OpenStudy, done: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The best trial; of several objectives, those that no other dominates, by the first one."""
    signs = [1 if direction == "maximize" else -1 for direction in study.spec.directions]
    gains = {t.number: [s * v for s, v in zip(signs, t.values, strict=True)] for t in done}
    ordered = sorted(done, key=lambda trial: gains[trial.number], reverse=True)
    if len(signs) == 1:
        return ordered[:1]

    def dominated(trial: FrozenTrial) -> bool:
        mine = gains[trial.number]
        return any(
            theirs != mine and all(b >= a for a, b in zip(mine, theirs, strict=True))
            for theirs in gains.values()
        )

    return [trial for trial in ordered if not dominated(trial)]


def table(study: OpenStudy, markdown: bool) -> str:
    """All trials, the best first; a value is the mean of its repeats, ± half its interval."""
    spec = study.spec
    trials = study.trials()
    done = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    sign = -1 if spec.directions[0] == "maximize" else 1
    done.sort(key=lambda trial: sign * trial.values[0])
    others = [t for t in trials if t.state in (TrialState.PRUNED, TrialState.FAIL)]
    rows = [["trial", *spec.keys, *map(_head, spec.objectives), "runs"]]
    for trial in [*done, *others]:
        params = params_of(trial)
        cells = [str(trial.number)]
        cells += [short(params[key], 40) if key in params else ABSENT for key in spec.keys]
        ended = trial.state is TrialState.COMPLETE
        values = [_cell(study, trial, o) if ended else WORDS[trial.state] for o in spec.objectives]
        rows.append([*cells, *values, ", ".join(map(str, _runs(study, trial)))])
    lines = formatted(rows, markdown)
    left = study.asked - len(done) - len(others)
    notes = [f"{left} more trials have not ended yet"] if left else []
    if spec.repeats > 1:
        notes.append(
            f"mean of {spec.repeats} runs (seeds {spec.seed} to {spec.seed + spec.repeats - 1}) "
            f"± half of its {CONFIDENCE:.0%} interval (Student's t)"
        )
    return "\n".join([*lines, *([""] if notes else []), *notes])


def _head(objective: str) -> str:
    found = metric(objective)
    unit = f", {found.unit}" if found.unit else ""
    arrow = "higher" if found.higher_is_better else "lower"
    return f"{found.label} ({arrow} is better{unit})"


def _cell(study: OpenStudy, trial: FrozenTrial, objective: str) -> str:
    values = [repeat_of(trial, repeat)["values"][objective] for repeat in range(study.spec.repeats)]
    mean, half = interval(values)
    said = metric(objective).text(mean)
    return said if half is None else f"{said} ± {_digits(objective, half)}"


def _digits(objective: str, half: float) -> str:
    text = metric(objective).text(half)
    return f"{half:.1g}" if float(text) == 0 and half else text


def interval(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean of a sample, and half the width of its interval by Student's t; None for one value."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, None
    from scipy.stats import t

    spread = statistics.stdev(values) / math.sqrt(len(values))
    return mean, float(t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * spread


def importance(study: OpenStudy, markdown: bool, method: str) -> str:
    """Share of each key in an objective's differences, in percent.

    Raises:
        UserError: there are too few trials, or the method's library is missing.
    """
    import optuna

    check_choice("method", method, ("ped-anova", "fanova"))
    kinds = optuna.importance
    done = [trial for trial in study.trials() if trial.state is TrialState.COMPLETE]
    if len(done) < 4:
        raise UserError(
            f"study={study.name}: importance takes 4 trials that are done ({len(done)})"
        )
    rows = [["key", *(metric(each).label for each in study.spec.objectives)]]
    columns = []
    for index, objective in enumerate(study.spec.objectives):
        try:
            evaluator = (
                kinds.FanovaImportanceEvaluator(seed=1)
                if method == "fanova"
                else kinds.PedAnovaImportanceEvaluator()
            )
            target = partial(_loss, index, study.spec.directions[index])
            with warnings.catch_warnings():  # that lower is better, as `_loss` has it
                warnings.simplefilter("ignore")
                found = kinds.get_param_importances(
                    study.optuna, evaluator=evaluator, target=target
                )
            columns.append(found)
        except ImportError:
            raise UserError(
                "method=fanova: needs scikit-learn; pip install scikit-learn, or take ped-anova"
            ) from None
        except (ValueError, RuntimeError) as problem:
            raise UserError(f"importance of {objective}: {problem}") from None
    keys = sorted(study.spec.keys, key=lambda key: -sum(each.get(key, 0.0) for each in columns))
    for key in keys:
        cells = [f"{100 * each[key]:.0f} %" if key in each else ABSENT for each in columns]
        rows.append([key, *cells])
    notes = [f"by {method}, of {len(done)} trials"]
    if any(each.parent for each in study.spec.space):
        notes.append(f"{ABSENT}: not given in every trial, so that it can't be compared")
    return "\n".join([*formatted(rows, markdown), "", *notes])


def _loss(index: int, direction: str, trial: FrozenTrial) -> float:
    """What PED-ANOVA takes for the better the lower it is."""
    return trial.values[index] if direction == "minimize" else -trial.values[index]


def formatted(rows: Iterable[Sequence[str]], markdown: bool) -> list[str]:
    """Lines of a table, the first row of which is its head."""
    cells = [[printable(cell) for cell in row] for row in rows]
    if markdown:
        head, *body = (f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in cells)
        return [head, "|" + "---|" * len(cells[0]), *body]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return lines


def _study_words(study: OpenStudy) -> str:
    return f"study={study.name}"
