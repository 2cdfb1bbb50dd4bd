"""`tmd` as its users type it: what it lists, what plain words become, what it refuses."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sacred
from PIL import Image
from sacred.utils import iterate_flattened

from experiments import command
from experiments.command import COMMON, PLAIN, TOOLS
from experiments.support.report import evaluation

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ("ambientgan", "compare", "evaluate", "export", "replay", "runs", "srgan", "upscale")


def tmd(*words: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "experiments.command", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def photo(path: Path, size: int = 8) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.effect_noise((size, size), 60).convert("RGB").save(path, "PNG")
    return path


def script(name: str) -> sacred.Experiment:
    return __import__(f"experiments.{name}", fromlist=["ex"]).ex


# What there is -----------------------------------------------------------------------------------


def test_a_with_that_nothing_follows_trains_nothing(tmp_path: Path) -> None:
    done = tmd("srgan", "with", folder=tmp_path)
    assert (done.returncode, done.stderr) == (
        2,
        "error: with: lacks its settings, KEY=VALUE or names of named configs\n",
    )
    assert not list(tmp_path.iterdir())


def test_alone_it_lists_every_script_with_a_line(tmp_path: Path) -> None:
    done = tmd(folder=tmp_path)
    assert done.returncode == 0
    listed = {line.split()[0]: line for line in done.stdout.splitlines() if line.startswith("  ")}
    ending = "    ex.run_commandline()\n"
    files = {path.stem for path in ROOT.glob("experiments/*.py") if ending in path.read_text()}
    assert set(SCRIPTS) <= files
    assert set(listed) == {*files, *TOOLS}
    assert "Upscale photos with a trained generator." in listed["upscale"]
    assert all(len(line.split()) > 4 for line in listed.values())


@pytest.mark.parametrize("words", [[], ["-h"], ["--version"], ["compare", "-h"], ["nonsense"]])
def test_listing_imports_neither_torch_nor_sacred(words: list[str], tmp_path: Path) -> None:
    code = (
        "import sys; from experiments.command import main; main(sys.argv[1:]);"
        "print(*({'torch', 'sacred', 'numpy'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.splitlines()[-1] == ""


def test_the_version_is_said(tmp_path: Path) -> None:
    assert tmd("--version", folder=tmp_path).stdout == f"tmd {command.__version__}\n"


def test_a_scripts_use_is_shown_as_it_is_typed_here(tmp_path: Path) -> None:
    said = tmd("compare", "-h", folder=tmp_path).stdout
    assert "usage: tmd compare [PHOTO...] [-o OUT]" in said
    assert "tmd compare curves 3 -o run3.png" in said
    assert "tmd upscale photo.jpg\n" in tmd("upscale", "-h", folder=tmp_path).stdout
    assert "python experiments" not in said


@pytest.mark.parametrize("shown", ["print_config", "print_named_configs"])
def test_what_is_printed_into_a_file_is_plain_text(shown: str, tmp_path: Path) -> None:
    done = tmd("ambientgan", shown, "with", "device=cpu", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "faces_x2" in done.stdout or "adv_weight = " in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("name", SCRIPTS)
def test_plain_words_go_to_keys_that_there_are(name: str) -> None:
    ex = script(name)
    known = {*command.commands(name), *COMMON}
    assert set(ex.commands) <= {*known, ex.default_command}
    config = sacred.Experiment._create_run(ex, "print_config", {}, (), {}, {}, {}).config
    keys = {path for path, _ in iterate_flattened(config)}
    for spelt, plain in PLAIN.items():
        first, _, rest = spelt.partition(" ")
        if first == name:
            assert not rest or rest in command.commands(name)
            assert {*filter(None, (plain.key, plain.runs, plain.output))} <= keys


# Plain words -------------------------------------------------------------------------------------


def given(monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[list[str], dict[str, Any]]:
    """What the script of ``words`` is started with."""
    seen: list[Any] = []

    def record(self: Any, argv: Any, given: Any) -> None:
        seen.append((argv[1:], given))

    monkeypatch.setattr("experiments.support.experiment.Experiment.run_commandline", record)
    assert command.main(words) == 0
    return seen[0]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("upscale a.jpg b.jpg -o out", ([], {"input": ["a.jpg", "b.jpg"], "output": "out"})),
        ("upscale a.jpg with run=3 -o x.png tile=64", "with run=3 tile=64"),
        ("compare curves 3 5", (["curves"], {"run": ["3", "5"]})),
        ("compare photos with run=3,5", (["with", "run=3,5"], {"input": ["photos"]})),
        ("compare animate 3 -o a.gif", (["animate"], {"run": "3", "output": "a.gif"})),
        ("export best.pt with format=half", (["with", "format=half"], {"checkpoint": "best.pt"})),
        ("export 3 -ox.onnx", ([], {"run": "3", "output": "x.onnx"})),
        ("export mongodb://h/d#3", ([], {"run": "mongodb://h/d#3"})),
        ("export earlier/srgan/run", ([], {"run": "earlier/srgan/run"})),
        ("export earlier/srgan/end.pt", ([], {"checkpoint": "earlier/srgan/end.pt"})),
        ("evaluate Set5 with method=bicubic -u", (["-u", "with", "method=bicubic"], ["Set5"])),
        ("runs elsewhere", ([], {"store": "elsewhere"})),
        ("srgan print_config with scale=2", (["print_config", "with", "scale=2"], {})),
        ("srgan photos --mongo_db=mongodb://h/d", (["--mongo_db", "mongodb://h/d"], ["photos"])),
        ("srgan -uf photos", (["-u", "-f"], ["photos"])),
        ("srgan ./smoke with smoke", (["with", "smoke"], ["./smoke"])),
    ],
)
def test_words_become_config_entries(
    words: str, expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parent)
    argv, entries = given(monkeypatch, *words.split())
    if isinstance(expected, str):
        expected = (expected.split(), {"input": ["a.jpg"], "output": "x.png"})
    wanted, found = expected[1], entries
    if isinstance(wanted, list):
        (found,) = entries.values()
    assert (argv, found) == (expected[0], wanted)


def test_what_a_run_says_to_type_next_is_typed_like_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.argv", ["/usr/bin/tmd", "srgan"])
    name, *words = evaluation("runs/3").split()
    assert name == "tmd"
    assert given(monkeypatch, *words) == (["with", "run=runs/3"], {"benchmark": ["FOLDER"]})
    monkeypatch.setattr("sys.argv", ["experiments/srgan.py"])
    said = "python experiments/evaluate.py with run=runs/3 benchmark=FOLDER"
    assert evaluation("runs/3") == said


def test_photos_of_any_name_are_upscaled(tmp_path: Path) -> None:
    names = ("2024", "1e3", "None", "a,b.png", "x=1.png", 'it\'s "so".png', "two words.png")
    for name in (*names, "-dash.png", "with"):
        photo(tmp_path / name)
    words = ("upscale", *names, "./with", "-o", "1_000", "with", "device=cpu", "tile=32")
    done = tmd(*words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    made = {path.name for path in (tmp_path / "1_000").iterdir()}
    assert made == {Path(name).stem + ".png" for name in (*names, "with")}
    done = tmd("upscale", "-o", "2024.png", "--", "-dash.png", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert Image.open(tmp_path / "2024.png").size == (32, 32)


def test_a_recorded_run_says_what_was_given(tmp_path: Path) -> None:
    photo(tmp_path / "2024_06" / "a.png", 64)
    words = ("evaluate", "2024_06", "with", "method=bicubic", "metrics=psnr", "html=my page")
    done = tmd(*words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "runs" / "1"
    assert json.loads((run / "config.json").read_text())["benchmark"] == ["2024_06"]
    record = json.loads((run / "run.json").read_text())
    assert shlex.split(record["meta"]["command_line"]) == ["tmd", *words]
    assert "2024_06" in tmd("runs", folder=tmp_path).stdout


# What is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("upscal a.jpg", "error: upscal: no such command; did you mean upscale?"),
        ("foo", "error: foo: no such command; `tmd` lists them"),
        ("srgan scale=4", "error: scale=4: settings come after `with`: tmd srgan with scale=4"),
        ("srgan smoke", "error: smoke: settings come after `with`: tmd srgan with smoke"),
        ("upscale with=3", "error: with=3: `with` is a word of its own, and settings follow it: "),
        ("upscale a.jpg -o", "error: -o: lacks its value"),
        ("srgan -o out", "error: -o: tmd srgan writes to no file of your choice"),
        ("runs one two", "error: two: tmd runs takes one STORE"),
        ("upscale --unobservd a.jpg", "error: --unobservd: no such option; did you mean "),
        ("upscale a.jpg with input=b.jpg", "error: input: given twice, as ['a.jpg'] and as b.jpg"),
        ("upscale gone.jpg", "error: 1 of 1 images could not be upscaled"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    words: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        status = command.main(words.split())
    except SystemExit as ended:
        status = ended.code  # type: ignore[assignment]
    assert status == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(said)
    assert not list(tmp_path.iterdir())


def test_the_shell_gets_the_status_and_one_line(tmp_path: Path) -> None:
    done = tmd("srgan", "with", "scale=5", "device=cpu", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: scale=5: must be one of 1, 2, 3, 4, 8\n"
    assert not list(tmp_path.iterdir())


def test_a_tool_beside_the_scripts_takes_its_own_words(tmp_path: Path) -> None:
    done = tmd("sync", "--store", "nowhere", folder=tmp_path)
    assert (done.returncode, done.stderr) == (1, "--store nowhere: no such folder\n")
