"""Operators with a probability, one of several, all in random orders, all twice."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from tmd.distributed import Share
from tmd.errors import UserError
from tmd.images import ImageKind
from tmd.measurements import Log, Measurement, create_measurement

EXACT = {"name": "quantize", "bits": None}
TO_LR = {"name": "resize", "to": "lr", "filter": ["area", "bicubic"]}
BLUR = {"name": "blur", "kernel": ["anisotropic", "sinc", "motion"], "size": [7, 21]}
RANDOM = {"name": "resize", "factor": [0.3, 1.5], "filter": ["area", "bilinear", "bicubic"]}
#: Sizes that change in one of several ways, for some images only, in any order.
CHAIN = [
    BLUR,
    {**RANDOM, "probability": 0.7},
    {"name": "noise", "sigma": [0.01, 0.1], "probability": 0.5},
    {"name": "one_of", "operators": [RANDOM, [BLUR, RANDOM], {"name": "blur", "sigma": 2}]},
    {"name": "shuffle", "operators": [[TO_LR, BLUR], "noise", {"name": "blur", "sigma": [1, 2]}]},
]


def drawn(measure: Measurement, n: int, side: int = 4) -> list[list[tuple[str, dict]]]:
    log = Log()
    measure.pair(torch.full((n, 1, side, side), 0.5), 0, log)
    return [image[:-1] for image in log.of_images(n)]  # without the rounding


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_each_process_and_part_gets_its_rows_of_the_same_degradations(count, parts):
    hr = torch.rand(8, 3, 24, 28)
    measure = create_measurement(CHAIN, 2, seed=3)
    whole = measure(hr, 5)
    assert whole.shape == (8, 3, 12, 14)
    pieces = []
    for part in range(parts):
        for rank in range(count):
            share = Share(rank, count).within(part, parts)
            pieces.append(measure.of_share(share)(hr[share.rows(8)], 5))
    assert torch.equal(torch.cat(pieces), whole)


def test_degradations_depend_on_seed_stream_and_index_alone():
    hr = torch.rand(4, 3, 16, 16)
    measure = create_measurement(CHAIN, 2, seed=1)
    at_seven = measure(hr, 7)
    measure(hr, 8)
    torch.manual_seed(9)
    assert torch.equal(measure(hr, 7), at_seven)
    for other in (
        measure(hr, 8),
        create_measurement(CHAIN, 2, seed=2)(hr, 7),
        create_measurement(CHAIN, 2, seed=1, stream="validation")(hr, 7),
    ):
        assert not torch.equal(other, at_seven)


def test_the_log_changes_nothing_and_tells_each_operator_in_its_order():
    hr, log = torch.rand(6, 3, 16, 16), Log()
    measure = create_measurement(CHAIN, 2, seed=1)
    assert torch.equal(measure.pair(hr, 2, log)[0], measure(hr, 2))
    for image in log.of_images(6):
        names = [name for name, _ in image]
        assert names[0] == "blur"
        assert names[-1] == "quantize"
        assert names[-5:-1].count("noise") == 1
        at = max(i for i, each in enumerate(image) if each[0] == "resize")
        assert image[at + 1][1]["kernel"] in BLUR["kernel"]  # those of a list keep their order


def test_an_operator_is_applied_as_often_as_its_probability():
    noise = {"name": "noise", "sigma": 0.1, "probability": 0.3}
    hr = torch.full((2000, 1, 4, 4), 0.5)
    lr = create_measurement([noise, EXACT], 1)(hr)
    changed = (lr != hr).flatten(1).any(1)
    assert abs(changed.float().mean() - 0.3) < 0.04
    always = create_measurement([{**noise, "probability": 1}, EXACT], 1)(hr)
    assert torch.equal(lr[changed], always[changed])
    plain = create_measurement([{"name": "noise", "sigma": 0.1}, EXACT], 1)(hr)
    assert torch.equal(always, plain)


def test_one_of_chooses_as_often_as_its_weights():
    operators = [{"name": "noise", "sigma": 0.1}, {"name": "blur", "sigma": 1}, ["noise", "noise"]]
    measure = create_measurement(
        [{"name": "one_of", "operators": operators, "weights": [1, 5, 2]}], 1
    )
    counts = Counter(tuple(name for name, _ in image) for image in drawn(measure, 4000))
    for names, share in ((("noise",), 1), (("blur",), 5), (("noise", "noise"), 2)):
        assert abs(counts[names] / 4000 - share / 8) < 0.03
    assert len(counts) == 3


def test_shuffle_has_every_order_as_often():
    operators = ["noise", {"name": "blur", "sigma": 1}, {"name": "quantize", "bits": 4}]
    measure = create_measurement([{"name": "shuffle", "operators": operators}], 1)
    counts = Counter(tuple(name for name, _ in image) for image in drawn(measure, 3000))
    assert len(counts) == 6
    assert all(abs(count / 3000 - 1 / 6) < 0.03 for count in counts.values())


def test_an_order_drawn_is_the_order_in_which_images_are_changed():
    """Rounding to two levels before or after noise: the results differ in kind."""
    operators = [{"name": "noise", "sigma": 0.2}, {"name": "quantize", "bits": 1}]
    measure = create_measurement([{"name": "shuffle", "operators": operators}, EXACT], 1)
    hr = torch.rand(64, 1, 8, 8)
    log = Log()
    lr, _ = measure.pair(hr, 0, log)
    for image, steps in zip(lr, log.of_images(64), strict=True):
        is_binary = bool(((image == 0) | (image == 1)).all())
        assert is_binary == (steps[1][0] == "quantize")


def test_twice_draws_anew_and_the_second_time_in_its_own_ranges():
    entry = {
        "name": "twice",
        "operators": [{"name": "noise", "sigma": [0.1, 0.2]}, {"name": "blur", "sigma": [1, 2]}],
        "second": {"noise": {"sigma": [0.01, 0.02]}},
    }
    for image in drawn(create_measurement([entry], 1), 50, 8):
        assert [name for name, _ in image] == ["noise", "blur", "noise", "blur"]
        first, blur, second, again = (values["sigma"] for _, values in image)
        assert 0.1 <= first <= 0.2
        assert 0.01 <= second <= 0.02
        assert blur != again
        assert 1 <= again <= 2


def test_a_composed_list_is_differentiable():
    chain = [
        {"name": "one_of", "operators": [{"name": "blur", "sigma": 1}, ["noise", RANDOM]]},
        {"name": "shuffle", "operators": [TO_LR, "noise"]},
        EXACT,
    ]
    x = (torch.rand(3, 1, 6, 6, dtype=torch.float64) * 0.1 + 0.45).requires_grad_()
    assert torch.autograd.gradcheck(create_measurement(chain, 2), (x,))


@pytest.mark.parametrize(
    ("operators", "said"),
    [
        ([{"name": "one_of"}], r"operators\[0\]: one_of needs operators"),
        ([{"name": "one_of", "operators": []}], r"operators\[0\].operators=\[\]: must hold"),
        ([{"name": "one_of", "operators": "blur"}], r"\[0\].operators='blur': must be a list"),
        (
            [
                "bicubic",
                {"name": "shuffle", "operators": ["noise", {"name": "noise", "sigma": -1}]},
            ],
            r"measurement.operators\[1\].operators\[1\].sigma=-1: must be a number",
        ),
        (
            ["bicubic", {"name": "one_of", "operators": [["noise", {"name": "nose"}]]}],
            r"measurement.operators\[1\].operators\[0\]\[1\]='nose': must be one of",
        ),
        (
            [{"name": "one_of", "operators": ["bicubic", "decimate"], "weights": [1, -1]}],
            r"operators\[0\].weights=-1: must be a number at least 0",
        ),
        (["bicubic", {"name": "noise", "probability": 1.5}], r"\[1\].probability=1.5: must be"),
        (["bicubic", {"name": "quantize", "probability": 0.5}], "quantize must be the last"),
        (
            ["bicubic", {"name": "twice", "operators": ["noise"], "second": {"blur": {}}}],
            r"operators\[1\].second='blur': must be one of noise",
        ),
        (
            ["bicubic", {"name": "twice", "operators": ["noise"], "second": {"noise": 3}}],
            r"operators\[1\].second=.*: must be options by the operator's name",
        ),
        ([{"name": "one_of", "operators": ["bicubic", "noise"]}], "sizes that depend on what is"),
        ([{"name": "twice", "operators": ["bicubic"]}], "reduces the size by 16, not by scale=4"),
        ([{"name": "shuffle", "operators": [TO_LR, RANDOM]}], "sizes that depend on what is drawn"),
    ],
)
def test_mistakes_are_named_in_one_line(operators, said):
    with pytest.raises(UserError, match=said) as caught:
        create_measurement(operators, 4)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "one_of", "operators": ["bicubic", ["blur", "decimate"]]},
        {"name": "shuffle", "operators": [TO_LR, "noise", {"name": "blur", "sigma": 1}]},
        {"name": "twice", "operators": [{"name": "resize", "factor": 0.5}]},
    ],
    ids=["one_of", "shuffle", "twice"],
)
def test_lists_whose_sizes_come_out_are_taken(entry):
    assert create_measurement([entry], 4)(torch.rand(3, 3, 12, 20)).shape == (3, 3, 3, 5)


def test_what_no_photo_is_is_refused_inside_lists_too():
    entry = {"name": "one_of", "operators": ["noise", ["noise", "jpeg"]]}
    with pytest.raises(UserError, match=r"operators\[0\].operators\[1\]\[1\]: jpeg takes grey and"):
        create_measurement([entry], 1, kind=ImageKind(5))
