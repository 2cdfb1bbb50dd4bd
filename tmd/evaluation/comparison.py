"""Systems in the rows of a table, each metric of each benchmark a column with its interval."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from tmd.errors import UserError
from tmd.evaluation.per_image import PerImage
from tmd.evaluation.statistics import Difference, Estimate, estimate, paired_difference, table_of
from tmd.metrics.registry import Metric, metric

#: Images below which the signed-rank test can't come below 5 %, whatever it is given.
ENOUGH_IMAGES = 6


@dataclass(frozen=True)
class Compared:
    """A system and its values by image, of each of its trainings.

    Attributes:
        name: as the table has it.
        seeds: each training's values, of this system alone.
    """

    name: str
    seeds: tuple[PerImage, ...]

    def values(self, column: Column) -> list[dict[str, float]]:
        """Value by image of each training."""
        wanted = {"benchmark": column.benchmark, "scale": column.scale, "metric": column.metric}
        return [each.select(**wanted).known() for each in self.seeds]


class Column(NamedTuple):
    """A metric of a benchmark at a scale."""

    benchmark: str
    scale: int
    metric: str

    @property
    def set(self) -> str:
        """The benchmark and its scale: ``Set5 ×4``."""
        return f"{self.benchmark} ×{self.scale}"


@dataclass(frozen=True)
class Comparison:
    """Systems compared on benchmarks by metrics.

    Attributes:
        systems: in the order of the rows.
        columns: in the order of the columns, those of a benchmark together.
        baseline: name of the system that the others are compared with image by image, or None.
        recorded: descriptions of metrics that are not known here, see `tmd.metrics.registry`.
    """

    systems: tuple[Compared, ...]
    columns: tuple[Column, ...]
    baseline: str | None = None
    recorded: Mapping[str, object] | None = None

    @cached_property
    def estimates(self) -> dict[tuple[str, Column], Estimate]:
        """Mean, median and interval by system and column.

        Raises:
            UserError: a system has no image of a column.
        """
        found = {}
        for system in self.systems:
            for column in self.columns:
                names, values = table_of(system.values(column))
                if not names:
                    raise UserError(f"{system.name}: no image of {column.set} has {column.metric}")
                found[system.name, column] = estimate(values)
        return found

    @cached_property
    def differences(self) -> dict[tuple[str, Column], Difference]:
        """The other systems less the baseline by system and column, of the images of both."""
        if self.baseline is None:
            return {}
        base = next(each for each in self.systems if each.name == self.baseline)
        found = {}
        for system in self.systems:
            if system is base:
                continue
            for column in self.columns:
                ours, theirs = system.values(column), base.values(column)
                names, both = table_of([*ours, *theirs])
                if not names:
                    raise UserError(
                        f"{column.set}: {system.name} and {base.name} have no image in common; "
                        "is it one benchmark?"
                    )
                a, b = both[:, : len(ours)], both[:, len(ours) :]
                found[system.name, column] = paired_difference(a, b)
        return found

    def described(self, column: Column) -> Metric:
        """Description of the column's metric."""
        return metric(column.metric, self.recorded)

    def ranks(self, column: Column) -> dict[str, int]:
        """Place of each system in a column by the printed mean; the best is 0, equals share one.

        Empty where neither direction is better.
        """
        said = self.described(column)
        if said.higher_is_better is None:
            return {}
        printed = {
            each.name: float(said.text(self.estimates[each.name, column].mean))
            for each in self.systems
        }
        order = sorted(set(printed.values()), reverse=said.higher_is_better)
        return {name: order.index(value) for name, value in printed.items()}

    def notes(self) -> list[str]:
        """Sentences that say what is in the table."""
        counts: dict[str, int] = {}
        for (_, column), found in self.estimates.items():
            counts[column.set] = max(found.images, counts.get(column.set, 0))
        images = ", ".join(f"{name} has {count} images" for name, count in counts.items())
        lines = [
            f"{images}. In brackets: 95 % interval of the mean over images (bootstrap, percentiles "
            "expanded by Student's law)."
        ]
        several = [f"{s.name} {len(s.seeds)}" for s in self.systems if len(s.seeds) > 1]
        if several:
            lines.append(
                f"Trainings with other seeds: {', '.join(several)}. Theirs are the mean over seeds "
                "± the standard deviation of the seeds' means; their interval is of both levels, "
                "images and seeds drawn anew."
            )
        lines += self._left_out()
        return lines

    def _left_out(self) -> Iterator[str]:
        for column in self.columns:
            counts = {s.name: self.estimates[s.name, column].images for s in self.systems}
            if len(set(counts.values())) > 1:
                said = ", ".join(f"{name} {count}" for name, count in counts.items())
                label = self.described(column).label
                yield f"{label} of {column.set} is not of the same images: {said}."

    def difference_notes(self) -> list[str]:
        """Sentences that say what the differences are, and where there are too few images."""
        lines = [
            f"Each less {self.baseline}, image by image: mean, 95 % interval, p of Wilcoxon's "
            "signed-rank test (two-sided, not corrected for the number of comparisons)."
        ]
        few: dict[str, Difference] = {}
        for (_, column), found in self.differences.items():
            if not found.can_tell:
                few[column.set] = found
        lines += [
            f"{name}: with {found.images} image{'s' * (found.images != 1)} the test can't give "
            f"less than p = {found.smallest_p:.2g}, so that none can be below .05, however clear; "
            f"it takes {ENOUGH_IMAGES} images."
            for name, found in few.items()
        ]
        return lines

    def to_csv(self) -> str:
        """A row for each system and column with all that is known of it, for programs."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        estimated = ("mean", "median", "low", "high", "deviation", "images", "seeds")
        compared = ("mean", "low", "high", "p", "images")
        writer.writerow(
            ["benchmark", "scale", "system", "metric", *estimated]
            + [f"difference_{name}" for name in compared if self.baseline is not None]
        )
        for (system, column), found in self.estimates.items():
            row = [column.benchmark, column.scale, system, column.metric]
            row += [_plain(getattr(found, name)) for name in estimated]
            if self.baseline is not None:
                other = self.differences.get((system, column))
                row += [_plain(getattr(other, name, None)) for name in compared]
            writer.writerow(row)
        return file.getvalue()


def _plain(value: float | None) -> str:
    return "" if value is None else repr(value)
