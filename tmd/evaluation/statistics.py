"""Means over a benchmark's images and their uncertainty; two systems compared image by image.

The interval of a mean is a bootstrap's percentiles. Those of few images are too narrow: resampled
means vary by (n - 1) / n of the variance, and their percentiles are a normal law's and not
Student's, so that of five images 95 % percentiles hold the mean 82 times of 100. Here they are
taken further out, to hold it 93 times, by Student's law (T. Hesterberg, *What Teachers Should Know
About the Bootstrap*, The American Statistician 69, 2015, "expanded percentile interval"). BCa,
which corrects for skewness, is no better of five images: it needs the third moment, which
five values do not tell. `benchmarks/intervals.py` measures all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: How often an interval shall hold the mean over all images that there might be.
CONFIDENCE = 0.95
RESAMPLES = 20_000
_AT_ONCE = 4_000_000

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A metric of a system over the images of a benchmark.

    Attributes:
        mean: over images and, where there are several, seeds.
        median: over images, of their means over the seeds.
        low, high: the mean's 95 % interval; None of a single image.
        images: how many there are.
        seeds: how many trainings.
        deviation: standard deviation of the seeds' means; None of a single one.
    """

    mean: float
    median: float
    low: float | None
    high: float | None
    images: int
    seeds: int
    deviation: float | None


@dataclass(frozen=True)
class Difference:
    """A metric of one system less that of another, image by image.

    Attributes:
        mean: over images and seeds.
        low, high: its 95 % interval; None of a single image.
        p: of Wilcoxon's signed-rank test, two-sided: how probable ranks as one-sided as these are
            where neither system is better; None where no image differs.
        smallest_p: the least that so many images can give.
        images: how many there are.
    """

    mean: float
    low: float | None
    high: float | None
    p: float | None
    smallest_p: float
    images: int

    @property
    def can_tell(self) -> bool:
        """Enough images that the test could come below 5 %."""
        return self.smallest_p < 1 - CONFIDENCE


def table_of(seeds: Sequence[Mapping[str, float]]) -> tuple[list[str], Values]:
    """The images that all seeds have a value of, and their values, (images, seeds).

    Args:
        seeds: each training's values by image, see `tmd.evaluation.PerImage.known`.
    """
    names = [name for name in seeds[0] if all(name in each for each in seeds)]
    return names, np.array([[each[name] for each in seeds] for name in names]).reshape(
        len(names), len(seeds)
    )


def estimate(values: ArrayLike, seed: int = 0) -> Estimate:
    """Mean with its interval, and median.

    Args:
        values: (images,) or (images, seeds), at least one.
        seed: of the resampling; the same values give the same interval.

    Example:
        >>> estimate([33.6, 34.2, 27.8, 30.0, 29.1]).median
        30.0
    """
    table = _two_levels(values)
    images, seeds = table.shape
    low, high = interval(table, seed)
    return Estimate(
        float(table.mean()),
        float(np.median(table.mean(1))),
        low,
        high,
        images,
        seeds,
        float(table.mean(0).std(ddof=1)) if seeds > 1 else None,
    )


def interval(values: ArrayLike, seed: int = 0) -> tuple[float | None, float | None]:
    """95 % interval of the mean over images and, where there are several, seeds.

    Both are drawn anew, each by itself, and every image of a drawn seed is the drawn one's: a
    bootstrap of two crossed levels (A. Owen, *The pigeonhole bootstrap*, Annals of Applied
    Statistics 1, 2007), which says where the mean of other images by other trainings may lie.

    Args:
        values: (images,) or (images, seeds).
        seed: of the resampling.

    Returns:
        Its ends; None of a single image, which tells nothing of others.
    """
    table = _two_levels(values)
    images = len(table)
    if images < 2:
        return None, None
    tail = expanded_tail(images)
    low, high = np.quantile(resampled_means(table, seed), (tail, 1 - tail))
    return float(low), float(high)


def expanded_tail(images: int) -> float:
    """Share of resampled means to be left out at either end, of so many images.

    Φ(-√(n / (n - 1)) · t), with Student's t of n - 1 degrees of freedom: 0.00096 of five images,
    0.025 of very many.
    """
    from scipy import stats  # takes a second to import

    student = stats.t.ppf((1 + CONFIDENCE) / 2, images - 1)
    return float(stats.norm.cdf(-math.sqrt(images / (images - 1)) * student))


def resampled_means(table: Values, seed: int = 0) -> Values:
    """Means over drawn images and drawn seeds of (images, seeds); (`RESAMPLES`,)."""
    draws = np.random.default_rng(seed)
    images, seeds = table.shape
    found = []
    for begin in range(0, RESAMPLES, max(1, _AT_ONCE // images)):
        count = min(RESAMPLES - begin, max(1, _AT_ONCE // images))
        # How often each is drawn says the same as which were, in one product.
        of_images = draws.multinomial(images, np.full(images, 1 / images), count) / images
        of_seeds = draws.multinomial(seeds, np.full(seeds, 1 / seeds), count) / seeds
        found.append(((of_images @ table) * of_seeds).sum(1))
    return np.concatenate(found)


def paired_difference(ours: ArrayLike, theirs: ArrayLike, seed: int = 0) -> Difference:
    """One system's metric less another's, of the same images.

    Args:
        ours, theirs: (images,) or (images, seeds), the images in the same order. As many seeds
            of both are taken one with one; of others, each image's means over them.
        seed: of the resampling.
    """
    a, b = _two_levels(ours), _two_levels(theirs)
    if a.shape[1] != b.shape[1]:
        # The larger group keeps its seeds; the other's mean is what they are compared with.
        a, b = (
            (a, b.mean(1, keepdims=True))
            if a.shape[1] > b.shape[1]
            else (
                a.mean(1, keepdims=True),
                b,
            )
        )
    differences = a - b
    low, high = interval(differences, seed)
    each = differences.mean(1)
    return Difference(
        float(each.mean()), low, high, signed_rank(each), 2 / 2 ** len(each), len(each)
    )


def signed_rank(differences: ArrayLike) -> float | None:
    """P of Wilcoxon's signed-rank test, two-sided; None where nothing differs.

    Exact up to 50 images without ties; images that do not differ are left out.
    """
    from scipy import stats

    each = np.asarray(differences, np.float64)
    each = each[each != 0]
    return float(stats.wilcoxon(each).pvalue) if len(each) else None


def _two_levels(values: ArrayLike) -> Values:
    table = np.asarray(values, np.float64)
    return table[:, None] if table.ndim == 1 else table
