"""Repeats are put together, and their means, intervals and importance are statistics' own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from observers.reading.groups import (
    by_config,
    by_keys,
    by_study,
    importance,
    spread,
    t_quantile,
)
from observers.reading.listing import LastAndBest, Listed


def run(id: int, psnr: float | None = 28.0, **more: Any) -> Listed:
    facts = {"status": "COMPLETED", "experiment": "srgan", "config": {"scale": 4, "seed": id}}
    measured = {} if psnr is None else {"validation.psnr": LastAndBest(psnr, 9, psnr + 1, 5)}
    return Listed(id=id, **{**facts, "metrics": measured, **more})


def trial(id: int, number: int, psnr: float, **more: Any) -> Listed:
    study = {"name": "s", "trial": number, "repeat": id, "params": {"lr": number / 10}}
    return run(id, psnr, study=study, **more)


def test_the_interval_is_students() -> None:
    values = np.random.default_rng(0).normal(28, 0.3, 5)
    found = spread(list(values))
    low, high = stats.t.interval(0.95, 4, values.mean(), stats.sem(values))
    assert found.mean == pytest.approx(values.mean())
    assert found.half == pytest.approx((high - low) / 2, rel=1e-4)
    assert spread([28.0]) == (28.0, None, 1)
    assert spread([]) is None
    for freedom in (1, 2, 10, 11, 30, 200):
        assert t_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=2e-4)


def test_trials_of_a_study_with_their_repeats() -> None:
    runs = [trial(1, 10, 28), trial(2, 2, 27), trial(3, 10, 29), run(4), trial(5, 2, 1)]
    runs[4] = trial(5, 2, 1, status="FAILED")
    first, second = by_study(runs)
    assert (first.study, first.trial, first.values) == ("s", 2, {"lr": 0.2})
    assert [each.id for each in first.runs] == [2]
    assert first.others == {"FAILED": 1}
    assert second.trial == 10  # by number, not by text
    assert second.spread("validation.psnr").mean == 28.5
    assert second.spread("validation.psnr", best=True).mean == 29.5
    assert second.spread("validation.ssim") is None


def test_runs_that_differ_in_their_seeds_only() -> None:
    a, b = {"scale": 4, "lr": 1}, {"scale": 4, "lr": 1.0}
    runs = [
        run(1, 28, config={**a, "seed": 1}),
        run(2, 30, config={**a, "seed": 2, "resume": 1}),
        run(3, 5, config={**b, "seed": 1}),
        run(4, 5, experiment="evaluate", config={**a, "seed": 1}),
        run(5, 29, config={**a, "seed": 1}),  # the first again: one seed is one value
    ]
    groups = by_config(runs)
    assert [[each.id for each in group.runs] for group in groups] == [[5, 2], [3], [4]]
    assert groups[0].others == {"repeated": 1}
    assert groups[0].spread("validation.psnr").mean == 29.5
    assert groups[0].values == {"lr": 1}


def test_runs_by_values_of_keys() -> None:
    configs = [{"scale": scale, "seed": 1, "lr": lr} for scale in (2, 4) for lr in (1, 2)]
    runs = [run(number, config=config) for number, config in enumerate(configs)]
    runs.append(run(9, experiment="evaluate", config={"border": 4}))
    groups = by_keys(runs, ["scale"])
    assert [(group.values["scale"], len(group.runs)) for group in groups] == [(2, 2), (4, 2)]


def test_importance_is_the_share_of_the_ranks_variance() -> None:
    rng = np.random.default_rng(1)
    x, y, z = rng.uniform(size=(3, 400))
    kind = rng.choice(["a", "b"], 400)
    objective = np.exp(4 * (x - 0.5) ** 2) + 0.1 * (kind == "a") + 0.05 * y
    rows = [
        ({"x": float(a), "y": float(b), "kind": str(c)}, float(value))
        for a, b, c, value in zip(x, y, kind, objective, strict=True)
    ]
    shares = importance(rows)
    assert next(iter(shares)) == "x"  # which no correlation would see
    ranks = stats.rankdata(objective)
    groups = [ranks[kind == each] for each in "ab"]
    f = stats.f_oneway(*groups).statistic
    expected = (f - 1) / (f + (400 - 2) / (2 - 1))  # epsilon squared by F
    assert shares["kind"] == pytest.approx(expected)
    quarters = np.digitize(stats.rankdata(x), [100.5, 200.5, 300.5])
    f = stats.f_oneway(*(ranks[quarters == each] for each in range(4))).statistic
    assert shares["x"] == pytest.approx((f - 1) / (f + 396 / 3))
    assert importance([({"x": 1.0}, 2.0)]) == {"x": 0.0}
    assert importance([({"z": v}, w) for v, w in zip(z, z, strict=True)])["z"] > 0.9
