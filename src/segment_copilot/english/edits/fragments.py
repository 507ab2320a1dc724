"""The new part of an edit, sorted: time spans, numbers, a comparison alone, and the words that are left."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

from msgspec import Struct, structs

from segment_copilot.english.times.dates import read_date
from segment_copilot.english.times.phrases import Operator, Quantity, comparator, length, lowers, quantity
from segment_copilot.english.times.windows import Window, window
from segment_copilot.english.words.lexer import Token, written
from segment_copilot.english.words.lexicon import NOISE, PEOPLE

_FILLER: Final = {"full", "whole", "like", "approximately", "closer", "entire", "roughly", "around", "look", "back", "time", "times", "to", "it", "the", "value", "a", "of", "be", "is", "was", "were", "instead", "now", "just", "rather", "about", "for",
                  "in", "window", "period", "threshold", "say", "please", "only", "them", "that"}  # fmt: skip


_NUMBERED: Final = {"condition", "exclusion", "filter", "rule", "part", "clause"}
_VAGUE: Final = {
    "just",
    "only",
    "over",
    "under",
    "above",
    "below",
    "max",
    "min",
    "minimum",
    "maximum",
    "exact",
    "beyond",
    "=",
}
"""Comparisons that say nothing without a number."""


class Fragment(Struct, frozen=True):
    """*words* are what no time span or number explains; *operator* a comparison without a number."""

    tokens: tuple[Token, ...]
    words: tuple[Token, ...] = ()
    windows: tuple[Window, ...] = ()
    quantities: tuple[Quantity, ...] = ()
    operator: Operator | None = None

    @property
    def window(self) -> Window | None:
        """Its time span."""
        return self.windows[0] if self.windows else None

    @property
    def quantity(self) -> Quantity | None:
        """Its number."""
        return self.quantities[0] if self.quantities else None

    @property
    def content(self) -> tuple[Token, ...]:
        """The words that say something."""
        return tuple(word for word in self.words if not _idle(word))

    @property
    def bare(self) -> bool:
        """Whether it is a number, a time span or a comparison and nothing else."""
        return not self.content and bool(self.windows or self.quantities or self.operator)

    @property
    def rated(self) -> bool:
        """Whether it says how often in each day, week or month."""
        return any(
            token.lower in {"times", "once", "twice"}
            and self.tokens[at + 1 : at + 2]
            and self.tokens[at + 1].lower in {"a", "an", "per", "every", "each"}
            for at, token in enumerate(self.tokens)
        )

    @property
    def text(self) -> str:
        """As written."""
        return written(self.tokens)


def _idle(word: Token) -> bool:
    if word.text == "US" or word.kind in {"quoted", "path", "name"}:
        return False
    return word.kind == "sign" or word.lower in _FILLER or word.stem in NOISE | PEOPLE


def sort_fragment(tokens: Sequence[Token], today: date) -> Fragment:
    """Sort the tokens; "60 days" alone is a time span here."""
    every = tuple(tokens)
    words: list[Token] = []
    windows: list[Window] = []
    quantities: list[Quantity] = []
    operator: Operator | None = None
    at = 0
    while at < len(every):
        if at and every[at].kind == "number" and every[at - 1].lower in _NUMBERED:
            words.append(every[at])  # "condition 2"
            at += 1
            continue
        span = _window(every, at, today) or _length(every, at) or _day(every, at, today)
        number = None if span else quantity(every, at)
        compared = None if span or number or every[at].lower in _VAGUE else comparator(every, at)
        after = None if span or number else _comparison_behind(every, at, quantities)
        if after:
            quantities[-1], at = after
        elif span:
            windows.append(span[0])
            at = span[1]
        elif number:
            quantities.append(number[0])
            at = number[1]
        elif compared:
            operator, at = compared
        else:
            words.append(every[at])
            at += 1
    return Fragment(every, tuple(words), tuple(windows), tuple(quantities), operator)


def _comparison_behind(tokens: tuple[Token, ...], at: int, read: Sequence[Quantity]) -> tuple[Quantity, int] | None:
    """The "or more" of "4 visits or more"."""
    if (
        not read
        or not read[-1].bare
        or tokens[at].lower not in {"or", "and", "at", "plus", "+", "exactly", "max", "min"}
    ):
        return None
    value = Token("number", f"{read[-1].value}", "", "", value=read[-1].value)
    found = quantity((value, *tokens[at:]), 0)
    if found is None or found[0].bare:
        return None
    return structs.replace(
        found[0], currency=read[-1].currency, text=f"{read[-1].text} {written(tokens[at : at + found[1] - 1])}"
    ), at + found[1] - 1


def _window(tokens: tuple[Token, ...], at: int, today: date) -> tuple[Window, int] | None:
    """A time span; "over an hour" is how long something took."""
    read = window(tokens, at, today)
    if read is None or (
        read[0].operator in {"gt", "gte"}
        and read[0].kind == "last"
        and read[0].length
        and read[0].length.unit in {"m", "h"}
    ):
        return None
    return read


def _length(tokens: tuple[Token, ...], at: int) -> tuple[Window, int] | None:
    """Of "60 days", "a quarter", "more than 60 days", "90-day"; not of the age "30 years old" or of "3 times a week"."""
    compared = comparator(tokens, at)
    start = compared[1] if compared else at
    read = length(tokens, start)
    if read is None or lowers(tokens, read[1], 1) in {("old",), ("older",)} or _rate(tokens, at):
        return None
    bare = tokens[start].lower if start < len(tokens) else ""
    if (
        read[1] == start + 1
        and tokens[start].kind == "word"
        and bare not in {"day", "week", "fortnight", "month", "quarter", "year"}
    ):
        return None
    if (
        read[1] == start + 1
        and tokens[start].kind == "word"
        and lowers(tokens, at - 1, 1) in {("per",), ("every",), ("each",)}
    ):
        return None
    operator = compared[0] if compared else None
    if operator in {"gt", "gte"} and read[0].unit in {"m", "h"}:
        return None  # "longer than 60 minutes": how long it took, not how long ago
    if lowers(tokens, at - 1, 1) in {("over",), ("than",), ("above",), ("under",), ("below",)} and read[0].unit in {
        "m",
        "h",
    }:
        return None
    return Window("last", text=written(tokens[at : read[1]]), length=read[0], operator=operator), read[1]


def _rate(tokens: tuple[Token, ...], at: int) -> bool:
    return at > 0 and tokens[at - 1].lower in {"times", "once", "twice"} and tokens[at].lower in {"a", "an"}


def _day(tokens: tuple[Token, ...], at: int, today: date) -> tuple[Window, int] | None:
    """Of "May" or "2026-05-01": a day, month or quarter that no preposition announces."""
    if tokens[at].kind not in {"word", "date"} or tokens[at].text == "may":
        return None
    read = read_date(tokens, at, today)
    if read is None:
        return None
    return Window("range", text=written(tokens[at : read[2]]), first=read[0], after=read[1]), read[2]
