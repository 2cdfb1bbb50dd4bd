"""Evaluations in the list of runs: means over images, not the last image's value."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.evaluate import ex
from observers.reading.listing import listed
from observers.reading.stores import open_store
from tmd.images import read_image, to_float
from tmd.metrics import psnr
from tmd.resize import imresize


def test_an_evaluation_is_listed_by_its_mean(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    draws = np.random.default_rng(0)
    Path("images").mkdir()
    for number in range(3):
        pixels = draws.integers(0, 40 * (number + 2), (24, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(f"images/{number}.png")
    words = ["method=bicubic", "benchmark=images", "metrics=psnr", "device=cpu", "scale=2"]
    ex.run_commandline(["evaluate", "-F", "runs", "with", *words])
    (record,) = open_store("runs")
    found = listed(record).metrics["images.bicubic.psnr"]
    values = record.metrics()["images.bicubic.psnr"].values
    assert len(values) == 3
    assert found.last == pytest.approx(sum(values) / 3)
    assert found.last != pytest.approx(values[-1], abs=0.1)
    assert (found.last_step, found.best) == (None, None)
    hr = to_float(read_image("images/0.png"))[None]
    lr = (imresize(hr, 0.5).clamp(0, 1) * 255).round() / 255
    sr = (imresize(lr, 2).clamp(0, 1) * 255).round() / 255
    assert values[0] == pytest.approx(psnr(sr, hr, border=2).item(), abs=0.01)
