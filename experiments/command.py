"""The `tmd` command: every script by its name, with files and folders as plain words.

`tmd upscale photo.jpg -o large.png with run=3` is `python experiments/upscale.py with
input=photo.jpg output=large.png run=3`; plain words reach the config as they were typed, whatever
they look like. What there is, is read from the scripts' sources: neither torch nor Sacred is
imported before a script is chosen.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import re
import runpy
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tmd import __version__

FOLDER = Path(__file__).resolve().parent
#: Commands that every script has.
COMMON = ("print_config", "print_named_configs", "print_dependencies", "save_config")
#: What is no experiment but typed as often; these parse their own words.
TOOLS = {"sync": "observers.sync", "omniboard": "observers.omniboard"}


class UsageError(Exception):
    """A command line that can't be understood; the message says why, in a line."""


@dataclass(frozen=True)
class Plain:
    """Config keys that a script, or a command of one, takes without naming them.

    Attributes:
        name: what to call a word in the usage.
        key: the key that gets the words.
        several: it takes more than one, and gets a list.
        runs: the key that gets the words instead if they name runs.
        output: the key of ``-o``.
    """

    name: str
    key: str
    several: bool = False
    runs: str | None = None
    output: str | None = None


PLAIN = {
    "srgan": Plain("FOLDER", "dataset.root", several=True),
    "sweep": Plain("EXPERIMENT", "experiment"),
    "sweep status": Plain("STUDY", "study"),
    "sweep best": Plain("STUDY", "study"),
    "sweep table": Plain("STUDY", "study"),
    "sweep importance": Plain("STUDY", "study"),
    "ambientgan": Plain("FOLDER", "dataset.root", several=True),
    "upscale": Plain("PHOTO", "input", several=True, output="output"),
    "evaluate": Plain("BENCHMARK", "benchmark", several=True),
    "compare": Plain("PHOTO", "input", several=True, output="output"),
    "compare curves": Plain("RUN", "run", several=True, output="output"),
    "compare table": Plain("RUN", "run", several=True, output="output"),
    "compare animate": Plain("RUN", "run", output="output"),
    "degrade": Plain("PHOTO", "input", several=True, output="output"),
    "degrade fit": Plain("FOLDER", "measurement.fit", several=True, output="output"),
    "export": Plain("RUN|FILE", "checkpoint", runs="run", output="output"),
    "export check": Plain("FILE|FOLDER", "checkpoint"),
    "prepare": Plain("FOLDER", "input", several=True, output="output"),
    "replay": Plain("FILE", "file"),
    "runs": Plain("STORE", "store", output="output"),
}


@dataclass
class Words:
    """A command line, taken apart."""

    command: str | None = None
    plain: list[str] = field(default_factory=list)
    output: str | None = None
    #: Options of Sacred's, and `with` and what follows it.
    rest: list[str] = field(default_factory=list)


def main(words: Sequence[str] | None = None) -> int:
    """Run what is typed after ``tmd`` and return the exit status; scripts may exit themselves."""
    words = list(sys.argv[1:] if words is None else words)
    sys.argv = ["tmd", *words]
    try:
        return dispatch(words)
    except UsageError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2


def dispatch(words: list[str]) -> int:
    """Run what ``words`` name and return the exit status.

    Raises:
        UsageError: they can't be understood.
    """
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    if words[0] in ("-V", "--version"):
        print(f"tmd {__version__}")
        return 0
    name, *rest = words
    if name in TOOLS:
        sys.argv = [f"tmd {name}", *rest]
        runpy.run_module(TOOLS[name], run_name="__main__")
        return 0
    if name not in scripts():
        raise UsageError(unknown("command", name, [*scripts(), *TOOLS], "`tmd` lists them"))
    before = rest[: rest.index("with")] if "with" in rest else rest
    if "-h" in before or "--help" in before or before == ["help"]:
        print(usage(name))
        return 0
    return run_script(name, rest)


def run_script(name: str, words: Sequence[str]) -> int:
    """Run the script ``name`` with the words after it."""
    ex = importlib.import_module(f"experiments.{name}").ex
    takes_value = {
        flag: option.arg is not None for option in ex.all_cli_options for flag in option.get_flags()
    }
    parsed = take_apart(name, words, takes_value)
    given = config_entries(name, parsed, tuple(ex.named_configs))
    command = [] if parsed.command is None else [parsed.command]
    ex.run_commandline([sys.argv[0], *command, *parsed.rest], given=given)
    return 0


def take_apart(name: str, words: Sequence[str], takes_value: dict[str, bool]) -> Words:
    """The parts of what was typed after the script's ``name``.

    Args:
        takes_value: Sacred's options, and whether a value follows each.

    Raises:
        UsageError: an option is unknown, lacks its value or does not go with the script.
    """
    parsed = Words()
    known = {*COMMON, *commands(name)}
    settings: list[str] = []
    left = list(words)
    after_with = only_plain = False
    while left:
        word = left.pop(0)
        if only_plain or not word.startswith("-") or word == "-":
            if word == "with" and not only_plain and not after_with:
                after_with = True
            elif after_with and not only_plain:
                settings.append(word)
            elif word in known and parsed.command is None and not parsed.plain and not only_plain:
                parsed.command = word
            else:
                parsed.plain.append(word)
            continue
        if word == "--":
            only_plain = True
            continue
        flag, value = option(name, word, left, takes_value)
        if flag == "-o":
            parsed.output = value
        else:
            parsed.rest += [flag] if value is None else [flag, value]
    if after_with and not settings:
        raise UsageError("with: lacks its settings, KEY=VALUE or names of named configs")
    if settings:
        parsed.rest += ["with", *settings]
    return parsed


def option(
    name: str, word: str, left: list[str], takes_value: dict[str, bool]
) -> tuple[str, str | None]:
    """An option and its value, which is taken from ``left`` where it is a word of its own."""
    flag, joined, value = word, "", None
    if word.startswith("--"):
        flag, joined, value = word.partition("=")  # type: ignore[assignment]
    elif len(word) > 2:
        flag, joined, value = word[:2], "-", word[2:]
    if flag in ("-o", "--output"):
        flag, takes = "-o", True
    elif flag in takes_value:
        takes = takes_value[flag]
    else:
        raise UsageError(unknown("option", flag, takes_value, f"`tmd {name} -h` shows the use"))
    if not takes:
        if joined == "-":  # -uf is -u -f
            left.insert(0, f"-{value}")
        elif joined:
            raise UsageError(f"{flag}: takes no value")
        return flag, None
    if not joined:
        if not left:
            raise UsageError(f"{flag}: lacks its value")
        value = left.pop(0)
    return flag, value


def config_entries(name: str, parsed: Words, named: Sequence[str]) -> dict[str, Any]:
    """The config entries that plain words and ``-o`` stand for.

    Raises:
        UsageError: the script takes none of that, or a word is a setting that lacks its ``with``.
    """
    command = name if parsed.command is None else f"{name} {parsed.command}"
    plain = PLAIN.get(command) or (PLAIN.get(name) if parsed.command in COMMON else None)
    entries: dict[str, Any] = {}
    for word in parsed.plain:
        is_setting = re.fullmatch(r"[A-Za-z_][\w.]*=.*", word) or word in named
        if word.startswith("with=") and not Path(word).exists():
            raise UsageError(
                f"{word}: `with` is a word of its own, and settings follow it: "
                f"tmd {command} with KEY=VALUE"
            )
        if is_setting and not Path(word).exists():
            raise UsageError(f"{word}: settings come after `with`: tmd {command} with {word}")
    if parsed.plain:
        if plain is None:
            raise UsageError(
                unknown("command", parsed.plain[0], commands(name), f"`tmd {name} -h` lists them")
            )
        if len(parsed.plain) > 1 and not plain.several:
            raise UsageError(f"{parsed.plain[1]}: tmd {command} takes one {plain.name}")
        are_runs = plain.runs and all(map(_names_a_run, parsed.plain))
        key = plain.runs if are_runs else plain.key
        entries[str(key)] = parsed.plain if plain.several else parsed.plain[0]
    if parsed.output is not None:
        if plain is None or plain.output is None:
            raise UsageError(f"-o: tmd {command} writes to no file of your choice")
        entries[plain.output] = parsed.output
    return entries


def _names_a_run(word: str) -> bool:
    """Tell a run's number, folder or address in a database from a file."""
    is_address = re.match(r"mongodb(\+srv)?://", word) is not None
    return word.isdecimal() or is_address or Path(word, "run.json").is_file()


def unknown(kind: str, word: str, known: Any, hint: str) -> str:
    """The line that answers a ``word`` that is no ``kind`` that there is."""
    close = difflib.get_close_matches(word, list(known), n=2, cutoff=0.5)
    return f"{word}: no such {kind}; " + (f"did you mean {' or '.join(close)}?" if close else hint)


# What there is -----------------------------------------------------------------------------------


def scripts() -> dict[str, ast.Module]:
    """The experiments' syntax trees, by name: the files that end by running their ``ex``."""
    found = {}
    for path in sorted(FOLDER.glob("*.py")):
        source = path.read_text(encoding="utf-8")
        if re.search(r"^ex = \w+\(", source, re.MULTILINE):
            found[path.stem] = ast.parse(source)
    return found


def commands(name: str) -> dict[str, str]:
    """The first line of the docstring of each command that a script has beside its main one."""
    tree = scripts()[name]
    return {
        node.name: first_line(ast.get_docstring(node))
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and any(ast.unparse(each) == "ex.command" for each in node.decorator_list)
    }


def first_line(docstring: str | None) -> str:
    """The line that says what it is."""
    return (docstring or "").partition("\n")[0]


def overview() -> str:
    """Every command with a line."""
    lines = {name: first_line(ast.get_docstring(tree)) for name, tree in scripts().items()}
    for name, module in TOOLS.items():
        source = FOLDER.parent.joinpath(*module.split(".")).with_suffix(".py")
        docstring = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8")))
        said = first_line(docstring).partition(": ")[2]
        lines[name] = said[:1].upper() + said[1:]
    width = max(map(len, lines))
    listed = "\n".join(f"  {name:{width}}  {line}" for name, line in lines.items())
    return (
        "usage: tmd COMMAND [FILE...] [with KEY=VALUE...]\n\n"
        f"{listed}\n\n"
        "`tmd COMMAND -h` shows its use, `tmd COMMAND print_config` every key with what it means."
    )


def usage(name: str) -> str:
    """Forms in which a script is typed, and its docstring with its examples in them."""
    tree = scripts()[name]
    forms = [form(name), *(form(f"{name} {command}") for command in commands(name))]
    docstring = as_typed(ast.get_docstring(tree) or "")
    has = "\n".join(f"  {command:<12}  {line}" for command, line in commands(name).items())
    return "\n".join(
        [
            "usage: " + "\n       ".join(forms),
            "",
            docstring.strip(),
            *(["", "Commands:", has] if has else []),
            "",
            f"`tmd {name} print_config` shows every key, `tmd {name} print_named_configs` the "
            "settings that are one\nword. Options: -F FOLDER or -m URL, the store that is "
            "recorded to; -u to leave no record.",
        ]
    )


def as_typed(docstring: str) -> str:
    """A script's docstring, its examples as they are typed here: files and folders as plain words.

    Example:
        >>> as_typed("python experiments/upscale.py with run=3 input=a.jpg output=out/")
        'tmd upscale a.jpg -o out/ with run=3'
    """
    return re.sub(r"python experiments/(\w+)\.py([^\n`]*)", _typed, docstring)


def _typed(example: re.Match[str]) -> str:
    name, rest = example.groups()
    before, has_settings, settings = rest.partition(" with ")
    plain = PLAIN.get(f"{name}{before}")
    if plain is None or not has_settings or "," in settings:
        return f"tmd {name}{rest}"
    words, left, output = "", [], ""
    for setting in settings.split():
        key, _, value = setting.partition("=")
        if key in (plain.key, plain.runs):
            words += f" {value}"
        elif key == plain.output:
            output = f" -o {value}"
        else:
            left.append(setting)
    return f"tmd {name}{before}{words}{output}" + (f" with {' '.join(left)}" if left else "")


def form(command: str) -> str:
    """The line of the usage that shows how ``command`` is typed."""
    plain = PLAIN.get(command)
    words = f"tmd {command}"
    if plain is not None:
        words += f" [{plain.name}{'...' if plain.several else ''}]"
        words += " [-o OUT]" if plain.output else ""
    return f"{words} [OPTIONS] [with KEY=VALUE...]"


if __name__ == "__main__":
    sys.exit(main())
