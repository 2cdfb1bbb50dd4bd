"""Spaces as they are typed."""

from __future__ import annotations

import pytest

from experiments.support.sweeping.space import grid_point, grid_size, parse_space
from experiments.support.values import parse_updates
from tmd.errors import UserError


def typed(*words: str):
    return parse_space(parse_updates([f"space.{word}" for word in words])[0]["space"])


@pytest.mark.parametrize(
    ("word", "low", "high", "log", "integer"),
    [
        ("adv_weight=log(1e-4,1e-1)", 1e-4, 1e-1, True, False),
        ("generator.n_blocks=4..16", 4, 16, False, True),
        ("generator.n_blocks=log(4,64)", 4, 64, True, True),
        ("adv_weight=0.1..0.9", 0.1, 0.9, False, False),
        ("adv_weight=0..1.0", 0.0, 1.0, False, False),
        ("adv_weight=1e-4..1e-1", 1e-4, 1e-1, False, False),
        ("x=-3..-1", -3, -1, False, True),
    ],
)
def test_a_range_is_typed_by_its_ends(word, low, high, log, integer):
    (found,) = typed(word)
    assert (found.low, found.high, found.log, found.is_integer) == (low, high, log, integer)


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("generator.n_blocks=4,8", (4, 8)),
        ("generator.n_blocks=[4,8]", (4, 8)),
        ("schedule.adv=adaptive,constant", ("adaptive", "constant")),
        ("losses.content=[vgg54,0.5*vgg22+l1]", ("vgg54", "0.5*vgg22+l1")),
        ("dataset.shrink=[[1,1.25],[1]]", ([1, 1.25], [1])),
        ("dataset.shrink=[1,1.25],x", ([1, 1.25], "x")),
        ("deterministic=True,False", (True, False)),
        ("losses.pixel=l1", ("l1",)),
        ("schedule.pretrain=24it,48it", ("24it", "48it")),
        ("dataset.root=../a,../b", ("../a", "../b")),
        ("dataset.root=2024,2025", ("2024", "2025")),
        ("history.capacity=0", (0,)),
    ],
)
def test_choices_keep_their_types(word, values):
    (found,) = typed(word)
    assert found.choices == values
    assert list(map(type, found.choices)) == list(map(type, values))


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("x=3..1", "begins below its end"),
        ("x=1..1", "begins below its end"),
        ("x=log(0,1)", "begins above 0"),
        ("x=log(1)", "must be log(1e-4,1e-1)"),
        ("x=log(1,10,1)", "an integer from 2 on"),
        ("x=uniform(0,1)", "must be log(1e-4,1e-1)"),
        ("x=4..", "a range is log(1e-4,1e-1)"),
        ("x=..4", "a range is log(1e-4,1e-1)"),
        ("x=0..1..3", "its step must be above 0 and at most 1"),
        ("x=1,2,1", "1 is there twice"),
        ("x=a,,b", "has an empty value"),
        ("x=1e999..2", "finite ends"),
        ("x=1..1e999", "finite ends"),
        ("resume=1,2", "is begun by the sweep"),
    ],
)
def test_a_space_that_cannot_be_is_one_line(word, says):
    with pytest.raises(UserError) as problem:
        typed(word)
    key = word.partition("=")[0]
    assert str(problem.value).startswith(f"space.{key}")
    assert says in str(problem.value)


def test_a_grid_has_every_combination_once():
    space = typed("a=1,2,3", "b=4..6", "c=log(1e-3,1e-1,3)", "d=0..1..0.25", "e=x")
    points = [grid_point(space, number) for number in range(grid_size(space))]
    assert len(points) == 3 * 3 * 3 * 5
    assert len({str(point) for point in points}) == len(points)
    assert [point["c"] for point in points[::5][:3]] == [1e-3, 1e-2, 1e-1]
    assert [point["d"] for point in points[:5]] == [0, 0.25, 0.5, 0.75, 1]


def test_a_grid_needs_values():
    (endless,) = typed("x=0.1..0.9")
    with pytest.raises(UserError, match="a grid has to know the values"):
        endless.grid()
