from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from experiments.runs import ex

sys.path.append(str(Path(__file__).parents[1] / "observers"))

from populate import populate


@dataclass
class Ended:
    returncode: int
    stdout: str
    stderr: str


List = Callable[..., Ended]


@pytest.fixture
def list_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> List:
    """``python experiments/runs.py ...`` in ``tmp_path``, without the start of a process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TMD_MONGO_URL", raising=False)

    def run(*updates: str, columns: int = 160) -> Ended:
        monkeypatch.setenv("COLUMNS", str(columns))
        capfd.readouterr()
        try:
            ex.run_commandline(["runs.py", *updates])
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        return Ended(code, *capfd.readouterr())

    return run


def test_the_list_shows_status_differences_metrics_and_duration(
    tmp_path: Path, list_runs: List
) -> None:
    populate(tmp_path / "runs", 8, points=20, names=3)
    (tmp_path / "runs" / "9").mkdir()  # just starting: no record yet
    (tmp_path / "runs" / "10").mkdir()
    (tmp_path / "runs" / "10" / "run.json").write_text('{"half')
    ended = list_runs()
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    head = lines[0]
    for words in ("run", "status", "scale", "adv_weight", "validation.psnr  (best @ step)"):
        assert words in head
    assert "n_blocks" not in head  # the same everywhere
    assert len(lines) == 2 + 9
    assert lines[8].split()[:4] == ["7", "FAILED", "srgan", "4"]
    assert lines[8].endswith("0:03:20")
    assert "@ 200)" in lines[8]
    assert lines[10].split() == ["10", "UNREADABLE"]
    assert ended.stderr.splitlines() == [
        "warning: run 10: runs/10/run.json: not valid JSON",
        "warning: run 10: run runs/10: not a run (no config.json)",
    ]
    assert "Traceback" not in ended.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"runs"}
    assert len(list((tmp_path / "runs").iterdir())) == 10


def test_narrow_terminals_leave_columns_out_and_say_so(tmp_path: Path, list_runs: List) -> None:
    populate(tmp_path / "runs", 3, points=5, names=3)
    ended = list_runs("with", "last=2", "metrics=validation.psnr", columns=70)
    lines = ended.stdout.splitlines()
    assert all(len(line) <= 70 for line in lines[:4])
    assert lines[2].startswith("2 ")
    assert "more config keys differ: " in lines[-1]


def test_the_page_is_written_into_the_store(tmp_path: Path, list_runs: List) -> None:
    populate(tmp_path / "other", 3, points=5, names=3)
    ended = list_runs("with", "store=other", "html=True")
    assert ended.returncode == 0, ended.stderr
    assert "other/index.html: 3 runs, to be opened in a browser" in ended.stdout
    page = (tmp_path / "other" / "index.html").read_text()
    data = page.partition('id="data">')[2].partition("</script>")[0]
    assert [run["id"] for run in json.loads(data)["runs"]] == [1, 2, 3]
    assert list_runs("with", "store=other").stdout.count("\n") == 5  # the page is no run


def test_sacreds_own_options_name_the_store_that_is_listed(tmp_path: Path, list_runs: List) -> None:
    populate(tmp_path / "other", 2, points=4, names=3, sheets=0)
    before = sorted(tmp_path.rglob("*"))
    assert list_runs("-F", "other").stdout == list_runs("with", "store=other").stdout
    away = list_runs("-m", "127.0.0.1:1:db")
    assert "error: MongoDB at mongodb://127.0.0.1:1/db: does not answer" in away.stderr
    twice = list_runs("-F", "other", "with", "store=third")
    assert "error: store=third: -F other names a store, too; give one" in twice.stderr
    absent = list_runs("-F", "absent")
    assert (absent.returncode, absent.stdout) == (2, "")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("updates", "said"),
    [
        (["store=absent"], "store=absent: no such folder"),
        (["last=0"], "last=0: must be"),
        (["html=3"], "html=3: must be True or False"),
        (["output=page.txt"], "must end in .html"),
        (["group=trials"], "group='trials': must be one of study, config"),
        (["group=study", "by=scale"], "by='scale': groups by itself"),
        (["by=3"], "by=3: must be keys of the config"),
        (["value=mean"], "value='mean': must be one of last, best"),
        (["stor=runs"], "did you mean store?"),
        (["store=mongodb://127.0.0.1:1/db"], "does not answer"),
        (["store=mongodb://127.0.0.1:1/"], "names no database"),
    ],
)
def test_mistakes_get_one_line(list_runs: List, updates: list[str], said: str) -> None:
    ended = list_runs("with", *updates)
    assert ended.returncode != 0
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_list_of_runs_needs_no_torch() -> None:
    """Which takes longer to import than ten thousand runs to list."""
    script = "import sys, experiments.runs; print({'torch', 'pymongo'} & sys.modules.keys())"
    said = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == "set()"


def test_groups_show_mean_interval_and_count(tmp_path: Path, list_runs: List) -> None:
    populate(tmp_path / "runs", 12, points=5, names=3)
    for number in range(1, 13):
        path = tmp_path / "runs" / str(number) / "run.json"
        entry = json.loads(path.read_text()) | {"status": "COMPLETED"}
        entry["metric_summary"] = [
            {"name": "validation.psnr", "last": 20.0 + number, "last_step": 9}
        ]
        path.write_text(json.dumps(entry))
    ended = list_runs("with", "by=scale")
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[0].split() == ["experiment", "runs", "scale", "validation.psnr", "besides"]
    # scale 4 has runs 1, 4, 7, 10: 21, 24, 27, 30
    assert lines[2].split() == ["srgan", "4", "4", "25.5", "±", "6.2"]
    assert len(lines) == 2 + 3 + 1
    assert "no run belongs to a study" in list_runs("with", "group=study").stderr
    study = {"name": "first", "repeat": 0, "params": {"scale": 4}}
    for number in range(1, 13):
        info = tmp_path / "runs" / str(number) / "info.json"
        info.write_text(json.dumps({"study": {**study, "trial": number // 3}}))
    said = list_runs("with", "group=study").stdout.splitlines()
    assert said[0] == "study first (srgan)"
    assert said[3].split() == ["0", "2", "4", "21.5", "±", "6.4"]
