"""A run's record tells which keys of its config somebody set."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.support.experiment import Experiment
from observers import open_store
from observers.reading.listing import listed

ex = Experiment("given")
ex.add_config(scale=4, part={"blocks": 8, "width": 64}, chosen="auto")
ex.add_named_config("small", {"part": {"blocks": 2}})
ex.add_named_config("own", {"part": {"width": 32}})


@ex.resolve
def resolved(chosen):
    return {"chosen": "quick"}


@ex.main
def main():
    pass


@pytest.mark.parametrize(
    ("names", "updates", "given"),
    [
        ([], {}, ()),
        (["small"], {}, ("part.blocks",)),
        (["small"], {"scale": 4}, ("part.blocks", "scale")),  # typed, as it is anyway
        ([], {"part": {"width": 32}, "seed": 3}, ("part.width", "seed")),
    ],
)
def test_the_keys_that_somebody_set_are_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list, updates: dict, given: tuple
) -> None:
    monkeypatch.setattr(ex, "starting_point", "own")
    ex.run(named_configs=names, config_updates=updates, options={"--file_storage": str(tmp_path)})
    (run,) = map(listed, open_store(tmp_path))
    assert run.given == given
    assert run.config["chosen"] == "quick"  # resolved, not set
    assert run.config["part.width"] == 32


def test_of_an_earlier_record_what_was_typed_is_told(tmp_path: Path) -> None:
    ex.run(config_updates={"scale": 2}, options={"--file_storage": str(tmp_path)})
    path = tmp_path / "1" / "run.json"
    entry = json.loads(path.read_text())
    del entry["meta"]["given"]
    path.write_text(json.dumps(entry))
    assert set(listed(open_store(tmp_path).open(1)).given) == {"scale", "chosen"}
    for meta in ({}, {"given": 3}, [], None):
        path.write_text(json.dumps({**entry, "meta": meta}))
        assert listed(open_store(tmp_path).open(1)).given is None
