"""The gallery of an evaluation is an artifact of its run in both stores, the same bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
from mongo_server import MongoServer
from PIL import Image
from skimage import data

from experiments.evaluate import ex
from observers import open_run


def test_both_stores_keep_the_page(
    mongo: MongoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Photos").mkdir()
    Image.fromarray(data.astronaut()[:64, 100:180]).save("Photos/astronaut.png")
    database = f"{mongo.url}/gallery"
    given = {"benchmark": "Photos", "method": "nearest", "metrics": ["psnr"], "html": True}
    ran = ex.run(
        config_updates=given,
        options={"--mongo_db": database, "--file_storage": str(tmp_path / "runs")},
    )
    pages = []
    for place in (f"{database}#", f"{tmp_path}/runs/"):
        record = open_run(f"{place}{ran._id}")  # a local copy is gone with it
        pages.append(record.local_path("gallery.html").read_bytes())
    assert pages[0] == pages[1]
    assert b'id="pictures-0"' in pages[0]
