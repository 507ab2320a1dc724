"""Counts what stands in each column as it is sent, and finds what its owner may not have meant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct, field

from segment_copilot.importing.times import is_date_of_people
from segment_copilot.importing.values import as_boolean, has_decimal_comma, looks_like_number
from segment_copilot.language.catalog import IDENTIFY

_KINDS: Final[Mapping[type, str]] = {
    bool: "boolean", int: "number", float: "number", str: "text", list: "list", dict: "object",
}  # fmt: skip
_MOST_COLUMNS: Final = 1000


class Column(Struct, kw_only=True):
    """Counts the values of one property or trait by their type, with an example of each kind."""

    name: str
    is_trait: bool
    kinds: Counter[str] = field(default_factory=Counter[str])
    example: str = ""
    odd_numbers: int = 0
    odd_number: str = ""
    odd_dates: int = 0
    odd_date: str = ""
    booleans: int = 0

    def add(self, value: object) -> None:
        """Count one value; null is none."""
        if value is None:
            return
        kind = _KINDS[type(value)]
        self.kinds[kind] += 1
        self.example = self.example or str(value)[:40]
        if kind in {"text", "number"}:
            self.booleans += as_boolean(value) is not None
        if isinstance(value, str):
            self._look(value)

    def _look(self, text: str) -> None:
        if len(text) < 40 and text[-1:] and not text.isalpha():  # noqa: PLR2004  # no number or date is longer
            if looks_like_number(text):
                self.odd_numbers += 1
                self.odd_number = self.odd_number or text
            elif is_date_of_people(text):
                self.odd_dates += 1
                self.odd_date = self.odd_date or text

    @property
    def total(self) -> int:
        """Return how many values there are."""
        return self.kinds.total()

    @property
    def may_be_boolean(self) -> bool:
        """Return whether every value says yes or no, and not one of them is a boolean yet."""
        return self.total > 0 and self.booleans == self.total

    def notes(self) -> Iterator[str]:
        """Yield what the owner of the file should know of this column."""
        if self.odd_numbers and self.odd_numbers + self.kinds["number"] > self.total // 2:
            yield (
                f"{self.name}: {self.odd_numbers} of {self.total} values stay text, such as {self.odd_number!r}: "
                f"sums and comparisons leave them out. --number {self.name!r}{' --decimal ,' if has_decimal_comma(self.odd_number) else ''} makes numbers of them."
            )
        if self.odd_dates > self.total // 2:
            yield (
                f"{self.name}: {self.odd_dates} of {self.total} values are dates that stay text, such as "
                f"{self.odd_date!r}. Written as 2026-04-25 they can be compared as dates."
            )
        if self.may_be_boolean and self.kinds["text"]:
            yield f"{self.name}: every value says yes or no and stays text; --boolean {self.name!r} makes booleans of them."


class Columns:
    """Counts the columns of all events that are sent."""

    def __init__(self) -> None:
        self._columns: dict[tuple[bool, str], Column] = {}

    def add(self, event: Mapping[str, Any]) -> None:
        """Count the values of one event."""
        is_trait = event["event_type"] == IDENTIFY
        payload: Mapping[str, Any] = event["payload"] or {}
        for name, value in payload.items():
            column = self._columns.get((is_trait, name))
            if column is None:
                if len(self._columns) >= _MOST_COLUMNS:
                    continue
                column = self._columns[is_trait, name] = Column(name=name, is_trait=is_trait)
            column.add(value)

    def __iter__(self) -> Iterator[Column]:
        return iter(self._columns.values())

    def notes(self) -> list[str]:
        """Return what the owner of the file should know."""
        return [note for column in self for note in column.notes()]
