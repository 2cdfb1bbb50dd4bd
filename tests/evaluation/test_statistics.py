"""Intervals and tests against scipy, against all resamples there are, and by simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from tmd.evaluation import statistics
from tmd.evaluation.statistics import (
    estimate,
    expanded_tail,
    interval,
    paired_difference,
    signed_rank,
    table_of,
)

#: PSNR of Set5 ×4 by bicubic, and of a network.
BICUBIC = [31.78, 30.18, 22.10, 31.59, 26.49]
NETWORK = [33.42, 32.70, 26.39, 33.09, 29.24]


def test_mean_and_median_are_those_by_hand() -> None:
    found = estimate(BICUBIC)
    assert found.mean == pytest.approx((31.78 + 30.18 + 22.10 + 31.59 + 26.49) / 5)
    assert found.median == 30.18
    assert (found.images, found.seeds, found.deviation) == (5, 1, None)


def test_of_five_images_the_ends_are_those_of_all_resamples() -> None:
    means = sorted(sum(each) / 5 for each in itertools.product(BICUBIC, repeat=5))
    # 0.00096 of 3,125 resamples is three of them; the fourth-least is the end, or its neighbours.
    assert expanded_tail(5) == pytest.approx(0.00096, abs=1e-5)
    low, high = interval(BICUBIC)
    assert means[0] <= low <= means[8]
    assert means[-9] <= high <= means[-1]
    assert low < np.quantile(means, 0.025) < np.quantile(means, 0.975) < high


def test_of_more_images_the_ends_are_scipys_percentiles() -> None:
    values = np.random.default_rng(3).normal(28, 3, 14)
    tail = expanded_tail(14)
    theirs = stats.bootstrap(
        (values,),
        np.mean,
        method="percentile",
        n_resamples=20_000,
        confidence_level=1 - 2 * tail,
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert interval(values) == pytest.approx(tuple(theirs), abs=0.15)


def test_the_ends_of_two_levels_are_those_of_all_pairs_of_resamples(monkeypatch) -> None:
    table = np.array([[20.0, 20.6], [25.0, 25.1], [31.0, 30.2]])
    means = [
        table[np.ix_(images, seeds)].mean()
        for images in itertools.product(range(3), repeat=3)
        for seeds in itertools.product(range(2), repeat=2)
    ]
    monkeypatch.setattr(statistics, "expanded_tail", lambda images: 0.1)
    assert interval(table) == pytest.approx(np.quantile(means, (0.1, 0.9)), abs=0.35)
    drawn = statistics.resampled_means(table)
    assert drawn.mean() == pytest.approx(np.mean(means), abs=0.05)
    assert drawn.std() == pytest.approx(np.std(means), rel=0.03)


def test_the_same_values_have_the_same_interval() -> None:
    values = np.random.default_rng(3).normal(28, 3, 14)
    assert interval(values) == interval(values.tolist())
    assert interval(values) != interval(values, seed=1)


def held(n: int, times: int, tail: float | None = None) -> float:
    """Share of draws from a normal law whose interval holds its mean."""
    count = 0
    for number in range(times):
        values = np.random.default_rng([n, number]).normal(28, 3, n)
        if tail is None:
            low, high = interval(values, number)
        else:
            low, high = np.quantile(statistics.resampled_means(values[:, None]), (tail, 1 - tail))
        count += low <= 28 <= high
    return count / times


def test_the_interval_holds_the_mean_as_often_as_it_says(monkeypatch) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", 2000)
    assert 0.89 < held(5, 300) < 0.98
    assert 0.91 < held(14, 300) < 0.98
    assert held(5, 300, tail=0.025) < 0.87  # why plain percentiles are not taken


def test_an_interval_over_seeds_holds_the_mean_of_other_seeds_and_images(monkeypatch) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", 2000)
    count = 0
    for number in range(300):
        draws = np.random.default_rng(number)
        table = draws.normal(0, 1, (8, 1)) + draws.normal(0, 0.3, (1, 3))
        low, high = interval(table + draws.normal(0, 0.3, (8, 3)), number)
        count += low <= 0 <= high
    assert 0.90 < count / 300 < 0.99


def test_one_image_tells_nothing_of_others() -> None:
    assert interval([28.4]) == (None, None)
    assert estimate([28.4]).low is None


def all_signs(differences: list[float]) -> float:
    """p of the signed-rank test by every choice of signs."""
    sizes = sorted(map(abs, differences))
    ranks = [sizes.index(abs(each)) + 1 for each in differences]
    half = sum(ranks) / 2
    seen = abs(sum(r for r, d in zip(ranks, differences, strict=True) if d > 0) - half)
    choices = list(itertools.product((0, 1), repeat=len(ranks)))
    sums = [sum(r for r, s in zip(ranks, c, strict=True) if s) for c in choices]
    as_far = [abs(each - half) >= seen for each in sums]
    return sum(as_far) / len(choices)


@pytest.mark.parametrize("n", [5, 6, 9])
def test_the_signed_rank_test_counts_all_signs(n: int) -> None:
    differences = [float(each) for each in np.random.default_rng(n).normal(0.4, 1, n)]
    assert signed_rank(differences) == pytest.approx(all_signs(differences))


def test_five_images_can_tell_nothing_and_six_can() -> None:
    five = paired_difference(NETWORK, BICUBIC)
    assert five.mean == pytest.approx(sum(NETWORK) / 5 - sum(BICUBIC) / 5)
    assert five.p == five.smallest_p == 0.0625
    assert not five.can_tell
    six = paired_difference([*NETWORK, 30.0], [*BICUBIC, 28.9])
    assert six.p == six.smallest_p == 0.03125
    assert six.can_tell


def test_pairs_tell_what_means_hide() -> None:
    """Images differ by 10 dB, systems by 0.1: each interval is wide, that of the difference not."""
    draws = np.random.default_rng(0)
    theirs = draws.normal(28, 4, 20)
    ours = theirs + draws.normal(0.1, 0.05, 20)
    found = paired_difference(ours, theirs)
    assert found.low > 0.05
    assert found.high < 0.15
    assert found.p < 0.001
    a, b = estimate(ours), estimate(theirs)
    assert a.low < b.mean < a.high


def test_equal_systems_have_no_p() -> None:
    found = paired_difference(BICUBIC, BICUBIC)
    assert (found.mean, found.low, found.high, found.p) == (0, 0, 0, None)


def test_seeds_are_compared_one_with_one_or_with_the_mean_of_fewer() -> None:
    ours = np.array([[30.0, 30.2], [31.0, 31.4], [29.0, 28.8]])
    assert paired_difference(ours, ours - 0.5).low == pytest.approx(0.5)
    found = paired_difference(ours, [29.0, 30.0, 28.0])
    assert found.mean == pytest.approx((1.1 + 1.2 + 0.9) / 3)
    assert paired_difference([29.0, 30.0, 28.0], ours).mean == pytest.approx(-found.mean)


def test_only_images_that_all_seeds_have_count() -> None:
    names, values = table_of([{"a": 1.0, "b": 2.0}, {"c": 0.0, "b": 4.0}])
    assert names == ["b"]
    assert values.tolist() == [[2.0, 4.0]]
    assert estimate([[2.0, 4.0]]).deviation == pytest.approx(math.sqrt(2))
