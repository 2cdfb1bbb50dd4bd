"""The bar of a preparation is there when it takes a while, and out of the way when it doesn't."""

from __future__ import annotations

import time

from tmd.data.progress import progress


def test_quick_preparation_prints_nothing(capsys):
    assert list(progress(range(100), 100, "Decoding images")) == list(range(100))
    assert capsys.readouterr() == ("", "")


def test_slow_preparation_shows_a_bar_on_standard_error(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    for _ in progress(range(30), 30, "Decoding images"):
        time.sleep(0.05)
    out, err = capsys.readouterr()
    assert out == ""
    assert "Decoding images" in err
