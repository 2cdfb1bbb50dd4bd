"""The tidy table of values by image."""

from __future__ import annotations

import csv
import io
import math

import pytest

from tmd.errors import UserError
from tmd.evaluation import ImageValue, PerImage, Table

HEAD = "benchmark,scale,system,image,metric,value"


def odd_values() -> PerImage:
    """Names and numbers that a careless writer would spoil."""
    return PerImage(
        (
            ImageValue("Set5", 4, "run 3", 'a, "b"\n|x', "psnr", 1 / 3),
            ImageValue("Set5", 4, "run 3", "ü×", "psnr@basicsr", 5e-324),
            ImageValue("Set5", 2, "=cmd", "", "ssim", None),
            ImageValue("Set5", 2, "=cmd", "blank", "ssim", 100.0, rated=False),
        )
    )


def test_every_digit_and_letter_comes_back() -> None:
    values = odd_values()
    assert PerImage.from_csv(values.to_csv(), "x") == values


def test_it_is_a_row_for_each_value_by_the_columns_names() -> None:
    rows = list(csv.DictReader(io.StringIO(odd_values().to_csv())))
    assert len(rows) == 4
    assert rows[0] == {
        "benchmark": "Set5",
        "scale": "4",
        "system": "run 3",
        "image": 'a, "b"\n|x',
        "metric": "psnr",
        "value": "0.3333333333333333",
        "rated": "True",
    }
    assert [row["value"] for row in rows[2:]] == ["", "100.0"]


def test_other_programs_columns_are_enough_and_what_is_no_number_is_unknown() -> None:
    text = "value,metric,image,system,scale,benchmark,more\nnan,psnr,a,b,4,S,1\n2,psnr,c,b,4,S,\n"
    first, second = PerImage.from_csv(text, "x").values
    assert first == ImageValue("S", 4, "b", "a", "psnr", None)
    assert (second.value, second.rated) == (2.0, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "x: has no column benchmark, scale, system, image, metric, value"),
        ("benchmark,scale,system,image,metric\n", "x: has no column value"),
        (f"{HEAD}\nS,4,b,a,psnr,high\n", "x, line 2: could not convert string to float: 'high'"),
        (f"{HEAD}\nS,four,b,a,psnr,1\n", "x, line 2: invalid literal for int"),
        (f"{HEAD}\nS\n", "x, line 2:"),
        (f"{HEAD}\nS,4,b,a,psnr,1\nS,4,b,a,psnr,1\n", "x: has psnr of b, image a, twice"),
    ],
)
def test_what_is_no_such_table_is_said_in_a_line(text: str, said: str) -> None:
    with pytest.raises(UserError) as problem:
        PerImage.from_csv(text, "x")
    assert str(problem.value).startswith(said)
    assert "\n" not in str(problem.value)


def test_a_tables_values_have_its_means() -> None:
    rows = {
        name: {("a", "psnr"): value, ("a", "ssim"): None}
        for name, value in (("one", 30.0), ("two", 31.0), ("blank", 100.0))
    }
    table = Table("Toy", ["a"], ["psnr", "ssim"], rows, flat={"blank"})
    values = table.per_image("Toy", 4)
    known = values.select(system="a", metric="psnr").known()
    assert known == {"one": 30.0, "two": 31.0}
    assert math.fsum(known.values()) / 2 == table.mean("a", "psnr")
    assert values.select(metric="ssim").known() == {}
    assert values.benchmarks == [("Toy", 4)]
