"""Which state is the best, told by a figure that needs no HR."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from tmd.handlers import Best
from tmd.metrics import metric, registry
from tmd.training import Phases


def verdicts(rows: list[tuple[int, float, float, float]]) -> list[bool]:
    best = Best(nn.Linear(1, 1), Phases(2, 0, 8), max_psnr_loss=1.0, guard="consistency")
    result = []
    for iteration, psnr, consistency, score in rows:
        figures = {"psnr": psnr, "consistency": consistency, "score": score}
        state = SimpleNamespace(iteration=iteration, validation=figures, is_best=None)
        trainer: Any = SimpleNamespace(state=state)
        best(trainer)
        result.append(state.is_best)
    return result


def test_the_guard_decides_while_pretraining_and_psnr_does_not() -> None:
    assert verdicts([(0, 20, 40, 9), (1, 30, 39, 9)]) == [True, False]
    assert verdicts([(0, 20, 40, 9), (1, 10, 41, 9)]) == [True, True]


def test_a_better_score_may_cost_psnr_but_not_more_of_the_guard_than_allowed() -> None:
    rows = [(2, 30, 40, 9), (4, 10, 39.1, 8), (6, 35, 38.9, 7), (8, 35, 39.1, 8.1), (10, 5, 39, 5)]
    assert verdicts(rows) == [True, True, False, False, True]


def test_which_way_is_better_is_what_the_registry_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, better in (("consistency", False), ("score", True)):
        turned = replace(metric(name), higher_is_better=better)
        monkeypatch.setitem(registry._METRICS, name, turned)
    assert verdicts([(0, 20, 40, 9), (1, 30, 39, 9)]) == [True, True]
    assert verdicts([(2, 30, 40, 9), (4, 30, 40.9, 10), (6, 30, 41.1, 11), (8, 30, 40, 9.5)]) == [
        True,
        True,
        False,
        False,
    ]
