"""Values by image as the record of an evaluation has them, whichever version wrote it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from experiments.support.evaluation_record import plain
from observers import RunRecord
from tmd.errors import UserError
from tmd.evaluation import ImageValue, PerImage
from tmd.evaluation.per_image import FILE
from tmd.metrics.registry import INFO_KEY


def recorded_values(record: RunRecord) -> PerImage:
    """The values of an evaluation by image.

    Records of earlier versions have no `FILE`; theirs are put together from the recorded metrics,
    which are in the order of the tables' images.

    Raises:
        UserError: the run has none, or they can't be read.
    """
    if FILE in record.artifacts():
        return PerImage.from_csv(_text(record, FILE), f"run {record.spec}, {FILE}")
    evaluated = record.info.get("evaluated")
    if not isinstance(evaluated, Mapping):
        raise UserError(f"run {record.spec}: is no evaluation, it has no values by image")
    try:
        return _put_together(record, evaluated)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UserError(f"run {record.spec}: its values by image can't be read") from None


def _put_together(record: RunRecord, evaluated: Mapping[str, Any]) -> PerImage:
    metrics, curves = list(record.info[INFO_KEY]), record.metrics()
    scale = int(record.config["scale"])
    values = []
    for benchmark in evaluated["benchmarks"]:
        images = _images(record, benchmark)
        left_out = record.info.get("left_out", {}).get(benchmark, {})
        for system, said in evaluated["systems"].items():
            # As the table's head has it: "run 3", of which "run_3" was made.
            source = str(said.get("source"))
            name = source if plain(source) == system else system
            found: dict[tuple[int, str], float] = {}
            for metric in metrics:
                if (curve := curves.get(f"{benchmark}.{system}.{metric}")) is not None:
                    found |= {
                        (int(s), metric): v for s, v in zip(curve.steps, curve.values, strict=True)
                    }
            for step, image in enumerate(images):
                rated = "of one level" not in str(left_out.get(image))
                values += [
                    ImageValue(
                        benchmark, scale, name, image, metric, found.get((step, metric)), rated
                    )
                    for metric in metrics
                ]
    return PerImage(tuple(values))


def _images(record: RunRecord, benchmark: str) -> list[str]:
    """Names of a benchmark's images, from its table, whose last row is the mean."""
    rows = list(csv.reader(io.StringIO(_text(record, f"{benchmark}.csv"))))
    return [row[0] for row in rows[1:-1]]


def _text(record: RunRecord, name: str) -> str:
    with record.open(name) as file:
        return file.read().decode("utf-8", "surrogateescape")
