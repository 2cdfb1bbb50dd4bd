from __future__ import annotations

import datetime
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from observers.credentials import remember_secret, without_credentials
from observers.plain import measurement, plain, step


def test_everything_becomes_valid_json() -> None:
    value = {
        "tensor": torch.tensor(1.5),
        "tensors": torch.tensor([1, 2]),
        "numpy": np.float32(2.5),
        "array": np.array([[1, 2]]),
        "tuple": (1, "a"),
        "path": Path("runs/3"),
        "when": datetime.datetime(2024, 1, 2, 3, 4, 5),
        "inf": float("inf"),
        "nan": torch.tensor(math.nan),
        3: None,
        "flag": True,
        "object": ValueError,
    }
    text = json.dumps(plain(value), allow_nan=False)
    assert json.loads(text) == {
        "tensor": 1.5,
        "tensors": [1, 2],
        "numpy": 2.5,
        "array": [[1, 2]],
        "tuple": [1, "a"],
        "path": "runs/3",
        "when": "2024-01-02T03:04:05",
        "inf": "inf",
        "nan": "nan",
        "3": None,
        "flag": True,
        "object": "<class 'ValueError'>",
    }


@pytest.mark.parametrize("value", [1, 1.0, True, np.float64(1), torch.tensor(1), torch.ones(1)])
def test_measurements_are_python_floats(value: object) -> None:
    assert type(measurement(value)) is float
    assert measurement(value) == 1.0


def test_measurements_that_are_not_finite_are_gaps() -> None:
    assert measurement(math.inf) is None
    assert measurement(torch.tensor(math.nan)) is None


@pytest.mark.parametrize("value", ["abc", None, torch.ones(2), [1]])
def test_what_is_no_number_is_no_measurement(value: object) -> None:
    with pytest.raises((TypeError, ValueError, RuntimeError)):
        measurement(value)


def test_steps_are_whole_where_they_are() -> None:
    assert (step(3), step(np.int64(3)), step(3.0)) == (3, 3, 3)
    assert type(step(torch.tensor(3))) is int
    assert step(0.5) == 0.5


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("mongodb://ann:s3cret@host:27017/db", "mongodb://***@host:27017/db"),
        ("mongodb+srv://ann:s3cret@host/db?w=1", "mongodb+srv://***@host/db?w=1"),
        ("mongodb://host/db?w=1&proxyPassword=s3cret", "mongodb://host/db?w=1&proxyPassword=***"),
        ("mongodb://ann:s3/cr@et@host/db", "mongodb://***@host/db"),
        ("-m mongodb://a:b@h/d and https://token@example.org/x", None),
        ("https://example.org/package@1.2", "https://example.org/package@1.2"),
        ("write to ann@example.org", "write to ann@example.org"),
        ("two\nlines mongodb://a:b@h/d\n", "two\nlines mongodb://***@h/d\n"),
    ],
)
def test_no_credentials_remain_in_addresses(text: str, hidden: str | None) -> None:
    hidden = hidden or "-m mongodb://***@h/d and https://***@example.org/x"
    assert without_credentials(text) == hidden
    assert without_credentials(hidden) == hidden


def test_a_known_password_is_hidden_without_its_address_too() -> None:
    remember_secret("mongodb://ann:dragon%40fire@host/db")
    assert without_credentials("rejected: dragon%40fire") == "rejected: ***"
    assert without_credentials("rejected: dragon@fire") == "rejected: ***"
