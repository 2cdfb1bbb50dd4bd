"""Tables from a config's names to the functions that build what they name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from tmd.errors import UserError

F = TypeVar("F", bound=Callable[..., Any])


def as_names(value: Any) -> list[Any]:
    """Names given as a list or as text with commas, in brackets or not, as a command line has it.

    Example:
        >>> as_names(["a", "b"]), as_names("[a, b]"), as_names("a"), as_names(None)
        (['a', 'b'], ['a', 'b'], ['a'], [])
    """
    if value is None:
        return []
    if isinstance(value, str):
        return [part.strip() for part in value.strip("[]() ").split(",") if part.strip()]
    return list(value) if isinstance(value, (list, tuple)) else [value]


class Registry(Generic[F]):
    """Named builders of one kind; a new one is one decorator line.

    Example:
        >>> LOSSES = Registry("loss")
        >>> @LOSSES.register("zero")
        ... def zero():
        ...     return 0
        >>> LOSSES["zero"]()
        0
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._builders: dict[str, F] = {}

    def register(self, name: str) -> Callable[[F], F]:
        """Decorator that makes what it stands above the entry ``name``."""

        def add(builder: F) -> F:
            if name in self._builders:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._builders[name] = builder
            return builder

        return add

    def __getitem__(self, name: str) -> F:
        if name not in self._builders:
            raise UserError(f"{self.kind}={name!r}: must be one of {', '.join(self)}")
        return self._builders[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._builders))

    def __len__(self) -> int:
        return len(self._builders)

    def __contains__(self, name: object) -> bool:
        return name in self._builders

    def parameters(self, name: str) -> dict[str, inspect.Parameter]:
        """The keyword arguments that the builder called ``name`` takes."""
        return dict(inspect.signature(self[name]).parameters)
