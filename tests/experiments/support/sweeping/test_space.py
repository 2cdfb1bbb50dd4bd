"""Spaces as they are typed."""

from __future__ import annotations

import pytest
from sacred.utils import iterate_flattened

from experiments.support.sweeping.limits import Limits
from experiments.support.sweeping.space import (
    grid_point,
    grid_points,
    grid_size,
    parse_space,
    with_words,
)
from experiments.support.sweeping.spec import Spec
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


#: Named configs of a part.
PARTS = {"generator": ["compact", "span"]}
HANGING = {"a.name": "p,q,r", "b": "1..3 if a.name=p,q", "c": "7,8 if b=2", "d": "0,1"}


def test_a_key_that_hangs_on_another_is_given_only_beside_its_values():
    space = parse_space({**HANGING, "b": "1,2,3 if a.name=p,q"})
    expected = []
    for name in "pqr":
        for b in (1, 2, 3) if name != "r" else (None,):
            for c in (7, 8) if b == 2 else (None,):
                for d in (0, 1):
                    values = {"a.name": name, "b": b, "c": c, "d": d}
                    expected.append({k: v for k, v in values.items() if v is not None})
    assert list(grid_points(space)) == expected
    assert grid_size(space) == len(expected) == 18
    assert grid_point(space, 7) == expected[7]
    assert [str(each) for each in space][1] == "1,2,3 if a.name=p,q"


def test_the_order_in_which_keys_are_typed_does_not_matter():
    space = parse_space({"b": "1..3 if a.name=p", "a.name": "p,q"})
    assert [each.key for each in space] == ["a.name", "b"]


@pytest.mark.parametrize(
    ("space", "says"),
    [
        (HANGING, "space.b must be a choice of values for that"),
        ({"b": "1..3 if a=p"}, "space.b=1..3 if a=p: space.a is not given, on which it hangs"),
        ({"b": "1..3 if a=z", "a": "p,q"}, "space.b=1..3 if a=z: space.a=p,q has no z"),
        ({"b": "1,2 if a=1", "a": "1,2 if b=1"}, "hangs on itself"),
        ({"b": "1,2 if a=", "a": "1,2"}, "a condition is VALUES if KEY=VALUE"),
        ({"b": "1,2 if"}, "a condition is VALUES if KEY=VALUE"),
        ({"generator": "span,compat"}, "compat is no named config of generator; did you mean"),
        ({"generator": "1..3"}, "1..3 is no named config of generator"),
        ({"named": "1,2"}, "must be named configs or config files"),
    ],
)
def test_a_condition_or_a_name_that_cannot_be_is_one_line(space, says):
    with pytest.raises(UserError) as problem:
        parse_space(space, PARTS)
    assert says in str(problem.value)


def test_named_configs_are_words_of_their_own():
    space = parse_space({"generator": "span,none", "named": "smoke,a.json", "x": "1,2"}, PARTS)
    words = with_words(space, {"generator": "span", "named": "a.json", "x": 2})
    assert words == (["generator.span", "a.json"], {"x": 2})
    assert with_words(space, {"generator": "none", "named": "smoke", "x": 1}) == (
        ["smoke"],
        {"x": 1},
    )
    spec = Spec("srgan", ("paper",), {"scale": 2}, space, ("validation.psnr",))
    typed_words = spec.words({"generator": "span", "named": "smoke", "x": 1}, 0)
    assert typed_words == ["paper", "generator.span", "smoke", "scale=2", "x=1"]


def test_words_of_a_trial_are_read_back_and_quoted_where_they_must_be():
    texts = [
        "24it",
        "0.5*vgg22+vgg54",
        "s3://a/b",
        "1",
        "1e-3",
        "None",
        "[1, 2]",
        " a ",
        "",
        "it's",
    ]
    settings = {f"dataset.k{number}": text for number, text in enumerate(texts)}
    settings |= {
        "dataset.root": "2024",
        "dataset.name": "None",
        "a": [1, "x"],
        "b": 1e-3,
        "c": None,
    }
    words = Spec("srgan", (), settings, (), ("validation.psnr",)).words({}, 0)
    assert dict(iterate_flattened(parse_updates(words)[0])) == settings
    assert words[:3] == ["dataset.k0=24it", "dataset.k1=0.5*vgg22+vgg54", "dataset.k2=s3://a/b"]
    assert "dataset.root=2024" in words


def test_a_study_is_remembered_whole():
    space = parse_space({**HANGING, "b": "1,2 if a.name=p", "generator": "span,none"}, PARTS)
    spec = Spec("srgan", (), {}, space, ("validation.psnr",), limits=Limits(1e6))
    assert Spec.from_plain(spec.plain()) == spec
    other = Spec("srgan", (), {}, space, ("validation.psnr",), limits=Limits(2e6))
    assert spec.difference(other) == "its limits is parameters=2000000.0, not parameters=1000000.0"


def test_a_study_that_an_earlier_build_began_keeps_its_name():
    space = parse_space({"adv_weight": "log(1e-4,1e-1)", "schedule.adv": "adaptive,constant"})
    spec = Spec("srgan", ("smoke",), {"scale": 2}, space, ("validation.psnr",), repeats=2)
    assert spec.default_name == "srgan-cc72d249"


def test_a_grid_needs_values():
    (endless,) = typed("x=0.1..0.9")
    with pytest.raises(UserError, match="a grid has to know the values"):
        endless.grid()
