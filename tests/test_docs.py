"""The reference has every config key with its meaning, and the pages name keys that there are."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sacred.utils import iterate_flattened

from experiments.command import scripts

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "docs"))

import generate  # noqa: E402

SCRIPTS = list(scripts())


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return generate.config_pages(probe=False)


def experiment(name: str) -> Any:
    return importlib.import_module(f"experiments.{name}").ex


def keys_of(name: str) -> Iterator[generate.Key]:
    for _, keys in generate.config_keys(experiment(name)):
        yield from keys


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_key_is_in_the_reference(name: str, pages: dict[str, str]) -> None:
    run = super(generate.Experiment, experiment(name))._create_run("print_config")
    everything = "".join(pages.values())
    entries = {path for path, _ in iterate_flattened(run.config)}
    # A dictionary of a user's own entries is one key.
    listed = set(re.findall(r"^\| `([\w.]+)` \|", everything, re.MULTILINE))
    missing = {
        path
        for path in entries
        if path not in listed and not {path.rpartition(".")[0]} & listed and path != "seed"
    }
    assert not missing
    assert f"tmd-{name}.md" in pages


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_key_says_what_it_means(name: str) -> None:
    keys = {key.name: key.meaning for key in keys_of(name)}
    of_dictionaries = {key.rpartition(".")[0] for key in keys}
    assert not [key for key, said in keys.items() if not said and key not in of_dictionaries]


def test_what_is_allowed_is_what_the_check_says() -> None:
    ex = experiment("upscale")
    assert generate.allowed(ex, "alpha") == "a number at least 0 and at most 1"
    assert generate.allowed(ex, "format") == "auto, png, jpg, jpeg, webp, tif, tiff, npy, npz"
    assert generate.allowed(ex, "input") == ""


def test_comments_above_and_beside_and_inside_are_read() -> None:
    def config():
        # begins here,
        # and goes on
        one = 1
        two = {  # both
            "name": "a",  # inner
            # above
            "size": 2,
        }
        three = "# no comment"  # true
        return one, two, three

    assert generate.comments(config) == {
        "one": "begins here, and goes on",
        "two": "both",
        "two.name": "inner",
        "two.size": "above",
        "three": "true",
    }


def typed_lines() -> list[tuple[str, str]]:
    """(page, line) for each command in the pages, README and RESULTS.md."""
    found = []
    written = [*ROOT.glob("docs/*.md"), *ROOT.glob("docs/howto/*.md"), ROOT / "README.md"]
    for page in sorted(written):
        text = page.read_text()
        for line in re.findall(r"^(?:tmd|python experiments/)[^\n]*", text, re.MULTILINE):
            found.append((str(page.relative_to(ROOT)), line))
        for line in re.findall(r"`((?:… )?with [^`]+)`", text):
            found.append((str(page.relative_to(ROOT)), line))
    return found


@pytest.mark.parametrize(("page", "line"), typed_lines())
def test_what_the_pages_type_is_there(page: str, line: str) -> None:
    """Commands and keys; a named config's name has no `=` and is looked for as well."""
    words = line.split("#")[0].split()
    if words[0] == "tmd" and len(words) > 1:
        assert words[1] in {*SCRIPTS, "sync", "omniboard", "upscale", "COMMAND", "NAME"}
    script = re.search(r"(?:tmd |experiments/)(\w+)", line)
    names = [script[1]] if script and script[1] in SCRIPTS else ["srgan", "ambientgan"]
    known = {key.name for name in names for key in keys_of(name)} | {"seed"}
    known |= {key.partition(".")[0] for key in known}
    open_ended = {key.name for name in names for key in keys_of(name) if key.default == {}}
    for key in re.findall(r"(?:^|[\s'])([a-z_]+(?:\.[a-z_]+)*)=", line.partition("with ")[2]):
        inside = any(key.startswith(f"{each}.") for each in open_ended)
        assert key in known or inside, f"{page}: {key}"
