"""What our Experiment adds to Sacred's."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from experiments.support.experiment import Experiment
from tmd.errors import UserError, check_choice


def build(tmp_path: Path) -> Experiment:
    ex = Experiment("toy")

    @ex.config
    def config():
        scale = 4  # noqa: F841
        kind = "auto"  # noqa: F841
        resume = None  # noqa: F841

    @ex.check
    def check(scale: int) -> None:
        check_choice("scale", scale, (2, 4))

    @ex.resolve
    def resolve(scale: int) -> dict:
        return {"kind": f"chosen for {scale}"}

    @ex.main
    def main(kind: str, scale: int, _run) -> str:
        if scale == 2:
            raise UserError("scale=2: found out too late")
        return kind

    return ex


def words(tmp_path: Path, *rest: str) -> list[str]:
    return ["toy.py", "-F", str(tmp_path / "runs"), *rest]


def stored(tmp_path: Path, run: int, name: str) -> dict:
    return json.loads((tmp_path / "runs" / str(run) / name).read_text())


def test_what_is_resolved_is_used_and_stored(tmp_path: Path) -> None:
    run = build(tmp_path).run_commandline(words(tmp_path))
    assert run.result == "chosen for 4"
    assert stored(tmp_path, 1, "config.json")["kind"] == "chosen for 4"


def test_a_failed_check_leaves_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        build(tmp_path).run_commandline(words(tmp_path, "with", "scale=3"))
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: scale=3: must be one of 2, 4\n"
    assert not (tmp_path / "runs").exists()


def test_a_word_that_is_no_command_gets_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        build(tmp_path).run_commandline(words(tmp_path, "smoke"))
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.err == (
        "error: smoke: no such command (main, print_config, print_dependencies, "
        "print_named_configs, save_config); settings come after `with`\n"
    )
    assert said.out == ""
    assert not (tmp_path / "runs").exists()


def test_a_mistake_found_while_running_is_one_line_and_a_failed_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        build(tmp_path).run_commandline(words(tmp_path, "with", "scale=2"))
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: scale=2: found out too late\n"
    assert stored(tmp_path, 1, "run.json")["status"] == "FAILED"


def test_from_python_the_mistake_is_raised(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="scale=3"):
        build(tmp_path).run(config_updates={"scale": 3}, options={"--unobserved": True})


def test_a_resumed_run_inherits_the_parents_config_and_explicit_words_win(tmp_path: Path) -> None:
    ex = build(tmp_path)
    ex.run_commandline(words(tmp_path, "with", "kind=mine"))
    (tmp_path / "runs" / "1" / "config.json").write_text(
        json.dumps({"scale": 4, "kind": "parents", "resume": 77, "seed": 123})
    )
    ex.run_commandline(words(tmp_path, "with", "resume=1"))
    config = stored(tmp_path, 2, "config.json")
    assert (config["seed"], config["resume"]) == (123, 1)
    ex.run_commandline(words(tmp_path, "with", "resume=1", "seed=5"))
    assert stored(tmp_path, 3, "config.json")["seed"] == 5


def test_passwords_are_in_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["toy.py", "-m", "mongodb://ann:sesame99@127.0.0.1:1/db"])
    ex = build(tmp_path)
    run = ex._create_run(options={"--mongo_db": "mongodb://ann:sesame99@127.0.0.1:1/db"})
    assert "sesame99" not in repr(run.meta_info)
    assert "127.0.0.1" in run.meta_info["options"]["--mongo_db"]


def test_what_the_library_logs_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ex = build(tmp_path)

    @ex.command
    def search() -> None:
        logging.getLogger("tmd.data").info("folder: 3 images, \x1b[2J.png")

    ex.run_commandline(words(tmp_path, "search"))
    assert "folder: 3 images, \\x1b[2J.png\n" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        ex.run_commandline(words(tmp_path, "with", "\x1b[2J"))
    assert "\x1b" not in capsys.readouterr().err
