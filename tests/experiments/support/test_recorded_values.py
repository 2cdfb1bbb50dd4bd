"""Values by image out of the records of evaluations."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from experiments.support.recorded_values import recorded_values
from observers import open_run
from tmd.errors import UserError

EARLIER = Path(__file__).parents[1] / "earlier" / "evaluation"


def table(number: int) -> dict[tuple[str, str], str]:
    """(image, column) -> cell of the table that the earlier build wrote."""
    with open(EARLIER / str(number) / "Toy_Set.csv", newline="") as file:
        head, *rows = csv.reader(file)
    return {
        (row[0], column): cell
        for row in rows
        for column, cell in zip(head[1:], row[1:], strict=True)
    }


@pytest.mark.parametrize(
    ("number", "systems"), [(1, ["bicubic", "nearest"]), (2, ["bicubic", "photos_x4"])]
)
def test_earlier_evaluations_have_the_values_of_their_tables(number: int, systems: list) -> None:
    values = recorded_values(open_run(number, store=EARLIER))
    cells = table(number)
    assert sorted(values.systems) == systems
    assert values.benchmarks == [("Toy_Set", {1: 3, 2: 4}[number])]
    assert {v.image for v in values.values} == {"a", "b |x", "blank", "tiny"}
    assert len(values.values) == 4 * 2 * 2
    for v in values.values:
        cell = cells[v.image, f"{v.metric.upper()} {v.system}"]
        assert cell == ("" if v.value is None else f"{v.value:.6f}"), v
        assert v.rated == (v.image != "blank")
        if v.rated and v.metric == "psnr":
            known = values.select(system=v.system, metric="psnr").known().values()
            mean = float(cells["mean", f"PSNR {v.system}"])
            assert sum(known) / len(known) == pytest.approx(mean, abs=1e-6)


def test_names_of_runs_are_those_of_the_tables(tmp_path: Path) -> None:
    shutil.copytree(EARLIER / "2", tmp_path / "2")
    for name in ("info.json", "metrics.json"):
        path = tmp_path / "2" / name
        text = path.read_text().replace("checkpoint photos_x4", "run 7")
        path.write_text(text.replace("photos_x4", "run_7"))
    assert recorded_values(open_run(2, store=tmp_path)).systems == ["bicubic", "run 7"]


def test_what_is_no_evaluation_and_what_is_damaged_is_said(tmp_path: Path) -> None:
    for number in (1, 2):
        shutil.copytree(EARLIER / str(number), tmp_path / str(number))
    (tmp_path / "1" / "info.json").write_text("{}")
    with pytest.raises(UserError, match="is no evaluation"):
        recorded_values(open_run(1, store=tmp_path))
    (tmp_path / "2" / "info.json").write_text(
        '{"evaluated": {"benchmarks": 3}, "metrics_meta": {}}'
    )
    with pytest.raises(UserError, match="values by image can't be read"):
        recorded_values(open_run(2, store=tmp_path))
