"""Runs as documents that MongoDB takes."""

from __future__ import annotations

from typing import Any

from observers.liveness import parse_time
from observers.names import valid_unicode

_TIMES = ("start_time", "stop_time", "heartbeat")
_INT64 = 1 << 63


def run_document(
    entry: dict[str, Any], config: dict[str, Any], info: dict[str, Any], captured_out: str
) -> dict[str, Any]:
    """A run as a document of the ``runs`` collection, but for what lies in other collections.

    Args:
        entry: ``run.json``.
    """
    document = {
        **{key: value for key, value in entry.items() if key not in ("artifacts", "resources")},
        "config": config,
        "info": dict(info),
        "captured_out": captured_out,
    }
    if entry["observer_failures"]["count"]:
        document["info"]["observer_failures"] = entry["observer_failures"]
    document["experiment"] = {**entry["experiment"], "sources": []}
    document = encodable(document)
    for key in _TIMES:
        if document.get(key) is not None:
            document[key] = parse_time(document[key])
    return document


def encodable(value: Any) -> Any:
    """JSON-able ``value`` with text, keys and numbers that BSON and every MongoDB server take."""
    if isinstance(value, dict):
        return {_key(key): encodable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [encodable(item) for item in value]
    if isinstance(value, str):
        return valid_unicode(value)
    if isinstance(value, int) and not -_INT64 <= value < _INT64:
        return str(value)
    return value


def _key(key: str) -> str:
    key = valid_unicode(key).replace(".", ",").replace("\0", "")
    return f"@{key[1:]}" if key.startswith("$") else key
