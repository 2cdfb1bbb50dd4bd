"""Connecting to a database, the numbers of its runs, and what it answers in words."""

from __future__ import annotations

import re
from typing import Any

import pymongo
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError

from observers.credentials import without_credentials
from observers.mongo.address import Address
from observers.names import printable
from tmd.errors import UserError


def connect(address: Address) -> Database:
    """The database at ``address``; nothing is sent yet. Waits for an absent server are short."""
    patience = {
        "serverSelectionTimeoutMS": 3000,
        # Of the driver's own questions whether the server is there, too: a busy one is late, and
        # what it was answering would be given up.
        "connectTimeoutMS": 10000,
        "socketTimeoutMS": 30000,
    }
    said = address.url.lower()
    options: dict[str, Any] = {k: v for k, v in patience.items() if k.lower() not in said}
    return pymongo.MongoClient(address.url, appname="tmd", **options)[address.database]


def refusal(address: Address, error: PyMongoError) -> UserError | None:
    """The error to show if the server answered and said no; `None` if it did not answer."""
    if isinstance(error, OperationFailure):
        reason = without_credentials(str(error.details.get("errmsg") if error.details else error))
        return UserError(f"MongoDB at {address.public}: {printable(reason)}")
    return None


def reason(error: BaseException) -> str:
    """An error of the driver in a few words; its own go on for a screen."""
    text = without_credentials(str(error)).splitlines()[0] if str(error) else ""
    text = re.split(r", Timeout: | \(configured timeouts|, Topology Description", text)[0]
    return printable(f"{type(error).__name__}: {text}"[:200])


def insert_run(database: Database, run_id: int, document: dict[str, Any]) -> None:
    """Take the number ``run_id``; raises DuplicateKeyError if another run has it."""
    database.runs.insert_one({"_id": run_id, **document, "artifacts": []})


def highest_run_id(database: Database) -> int:
    """The greatest number of a run; text ids, which Sacred's ``-i`` makes, are left out."""
    found = database.runs.find({"_id": {"$type": "number"}}, {"_id": 1}).sort("_id", -1).limit(1)
    return max((int(run["_id"]) for run in found), default=0)
