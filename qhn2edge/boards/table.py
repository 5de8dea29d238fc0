"""Reads one table of a board's TOML file: every value checked, every unknown key refused."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from qhn2edge.boards.board import Scalar, Value
from qhn2edge.errors import BoardError

_MACRO = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class TableReader:
    """A table that is read key by key; :meth:`finish` refuses what nobody asked for.

    Args:
        content: the parsed table.
        where: how messages call it ("[memory] of board.toml").
    """

    def __init__(self, content: Mapping[str, Any], where: str) -> None:
        self._content = content
        self._where = where
        self._asked: list[str] = []

    def has(self, key: str) -> bool:
        """Whether the key is there."""
        self._asked.append(key)
        return key in self._content

    def text(self, key: str, *, pattern: str = r"[^\x00-\x1f\x7f]+", meaning: str = "a text") -> str:
        """Return a text that fits a pattern."""
        value = self._get(key)
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise self.wrong(key, value, meaning)
        return value

    def choice(self, key: str, choices: Sequence[str]) -> str:
        """Return one of several words."""
        value = self._get(key)
        if value not in choices:
            raise self.wrong(key, value, f"one of {', '.join(choices)}")
        return str(value)

    def integer(self, key: str, low: int, high: int, *, default: int | None = None) -> int:
        """Return an integer of a range."""
        value = self._get(key, default)
        if type(value) is not int or not low <= value <= high:
            raise self.wrong(key, value, f"an integer from {low:,} to {high:,}")
        return value

    def number(self, key: str, low: float, high: float, *, default: float) -> float:
        """Return a finite number of a range."""
        value = self._get(key, default)
        if type(value) not in {int, float} or not math.isfinite(value) or not low <= value <= high:
            raise self.wrong(key, value, f"a number from {low:g} to {high:g}")
        return float(value)

    def texts(self, key: str, *, pattern: str, meaning: str) -> tuple[str, ...]:
        """Return one text, or a list of texts, as a tuple that is not empty."""
        value = self._get(key)
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list) or not items or not all(_fits(item, pattern) for item in items):
            raise self.wrong(key, value, f"{meaning}, or a list of them")
        return tuple(items)

    def table(self, key: str, *, default: Mapping[str, Any] | None = None) -> TableReader:
        """Return a nested table."""
        value = self._get(key, default)
        if not isinstance(value, Mapping):
            raise self.wrong(key, value, "a table")
        return TableReader(value, f"[{key}] of {self._where}")

    def macros(self, key: str) -> dict[str, str]:
        """Return a table of names that C takes, with the text of their values (true gives an empty text)."""
        return {
            name: _macro_text(value) for name, value in self.table(key, default={}).values(_MACRO).items()
        }

    def values(self, names: re.Pattern[str]) -> dict[str, Value]:
        """Return all remaining keys: texts, numbers, truth values, and lists of texts."""
        rest = {key: value for key, value in self._content.items() if key not in self._asked}
        for key, value in rest.items():
            if not names.fullmatch(key):
                raise self.wrong(key, key, "a name of letters, digits and _")
            if not _is_value(value):
                raise self.wrong(key, value, "a text, a number, true or false, or a list of texts")
        self._asked.extend(rest)
        return {key: tuple(value) if isinstance(value, list) else value for key, value in rest.items()}

    def tables(self) -> dict[str, TableReader]:
        """Return all entries, each of them a table."""
        return {key: self.table(key) for key in self._content}

    def finish(self) -> None:
        """Refuse keys that were not asked for."""
        for key in self._content:
            if key not in self._asked:
                near = difflib.get_close_matches(key, self._asked, n=1)
                raise BoardError(
                    f"unknown entry in {self._where}",
                    got=key,
                    next_step=f"did you mean {near[0]}?" if near else "see CONTRIBUTING.md for the entries",
                )

    def wrong(self, key: str, value: object, expected: str) -> BoardError:
        """Return the error for an entry."""
        return BoardError(f"the entry {key} in {self._where} is impossible", got=value, expected=expected)

    def _get(self, key: str, default: object = None) -> Any:  # noqa: ANN401  (TOML holds any type)
        if self.has(key):
            return self._content[key]
        if default is None:
            raise BoardError(f"the entry {key} is missing in {self._where}")
        return default


def _fits(item: object, pattern: str) -> bool:
    return isinstance(item, str) and re.fullmatch(pattern, item) is not None


def _is_value(value: object) -> bool:
    if isinstance(value, list):
        return all(isinstance(item, str) for item in value)
    return isinstance(value, str | int | bool) or (isinstance(value, float) and math.isfinite(value))


def _macro_text(value: Scalar | tuple[str, ...]) -> str:
    if isinstance(value, bool):
        return "" if value else "0"
    return " ".join(value) if isinstance(value, tuple) else str(value)
