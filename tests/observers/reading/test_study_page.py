"""The page shows studies: parallel coordinates, importance, trials, and bands over seeds."""

from __future__ import annotations

import json

import numpy as np
import pytest
from browser import Browser
from populate import populate
from scipy import stats

from observers import open_store
from observers.reading.page import write_page

PARALLEL = "document.getElementById('parallel')"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Browser:
    """A page, opened, of 8 trials by 3 seeds; a trial's psnr rises with its scale."""
    root = tmp_path_factory.mktemp("store")
    populate(root, 24, points=6, names=3, sheets=0)
    rng = np.random.default_rng(0)
    for number in range(1, 25):
        trial, repeat = divmod(number - 1, 3)
        folder = root / str(number)
        params = {"lr": 10.0 ** -(trial % 4), "blocks": trial, "norm": "batch<b>"}
        study = {"name": "first", "trial": trial, "repeat": repeat, "params": params}
        (folder / "info.json").write_text(json.dumps({"study": study}))
        (folder / "config.json").write_text(json.dumps({"seed": repeat, **params}))
        entry = json.loads((folder / "run.json").read_text()) | {"status": "COMPLETED"}
        for metric in entry["metric_summary"]:
            metric["last"] = 20 + trial + float(rng.normal() / 9)
        (folder / "run.json").write_text(json.dumps(entry))
    write_page(open_store(root), root / "index.html")
    browser.open((root / "index.html").as_uri())
    browser.wait_for("return document.body.dataset.ready")
    return browser


def drag(browser: Browser, axis: str, begin: float, end: float) -> None:
    """Drag along an axis from one place to another, 0 its lower end and 1 its upper."""
    browser.run(
        f"const room = {PARALLEL}.getBoundingClientRect();"
        "const at = place => room.top + 278 - place * 244;"
        f"document.querySelector('[data-axis=\"{axis}\"]').dispatchEvent("
        f"new PointerEvent('pointerdown', {{ clientY: at({begin}), bubbles: true }}));"
        f"dispatchEvent(new PointerEvent('pointerup', {{ clientY: at({end}) }}));"
    )


def trials(browser: Browser) -> list[int]:
    return browser.run(
        "return [...document.querySelectorAll('#trials tbody tr')]"
        ".map(row => Number(row.cells[0].innerText))"
    )


def test_a_study_has_an_axis_for_each_parameter_and_objective(page: Browser) -> None:
    names = page.run(f"return [...{PARALLEL}.querySelectorAll('.name')].map(e => e.textContent)")
    assert names[:3] == ["lr (log)", "blocks", "norm"]
    assert names[3:] == ["validation.psnr", "validation.ssim", "train.content"]
    assert "8 of 8 trials, srgan" in page.text()
    inked = page.run(
        f"const c = {PARALLEL}.querySelector('canvas');"
        "return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v)"
    )
    assert inked
    assert "batch<b>" in page.text()


def test_dragging_along_an_axis_keeps_the_trials_between(page: Browser) -> None:
    drag(page, "blocks", 0.5, 0.95)  # 4, 5, 6 of 0 to 7
    assert trials(page) == [4, 5, 6]
    drag(page, "lr", -0.2, 0.1)  # 1e-3: trials 3 and 7
    assert trials(page) == []
    drag(page, "blocks", 0.5, 0.5)
    assert trials(page) == [3, 7]
    drag(page, "lr", 0.5, 0.5)
    assert trials(page) == list(range(8))


def test_importance_is_shown(page: Browser) -> None:
    first = page.run("return document.querySelector('#importance tbody tr').innerText")
    name, share, _ = first.split()
    assert name == "blocks"
    assert int(share) > 80


def test_curves_of_a_trials_seeds_are_a_band_unless_switched_off(page: Browser) -> None:
    page.run("document.querySelectorAll('#trials tbody tr')[2].click()")
    assert page.run("return document.querySelectorAll('#plots .band').length") == 3
    assert page.run("return document.querySelectorAll('#plots .curve').length") == 3
    assert "mean of 3 runs: 7, 8, 9" in page.text()
    page.click("#bands")
    assert page.run("return document.querySelectorAll('#plots .band').length") == 0
    assert page.run("return document.querySelectorAll('#plots .curve').length") == 9
    page.click("#bands")


def test_the_band_is_students_interval(page: Browser) -> None:
    rows = np.random.default_rng(1).normal(size=(4, 3))
    curves = json.dumps([[[1, 2, 3], row.tolist()] for row in rows] + [[[1, 3], [0.5, None]]])
    found = page.run(f"return spreadOf({curves})")
    assert [step for step, _, _ in found] == [1, 3]
    for (_, mean, half), values in zip(found, ([*rows[:, 0], 0.5], rows[:, 2]), strict=True):
        low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
        assert (mean, half) == pytest.approx(((low + high) / 2, (high - low) / 2), rel=1e-4)
