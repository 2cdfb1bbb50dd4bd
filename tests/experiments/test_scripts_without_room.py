"""A disk that takes no more ends every script with a line that names the file, and leaves none."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from kill_and_resume import ROOT, environment
from record_earlier import EARLIER

from tmd.checkpoints import load_generator


def no_room() -> None:
    """No file of this process may be longer than 9 kB."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, hard))


def type_words(folder: Path, *words: str, full: bool = True) -> subprocess.CompletedProcess[str]:
    script, *rest = words
    return subprocess.run(
        [sys.executable, str(ROOT / "experiments" / f"{script}.py"), *rest],
        cwd=folder,
        env=environment(),
        preexec_fn=no_room if full else None,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("export", "with", "checkpoint=best.pt", "format=safetensors"), "out.safetensors"),
        (("export", "with", "checkpoint=best.pt", "format=half"), "out.pt"),
        (("runs", "with", f"store={EARLIER}/history", "html=True"), "out.html"),
    ],
)
def test_a_script_that_writes_one_file_says_so(
    words: tuple[str, ...], name: str, tmp_path: Path
) -> None:
    (tmp_path / "best.pt").write_bytes((EARLIER / "exported" / "best.pt").read_bytes())
    done = type_words(tmp_path, *words, f"output={tmp_path / name}")
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[-1] == f"error: {tmp_path / name}: File too large"
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.pt"]


def test_with_room_the_file_is_written(tmp_path: Path) -> None:
    words = ("export", "with", f"checkpoint={EARLIER}/exported/best.pt", "format=safetensors")
    done = type_words(tmp_path, *words, "output=out.safetensors", full=False)
    assert done.returncode == 0, done.stderr
    ours = load_generator(tmp_path / "out.safetensors").state_dict()
    theirs = load_generator(EARLIER / "exported" / "best.pt").state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
