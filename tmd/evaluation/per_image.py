"""Values of metrics by image: a tidy table, one value a row, that statistics are made of."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tmd.errors import UserError, printable

#: Name of the table among the artifacts of a run.
FILE = "per_image.csv"
COLUMNS = ("benchmark", "scale", "system", "image", "metric", "value")
#: Column of later files; where it is absent, each image counts.
RATED = "rated"


@dataclass(frozen=True)
class ImageValue:
    """A metric of one system's result of one image.

    Attributes:
        benchmark: the benchmark's name.
        scale: HR pixels per LR pixel.
        system: name of what upscaled it, as the tables have it.
        image: its name within the benchmark.
        metric: name in the registry, perhaps with a convention: ``psnr``, ``psnr@basicsr``.
        value: the metric's; None where the image is too small for it.
        rated: the image counts in means; one of a single level does not.
    """

    benchmark: str
    scale: int
    system: str
    image: str
    metric: str
    value: float | None
    rated: bool = True


@dataclass(frozen=True)
class PerImage:
    """Values of metrics by benchmark, scale, system, image and metric, in the order measured.

    Example:
        >>> rows = PerImage((ImageValue("Set5", 4, "bicubic", "baby", "psnr", 31.78),))
        >>> PerImage.from_csv(rows.to_csv(), "per_image.csv") == rows
        True
        >>> rows.select(system="bicubic", metric="psnr").known()
        {'baby': 31.78}
    """

    values: tuple[ImageValue, ...] = ()

    def __add__(self, other: PerImage) -> PerImage:
        return PerImage(self.values + other.values)

    @property
    def benchmarks(self) -> list[tuple[str, int]]:
        """(benchmark, scale), each once."""
        return list(dict.fromkeys((each.benchmark, each.scale) for each in self.values))

    @property
    def systems(self) -> list[str]:
        """Names of the systems, each once."""
        return list(dict.fromkeys(each.system for each in self.values))

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics, each once."""
        return list(dict.fromkeys(each.metric for each in self.values))

    def select(self, **wanted: Any) -> PerImage:
        """The values whose attributes are those wanted: ``benchmark="Set5", metric="psnr"``."""
        items = wanted.items()
        return PerImage(tuple(v for v in self.values if all(getattr(v, k) == x for k, x in items)))

    def known(self) -> dict[str, float]:
        """Value by image, of the images that count and are large enough.

        Of a selection of one benchmark, scale, system and metric.
        """
        return {v.image: v.value for v in self.values if v.rated and v.value is not None}

    def to_csv(self) -> str:
        """Text with a line of column names; numbers with all their digits, unknown ones empty."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*COLUMNS, RATED])
        for v in self.values:
            value = "" if v.value is None else repr(float(v.value))
            writer.writerow([v.benchmark, v.scale, v.system, v.image, v.metric, value, v.rated])
        return file.getvalue()

    @classmethod
    def from_csv(cls, text: str, where: str) -> PerImage:
        """The values that `to_csv` wrote, or anybody with `COLUMNS`; other columns are left out.

        Args:
            where: the text comes from, for messages.

        Raises:
            UserError: a column is missing, a number is none, or a value is there twice.
        """
        rows = csv.DictReader(io.StringIO(text))
        if missing := [name for name in COLUMNS if name not in (rows.fieldnames or ())]:
            raise UserError(f"{where}: has no column {', '.join(missing)}")
        try:
            values = [_value(row) for row in rows]
        except (ValueError, TypeError, csv.Error) as problem:
            raise UserError(f"{where}, line {rows.line_num}: {printable(problem)}") from None
        _check_once(values, where)
        return cls(tuple(values))


def _value(row: Mapping[str, str]) -> ImageValue:
    number = float(row["value"]) if row["value"] else math.nan
    return ImageValue(
        row["benchmark"],
        int(row["scale"]),
        row["system"],
        row["image"],
        row["metric"],
        number if math.isfinite(number) else None,
        row.get(RATED) not in ("False", "false", "0"),
    )


def _check_once(values: Iterable[ImageValue], where: str) -> None:
    seen = set()
    for v in values:
        key = (v.benchmark, v.scale, v.system, v.image, v.metric)
        if key in seen:
            raise UserError(f"{where}: has {v.metric} of {v.system}, image {v.image}, twice")
        seen.add(key)
