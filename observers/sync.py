"""``python -m observers.sync``: send to MongoDB what runs could not send while they ran."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from pymongo.errors import PyMongoError

from observers.addresses import URL_VARIABLE
from observers.liveness import DEAD, true_status
from observers.mongo.address import parse_address
from observers.mongo.database import connect, reason, refusal
from observers.mongo.sender import Sender
from observers.names import printable
from observers.writing.spool import Outbox, outboxes
from tmd.errors import UserError


def sync(store: Path, mongo_url: str | None = None) -> tuple[int, int]:
    """Send every run in and under ``store`` that its database does not have in full.

    Args:
        mongo_url: with the user and password, which the record does not hold; the default is
            ``TMD_MONGO_URL``, for runs that belong there. Runs for other places are tried
            without a password.

    Returns:
        How many runs were sent, and how many are left.
    """
    sent = left = 0
    for outbox in outboxes(store):
        if not outbox.lock():
            print(f"{printable(outbox.folder)}: its own process is sending it")
            left += 1
            continue
        try:
            said, complete = _send(outbox, mongo_url)
        finally:
            outbox.unlock()
        print(said)
        sent, left = sent + complete, left + (not complete)
    return sent, left


def _send(outbox: Outbox, mongo_url: str | None) -> tuple[str, bool]:
    """Send one run; whatever is wrong with it is said, and the others' turn comes."""
    folder = printable(outbox.folder)
    try:
        said, complete = _sent(outbox, mongo_url)
    except UserError as problem:
        said, complete = str(problem), False
    except Exception as error:
        said, complete = f"can't be sent ({reason(error)})", False
    return f"{folder}: {printable(said)}", complete


def _sent(outbox: Outbox, mongo_url: str | None) -> tuple[str, bool]:
    marked = (outbox.marker() or {}).get("url")
    if not isinstance(marked, str):
        if mongo_url is None:
            return "for which database can't be read; give it with --mongo URL", False
        marked = mongo_url
    address = parse_address(marked)
    if mongo_url is not None:
        given = parse_address(mongo_url)
        if given.public != address.public:
            return f"belongs to {address.public}, left alone", False
        address = given
    record = outbox.folder / "run.json"
    if not record.exists():
        outbox.clear()
        return "was killed before it began; removed", True
    database = connect(address)
    sender = Sender(outbox, database, address.public)
    try:
        entry = json.loads(record.read_bytes())
        complete = sender.send() or sender.send()
        if not complete and true_status(entry) == DEAD:
            complete = True  # killed: there will be no more of it
    except PyMongoError as error:
        said = refusal(address, error)
        return str(said or f"{address.public}: {reason(error)}"), False
    finally:
        database.client.close()
    if not complete:
        return "its run goes on", False
    outbox.clear()
    return f"sent as {address.public}#{sender.run_id}", True


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m observers.sync", description=__doc__)
    parser.add_argument("--store", default="runs", help="the file store (default: runs)")
    parser.add_argument(
        "-m",
        "--mongo",
        metavar="URL",
        help=f"send only to this database, with this password (default: what each run was meant "
        f"for, with the password in {URL_VARIABLE})",
    )
    options = parser.parse_args(arguments)
    if not os.path.isdir(options.store):
        print(f"--store {printable(options.store)}: no such folder", file=sys.stderr)
        return 1
    try:
        if options.mongo:
            parse_address(options.mongo)
        sent, left = sync(Path(options.store), options.mongo)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{sent} sent, {left} left" if sent or left else "nothing to send")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
