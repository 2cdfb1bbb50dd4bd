"""Names of places, against the shell that people type them in."""

from __future__ import annotations

import subprocess

import pytest

from tmd.errors import UserError
from tmd.places.names import check_address, expanded, in_shard, is_shard, resolved, without_secrets


@pytest.mark.parametrize(
    "pattern",
    [
        "train-{000000..000012}.tar",
        "{a,b,}/x-{8..11}.tar",
        "{7..9}{a,b}",
        "x.tar",
        "x{y}z.tar",
        "{098..101}.tar",
    ],
)
def test_braces_mean_what_they_mean_to_the_shell(pattern: str) -> None:
    typed = subprocess.run(
        ["bash", "-c", f"printf '%s\\n' {pattern}"], capture_output=True, text=True, check=True
    )
    assert expanded(pattern) == typed.stdout.splitlines()


def test_braces_of_a_variable_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert expanded("http://h/x-{1..2}.tar?sig=${SAS}") == [
        "http://h/x-1.tar?sig=${SAS}",
        "http://h/x-2.tar?sig=${SAS}",
    ]


def test_a_pattern_for_more_than_anybody_has_is_refused() -> None:
    with pytest.raises(UserError, match=r"stands for 1000000000000 paths; at most 1000000"):
        expanded("{000000..999999}{000000..999999}")


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("/d/x.tar/a/1.png", ("/d/x.tar", "a/1.png")),
        ("s3://b/x.tar/1.png", ("s3://b/x.tar", "1.png")),
        ("http://h/x.tar?s=1/1.png", ("http://h/x.tar?s=1", "1.png")),
        ("/d/x.tar", None),
        ("/d/x.tart/1.png", None),
        ("/d/1.png", None),
    ],
)
def test_a_path_in_a_shard_has_two_parts(path: str, parts: tuple[str, str] | None) -> None:
    assert in_shard(path) == parts


def test_a_folder_that_is_called_like_a_tar_is_a_folder(tmp_path) -> None:
    (tmp_path / "x.tar").mkdir()
    assert in_shard(str(tmp_path / "x.tar" / "1.png")) is None
    assert is_shard("http://h/x.tar?s=1.zip")
    assert not is_shard("http://h/x.zip?s=1.tar")


SECRET = "hunter22"


@pytest.mark.parametrize(
    "address",
    [
        f"http://ann:{SECRET}@host/x",
        f"https://host/x.tar?X-Amz-Signature={SECRET}",
        f"https://host/x.tar?download=1&token={SECRET}",
        f"s3://AKIA:{SECRET}@bucket/x",
    ],
)
def test_a_secret_in_an_address_is_refused_and_not_shown(address: str) -> None:
    with pytest.raises(UserError, match=r"dataset.root: .*write \$\{NAME\} in its place") as told:
        check_address("dataset.root", address)
    assert SECRET not in str(told.value)


def test_a_variable_stands_for_a_secret_that_no_message_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address = "https://ann:${PASSWORD}@host/x.tar?download=1&sig=${SAS}"
    with pytest.raises(UserError, match="the environment has no variable PASSWORD"):
        check_address("dataset.root", address)
    monkeypatch.setenv("PASSWORD", SECRET)
    monkeypatch.setenv("SAS", "abc/def")
    check_address("dataset.root", address)
    assert resolved(address) == f"https://ann:{SECRET}@host/x.tar?download=1&sig=abc/def"
    assert without_secrets(f"no {SECRET} but abc%2Fdef", address) == "no ${PASSWORD} but ${SAS}"


@pytest.mark.parametrize("address", ["ftp://host/x", "file:///etc", "zip://x"])
def test_other_kinds_of_addresses_are_refused_by_name(address: str) -> None:
    with pytest.raises(UserError, match=r"begins with s3://, gs://, hf://, http://, https://"):
        check_address("dataset.root", address)
