"""The page's table: kinds apart, metrics first, unset keys on request, thousands of rows, keys."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from browser import Browser
from populate import populate

from observers import open_store
from observers.reading.page import write_page

RUNS = 300
EVALUATIONS = (298, 299, 300)
DOWN, END, ENTER = "\ue015", "\ue010", "\ue007"  # WebDriver's codes


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trainings that somebody gave a scale and a seed, and three evaluations."""
    root = tmp_path_factory.mktemp("store")
    populate(root, RUNS, points=3, names=3, sheets=0)
    for number in range(1, RUNS + 1):
        folder = root / str(number)
        entry = json.loads((folder / "run.json").read_text())
        entry["meta"] = {"given": ["scale", "seed"]}
        if number in EVALUATIONS:
            entry["experiment"]["name"] = "evaluate"
            entry["meta"] = {"given": ["benchmark"]}
            config = {"benchmark": f"Set{number % 3 + 5}", "border": number, "seed": 1}
            (folder / "config.json").write_text(json.dumps(config))
        (folder / "run.json").write_text(json.dumps(entry))
    write_page(open_store(root), root / "index.html")
    return root


@pytest.fixture
def page(root: Path, browser: Browser) -> Browser:
    browser.open("about:blank")  # a page that differs by its hash alone would not be loaded
    browser.open((root / "index.html").as_uri())
    browser.wait_for("return document.body.dataset.ready")
    return browser


def heads(page: Browser) -> list[str]:
    return page.run(
        "return [...document.querySelectorAll('#table thead button')].map(e => e.dataset.name)"
    )


def shown(page: Browser) -> list[int]:
    """The numbers of the runs whose rows are drawn."""
    return page.run("return [...byId('rows').rows].map(row => Number(row.cells[1].innerText))")


def test_metrics_stand_before_the_config_of_which_what_was_set_is_shown(page: Browser) -> None:
    names = heads(page)
    assert names[:3] == ["run", "status", "validation.psnr last"]
    assert names[-4:] == ["scale", "seed", "duration", "started (UTC)"]
    assert "adv_weight" not in names
    run = page.run("return byId('run').innerText")
    assert run.index("Metrics") < run.index("Config, as it was set") < run.index("Output")
    assert "generator.n_blocks" not in run
    assert "3 more that nobody set" in run
    page.click("#unset")
    assert heads(page)[-5:-2] == ["scale", "seed", "adv_weight"]
    run = page.run("return byId('run').innerText")
    assert "generator.n_blocks" in run
    assert "nobody set" not in run


def test_trainings_and_evaluations_have_tables_of_their_own(page: Browser) -> None:
    said = page.run("return byId('kinds').innerText")
    assert "trainings 297" in said
    assert "evaluations 3" in said
    assert not set(shown(page)) & set(EVALUATIONS)
    page.click("#kinds button", "evaluations")
    assert sorted(shown(page)) == list(EVALUATIONS)
    assert "benchmark" in heads(page)
    assert "scale" not in heads(page)
    page.run(
        "byId('filter').value = 'border=299'; byId('filter').dispatchEvent(new Event('input'))"
    )
    assert shown(page) == [299]  # nobody set its border, but it can be asked for


def test_of_hundreds_of_rows_those_near_the_seen_ones_are_drawn(page: Browser) -> None:
    assert page.run("return byId('table').getAttribute('aria-rowcount')") == "298"
    first = shown(page)
    assert first[:2] == [297, 296]
    assert len(first) < 150
    height = page.run("return byId('room').scrollHeight")
    page.run("byId('room').scrollTop = 1e9")
    page.wait_for("return [...byId('rows').rows].at(-1).cells[1].innerText === '1'")
    assert len(shown(page)) < 150
    assert page.run("return byId('room').scrollHeight") == pytest.approx(height, abs=2)
    last = page.run(
        "const box = [...byId('rows').rows].at(-1).getBoundingClientRect();"
        "return document.elementFromPoint(200, box.top + box.height / 2).closest('tr').innerText"
    )
    assert last.split()[0] == "1"


def test_a_head_sorts_all_rows_and_says_so(page: Browser) -> None:
    page.click("#table thead button", "validation.psnr last")
    assert shown(page)[:3] == [297, 296, 295]  # the greatest first
    page.click("#table thead button", "validation.psnr last")
    assert shown(page)[:3] == [1, 2, 3]
    assert page.run(
        "return document.querySelector('[aria-sort]').innerText + "
        "document.querySelector('[aria-sort]').getAttribute('aria-sort')"
    ).startswith("validation.psnr last")
    assert page.run("return document.activeElement.dataset.name") == "validation.psnr last"


def test_the_keyboard_moves_ticks_and_opens(page: Browser) -> None:
    page.run("chooseOnly([])")
    page.type("#room", DOWN * 3 + " ")
    assert page.run("return chosenRuns().map(run => run.id)") == [294]
    page.type("#room", ENTER)
    assert page.run("return document.querySelector('#run h2').innerText").startswith("Run 294")
    page.type("#room", END + " ")
    assert page.run("return chosenRuns().map(run => run.id)") == [1, 294]
    page.wait_for("return byId('active')?.cells[1].innerText === '1'")
    inside = page.run(
        "const row = byId('active').getBoundingClientRect(), room = byId('room');"
        "const box = room.getBoundingClientRect();"
        "return row.top >= box.top && row.bottom <= box.bottom + 1"
    )
    assert inside


def test_short_texts_are_shown_whole_and_no_column_is_far_wider_than_its_texts(
    page: Browser,
) -> None:
    page.run("byId('room').style.width = '700px'")  # so that no column is stretched
    cut = page.run(
        "return [...document.querySelectorAll('#rows td, #table th button')].filter("
        "cell => cell.innerText.length <= 24 && cell.scrollWidth > cell.clientWidth).length"
    )
    assert cut == 0
    widths = dict(
        page.run(
            "return [...document.querySelectorAll('#table th')].map("
            "cell => [cell.title, cell.clientWidth])"
        )
    )
    assert widths["run"] < widths["status"] < widths["validation.psnr last"] < 190
