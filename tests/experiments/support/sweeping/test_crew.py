"""The workers of a study, as the command that starts them watches them."""

from __future__ import annotations

import sys
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from experiments.support.engines import create_engine
from experiments.support.sweeping.crew import Crew
from experiments.support.sweeping.runs_of_trials import last_line
from tmd.errors import UserError

#: A worker that is killed the first time, if it is the second.
MORTAL = """
import os, pathlib, signal, sys
print(os.environ["TMD_WORKER"], os.environ["OMP_NUM_THREADS"], flush=True)
mark = pathlib.Path(sys.argv[1])
if os.environ["TMD_WORKER"] == "2" and not mark.exists():
    mark.touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_who_takes_a_killed_workers_place_has_its_number_and_its_share(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    study = MagicMock()
    study.trials.return_value = []
    study.is_finished.return_value = False
    study.storage.folder = tmp_path
    command = [sys.executable, "-c", MORTAL, str(tmp_path / "mark")]
    with pytest.raises(UserError, match="no worker is left"):
        Crew(study, command, {}, 2, create_engine("local")).work()
    said = capsys.readouterr().err
    assert "worker 2 was ended by SIGKILL; another takes its place" in said
    began = [path.read_text() for path in sorted((tmp_path / "workers" / "0").iterdir())]
    assert began == ["1 4\n", "2 4\n"]
    (instead,) = (tmp_path / "workers" / "1").iterdir()
    assert instead.read_text() == "2 4\n"


def test_what_killed_trainings_have_left_goes_with_the_studys_end(tmp_path: Path) -> None:
    study = MagicMock()
    study.trials.return_value = []
    study.is_finished.side_effect = [False, True, True]
    study.storage.folder = tmp_path
    left = tmp_path / "training" / "00001-0-1.log"
    left.parent.mkdir()
    left.write_text("half a line")
    Crew(study, [sys.executable, "-c", ""], {}, 1, create_engine("local")).work()
    assert not left.parent.exists()
    assert last_line(left) == ""
