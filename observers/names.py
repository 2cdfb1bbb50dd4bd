"""Names that come from programs and from strangers' records, made fit for a disk and a terminal."""

from __future__ import annotations

import hashlib

from tmd.errors import printable as printable

#: The files of a run's record, which no artifact may take the name of.
RESERVED = frozenset({"run.json", "config.json", "info.json", "cout.txt", "metrics.json"})

_LONGEST = 255  # bytes of a file's name


def artifact_name(name: str) -> str:
    """``name`` as one path component that collides with nothing of the record.

    Example:
        >>> artifact_name("../sub/sheet.png"), artifact_name("run.json")
        ('_sub_sheet.png', 'artifact_run.json')
    """
    flat = "".join(
        "_" if character in "/\\" or not character.isprintable() else character
        for character in valid_unicode(str(name))
    )
    flat = flat.lstrip(".") or "artifact"
    if len(flat.encode()) > _LONGEST:
        digest = hashlib.blake2b(flat.encode(), digest_size=8).hexdigest()
        flat = f"{flat[:40]}_{digest}_{flat[-20:]}"
    return f"artifact_{flat}" if flat in RESERVED else flat


def is_artifact_name(name: object) -> bool:
    """Return whether ``name``, as a record holds it, stays within the run's folder."""
    return (
        isinstance(name, str)
        and name not in ("", ".", "..")
        and not any(character in name for character in "/\0")
        and len(name.encode("utf-8", "surrogatepass")) <= _LONGEST
    )


def valid_unicode(text: str) -> str:
    r"""``text`` with what no UTF-8 holds, such as bytes of a file name, as backslash escapes.

    Example:
        >>> valid_unicode(b"caf\xe9".decode("utf-8", "surrogateescape"))
        'caf\\udce9'
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
