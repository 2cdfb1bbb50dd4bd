"""Config values are plain, whoever gives them, and names stay as they were typed."""

from __future__ import annotations

import ast
import inspect
import json
import os
import pickle
from pathlib import Path

import pytest
import torch

from experiments import ambientgan, compare, evaluate, export, runs, srgan, upscale
from experiments.support.values import NAMES, parse_updates, plain_config, read_config
from tests.experiments.support.test_experiment import build, stored, words
from tmd.errors import UserError
from tmd.images import write_image

# Keys whose comments speak of folders and runs, and that name none.
NO_NAMES = {"crop", "format", "measurement", "method", "name"}

SCRIPTS = (ambientgan, compare, evaluate, export, runs, srgan, upscale)


def marking(path: Path) -> dict:
    """What a decoder of objects would open ``path`` for writing at."""
    return {"py/reduce": [{"py/function": "builtins.open"}, {"py/tuple": [str(path), "w"]}]}


class Marking:
    """Opens a file for writing when it is restored from a pickle."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple:
        return open, (self.path, "w")


def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], *rest: str) -> str:
    """The line that a command ends with."""
    with pytest.raises(SystemExit) as ended:
        build(tmp_path).run_commandline(words(tmp_path, *rest))
    line = capsys.readouterr().err
    assert ended.value.code == 2
    assert line.startswith("error: ")
    assert line.count("\n") == 1
    assert not (tmp_path / "runs").exists()
    return line


@pytest.mark.parametrize("command", [[], ["print_config"]], ids=["main", "print_config"])
@pytest.mark.parametrize("how", ["json", "pickle", "yaml", "literal"])
def test_no_config_runs_code(tmp_path, capsys, how, command):
    marker, file = tmp_path / "marker", tmp_path / f"given.{how}"
    if how == "pickle":
        file.write_bytes(pickle.dumps({"kind": Marking(marker)}))
    elif how == "yaml":
        pytest.importorskip("yaml")
        file.write_text(f"kind: !!python/object/apply:builtins.open ['{marker}', 'w']\n")
    else:
        file.write_text(json.dumps({"kind": marking(marker)}))
    given = f"kind={json.dumps(marking(marker))}" if how == "literal" else str(file)
    line = refused(tmp_path, capsys, *command, "with", given)
    assert not marker.exists()
    assert ("kind" if how == "literal" else file.name) in line


def test_the_resumed_runs_config_runs_no_code(tmp_path, capsys):
    build(tmp_path).run_commandline(words(tmp_path))
    config = tmp_path / "runs" / "1" / "config.json"
    config.write_text(json.dumps({"scale": 4, "kind": marking(tmp_path / "marker")}))
    with pytest.raises(SystemExit):
        build(tmp_path).run_commandline(words(tmp_path, "with", "resume=1"))
    assert "objects are not restored" in capsys.readouterr().err
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_file_does_not_take_a_named_configs_place(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two").mkdir() if kind == "folder" else (tmp_path / "two").write_text("{}")
    ex = build(tmp_path)
    ex.add_named_config("two", {"seed": 77})
    ex.run_commandline(words(tmp_path, "with", "two"))
    assert stored(tmp_path, 1, "config.json")["seed"] == 77
    assert list(ex.named_configs) == ["two"]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.json", '{"scale": ', "not JSON"),
        ("a.json", "[1, 2]", "holds no config"),
        ("a.json", "[" * 100_000, "not JSON"),
        ("a.json", '{"a=b": 1}', "can't be a key"),
        ("a.json", '{"a..b": 1}', "can't be a key"),
        ("a.json", '{"": 1}', "can't be a key"),
        ("a.json", '{"a": 1, "a.b": 2}', "a value and, with a dot, entries"),
        ("a.json", r'{"a": {"\u001b[2J": 1}}', r"'\\x1b\[2J' can't be a key"),
        ("a.json", b"\xff\xfe\x00", "not JSON"),
        ("a.json", None, "no such file"),
        ("a.pickle", "", "must end in .json"),
        ("a.yaml", "scale: [1", "not YAML"),
        ("a.yaml", "a: &a [*a]", "nested too deeply"),
        ("a.yaml", "a: 2024-01-01", "date values"),
        (
            "a.yaml",
            "a0: &a0 [1]\n" + "".join(f"a{i}: &a{i} [{f'*a{i - 1},' * 9}]\n" for i in range(1, 9)),
            "more than 100000 entries",
        ),
    ],
)
def test_files_that_are_no_config_are_refused_in_a_line(tmp_path, name, content, why):
    if name.endswith("yaml"):
        pytest.importorskip("yaml")
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=why) as problem:
        plain_config(read_config(str(path)), str(path))
    assert str(problem.value).startswith(f"{path}: ")
    assert "\n" not in str(problem.value)


@pytest.mark.parametrize("seed", ["abc", "1.5", "-1", "True", str(2**32)])
def test_a_seed_that_is_none_is_refused_in_a_line(tmp_path, capsys, seed):
    assert "must be an integer" in refused(tmp_path, capsys, "with", f"seed={seed}")


@pytest.mark.parametrize("option", ["-b x", "-P x", "-C nope", "-l nope"])
def test_options_that_can_not_be_are_refused_in_a_line(tmp_path, capsys, option):
    assert "must be" in refused(tmp_path, capsys, *option.split())


def test_a_named_pipe_is_no_config(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(UserError, match="not a file"):
        read_config(str(tmp_path / "pipe.json"))


def test_a_name_that_is_nothing_says_what_there_is(tmp_path, capsys):
    ex = build(tmp_path)
    ex.add_named_config("smoke", {"seed": 1})
    with pytest.raises(SystemExit):
        ex.run_commandline(words(tmp_path, "with", "smok"))
    assert "did you mean smoke?" in capsys.readouterr().err


OF_JSON = {"name": "resize", "antialias": True, "factor": None}


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("2", 2),
        ("1e3", 1000.0),
        ("True", True),
        ("None", None),
        ("10it", "10it"),
        ("[1, 'a', (2, 3)]", [1, "a", [2, 3]]),
        ("{'a': 1, 2: 'b'}", {"a": 1, "2": "b"}),
        ("'quoted'", "quoted"),
        ("a=b", "a=b"),
        ('[{"name": "resize", "antialias": true, "factor": null}]', [OF_JSON]),
        ('{"clip": false}', {"clip": False}),
        ("true", "true"),
        ("[1", "[1"),
        ("{[]: 1}", "{[]: 1}"),
        ("", ""),
    ],
)
def test_values_are_literals_or_text(typed, value):
    assert parse_updates([f"part.key={typed}"]) == ({"part": {"key": value}}, [])


@pytest.mark.parametrize("typed", ["{1, 2}", "b'bytes'", "1j"])
def test_values_that_no_config_holds_are_refused(typed):
    with pytest.raises(UserError, match="values are not read"):
        parse_updates([f"key={typed}"])


@pytest.mark.parametrize("word", ["=3", "a.=3", ".a=3", "a..b=3"])
def test_words_without_a_key_are_refused(word):
    with pytest.raises(UserError, match="must be key=value"):
        parse_updates([word])


def test_an_entry_of_a_value_is_refused():
    with pytest.raises(UserError, match=r"an earlier dataset=… is in its way"):
        parse_updates(["dataset=3", "dataset.root=x"])


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("2024", "2024"),
        ("2024_06_01", "2024_06_01"),
        ("2024-06-01", "2024-06-01"),
        ("1e3", "1e3"),
        ("0x10", "0x10"),
        ("007", "007"),
        ("1,2", "1,2"),
        ("1.50", "1.50"),
        ("{1}", "{1}"),
        ("[ab]*.png", "[ab]*.png"),
        ("[ab]", "[ab]"),
        ("(2024)", "(2024)"),
        ("2024#2", "2024#2"),
        ("None#2", "None#2"),
        ("-5", "-5"),
        ("1+2j", "1+2j"),
        ("...", "..."),
        ("größe", "größe"),
        ("['größe', 2024_1]", ["größe", "2024_1"]),
        ("'2024'", "2024"),
        ("None", None),
        ("[2024_06_01, 'a', 1e3]", ["2024_06_01", "a", "1e3"]),
        ("'a', 'b'", ["a", "b"]),
        ("~/out", os.path.expanduser("~/out")),
        ("~/a,~/b", os.path.expanduser("~/a") + "," + os.path.expanduser("~/b")),
        ("a~b", "a~b"),
        ("mongodb://u:~@h/d", "mongodb://u:~@h/d"),
    ],
)
def test_paths_and_names_are_kept_as_typed(typed, name):
    assert parse_updates([f"dataset.root={typed}"])[0] == {"dataset": {"root": name}}


@pytest.mark.parametrize(
    ("typed", "run"),
    [("3", 3), ("007", "007"), ("1_0", "1_0"), ("3,4", [3, 4]), ("runs/3", "runs/3")],
)
def test_runs_by_their_plain_number_are_numbers(typed, run):
    assert parse_updates([f"run={typed}"])[0] == {"run": run}


def test_names_in_files_are_text(tmp_path):
    pytest.importorskip("yaml")
    (tmp_path / "a.json").write_text('{"dataset": {"root": 2024}, "dataset.val_root": [1, "~/x"]}')
    given = {"root": "2024", "val_root": ["1", os.path.expanduser("~/x")]}
    assert read_and_plain(tmp_path / "a.json") == {"dataset": given}
    (tmp_path / "a.yaml").write_text("output: 2024_06_01\ninput: [2024-06-01, 1e3, 0x1f]\nscale: 2")
    assert read_and_plain(tmp_path / "a.yaml") == {
        "output": "2024_06_01",
        "input": ["2024-06-01", "1e3", "0x1f"],
        "scale": 2,
    }


def read_and_plain(path: Path) -> dict:
    return plain_config(read_config(str(path)), str(path))


def test_names_from_python_are_text(tmp_path):
    given = plain_config({"output": 2024, "dataset.root": tmp_path, "resume": 3}, "config")
    assert given == {"output": "2024", "dataset": {"root": str(tmp_path)}, "resume": 3}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__.split(".")[-1])
def test_every_key_whose_comment_speaks_of_a_file_folder_or_run_is_a_name(script):
    """A new key that holds a path must be one of `NAMES`."""
    sources = {inspect.getsource(script)} | {
        inspect.getsource(inspect.getmodule(config._func))
        for part, _ in script.ex.traverse_ingredients()
        for config in part.configurations
    }
    speaking = {
        key
        for source in sources
        for function in ast.walk(ast.parse(source))
        if isinstance(function, ast.FunctionDef) and function.name == "config"
        for key, comment in described(function, source)
        if comment and {"folder", "folders", "file", "run"} & set(comment.split())
    }
    assert speaking & NAMES
    assert speaking <= NAMES | NO_NAMES


def described(function: ast.FunctionDef, source: str) -> list[tuple[str, str]]:
    """(key, comment) of each key of a config that has a plain default of None or text."""
    lines = source.splitlines()
    return [
        (node.targets[0].id, lines[node.end_lineno - 1].partition("#")[2].replace(",", " "))
        for node in function.body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Constant)
        and (node.value.value is None or isinstance(node.value.value, str))
    ]


def test_a_script_takes_names_that_look_like_numbers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("2024_06_01", "20240601"):
        (tmp_path / folder).mkdir()
        write_image(tmp_path / folder / f"{folder}.png", torch.rand(3, 8, 8))
    upscale.ex.run_commandline(["upscale.py", "with", "input=2024_06_01", "output=1e3"])
    assert os.listdir("1e3") == ["2024_06_01.png"]
    with pytest.raises(SystemExit):
        upscale.ex.run_commandline(["upscale.py", "with", "input=2024_06_01", "output=a.heic"])


def test_braces_that_the_shell_expanded_are_told() -> None:
    words = [f"dataset.root=train-{number}.tar" for number in range(3)]
    with pytest.raises(UserError, match=r"root=train-1\.tar: .* put braces in quotes"):
        parse_updates(words)
    assert parse_updates([words[0]] * 2)[0] == {"dataset": {"root": "train-0.tar"}}
