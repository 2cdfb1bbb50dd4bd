"""A database is listed from what is kept of it on this machine, and never wrongly."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from observers import open_store
from observers.mongo.records import MongoStore
from observers.reading.index import list_runs
from observers.reading.listing import Listed, listed
from tmd.cache import cache_file

RUNS = 70
BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def document(number: Any, **entries: Any) -> dict[str, Any]:
    return {
        "_id": number,
        "status": "COMPLETED",
        "experiment": {"name": "srgan"},
        "config": {"adv_weight": 0.01, "seed": 1, "losses": {"content": ["l1", 2]}},
        "start_time": BEGAN,
        "stop_time": BEGAN + timedelta(minutes=1),
        "heartbeat": BEGAN + timedelta(minutes=1),
        "metric_summary": [
            {"name": "validation.psnr", "last": 27.5, "min": 20.0, "max": 28.5, "steps": [1, 2]}
        ],
        "info": {},
    } | entries


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The ids that each list asks the database for."""
    found: list[Any] = []
    light = MongoStore.light_records

    def noted(store: MongoStore, ids: Any = None) -> Any:
        found.append(ids)
        return light(store, ids)

    monkeypatch.setattr(MongoStore, "light_records", noted)
    return found


def truth(url: str) -> list[Listed]:
    return [listed(record) for record in open_store(url)]


def test_runs_that_did_not_change_are_not_asked_for(
    url: str, database: Any, asked: list[Any]
) -> None:
    database.runs.insert_many([document(number, config={"seed": number}) for number in range(RUNS)])
    alive = {"status": "RUNNING", "heartbeat": datetime.now(timezone.utc)}
    database.runs.update_one({"_id": 7}, {"$set": alive})
    assert list_runs(open_store(url)) == truth(url)
    assert list_runs(open_store(url)) == truth(url)
    assert asked == [None, [7]]
    later = BEGAN + timedelta(hours=1)
    database.runs.update_one({"_id": 3}, {"$set": {"status": "FAILED", "heartbeat": later}})
    database.runs.update_one({"_id": 4}, {"$set": {"info.study": {"name": "s", "pruned": "late"}}})
    database.runs.delete_one({"_id": 5})
    database.runs.insert_one(document(RUNS))
    found = list_runs(open_store(url))
    assert found == truth(url)
    assert asked[-1] == [3, 4, 7, RUNS]
    assert [run.status for run in found[3:5]] == ["FAILED", "COMPLETED"]
    assert list_runs(open_store(url), last=2) == truth(url)[-2:]


def test_a_database_made_anew_with_the_same_numbers_is_read_anew(url: str, database: Any) -> None:
    database.runs.insert_many([document(number) for number in range(RUNS)])
    list_runs(open_store(url))
    database.runs.delete_many({})
    another = {"start_time": BEGAN + timedelta(days=1), "config": {"seed": 2}}
    database.runs.insert_many([document(number, **another) for number in range(RUNS)])
    assert [run.config for run in list_runs(open_store(url))] == [{"seed": 2}] * RUNS


def test_odd_runs_are_listed_and_asked_for_again(url: str, database: Any, asked: list[Any]) -> None:
    odd = [
        document({"of": "another"}),
        document("name", config={"when": BEGAN}),
        document(1.5),
        document(True),
        document(1000, config="none"),
    ]
    database.runs.insert_many([document(number) for number in range(RUNS)] + odd)
    expected = [repr(run) for run in truth(url)]
    for _ in range(3):
        assert [repr(run) for run in list_runs(open_store(url))] == expected
    assert asked == [None, [True, 1000], [True, 1000]]


def test_a_damaged_file_is_no_index(url: str, database: Any) -> None:
    database.runs.insert_many([document(number) for number in range(RUNS)])
    list_runs(open_store(url))
    place = cache_file("lists", open_store(url).spec, ".json")
    assert isinstance(place, Path)
    whole = place.read_bytes()
    place.write_bytes(whole[:-9] + b"        }")
    assert list_runs(open_store(url)) == truth(url)
    assert place.read_bytes() == whole
