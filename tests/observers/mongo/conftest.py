"""A database of each test's own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pymongo
import pytest
from mongo_server import MongoServer


@pytest.fixture
def url(mongo: MongoServer) -> str:
    """A database of this test's own."""
    return f"{mongo.url}/test_{uuid.uuid4().hex}"


@pytest.fixture
def database(url: str) -> Iterator[Any]:
    with pymongo.MongoClient(url) as client:
        yield client.get_default_database()
