"""Record of an evaluation in its run, and the names that it has there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from observers import RunArtifacts
from tmd.errors import UserError
from tmd.evaluation import PerImage, Sample, Table
from tmd.evaluation.per_image import FILE
from tmd.images import EIGHT_BITS, ImageKind, write_native


class EvaluationRecord:
    """Record of an evaluation in its run: values by image, tables, images if asked for."""

    def __init__(
        self, run: Any, save_images: bool | str, scale: int, kind: ImageKind = EIGHT_BITS
    ) -> None:
        self.kind = kind
        self.scale = scale
        self.per_image = PerImage()
        self.run = run
        self.artifacts = RunArtifacts(run)
        self.save_images = save_images
        self.steps: dict[str, int] = {}
        if save_images is True and not self.artifacts:
            raise UserError(
                "save_images=True: keeps them in the run's record, and this run has none; "
                "give a folder, save_images=out"
            )

    def image(
        self, benchmark: str, sample: Sample, system: str, sr: Any, values: dict[str, float | None]
    ) -> None:
        """Keep the values of one result, and the result if asked for."""
        series = f"{plain(benchmark)}.{plain(system)}"
        step = self.steps[series] = self.steps.get(series, -1) + 1
        for metric, value in values.items():
            if value is not None:
                self.run.log_scalar(f"{series}.{metric}", value, step)
        if isinstance(self.save_images, str):
            folder = Path(self.save_images) / plain(system) / plain(benchmark)
            write_native(folder / f"{sample.name}{self._suffix}", sr, self.kind)
        elif self.save_images:
            name = f"{plain(benchmark)}_{plain(system)}_{plain(sample.name)}{self._suffix}"
            self.artifacts.save(name, lambda path: write_native(path, sr, self.kind))

    @property
    def _suffix(self) -> str:
        """Suffix of a file that holds results of the kind."""
        fits = self.kind.dtype != "float32" and self.kind.channels <= 4
        return ".png" if fits else ".tif"

    def table(self, benchmark: str, table: Table) -> None:
        """Keep a benchmark's tables as CSV and Markdown, and its values one by one."""
        self._keep_table(plain(benchmark), table)
        if table.each_band is not None:
            self._keep_table(plain(f"{benchmark}_bands"), table.each_band)
        self.per_image += table.per_image(benchmark, self.scale)
        self._keep_text(FILE, self.per_image.to_csv())

    def _keep_table(self, name: str, table: Table) -> None:
        self._keep_text(f"{name}.csv", table.to_csv())
        self._keep_text(f"{name}.md", table.to_markdown())

    def _keep_text(self, name: str, text: str) -> None:
        self.artifacts.save(name, partial(_write_text, text))


def _write_text(text: str, path: Path) -> None:
    # Names of files may hold bytes that are no text.
    path.write_text(text, encoding="utf-8", errors="surrogateescape")


def plain(name: str) -> str:
    """A name that files, pages and databases take: no dots, no spaces."""
    return re.sub(r"[^\w-]+", "_", name).strip("_")


def distinct(names: Iterable[str]) -> list[str]:
    """The names, numbered where one comes again.

    Example:
        >>> distinct(["best.pt", "run 3", "best.pt"])
        ['best.pt', 'run 3', 'best.pt (2)']
    """
    found: list[str] = []
    for name in names:
        count = 1 + sum(other == name or other.startswith(f"{name} (") for other in found)
        found.append(name if count == 1 else f"{name} ({count})")
    return found
