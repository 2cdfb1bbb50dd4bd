"""Studies: what is typed, what is run and recorded, and what bad input is answered."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import command
from observers import open_store

ROOT = Path(__file__).resolve().parents[2]

TINY = {
    "schedule": {"pretrain": "2it", "warmup": "1it", "adversarial": "2it"},
    "training": {
        "epoch_length": 1,
        "checkpoint_every": 1,
        "preview_images": 0,
        "tensorboard": False,
        "speed": "float32",
        "threads": 1,
    },
    "generator": {"n_blocks": 1, "n_features": 4},
    "dataset": {"patch_size": 24, "batch_size": 2, "crop": 96},
}


def tmd(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a user types in ``folder``, ended well."""
    done = subprocess.run(
        [sys.executable, "-m", "experiments.command", *words],
        cwd=folder,
        env={"OMP_NUM_THREADS": "1", **os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def answer(capsys, *words: str) -> str:
    """The line by which what was typed is refused."""
    with pytest.raises(SystemExit) as end:
        command.main(list(words))
    assert end.value.code == 2
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1, said
    return said


#: A grid of two trials of two repeats each.
PAIR = (
    "sweep srgan with smoke tiny.json losses.real_label=0.8 space.history.capacity=0,8 "
    "sampler=grid repeats=2 objective=validation.psnr study=pair"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `PAIR` has run."""
    folder = tmp_path_factory.mktemp("swept")
    (folder / "tiny.json").write_text(json.dumps(TINY))
    tmd(folder, *PAIR.split())
    return folder


def test_every_repeat_is_a_recorded_run_that_knows_its_study(folder):
    records = open_store(folder / "runs").records()
    assert [record.status for record in records] == ["COMPLETED"] * 4
    said = [record.info["study"] for record in records]
    assert {each["name"] for each in said} == {"pair"}
    assert [(each["trial"], each["repeat"]) for each in said] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    for record, each in zip(records, said, strict=True):
        assert each["params"] == {"history.capacity": 8 * each["trial"]}
        assert record.config["history"]["capacity"] == 8 * each["trial"]
        assert record.config["seed"] == 1 + each["repeat"]
        assert record.config["losses"]["real_label"] == 0.8
        assert record.config["generator"]["n_features"] == 4


def test_a_trial_is_the_mean_of_its_runs_with_an_interval(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    command.main(["sweep", "table", "pair", "with", "markdown=True"])
    lines = capsys.readouterr().out.splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:4]]
    runs = {record.id: record.result["psnr"] for record in open_store("runs")}
    for trial, _, value, numbers in cells:
        assert numbers == ("1, 2" if trial == "0" else "3, 4")
        pair = [runs[int(number)] for number in numbers.split(",")]
        # Student's t of two values: 12.706 times |a - b| / 2.
        half = 12.706 * abs(pair[0] - pair[1]) / 2
        assert value == f"{sum(pair) / 2:.2f} ± {half:.2f}"


def test_the_best_trial_is_shown_as_it_is_typed(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    command.main(["sweep", "best", "pair"])
    said = capsys.readouterr().out
    results = [record.result["psnr"] for record in open_store("runs")]
    best = 0 if sum(results[:2]) >= sum(results[2:]) else 1
    assert said.startswith(f"trial {best}:")
    words = f"smoke tiny.json losses.real_label=0.8 history.capacity={8 * best} seed=1"
    assert said.splitlines()[1].strip() == f"tmd srgan with {words}"


def test_a_trial_has_the_bits_and_the_record_of_a_run_that_is_typed(folder):
    words = "smoke tiny.json losses.real_label=0.8 history.capacity=8 seed=2"
    tmd(folder, "srgan", "-F", "typed", "with", *words.split())
    swept, typed = folder / "runs" / "4", folder / "typed" / "1"
    names = sorted(path.name for path in typed.glob("checkpoint_*.pt"))
    assert names
    for name in names:
        assert (swept / name).read_bytes() == (typed / name).read_bytes()
    records = [json.loads((each / "run.json").read_text()) for each in (swept, typed)]
    assert records[0]["experiment"]["sources"] == records[1]["experiment"]["sources"]
    assert records[0]["experiment"]["mainfile"] == records[1]["experiment"]["mainfile"]
    assert records[0]["command"] == records[1]["command"]


def test_a_finished_study_is_not_run_again(folder):
    said = tmd(folder, *PAIR.split()).stdout
    assert "2 trials: 2 done" in said
    assert len(open_store(folder / "runs").records()) == 4


SPACE = "space.adv_weight=0.1..0.9"


def test_a_database_of_runs_that_is_away_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = f"sweep srgan -m 127.0.0.1:1:swept with smoke {SPACE} trials=2"
    line = answer(capsys, *words.split())
    assert line.startswith("error: MongoDB at mongodb://127.0.0.1:1/swept: does not answer")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("space.adv_wight=1,2", "adv_wight: no such config key; did you mean adv_weight?"),
        ("space.adv_weight=-1..1", "adv_weight=-1: must be a number at least 0"),
        ("space.generator.n_blocks=2,x", "generator.n_blocks"),
        (f"{SPACE} trails=3", "trails: no such config key; did you mean trials?"),
        (f"{SPACE} objective=validation.fid", "objective=validation.fid: no run of srgan records"),
        (f"{SPACE} objective=train.loss_g", "objective=train.loss_g: no run of srgan records"),
        (SPACE, "trials=None: give a number of trials"),
        (f"{SPACE} sampler=grid", "space.adv_weight=0.1..0.9: a grid has to know the values"),
        (f"{SPACE} adv_weight=1", "adv_weight=1: space.adv_weight is given too"),
        (f"{SPACE} sampler=tpa", "sampler='tpa': must be"),
        (f"{SPACE} study=a/b", "study='a/b': must be letters"),
        (f"{SPACE} trials=2 resume=3", "resume: a trial's run begins by itself"),
        ("trials=3", "space: is empty"),
        ("space.seed=1,2 repeats=2 trials=2", "space.seed: repeats differ by their seed already"),
        (
            f"{SPACE} trials=3 pruner=median objective=validation.psnr,validation.score",
            "pruner=median: prunes by one objective",
        ),
        (
            f"{SPACE} trials=3 storage=sqlite:////nowhere/at/all.db",
            "storage=sqlite:////nowhere/at/all.db: the database can't be used",
        ),
        (f"{SPACE} trials=3 engine=cloud", "engine='cloud': must be"),
        ("space.generator=spann,compact trials=2", "space.generator=spann,compact: spann is no"),
        ("space.generator.n_blocks=0..4 trials=2", "generator.n_blocks=0: must be an integer"),
        (
            "space.dataset=0,8 trials=2",
            "space.dataset=0,8: 0 is no named config of dataset; it has",
        ),
        ("dataset=8 trials=2 space.scale=2,4", "dataset=8: dataset is a part of the config; give"),
        ("generator=span trials=2 space.scale=2,4", "generator=span: generator is a part of the"),
        ("space=nofile.json trials=2", "nofile.json: no such file"),
        ("space=3 trials=2", "space=3: give space.KEY=VALUES, or space=FILE.json"),
        (f"{SPACE} trials=2 limits.memory=3", "limits.memory: no such limit (parameters, "),
        (f"{SPACE} trials=2 limits.parameters=-3", "limits.parameters=-3: must be a number above"),
        (f"{SPACE} trials=2 limits=3", "limits=3: give limits.NAME=NUMBER"),
        (
            f"{SPACE} trials=3 storage=postgresql+psycopg://a:secret@127.0.0.1:1/study",
            "storage=postgresql+psycopg://***@127.0.0.1:1/study: ",
        ),
        (f"{SPACE} trials=3 storage=nothing://x", "storage=nothing://x: its driver is missing"),
        (f"{SPACE} trials=3 storage=/proc/nothing", "storage=/proc/nothing/srgan-"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(words, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert answer(capsys, "sweep", "srgan", "with", "smoke", *words.split()).startswith(
        f"error: {says}"
    )
    assert not list(tmp_path.iterdir())


def test_without_optuna_a_line_says_how_to_install_it(tmp_path):
    blocked = "import sys; sys.modules['optuna'] = None; import importlib.util as u; "
    blocked += "find = u.find_spec; u.find_spec = lambda n: None if n == 'optuna' else find(n); "
    blocked += "from experiments.command import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", blocked, "sweep", "srgan", "with", SPACE, "trials=2"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "error: tmd sweep: needs Optuna; pip install 'tmd[sweep]' brings it\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("sweep srgan with smoke study=pair space.history.capacity=0,9 trials=2", "its space is"),
        ("sweep ambientgan with study=pair space.history.capacity=0,8 trials=2", "its experiment"),
        ("sweep status with study=pare", "no such study in studies (it has pair)"),
        ("sweep runs with space.last=1,2 trials=2", "must be one that trains (ambientgan, srgan)"),
    ],
)
def test_another_study_is_answered_by_a_line(words, says, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert says in answer(capsys, *words.split())
