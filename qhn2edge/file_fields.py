"""Checks of a model file's fields: each returns the field, or refuses it by the place where it stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from qhn2edge.errors import ModelFileError
from qhn2edge.storage import JsonObject

T = TypeVar("T")


def only(value: object, where: str, *keys: str) -> JsonObject:
    """Return ``value`` as an object that has exactly these keys."""
    item = object_of(value, where)
    for key in item:
        if key not in keys:
            raise ModelFileError(f"{where} has an unknown field", got=key, expected=", ".join(keys))
    for key in keys:
        if key not in item:
            raise ModelFileError(f"{where} lacks the field {key}")
    return item


def _typed(kind: type[T], what: str) -> Callable[[object, str], T]:
    def check(value: object, where: str) -> T:
        if not isinstance(value, kind):
            raise ModelFileError(f"{where} has the wrong type", got=value, expected=what)
        return value

    return check


text_of = _typed(str, "text")
list_of: Callable[[object, str], list[Any]] = _typed(list, "a list")
object_of: Callable[[object, str], JsonObject] = _typed(dict, "an object")


def integer_of(value: object, where: str, low: int, high: int) -> int:
    """Return ``value`` as an integer from low to high."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ModelFileError(f"{where} is impossible", got=value, expected=f"an integer from {low} to {high}")
    return value


def exactly(items: list[Any], n: int, where: str) -> list[Any]:
    """Return ``items``, which must be n."""
    if len(items) != n:
        raise ModelFileError(f"{where} has the wrong length", got=len(items), expected=str(n))
    return items
