"""Pictures of a run over time: the sheets that it kept, what its checkpoints make of an image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from experiments.support.comparing import Judge, measured
from experiments.support.trained import open_trained
from observers import RunRecord
from tmd.checkpoints import checkpoints_in, sheet_iteration
from tmd.figures import Picture, Row, draw_rows, stretch


def sheets(record: RunRecord) -> Iterator[tuple[int, Image.Image]]:
    """(iteration, sheet) in the order of training."""
    for name in sorted(record.artifacts()):
        if (iteration := sheet_iteration(name)) is not None:
            with record.open(name) as file, Image.open(file) as picture:
                yield iteration, picture.convert("RGB")


def applied_checkpoints(
    record: RunRecord, image: Path, store: str, device: str
) -> Iterator[tuple[int, Image.Image]]:
    """(iteration, bicubic beside SR beside HR) for each checkpoint that the run has kept."""
    for name in checkpoints_in(record.artifacts()):
        trained = open_trained(None, record.local_path(name), store, device)
        case = measured(image, [trained])
        judge = Judge(int(trained.state["scale"]), None)
        notes = judge(case)
        shown = case.pictures
        named = {case.baseline: case.baseline, "SR": trained.name}
        row = [
            Picture(stretch(shown[name], 512), title, notes[name]) for title, name in named.items()
        ]
        row.append(Picture(stretch(shown["HR"], 512), "HR", ""))
        yield trained.state["iteration"], draw_rows([Row(row)], 512)
