"""The pages of the reference: every config key from the scripts, the library from its docstrings.

    python docs/generate.py FOLDER

`conf.py` calls it whenever the site is built, so that no page of these can be out of date.
"""

from __future__ import annotations

import importlib
import inspect
import io
import pkgutil
import re
import sys
import tokenize
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import tmd  # noqa: E402
from experiments.command import as_typed, commands, first_line, scripts  # noqa: E402
from experiments.support.experiment import Experiment  # noqa: E402
from ingredients.base import Ingredient  # noqa: E402
from tmd.errors import UserError  # noqa: E402

#: What a script needs before its config passes its own checks.
NEEDED: dict[str, dict[str, Any]] = {
    "srgan": {"device": "cpu"},
    "ambientgan": {"device": "cpu"},
    "upscale": {"input": "photo.jpg", "device": "cpu"},
    "compare": {"run": 1, "device": "cpu"},
    "evaluate": {"method": "bicubic", "benchmark": str(ROOT / "docs"), "device": "cpu"},
    "export": {"checkpoint": "photos_x4", "format": "torchscript"},
    "prepare": {"input": "photos/", "output": "prepared/"},
    "degrade": {"input": "photos/"},
    "replay": {"file": "runs/3/nonfinite_00000037.pt", "device": "cpu"},
}
#: Values that no key can have; where one takes them, its check says nothing.
NONSENSE = (["∅"], "∅")


@dataclass(frozen=True)
class Key:
    """A config key: its dotted name, its default, its comment, and what its check allows."""

    name: str
    default: Any
    meaning: str
    allowed: str = ""


def comments(function: Any) -> dict[str, str]:
    """What is said of each entry of a config function: the comment above and the one beside it.

    Entries of a dictionary that is written a line each are named by their dotted paths.
    """
    said: dict[str, str] = {}
    above: list[str] = []
    name = entry = None
    for token in tokenize.generate_tokens(io.StringIO(inspect.getsource(function)).readline):
        starts_line = not token.line[: token.start[1]].strip()
        if token.type == tokenize.COMMENT:
            text = token.string.lstrip("# ")
            if starts_line:
                above.append(text)
            elif name is not None:
                place = entry or name
                said[place] = " ".join(filter(None, (said[place], text)))
        elif token.type == tokenize.NAME and starts_line and name is None:
            if re.match(r"\s*\w+\s*=[^=]", token.line):
                name, entry = token.string, None
                said[name] = " ".join(above)
            above = []
        elif token.type == tokenize.STRING and starts_line and name is not None:
            if inner := re.match(r"\s*\"(\w+)\":", token.line):
                entry = f"{name}.{inner[1]}"
                said[entry] = " ".join(above)
            above = []
        elif token.type == tokenize.NEWLINE:
            name = entry = None
    return said


def part_of(ex: Experiment, ingredient: Experiment | Ingredient) -> str:
    """The prefix of an ingredient's keys, empty for the experiment's own."""
    return "" if ingredient is ex else f"{ingredient.path}."


def config_keys(ex: Experiment) -> Iterator[tuple[Experiment | Ingredient, list[Key]]]:
    """The keys of an experiment and of each of its ingredients, in the order they are written."""
    made = super(Experiment, ex)._create_run("print_config", {}, (), {}, {}, {}).config
    parts = [ingredient for ingredient, _ in ex.traverse_ingredients()]
    for ingredient in sorted(parts, key=lambda part: part is not ex):
        values = made if ingredient is ex else made[ingredient.path]
        keys = []
        for scope in ingredient.configurations:
            function = getattr(scope, "_func", None)
            if function is None:
                continue
            prefix = part_of(ex, ingredient)
            for name, text in comments(function).items():
                first, _, rest = name.partition(".")
                if first in values and not (rest and rest not in values[first]):
                    default = values[first][rest] if rest else values[first]
                    keys.append(Key(prefix + name, default, text))
        if ingredient is ex and not any(key.name == "seed" for key in keys):
            keys.append(Key("seed", "drawn", "of what Sacred seeds"))
        yield ingredient, keys


@contextmanager
def silence() -> Iterator[None]:
    """Nothing is printed while it lasts."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        yield


def allowed(ex: Experiment, key: str) -> str:
    """What the checks of the experiment say that ``key`` must be, empty where they don't."""
    for value in NONSENSE:
        updates = {**NEEDED.get(ex.path, {}), key: value}
        try:
            with silence():
                ex._create_run("print_config", updates, options={"--unobserved": True})
        except UserError as problem:
            name, _, said = str(problem).partition(": ")
            found = re.search(r"must (?:be|have) (?:one of )?(.+)", said)
            if found and name.partition("=")[0] == key:
                return found[1]
        except Exception:  # a check that can't cope with this one may with the next
            continue
    return ""


def cell(text: str) -> str:
    """Plain text as it can stand in a table."""
    return text.replace("|", "\\|").replace("\n", " ").replace("*", "\\*").replace("<", "&lt;")


def code(value: Any) -> str:
    """A config entry as it can stand in a table."""
    return "`" + (value if isinstance(value, str) else repr(value)).replace("|", "\\|") + "`"


def table(ex: Experiment, keys: list[Key], probe: bool) -> str:
    """Keys with their defaults, meanings and, where asked to ``probe``, what is allowed."""
    lines = ["| key | default | meaning | allowed |", "|---|---|---|---|"]
    for key in keys:
        found = key.allowed or (allowed(ex, key.name) if probe else "")
        lines.append(
            f"| `{key.name}` | {code(key.default)} | {cell(key.meaning)} | {cell(found)} |"
        )
    return "\n".join(lines)


def named_configs(ingredient: Experiment | Ingredient, prefix: str) -> list[str]:
    """A line for each setting that is one word on the command line."""
    return [
        f"* `{prefix}{name}`: {first_line(scope.__doc__ and inspect.cleandoc(scope.__doc__))}"
        for name, scope in ingredient.named_configs.items()
        if getattr(scope, "__doc__", None) and not name.startswith("config_of_run")
    ]


def config_pages(probe: bool = True) -> dict[str, str]:
    """The pages of the reference of the command line, by file name.

    Args:
        probe: ask the checks what each key may be, which takes some seconds.
    """
    pages: dict[str, str] = {}
    shared: dict[str, str] = {}
    for name in scripts():
        module = importlib.import_module(f"experiments.{name}")
        lines = [f"# tmd {name}", "", as_typed(inspect.cleandoc(module.__doc__ or "")), ""]
        if found := commands(name):
            lines += ["## Commands", ""]
            lines += [f"* `tmd {name} {command}`: {line}" for command, line in found.items()]
            lines.append("")
        lines += ["## Keys", ""]
        links = []
        for ingredient, keys in config_keys(module.ex):
            prefix = part_of(module.ex, ingredient)
            if not prefix:
                lines += [table(module.ex, keys, probe), ""]
                if settings := named_configs(ingredient, ""):
                    lines += ["## Settings that are one word", "", *settings, ""]
                continue
            page = f"key-{ingredient.path}"
            links.append(f"* [{ingredient.path}]({page}.md)")
            if page not in shared:
                doc = inspect.cleandoc(ingredient.doc or "")
                text = [f"# {ingredient.path}", "", doc, "", table(module.ex, keys, probe), ""]
                if settings := named_configs(ingredient, prefix):
                    text += ["## Settings that are one word", "", *settings, ""]
                shared[page] = "\n".join(text)
        if links:
            lines += ["## Parts", "", *links, ""]
        pages[f"tmd-{name}"] = "\n".join(lines)
    toctree = "\n".join([*pages, *shared])
    index = (
        "# Every config key\n\nMade from the scripts and ingredients themselves: the default, the "
        "comment beside it, and what its check says it must be. `tmd COMMAND print_config` shows "
        "the same with the values that a command line gives.\n\n"
        f"```{{toctree}}\n:maxdepth: 1\n\n{toctree}\n```\n"
    )
    return {f"{name}.md": text for name, text in {"index": index, **pages, **shared}.items()}


def library_modules() -> dict[str, list[str]]:
    """The modules of `tmd`, by the part of it that they belong to."""
    parts: dict[str, list[str]] = {}
    for found in pkgutil.walk_packages(tmd.__path__, "tmd."):
        parts.setdefault(".".join(found.name.split(".")[:2]), []).append(found.name)
    return parts


def library_pages() -> dict[str, str]:
    """The pages of the reference of the library, by file name."""
    pages = {}
    for part, modules in library_modules().items():
        text = [f"# {part}", ""]
        for module in modules:
            if module != part:
                text += [f"## {module}", ""]
            text += ["```{eval-rst}", f".. automodule:: {module}", "```", ""]
        pages[f"{part}.md"] = "\n".join(text)
    toctree = "\n".join(name.removesuffix(".md") for name in pages)
    index = (
        "# The library\n\nPyTorch and Ignite only: nothing here knows of Sacred. The examples run "
        f"as tests.\n\n```{{toctree}}\n:maxdepth: 1\n\n{toctree}\n```\n"
    )
    return {"index.md": index, **pages}


def write(folder: Path) -> None:
    """Write all pages below ``folder``, and take away those of another time."""
    for place, pages in (("keys", config_pages()), ("library", library_pages())):
        target = folder / place
        target.mkdir(parents=True, exist_ok=True)
        for old in set(target.glob("*.md")) - {target / name for name in pages}:
            old.unlink()
        for name, text in pages.items():
            target.joinpath(name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
