"""LR images are found by the names that the field gives them."""

from __future__ import annotations

import pytest

from tmd.data.matching import Matches, match, pattern_of
from tmd.errors import UserError

#: HR and LR of the datasets as they are handed out, by their own layout.
LAYOUTS = {
    "DIV2K": (["0801.png", "0802.png"], ["0801x4.png", "0802x4.png"]),
    "DIV2K, all below one folder": (
        ["DIV2K_train_HR/0001.png"],
        ["DIV2K_train_LR_bicubic/X4/0001x4.png"],
    ),
    "DIV2K mild": (["0801.png"], ["0801x4m.png"]),
    "RealSR": (
        ["Canon_001_HR.png", "Nikon_001_HR.png"],
        ["Canon_001_LR4.png", "Nikon_001_LR4.png"],
    ),
    "DRealSR": (["DSC_1454_x1.png"], ["DSC_1454_x4.png"]),
    "Huang's": (["img_001_SRF_4_HR.png"], ["img_001_SRF_4_LR.png"]),
    "Set5": (["baby.png", "bird.png"], ["babyx4.png", "birdx4.png"]),
    "EDSR's": (["HR/baby.png"], ["LR_bicubic/X4/babyx4.png"]),
    "baby_GT and baby_LRBI_x4": (["baby_GT.png"], ["baby_LRBI_x4.png"]),
    "equal names": (["a/0001_s001.png"], ["a/0001_s001.png"]),
    "equal names, other suffixes": (["a.png", "b.tif"], ["a.jpg", "b.npy"]),
    "upper and lower case": (["IMG_1.JPG"], ["img_1x4.png"]),
    "marks before the name": (["HR_1.png"], ["lr_1.png"]),
    "REDS: equal numbers in many folders": (
        ["000/00000000.png", "001/00000000.png"],
        ["X4/000/00000000.png", "X4/001/00000000.png"],
    ),
    "stacks": (["cells.tif[0]", "cells.tif[1]"], ["cellsx4.tif[0]", "cellsx4.tif[1]"]),
    "names that look like marks": (["fox2.png", "fox3.png"], ["fox2.png", "fox3.png"]),
    "LR in other folders": (["a.png", "b.png"], ["first/a.png", "second/b.png"]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_hr_image_has_the_lr_image_that_stands_beside_it(layout: str) -> None:
    hr, lr = LAYOUTS[layout]
    assert match(hr, lr, 4) == Matches(partners={i: i for i in range(len(hr))})


def test_lr_of_other_scales_is_nobodys() -> None:
    found = match(["a.png"], ["ax2.png", "ax4.png", "X3/a.png"], 4)
    assert found.partners == {0: 1}
    assert found.of_other_scales == [0, 2]
    assert not found.without_hr


def test_at_scale_1_what_a_name_says_is_how_lr_was_made() -> None:
    assert match(["a_HR.png"], ["a_LR4.png"], 1).partners == {0: 0}


def test_what_has_no_partner_or_several_is_told() -> None:
    found = match(["a.png", "b.png", "c.png"], ["ax4.png", "a_LR4.png", "cx4.png", "z.png"], 4)
    assert found.partners == {2: 2}
    assert found.several == [([0], [0, 1])]
    assert (found.without_lr, found.without_hr) == ([1], [3])


def test_a_missing_frame_does_not_get_another_folders() -> None:
    found = match(["000/0.png", "001/0.png"], ["001/0.png"], 4)
    assert found.partners == {1: 0}
    assert found.without_lr == [0]


@pytest.mark.parametrize(
    ("pattern", "lr"),
    [
        ("{}x4w2", "0801x4w2.png"),
        ("{name}_low", "0801_low.png"),
        ("X{scale}/{stem}", "X4/0801.png"),
    ],
)
def test_a_pattern_decides_alone(pattern: str, lr: str) -> None:
    others = ["0801x4.png", "0801.png", lr]
    found = match(["0801.png"], others, 4, pattern_of("dataset.lr_pattern", pattern))
    assert found == Matches(partners={0: 2})


@pytest.mark.parametrize("value", ["x4", "{other}", 3, "{name", "{name}{0}"])
def test_what_is_no_pattern_is_refused(value: object) -> None:
    with pytest.raises(UserError, match=r"dataset\.lr_pattern=.*must be text with \{name\}"):
        pattern_of("dataset.lr_pattern", value)
