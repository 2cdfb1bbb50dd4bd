"""Coverage of 95 % intervals of a benchmark's mean, by simulation.

    python benchmarks/intervals.py

Images are drawn from a law whose mean is known: a normal one, as PSNR's values are, and a skewed
one, as LPIPS's are. "percentile" and "BCa" are scipy's bootstraps, "expanded" is
`tmd.evaluation.statistics.interval`, "Student" the interval by Student's t. The second table is of
three seeds on the images: how often the interval holds the mean of other images and seeds.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable

import numpy as np
from scipy import stats

from tmd.evaluation import statistics

CONFIDENCE = statistics.CONFIDENCE
#: (how to draw n values, their mean)
LAWS: dict[str, tuple[Callable, float]] = {
    "normal": (lambda draws, n: draws.normal(30, 3, n), 30.0),
    "log-normal": (lambda draws, n: draws.lognormal(-2, 0.5, n), float(np.exp(-2 + 0.125))),
}


def scipys(method: str) -> Callable:
    """Interval by scipy's bootstrap."""

    def ends(values: np.ndarray, number: int) -> tuple[float, float]:
        found = stats.bootstrap(
            (values,),
            np.mean,
            method=method,
            n_resamples=1999,
            confidence_level=CONFIDENCE,
            rng=np.random.default_rng(number),
        )
        return found.confidence_interval

    return ends


def student(values: np.ndarray, number: int) -> tuple[float, float]:
    """Interval by Student's t."""
    return stats.t.interval(CONFIDENCE, len(values) - 1, values.mean(), stats.sem(values))


INTERVALS = {
    "percentile": scipys("percentile"),
    "BCa": scipys("BCa"),
    "expanded": statistics.interval,
    "Student": student,
}


def held(interval: Callable, draw: Callable, mean: float, n: int, times: int) -> float:
    """Share of simulations in which the interval holds the mean."""
    count = 0
    for number in range(times):
        values = draw(np.random.default_rng([n, number]), n)
        low, high = interval(values, number)
        count += low <= mean <= high
    return count / times


def with_seeds(images: int, spread: tuple[float, float, float], times: int) -> float:
    """Share in which the interval of three seeds holds 0, the mean of all images and seeds.

    Args:
        spread: standard deviation of images, of seeds, and of what is neither's.
    """
    count = 0
    for number in range(times):
        draws = np.random.default_rng([images, number])
        of_images, of_seeds, rest = spread
        table = draws.normal(0, of_images, (images, 1)) + draws.normal(0, of_seeds, (1, 3))
        low, high = statistics.interval(table + draws.normal(0, rest, (images, 3)), number)
        count += low <= 0 <= high
    return count / times


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=2000)
    times = parser.parse_args().times
    warnings.simplefilter("ignore")
    print("| law | images | " + " | ".join(INTERVALS) + " |")
    print("|---|---|" + "---|" * len(INTERVALS))
    for law, (draw, mean) in LAWS.items():
        for n in (5, 14, 100):
            shares = [held(each, draw, mean, n, times) for each in INTERVALS.values()]
            print(f"| {law} | {n} | " + " | ".join(f"{100 * s:.1f} %" for s in shares) + " |")
    print("\n| images | deviation of images, seeds, rest | expanded, both levels |\n|---|---|---|")
    for n in (5, 14, 100):
        for spread in ((3, 0.05, 0.1), (0.1, 0.05, 0.05), (0, 0.05, 0.05)):
            share = with_seeds(n, spread, times)
            print(f"| {n} | {', '.join(map(str, spread))} | {100 * share:.1f} % |")


if __name__ == "__main__":
    main()
