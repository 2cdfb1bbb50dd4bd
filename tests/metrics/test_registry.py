"""What a recorded value is called, and which way is better, is said in one place."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tmd.metrics import described, metric


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("validation.psnr", True),
        ("validation/ssim", True),
        ("consistency", True),  # dB: the runs page once took the least of it
        ("train.images_per_second", True),
        ("validation.score", False),
        ("Set5.best_pt.lpips_alex", False),
        ("bicubic_psnr", True),
        ("train.pixel", False),
        ("train.loss_d", None),
        ("train.lr_g", None),
        ("validation.never_heard_of_psnr", None),
    ],
)
def test_direction_is_told_and_not_guessed(name: str, better: bool | None) -> None:
    assert metric(name).higher_is_better is better


def test_text_has_the_digits_that_mean_something() -> None:
    assert metric("psnr").text(28.43049, unit=True) == "28.43 dB"
    assert metric("validation.ssim").text(0.81126) == "0.8113"
    assert metric("lr_g").text(0.000125) == "0.000125"
    assert metric("bicubic_ssim").label == "SSIM of bicubic"


def test_gain_is_positive_where_better() -> None:
    assert metric("psnr").gain(29.0, over=28.5) == 0.5
    assert metric("score").gain(0.2, over=0.3) == pytest.approx(0.1)
    with pytest.raises(ValueError, match="loss_d"):
        metric("loss_d").gain(1.0, over=2.0)


def test_a_run_says_itself_what_its_metrics_are() -> None:
    recorded = json.loads(json.dumps(described(["validation.psnr", "train.loss_d"])))
    assert set(recorded) == {"psnr", "loss_d"}
    recorded["sharpness"] = {"label": "sharpness", "higher_is_better": True, "decimals": 1}
    known = metric("validation.sharpness", recorded)
    assert (known.higher_is_better, known.text(3.14159)) == (True, "3.1")
    assert metric("validation.psnr", recorded).text(1.234, unit=True) == "1.23 dB"
    assert metric("validation.ssim", recorded).higher_is_better is True
    for nonsense in ([], "no", {"sharpness": 3}, {"sharpness": {"decimals": True, "unit": []}}):
        assert metric("sharpness", nonsense).text(2.0) == "2"


def test_labels_do_not_wait_for_torch() -> None:
    code = "import sys, tmd.metrics; tmd.metrics.metric('psnr'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
