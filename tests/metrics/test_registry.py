"""What a recorded value is called, and which way is better, is said in one place."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tmd.errors import UserError
from tmd.metrics import MetricSettings, described, metric, metric_function
from tmd.metrics.registry import FUNCTIONS, Needs, register


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


def test_a_metric_by_a_convention_is_described_as_the_metric() -> None:
    described_so = metric("Set5.bicubic.psnr@basicsr")
    assert (described_so.name, described_so.label) == ("psnr@basicsr", "PSNR (basicsr)")
    assert (described_so.unit, described_so.higher_is_better) == ("dB", True)


def test_a_function_is_given_what_it_needs_and_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(FUNCTIONS, "_builders", dict(FUNCTIONS._builders))
    register("t_none", Needs(hr=False))(lambda sr: sr.mean((1, 2, 3)))
    register("t_lr", Needs(hr=False, lr=True))(lambda sr, lr: lr.mean((1, 2, 3)))
    register("t_all", Needs(lr=True))(lambda sr, hr, lr: (sr + hr).mean((1, 2, 3)) + lr.sum())
    register("t_package", Needs(package="no_such_module", extra="iqa"))(lambda sr, hr: sr)
    settings = MetricSettings(border=0)
    sr, hr, lr = (torch.full((2, 3, side, side), side, dtype=float) for side in (4, 5, 2))
    sr.requires_grad_()
    assert metric_function("t_none", settings)(sr).tolist() == [4, 4]
    assert metric_function("t_lr", settings)(sr, None, lr).tolist() == [2, 2]
    value = metric_function("t_all", settings)(sr, hr[..., :4, :4], lr)
    assert value.tolist() == [57, 57]
    assert not value.requires_grad
    with pytest.raises(UserError, match="t_all: needs HR and LR, and there is none"):
        metric_function("t_all", settings)(sr)
    with pytest.raises(UserError, match=r"no_such_module; pip install 'tmd\[iqa\]' brings it"):
        metric_function("t_package", settings)
