"""The gallery of an evaluation, in its run's record or a folder."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from experiments.support.evaluating import FOLDER, Evaluation
from experiments.support.inputs import check_folder, several
from experiments.support.trained import Trained, named_file
from observers import RunArtifacts, open_run, without_credentials
from observers.reading.look import Look
from observers.scratch import Scratch
from tmd.errors import UserError
from tmd.evaluation import METHODS, PerImage, Sample, Table
from tmd.evaluation.gallery import HR, INDEX, LR, About, Gallery, GallerySystem, is_gallery
from tmd.metrics.registry import needs_of

FILE, ARCHIVE = "gallery.html", "gallery.zip"
#: Parts of a checkpoint that say what the network is.
_DESCRIPTION = ("experiment", "iteration", "phase", "scale", "generator_config", "measurement")


def check_html(html: Any, systems: Collection[str]) -> None:
    """Raise `UserError` for what is neither True, False nor a folder, or can't show ``systems``."""
    if not isinstance(html, (bool, str)):
        raise UserError(f"html={html!r}: must be True, False or a folder")
    if isinstance(html, str):
        if Path(html).suffix in (".html", ".htm", ".zip"):
            raise UserError(f"html={html}: give a folder; the page in it is index.html")
        check_folder("html", html)
        if (index := Path(html, INDEX)).exists() and not is_gallery(index):
            raise UserError(f"html={html}: {index} is there, and no gallery; give another folder")
    if html and (taken := {HR, LR}.intersection(systems)):
        name = taken.pop()
        raise UserError(f"html={html}: the page calls its own pictures {name}, and a system too")


def check_sorted_by(metrics: Sequence[str]) -> None:
    """Raise `UserError` where no metric has a value of each image."""
    if all(needs_of(name).whole_set for name in metrics):
        given = ",".join(metrics) or "[]"
        raise UserError(
            f"metrics={given}: html=True sorts the images by a metric of each; give one"
        )


def with_bicubic(opened: Evaluation) -> Any:
    """The methods and bicubic, which a gallery compares with where there is what to upscale."""
    names = several(opened.method)
    nothing = opened.scale == 1 or not opened.makes_sr
    return opened.method if nothing or "bicubic" in names else [*names, "bicubic"]


class EvaluationGallery:
    """The gallery of a run's evaluation.

    Args:
        html: the config's: True for the run's record, or a folder.
        convention: of the figures, in words.

    Raises:
        UserError: the record is wanted, and the run has none.
    """

    def __init__(self, html: bool | str, opened: Evaluation, run: Any, convention: str) -> None:
        self.artifacts = RunArtifacts(run)
        if html is True and not self.artifacts:
            raise UserError(
                "html=True: puts the page into the run's record, and this run has none; "
                "give a folder, html=out"
            )
        self.html = html
        self.scale = opened.scale
        self.about = About(
            f"{', '.join(opened.benchmarks)} ×{opened.scale}",
            convention,
            str(run.meta_info.get("command_line", "")),
            _plain(run.config),
        )
        self._spool = Scratch()
        self.gallery = Gallery(opened.kind, gallery_systems(opened), self._spool.path)

    def add(
        self,
        benchmark: str,
        sample: Sample,
        lr: Tensor | None,
        hr: Tensor | None,
        results: dict[str, Tensor],
    ) -> None:
        """Take what all systems made of an image."""
        self.gallery.add(benchmark, self.scale, sample.name, lr, hr, results)

    def add_sets(self, benchmark: str, table: Table) -> None:
        """Take the values that a benchmark's table has of all its images at once."""
        self.gallery.add_set(benchmark, self.scale, table.of_sets)

    def write(self, figures: PerImage) -> str:
        """Write the page; returns where it is."""
        if isinstance(self.html, str):
            folder = Path(self.html)
            self.gallery.write_folder(folder, figures, self.about)
            return str(folder / "index.html")
        one = self.gallery.is_one_file

        def written(path: Path) -> None:  # holds this object, and so the spool, for a later try
            write = self.gallery.write_file if one else self.gallery.write_archive
            write(path, figures, self.about)

        name = FILE if one else ARCHIVE
        self.artifacts.save(name, written)
        return f"{name} in the record" + ("" if one else "; unpack it, and open index.html")


def gallery_systems(opened: Evaluation) -> list[GallerySystem]:
    """The evaluation's systems with the command and the config that made each."""
    runs = several(opened.run)
    files = several(named_file(opened.checkpoint, opened.weights))
    trained = iter(opened.trained)
    found = [_of_run(next(trained), spec, opened.store) for spec in runs]
    found += [
        GallerySystem("", f"checkpoint {file}", config=_plain(_description(next(trained))))
        for file in files
    ]
    methods = [name for name in several(opened.method) if name != FOLDER]
    found += [
        GallerySystem("", (METHODS[name].__doc__ or "").partition("\n")[0]) for name in methods
    ]
    found += [GallerySystem("", f"results in {root}") for root in several(opened.sr_root)]
    return [
        GallerySystem(name, each.source, each.command, each.config)
        for name, each in zip(opened.systems, found, strict=True)
    ]


def _of_run(trained: Trained, spec: Any, store: str) -> GallerySystem:
    record = open_run(spec, store=store)
    source = f"{without_credentials(str(record.spec))}, iteration {trained.state.get('iteration')}"
    command = str(Look(record).about.get("command", ""))
    return GallerySystem("", source, command, _plain(record.config))


def _description(trained: Trained) -> dict[str, Any]:
    return {key: trained.state[key] for key in _DESCRIPTION if trained.state.get(key) is not None}


def _plain(config: Any) -> Any:
    """Plain data, without credentials."""
    return json.loads(without_credentials(json.dumps(config, default=str)))
