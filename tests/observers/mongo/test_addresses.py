from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pymongo
import pytest
from driver import Driver
from mongo_server import MongoServer

from observers import open_run, open_store, store_spec
from observers.addresses import is_mongo
from observers.credentials import without_credentials
from observers.mongo.address import parse_address
from observers.mongo.observer import MongoObserver
from tmd.errors import UserError


@pytest.mark.parametrize(
    ("given", "public"),
    [
        ("mongodb://host/sr", "mongodb://host/sr"),
        ("mongodb://ann:pw@host:1/sr?authSource=admin", "mongodb://host:1/sr?authSource=admin"),
        ("mongodb+srv://ann:p%40w@host.example.org/sr", "mongodb+srv://host.example.org/sr"),
        ("host:27018:sr", "mongodb://host:27018/sr"),
        ("host:27018/sr", "mongodb://host:27018/sr"),
        ("ann:pw@host/sr", "mongodb://host/sr"),
        ("sr", "mongodb://localhost:27017/sr"),
        # Of the options only those that are known to say nothing.
        (
            "mongodb://ann:pw@host/sr?tls=true&tlsCertificateKeyFilePassword=opensesame&w=1",
            "mongodb://host/sr?tls=true&w=1",
        ),
        (
            "mongodb://host/sr?authMechanismProperties=AWS_SESSION_TOKEN:opensesame",
            "mongodb://host/sr",
        ),
    ],
)
def test_addresses(given: str, public: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("observers.mongo.address.parse_uri", known_hosts)
    address = parse_address(given)
    assert (address.public, address.database) == (public, "sr")


def known_hosts(url: str, validate: bool) -> dict[str, Any]:
    """The driver's parser without asking a name server."""
    parsed = pymongo.uri_parser.parse_uri(url.replace("+srv", ""), validate=validate)
    return dict(parsed)


PERCENT = "percent code: @ as %40, / as %2F"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("mongodb://host:27017", "names no database"),
        ("mongodb://ann:opensesame@host:27017/", "names no database"),
        ("mongodb://ann:open@sesame@host/db", PERCENT),
        ("mongodb://ann:open/sesame@host/db", PERCENT),
        ("mongodb://ann:27017/sesame@host/db", PERCENT),
        ("mongodb://ann:27017/open@sesame@host/db?w=1", PERCENT),
        ("mongodb://ann:open?sesame@host/db", PERCENT),
        ("mongodb://ann:27017?sesame=open@host/db", PERCENT),
        ("mongodb://ann:open#sesame@host/db", PERCENT),
        ("mongodb://ann:open:sesame@host/db", PERCENT),
        ("mongodb://ann:open%sesame@host/db", PERCENT),
        ("mongodb://ann:open sesame@host/db", PERCENT),
        ("mongodb://ann:[sesame@host/db", PERCENT),
        ("mongodb+srv://ann:open@sesame@host.example.org/db", PERCENT),
        ("ann:open@sesame@host/db", PERCENT),
        ("ann:open/sesame@host/db", PERCENT),
        ("mongodb://host/db?opensesame=opensesame", "must be mongodb://"),
        ("mongodb://host/db?proxyPassword=opensesame", "must be mongodb://"),
        ("mongodb://host:port/db", "must be mongodb://"),
        ("mongodb:///db", "must be mongodb://"),
    ],
)
def test_addresses_that_are_none_get_one_line_without_the_password(
    given: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look_up(*_: Any, **__: Any) -> None:
        raise AssertionError("a part of a password was looked up as a host")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    if said == PERCENT:  # refused before the driver sees it
        monkeypatch.setattr("observers.mongo.address.parse_uri", look_up)
    with pytest.raises(UserError) as caught:
        parse_address(given)
    message = str(caught.value)
    assert said in message
    assert "\n" not in message
    assert "sesame" not in message.replace("?opensesame=***", "")
    assert "open" not in message.replace("?opensesame=***", "")


@pytest.mark.parametrize("secret", ["pw", "a longer one"])
def test_secrets_in_options_and_short_forms_are_hidden_in_what_is_recorded(secret: str) -> None:
    encoded = secret.replace(" ", "%20")
    for given in (
        f"mongodb://ann:{encoded}@host/sr",
        f"ann:{encoded}@host/sr",
        f"mongodb://host/sr?w=1&authMechanismProperties=AWS_SESSION_TOKEN:{encoded}",
        f"mongodb://host/sr?tlsCertificateKeyFilePassword={encoded}&w=1",
    ):
        parse_address(given)
        hidden = without_credentials(f"srgan.py -m {given} with scale=4")
        assert encoded not in hidden.replace("***", "")
        assert "scale=4" in hidden


def test_databases_are_told_from_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mongodb://h/d", "mongodb+srv://h/d", "host:27017:sr", "h:1/sr", "u:p@h/sr"):
        assert is_mongo(name)
    for name in (
        "runs",
        "runs/3",
        "/tmp/runs",
        "C:runs",
        "a:b:c",
        "./host:1:sr",
        "ann@work/runs/1",
    ):
        assert not is_mongo(name)
    (tmp_path / "host:27017:sr").mkdir()
    assert not is_mongo("host:27017:sr")


# Every form that records also resumes -------------------------------------------------------------


def forms(port: int) -> list[str]:
    place = f"127.0.0.1:{port}"
    return [f"mongodb://{place}/forms", f"{place}:forms", f"{place}/forms", "forms"]


@pytest.mark.parametrize("index", range(4))
def test_a_run_is_found_by_the_words_that_recorded_it(
    tmp_path: Path, mongo: MongoServer, index: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = forms(mongo.port)[index]
    # A bare name is a database of the local server.
    monkeypatch.setattr("observers.addresses._LOCAL", f"127.0.0.1:{mongo.port}")
    driver = Driver(MongoObserver(given, None, tmp_path / "_spool"))
    driver.log(3)
    driver.complete()
    # As `resume=N` in the same store, and as a spec of its own.
    store = store_spec(None, given, "runs")
    for record in (open_run(driver.id, store=store), open_run(f"{given}#{driver.id}")):
        assert record.id == driver.id
        assert record.metrics()["loss"].steps == [1, 2, 3]
    if index < 3:
        assert driver.id in [record.id for record in open_store(given)]


def test_a_folder_with_a_number_sign_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    with pytest.raises(UserError, match=r"runs/9: no such run"):
        open_run(f"{tmp_path}/runs#9")
