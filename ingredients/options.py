"""A frozen dataclass of the library as the one captured function of an ingredient."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from ingredients.base import Ingredient

T = TypeVar("T")


def capture_options(ingredient: Ingredient, kind: type[T]) -> Callable[..., T]:
    """A captured function that returns the ingredient's config as ``kind``.

    Its parameters are the fields of ``kind``: a key keeps one name on the way, and Sacred refuses
    one that is misspelt.

    Args:
        ingredient: its config has an entry for each field.
        kind: a frozen dataclass.
    """

    def options(*values: Any, **entries: Any) -> T:
        return kind(*values, **entries)

    options.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(field.name, inspect.Parameter.POSITIONAL_OR_KEYWORD)
            for field in dataclasses.fields(kind)  # type: ignore[arg-type]
        ]
    )
    return ingredient.capture(options)
