"""A last look at a draft: every number of the request must stand in it, or the request was not understood."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any, Final, cast

from segment_copilot.english.times.windows import window
from segment_copilot.english.words.lexer import Token

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
