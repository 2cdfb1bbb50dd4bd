"""Config values as people give them: typed, in a file, or by the run that is resumed.

Sacred restores Python objects from all three, and so runs what a stranger's file says. Here a value
is text, a number, True, False, None, or a list or mapping of them, and nothing else is made of it.
"""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sacred.utils import convert_to_nested_dict, set_by_dotted_path

from tmd.errors import UserError, check_number

#: Keys, by their last part, that name runs: a plain number stays one.
RUNS = frozenset(("run", "resume", "grow_from", "start_from", "interpolate", "baseline"))
#: Keys, by their last part, that hold a path or a name: what was typed is kept, be it ``2024``.
NAMES = RUNS | {
    "benchmark",
    "checkpoint",
    "content_weights",
    "dists_weights",
    "file",
    "fit",
    "input",
    "iqa_weights",
    "list_file",
    "lpips_weights",
    "lr_list_file",
    "lr_root",
    "lr_val_root",
    "output",
    "root",
    "save_images",
    "sr_root",
    "store",
    "val_lr_root",
    "val_root",
    "weights",
}
CONFIG_SUFFIXES = (".json", ".yaml", ".yml")

# More than any config holds; a few lines of YAML can stand for billions of entries.
_MOST_ENTRIES = 100_000


def parse_updates(words: Iterable[str]) -> tuple[dict[str, Any], list[str]]:
    """Config entries of ``key=value`` words, and the other words: named configs and files.

    Raises:
        UserError: a word that says nothing, or a value that no config can hold.

    Example:
        >>> parse_updates(["scale=2", "dataset.root=2024", "smoke"])
        ({'scale': 2, 'dataset': {'root': '2024'}}, ['smoke'])
    """
    updates: dict[str, Any] = {}
    names = []
    given: dict[str, str] = {}
    for word in filter(None, words):
        key, equals, text = (part.strip() for part in word.partition("="))
        if not equals:
            names.append(key)
            continue
        if not all(key.split(".")):
            raise UserError(f"{word}: must be key=value, with a key such as dataset.root")
        if text.endswith(".tar") and given.setdefault(key, text) != text:
            raise UserError(  # of which the last would count, silently
                f"{key}={text}: {key}={given[key]} is given too; put braces in quotes, which a "
                "shell makes several words of, or commas between several tars"
            )
        try:
            set_by_dotted_path(updates, key, _typed(key, text))
        except TypeError:  # an earlier word made a part of the key a value
            raise UserError(
                f"{word}: an earlier {key.rpartition('.')[0]}=… is in its way"
            ) from None
    return updates, names


def read_config(path: str) -> dict[str, Any]:
    """The entries of a JSON or YAML file.

    Raises:
        UserError: it can't be read, or holds what no config can hold.
    """
    if not path.endswith(CONFIG_SUFFIXES):
        raise UserError(f"{path}: a config file must end in {', '.join(CONFIG_SUFFIXES)}")
    if not Path(path).is_file():
        raise UserError(f"{path}: {'not a file' if os.path.exists(path) else 'no such file'}")
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        content = json.loads(text) if path.endswith(".json") else _yaml(path, text)
    except OSError as problem:
        raise UserError(f"{path}: {problem.strerror}") from None
    except (ValueError, RecursionError) as problem:
        kind = "JSON" if path.endswith(".json") else "YAML"
        raise UserError(f"{path}: not {kind} ({' '.join(str(problem).split())})") from None
    return plain_config(content, path)


def plain_config(content: Any, where: str) -> dict[str, Any]:
    """A config as nested dictionaries of plain values, with names as text.

    Args:
        content: what was read, or was given from Python.
        where: it comes from, for the message.

    Raises:
        UserError: it is no mapping, or holds what no config can hold.
    """
    if not isinstance(content, Mapping):
        raise UserError(f"{where}: holds no config, which maps keys to values")
    try:
        config = _with_names(convert_to_nested_dict(plain(content, where)))
    except TypeError:  # {"scale": 4, "scale.x": 2}
        raise UserError(f"{where}: a key is given a value and, with a dot, entries") from None
    if config.get("seed") is not None:  # Sacred draws by it before any check
        check_number("seed", config["seed"], 0, 2**32 - 1, integer=True)
    return config


def plain(value: Any, where: str) -> Any:
    """``value`` with its tuples as lists.

    Raises:
        UserError: there is something other than text, numbers, True, False, None, lists and
            mappings of them, or a key by which a reader of the record would restore an object.
    """
    entries = 0

    def walk(value: Any) -> Any:
        nonlocal entries
        entries += 1
        if entries > _MOST_ENTRIES:
            raise UserError(f"{where}: more than {_MOST_ENTRIES} entries")
        if isinstance(value, Mapping):
            if set(value) == {"py/tuple"}:  # as Sacred's own observers store one
                return walk(value["py/tuple"])
            return {_checked_key(key, where): walk(each) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [walk(each) for each in value]
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        raise UserError(
            f"{where}: {type(value).__name__} values are not read; use text, numbers, True, False, "
            "None, lists and mappings"
        )

    try:
        return walk(value)
    except RecursionError:
        raise UserError(f"{where}: nested too deeply") from None


def _checked_key(key: Any, where: str) -> str:
    text = str(key)
    if text.startswith(("py/", "json://")):
        raise UserError(f"{where}: {text}: objects are not restored from a config")
    if not text.isprintable() or not all(text.split(".")) or text[0] == "$" or "=" in text:
        raise UserError(f"{where}: {text!r} can't be a key")
    return text


def _typed(key: str, text: str) -> Any:
    leaf = key.rpartition(".")[2]
    if leaf in NAMES:
        return _name_typed(text, leaf in RUNS)
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        if not text.startswith(("[", "{")):
            return text
        try:  # `true` and `null`, in what was copied from a record
            value = json.loads(text)
        except (ValueError, RecursionError):
            return text
    value = plain(value, f"{key}={text}")
    return _with_names(value) if isinstance(value, dict) else value


def _name_typed(text: str, is_run: bool) -> Any:
    """A path or name as it was typed: None, True or False, text, or a list of these."""
    try:
        tree = ast.parse(text, mode="eval").body
        value = ast.literal_eval(tree)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return _home(text)

    def named(node: ast.expr) -> Any:
        if isinstance(node, (ast.List, ast.Tuple)):
            return [named(each) for each in node.elts]
        if isinstance(node, ast.Constant) and (
            node.value is None or type(node.value) in (bool, str)
        ):
            return _home(node.value) if isinstance(node.value, str) else node.value
        source = ast.get_source_segment(text, node) or text
        return int(source) if is_run and re.fullmatch(r"0|[1-9][0-9]*", source) else _home(source)

    if ast.get_source_segment(text, tree) != text:  # 2024#2, (2024)
        return _home(text)
    # 2024,2025 may be one folder; what reads the name splits it where it isn't.
    is_one = isinstance(tree, ast.Tuple) and not text.startswith("(") and not is_run
    if is_one and not all(isinstance(each, str) for each in value):
        return _home(text)
    return named(tree)


def _with_names(config: Mapping[str, Any]) -> dict[str, Any]:
    """``config`` in which numbers are text where a path or name belongs."""

    def name(value: Any, is_run: bool) -> Any:
        if isinstance(value, list):
            return [name(each, is_run) for each in value]
        if isinstance(value, str):
            return _home(value)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return str(value) if is_number and not is_run else value

    return {
        key: name(value, key in RUNS)
        if key in NAMES
        else _with_names(value)
        if isinstance(value, Mapping)
        else value
        for key, value in config.items()
    }


def _home(text: str) -> str:
    """``text`` with a leading ~ as the user's folder, which no shell does behind an = sign."""
    if "://" in text:
        return text
    return re.sub(r"(?:^|(?<=,))~[^/,]*", lambda tilde: os.path.expanduser(tilde[0]), text)


def _yaml(path: str, text: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise UserError(f"{path}: YAML needs PyYAML (pip install pyyaml), or use JSON") from None

    def keep_names(node: Any, is_name: bool, seen: set[int]) -> None:
        """Mark as text what would be a number or a date, which can't be turned back."""
        if id(node) in seen:
            return
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                keep_names(value, str(key.value) in NAMES, seen)
        elif isinstance(node, yaml.SequenceNode):
            for value in node.value:
                keep_names(value, is_name, seen)
        elif is_name and node.tag.rpartition(":")[2] in ("int", "float", "timestamp"):
            node.tag = "tag:yaml.org,2002:str"

    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return {}
        keep_names(node, False, set())
        return loader.construct_document(node)
    except yaml.YAMLError as problem:
        raise ValueError(str(problem)) from None
    finally:
        loader.dispose()
