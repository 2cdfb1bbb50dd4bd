"""What a worker makes of its trainings' reports: pruning, limits, kills, places that are away."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
from scripted import Scripted, in_step, pruned_by_optuna, states, study_of, work

from experiments.support.sweeping import runs_of_trials, storage, tables, worker
from experiments.support.sweeping.limits import Limits
from experiments.support.sweeping.studies import open_study

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Worker and training wait for each other, for moments."""
    monkeypatch.setattr(runs_of_trials, "POLL", 0.01)
    monkeypatch.setattr(runs_of_trials.Training, "watch", in_step())


@pytest.mark.parametrize("pruner", ["hyperband", "median"])
def test_a_pruner_ends_the_trials_that_optuna_itself_would(pruner, tmp_path):
    study = study_of(tmp_path, sampler="random", pruner=pruner, trials=9)
    work(study, tmp_path)
    expected = pruned_by_optuna(study)
    assert any(expected)
    assert not all(expected)
    assert [state == "PRUNED" for state in states(study)] == expected
    assert {"PRUNED", "COMPLETE"} == set(states(study))
    said = [trial.user_attrs["reason"] for trial in study.trials() if trial.state.name == "PRUNED"]
    assert all(f"% of their training ({pruner})" in each for each in said)


def test_pruning_is_the_same_when_the_worker_is_killed(tmp_path):
    study = study_of(tmp_path, sampler="random", pruner="hyperband", trials=9)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)])}
    program = [sys.executable, str(Path(__file__).with_name("scripted.py"))]
    kills = 0
    while not study.is_finished():
        process = subprocess.Popen([*program, study.name, str(tmp_path), "60"], env=env)
        ended = sum(state in ("COMPLETE", "PRUNED") for state in states(study))
        while process.poll() is None:
            time.sleep(0.05)
            running = [t for t in study.trials() if t.state.name == "RUNNING"]
            now = sum(state in ("COMPLETE", "PRUNED") for state in states(study))
            if kills < 3 and now >= ended + 2 and running and running[0].intermediate_values:
                process.send_signal(signal.SIGKILL)
                kills += 1
                break
        process.wait()
    assert kills == 3
    assert [state == "PRUNED" for state in states(study)] == pruned_by_optuna(study)


def test_a_pruned_training_is_told_why(tmp_path, monkeypatch):
    heard = []
    closed = worker.Training.watch

    def watch(training, told, is_wanted, farewell):
        ended = closed(training, told, is_wanted, farewell)
        heard.append((farewell(), ended.reason))
        return ended

    monkeypatch.setattr(worker.Training, "watch", watch)
    work(study_of(tmp_path, sampler="random", pruner="hyperband", trials=6), tmp_path)
    reasons = [(why, said) for why, said in heard if why]
    assert reasons
    assert all(why == said for why, said in reasons)


def test_a_trial_beyond_a_limit_is_pruned_as_it_begins(tmp_path):
    study = study_of(
        tmp_path, space={"y": "0.5,0.7,0.9"}, sampler="grid", trials=3, limits=Limits(700)
    )
    work(study, tmp_path)
    assert states(study) == ["COMPLETE", "COMPLETE", "PRUNED"]
    assert study.trials()[2].user_attrs["reason"] == "its generator has 900 parameters, over 700"


def test_nsga2_shows_the_trials_that_none_is_better_than(tmp_path):
    objectives = ("validation.psnr", "validation.score")
    study = study_of(tmp_path, sampler="nsga2", objectives=objectives, trials=24)
    work(study, tmp_path)
    values = {trial.number: trial.values for trial in study.trials()}
    front = {trial.number for trial in study.optuna.best_trials}  # as Optuna finds it
    assert 1 < len(front) < 24
    shown = tables.best(study)
    assert shown.startswith(f"{len(front)} of 24 trials, none of which another is better than:")
    listed = [
        int(line.partition(":")[0].removeprefix("trial "))
        for line in shown.splitlines()
        if line.startswith("trial ")
    ]
    assert set(listed) == front
    assert [values[n][0] for n in listed] == sorted((values[n][0] for n in front), reverse=True)
    table = tables.table(study, True).splitlines()
    assert len(table) == 2 + 24
    assert "PSNR" in table[0]
    assert "score" in table[0]
    # The last four are children of the first twenty.
    generations = [
        value
        for trial in study.trials()
        for key, value in trial.system_attrs.items()
        if key.endswith(":generation")
    ]
    assert sorted(generations) == [0] * 20 + [1] * 4


@pytest.mark.parametrize("method", ["ped-anova", "fanova"])
def test_importance_finds_the_key_that_matters(method, tmp_path):
    if method == "fanova":
        pytest.importorskip("sklearn")
    study = study_of(tmp_path, sampler="random", trials=1)
    for number in range(40):
        x, y = (number % 8) / 7, (number // 8) / 4
        floats = optuna.distributions.FloatDistribution(0.0, 1.0)
        study.optuna.add_trial(
            optuna.create_trial(
                params={"x": x, "y": y},
                distributions={"x": floats, "y": floats},
                value=30 - 10 * (x - 0.3) ** 2 + 0.01 * y,
            )
        )
    study.ask_for(41)
    shares = {
        line.split()[0]: int(line.split()[1])
        for line in tables.importance(study, False, method).splitlines()
        if line.endswith("%")
    }
    assert shares["x"] >= 90
    assert shares["x"] + shares["y"] in (99, 100, 101)


def test_a_place_that_is_away_is_waited_for_and_no_result_is_lost(tmp_path, monkeypatch, capfd):
    study = study_of(tmp_path, sampler="random", trials=4)
    monkeypatch.setattr(storage, "RETRY", 0.05)
    inner = study.storage.optuna._inner
    calls = {"made": 0, "refused": 0}

    def wrapped(name):
        found = getattr(type(inner), name)

        def call(*words, **named):
            calls["made"] += 1
            # Three outages, each in another call, of two tries each.
            if calls["made"] % 17 in (0, 1) and calls["made"] > 16:
                calls["refused"] += 1
                raise optuna.exceptions.StorageInternalError("gone away")
            return found(inner, *words, **named)

        return call

    for name in ("set_trial_user_attr", "set_trial_state_values", "get_all_trials", "get_trial"):
        monkeypatch.setattr(inner, name, wrapped(name))
    assert work(study, tmp_path) == 4
    assert calls["refused"] >= 4
    assert states(study) == ["COMPLETE"] * 4
    assert all("repeat_0" in trial.user_attrs for trial in study.trials())
    assert "is away, and is tried again (gone away)" in capfd.readouterr().err


def test_a_place_that_stays_away_is_one_line(tmp_path, monkeypatch):
    study = study_of(tmp_path, sampler="random", trials=1)
    inner = study.storage.optuna._inner

    def gone(*words, **named):
        raise optuna.exceptions.StorageInternalError("gone away")

    monkeypatch.setattr(inner, "get_all_trials", gone)
    with pytest.raises(storage.UnreachableError, match=r"studies/scripted: is away \(gone away\)"):
        study.trials()


def test_repeats_are_pruned_by_the_first_of_them(tmp_path):
    study = study_of(tmp_path, sampler="random", pruner="median", trials=7, repeats=2)
    work(study, tmp_path)
    for trial in study.trials():
        if trial.state.name == "PRUNED":
            assert "repeat_0" not in trial.user_attrs
        else:
            runs = [trial.user_attrs[f"repeat_{n}"]["values"]["validation.psnr"] for n in range(2)]
            assert trial.values[0] == statistics.fmean(runs)
    assert "PRUNED" in states(study)


@pytest.mark.parametrize("sampler", ["random", pytest.param("tpe", marks=pytest.mark.slow)])
def test_draws_hang_on_the_seed_and_the_number_alone(sampler, tmp_path):
    """Of TPE, the first ten, and all with one worker."""
    space = {"x": "0.0..1.0..0.25", "y": "0,0.5,1"}
    more = {"space": space, "sampler": sampler, "trials": 12}
    one = study_of(tmp_path, "one", **more)
    again = study_of(tmp_path, "again", **more)
    for each in (one, again):
        work(each, tmp_path)
    assert [t.params for t in one.trials()] == [t.params for t in again.trials()]
    assert len({str(t.params) for t in one.trials()}) > 6

    study_of(tmp_path, "three", **more)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)])}
    program = [sys.executable, str(Path(__file__).with_name("scripted.py"))]
    processes = [
        subprocess.Popen([*program, "three", str(tmp_path), "60"], env=env) for _ in range(3)
    ]
    assert [process.wait() for process in processes] == [0, 0, 0]
    found = open_study("three", str(tmp_path / "studies"))
    alike = 10 if sampler == "tpe" else 12
    assert [t.params for t in found.trials()][:alike] == [t.params for t in one.trials()][:alike]

    other = study_of(tmp_path, "other", **more, sampler_seed=2)
    work(other, tmp_path)
    assert [t.params for t in other.trials()] != [t.params for t in one.trials()]


def test_a_worker_leaves_no_files_of_its_trainings(tmp_path):
    study = study_of(tmp_path, sampler="random", trials=2)
    work(study, tmp_path)
    assert not [*(tmp_path / "studies").glob("*/training/*")]
    assert isinstance(Scripted().threads(), int)
