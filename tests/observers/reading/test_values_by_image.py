"""An evaluation's values by image come back alike from files and from MongoDB."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mongo_server import MongoServer
from PIL import Image

from experiments.evaluate import ex
from experiments.support.recorded_values import recorded_values
from observers import open_run
from observers.sync import sync


def test_both_stores_give_the_values_that_were_measured(
    mongo: MongoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TMD_MONGO_URL", raising=False)
    draws = np.random.default_rng(0)
    Path("images").mkdir()
    for name, size in (("a", 24), ("b", 24), ("small", 12)):
        pixels = draws.integers(0, 256, (size, size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(f"images/{name}.png")
    words = ["method=bicubic,nearest", "benchmark=images", "metrics=psnr,ssim", "scale=2"]
    store = f"{mongo.url}/by_image"
    ex.run_commandline(["evaluate", "-F", "runs", "-m", store, "with", *words, "device=cpu"])
    (result,) = ex.current_run.result.values()
    sync(Path("runs"))  # where the server was too busy for it
    records = [open_run(1, store="runs"), open_run(f"{store}#1")]
    ours, theirs = map(recorded_values, records)
    assert ours == theirs
    assert len(ours.values) == 3 * 2 * 2
    assert ours.benchmarks == [("images", 2)]
    for v in ours.values:
        if v.value is None:
            assert (v.image, v.metric) == ("small", "ssim")
            continue
        known = ours.select(system=v.system, metric=v.metric).known()
        assert sum(known.values()) / len(known) == pytest.approx(result[v.system][v.metric])
        curve = records[1].metrics()[f"images.{v.system}.{v.metric}"]
        assert v.value in curve.values  # as Sacred's own metrics have it
