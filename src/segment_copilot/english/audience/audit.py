"""A last look at a draft: every number of the request must stand in it, and none that is an amount may count events."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any, Final, cast

from segment_copilot.english.linking.index import Field, Index
from segment_copilot.english.times.windows import window
from segment_copilot.english.words.lexer import Token
from segment_copilot.english.words.lexicon import stems

_TIMES: Final = stems("times twice thrice often")
_DIGITS: Final = re.compile(r"\d+(?:\.\d+)?")
_SCALES: Final = (1, 7, 14, 30, 60, 90, 180, 365, 1 / 24, 24)
"""A length told in weeks, months or years may be written in days."""


def numbers_lost(tokens: Sequence[Token], definition: dict[str, Any], today: date) -> tuple[str, ...]:
    """The numbers of a request, as written, that stand nowhere in its definition; days of the calendar aside."""
    every = tuple(tokens)
    there = set(_numbers(definition))
    lost: list[str] = []
    at = 0
    while at < len(every):
        found = window(every, at, today)
        if found is not None and found[0].kind in {"range", "period"}:
            at = found[1]
            continue
        token = every[at]
        if token.kind in {"number", "money"} and token.value > 1 and not _near(token.value, there):
            lost.append(token.text)
        at += 1
    return tuple(lost)


def amounts_counted(tokens: Sequence[Token], definition: dict[str, Any], index: Index) -> tuple[Field, ...]:
    """The amounts that a request names and a definition counts events by, because their values are no numbers.

    "An order with total above 1000" is no thousand orders where the totals are texts such as "1,089.95".
    """
    said = {token.stem for token in tokens} | {token.lower for token in tokens}
    counted = {
        condition["event_type"]
        for condition in _conditions(definition)
        if condition.get("type") == "event_count" and condition.get("value", 1) > 1 and not _times(tokens)
    }
    unread = [
        field
        for known in index.events
        if known.name in counted
        for field in known.fields
        if field.unreadable == "number" and said & {field.path.lower(), *field.words}
    ]
    return tuple({field.path: field for field in unread}.values())


def _times(tokens: Sequence[Token]) -> bool:
    return any(token.stem in _TIMES for token in tokens)


def _conditions(value: object) -> Iterator[dict[str, Any]]:
    match value:
        case dict():
            fields = cast("dict[str, Any]", value)
            if isinstance(fields.get("event_type"), str):
                yield fields
            for child in fields.values():
                yield from _conditions(child)
        case list():
            for child in cast("list[Any]", value):
                yield from _conditions(child)
        case _:
            return


def _near(value: float, there: set[float]) -> bool:
    return any(value * scale in there for scale in _SCALES) or value + 1 in there or value - 1 in there


def _numbers(value: object) -> Iterator[float]:
    match value:
        case bool():
            return
        case int() | float():
            yield float(value)
        case str():
            yield from (float(found) for found in _DIGITS.findall(value))
        case dict():
            for child in cast("dict[str, Any]", value).values():
                yield from _numbers(child)
        case list():
            for child in cast("list[Any]", value):
                yield from _numbers(child)
        case _:
            return
