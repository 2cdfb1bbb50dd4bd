from __future__ import annotations

import pytest

from tmd.errors import UserError
from tmd.training import Phases, parse_length


@pytest.mark.parametrize(
    ("value", "iterations"), [(3, 300), (0, 0), (0.5, 50), ("250it", 250), (" 7 it ", 7)]
)
def test_a_length_is_epochs_or_iterations(value: object, iterations: int) -> None:
    assert parse_length("schedule.pretrain", value, epoch_length=100) == iterations


@pytest.mark.parametrize("value", [-1, "3 epochs", "it", True, None, [1], float("nan"), "-5it"])
def test_another_length_is_an_error_that_names_the_key(value: object) -> None:
    with pytest.raises(UserError, match=r"schedule\.pretrain=.*must be"):
        parse_length("schedule.pretrain", value, epoch_length=100)


def test_each_update_belongs_to_the_phase_a_hand_count_gives() -> None:
    phases = Phases(pretrain=2, warmup=1, adversarial=3)
    assert [phases.at(i) for i in range(1, 7)] == [
        "pretrain",
        "pretrain",
        "warmup",
        "adversarial",
        "adversarial",
        "adversarial",
    ]
    assert [i for i in range(1, 7) if phases.is_end(i)] == [2, 3, 6]


def test_an_empty_phase_is_skipped_and_has_no_end() -> None:
    phases = Phases(pretrain=0, warmup=0, adversarial=2)
    assert phases.at(1) == "adversarial"
    assert not phases.is_end(0)
    assert phases.start("adversarial") == 0
