"""Finds numbers in a text that nobody gave: no tool's result, no draft, no person. A model may have made them up.

A text states a number in digits. Dates, times, quoted words, marks of lists and digits in names (`user_02043`, Q2) state
none, and neither does a question. A number that was given may be rounded as far as the text says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, Final, cast

from msgspec import Struct

_MONTHS: Final = (
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre"
    r"|octubre|noviembre|diciembre)[a-z]*\.?"
)
_QUOTED: Final = re.compile(
    r"“[^”\n]{1,300}”|\"[^\"\n]{1,300}\"|«[^»\n]{1,300}»|`[^`\n]{1,300}`|(?<!\w)'[^'\n]{1,300}'(?!\w)|‘[^’\n]{1,300}’"
)
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+|\n")
_PASSED_OVER: Final = tuple(
    re.compile(pattern, re.IGNORECASE | re.MULTILINE)
    for pattern in (
        r"\d{4}-\d\d(?:-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?)?)?",
        r"\b\d{1,2}:\d\d(?::\d\d)?\b|\b\d{1,2} ?[ap]\.?m\b",
        rf"\b\d{{1,2}}(?:st|nd|rd|th)?(?: of| de)? {_MONTHS}(?:,? (?:de )?(?:19|20)\d\d)?\b",
        rf"\b{_MONTHS} \d{{1,2}}(?:st|nd|rd|th)?(?:\s*[-–]\s*\d{{1,2}})?(?:,? (?:19|20)\d\d)?\b(?![,.]?\d)",
        rf"\b{_MONTHS}(?: de)? (?:19|20)\d\d\b",
        r"^\s*\d{1,2}[.)]\s",
    )
)
_NUMBER: Final = re.compile(
    r"(?P<about>(?:about|around|roughly|nearly|almost|approximately|over|more than|under|some"
    r"|unos|unas|casi|alrededor de)\s+|[~≈≃]\s?)?"
    r"(?<![\w/#.,])(?<![A-Za-z]-)[-−]?(?:[€$£]\s?)?(?P<digits>\d+(?:[.,\u00a0\u202f']\d+)*)"
    r"(?P<scale>\s?(?:k|m|bn|thousand|million|billion|mil|millones)\b)?(?P<share>\s?(?:%|per ?cent\b|por ciento\b))?"
    r"(?P<span>[\s-]*(?:second|minute|hour|day|week|month|quarter|year|segundo|minuto|hora|d[ií]a|semana|mes|trimestre|año)"
    r"(?:e?s)?\b)?(?![\w])",
    re.IGNORECASE,
)
_SCALES: Final = {
    "k": 1e3, "thousand": 1e3, "mil": 1e3, "m": 1e6, "million": 1e6, "millones": 1e6, "bn": 1e9, "billion": 1e9,
}  # fmt: skip
_WORDS: Final = {
    "once": 1, "twice": 2, "thrice": 3, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "dozen": 12, "fifteen": 15, "twenty": 20, "thirty": 30,
    "fifty": 50, "sixty": 60, "ninety": 90, "hundred": 100, "thousand": 1000, "half": 50, "una": 1, "dos": 2, "tres": 3,
    "cuatro": 4, "cinco": 5, "seis": 6, "siete": 7, "ocho": 8, "nueve": 9, "diez": 10, "cien": 100, "mil": 1000,
    "week": 7, "weekly": 7, "semana": 7, "month": 30, "mes": 30, "quarter": 90, "year": 365, "año": 365,
}  # fmt: skip
"""What people say for a number: a person's "twice" may come back as 2, their "last week" as 7 days."""
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?)?")
_MOST: Final = 5
_READ: Final = 500  # different numbers of a text
_COMPARED: Final = 2_000  # numbers that one may be rounded from
_LONGEST: Final = 30  # characters of a number
_ROUNDED: Final = 3  # figures that are left of a number that is said to be about another


class _Stated(Struct, frozen=True):
    """Holds a number as a text states it: its possible *values*, to how many *decimals*, in units of *scale*."""

    text: str
    values: tuple[float, ...]
    decimals: int
    scale: float
    is_rough: bool
    is_share: bool
    is_span: bool


class Given:
    """Gathers what was given: documents of tools, drafts, and what people wrote."""

    def __init__(self) -> None:
        self._numbers: set[float] = set()
        self._spans: set[float] = set()
        self._years: set[float] = set()

    def add(self, *documents: object) -> None:
        """Add every number in *documents*: their own, those in their texts, and how long their lists are."""
        for document in documents:
            self._numbers.update(self._read(document))

    def add_asked(self, *documents: object) -> None:
        """Add what calls asked for: it counts for lengths of time alone, for a model writes it itself."""
        for document in documents:
            self._spans.update(self._read(document))

    def unsupported(self, text: str) -> tuple[str, ...]:
        """Return the numbers that *text* states and nobody gave, as it writes them: at most five, each once."""
        stated = list({one.text: one for one in _stated(text)}.values())[:_READ]
        return tuple(islice((one.text for one in stated if not self._supports(one)), _MOST))

    def _supports(self, stated: _Stated) -> bool:
        known = self._numbers | self._spans if stated.is_span else self._numbers
        if any(value in self._years or value * stated.scale in known for value in stated.values):
            return True
        compared = tuple(islice(known, _COMPARED))
        return any(_agrees(value, one, stated) for value in stated.values for one in compared)

    def _read(self, value: object) -> Iterator[float]:
        match value:
            case bool() | None:
                return
            case int() | float():
                yield float(value)
            case str():
                yield from self._read_text(value)
            case Mapping():
                document = cast("Mapping[str, Any]", value)
                self._note_range(document)
                for child in document.values():
                    yield from self._read(child)
            case list() | tuple():
                items = cast("list[Any]", value)
                yield float(len(items))
                for item in items:
                    yield from self._read(item)
            case _:
                return

    def _read_text(self, text: str) -> Iterator[float]:
        for instant in _INSTANT.findall(text):
            self._years.add(float(instant[:4]))
        plain = _INSTANT.sub(" ", text)
        for one in _found(plain):
            yield from (value * one.scale for value in one.values)
        # Digits in names may be said alone: segment 7, coupon 10.
        yield from (float(digits) for digits in re.findall(r"\d{1,15}", plain))
        yield from (float(_WORDS[word]) for word in re.findall(r"[^\W\d_]+", plain.lower()) if word in _WORDS)

    def _note_range(self, document: Mapping[str, Any]) -> None:
        """Note how long a range is, in days and hours: it may be said so."""
        try:
            start, end = (datetime.fromisoformat(str(document[name])) for name in ("from", "to"))
            seconds = (end.replace(tzinfo=None) - start.replace(tzinfo=None)).total_seconds()
        except (KeyError, ValueError):
            return
        days = round(seconds / 86_400)
        self._spans.update({days, days + 1, round(seconds / 3600)})  # a day that has begun may count


def _stated(text: str) -> Iterator[_Stated]:
    text = _QUOTED.sub(_unquote, text)
    text = "\n".join(sentence for sentence in _SENTENCE.split(text) if not sentence.endswith("?"))
    for pattern in _PASSED_OVER:
        text = pattern.sub(" ", text)
    yield from _found(text)


def _unquote(found: re.Match[str]) -> str:
    """Return a number alone as it is: quoting it does not make it another's words."""
    return " " if any(letter.isalpha() for letter in found[0]) else found[0]


def _found(text: str) -> Iterator[_Stated]:
    for found in _NUMBER.finditer(text):
        scale = _SCALES.get((found["scale"] or "").strip().lower(), 1.0)
        values = tuple(_values(found["digits"]))
        whole = found["digits"] + (found["scale"] or "") + (found["share"] or "")
        yield _Stated(
            whole.strip(),
            values,
            decimals=_decimals(found["digits"]),
            scale=scale,
            is_rough=found["about"] is not None or scale > 1,
            is_share=found["share"] is not None,
            is_span=found["span"] is not None,
        )


def _values(digits: str) -> Iterator[float]:
    """Read a number as English writes it, 1,234.5, and as Spanish does, 1.234,5: either may be meant."""
    plain = re.sub(r"[\u00a0\u202f']", "", digits[: _LONGEST + 1])
    if len(plain) > _LONGEST:
        return
    if re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d+)?|\d+(\.\d+)?", plain):
        yield float(plain.replace(",", ""))
    if re.fullmatch(r"\d{1,3}(\.\d{3})+(,\d+)?|\d+(,\d+)?", plain):
        yield float(plain.replace(".", "").replace(",", "."))


def _decimals(digits: str) -> int:
    tail = re.search(r"[.,](\d+)$", digits)
    return len(tail[1]) if tail else 0


def _agrees(value: float, known: float, stated: _Stated) -> bool:
    """Return whether *value* is *known*, as rounded as it says it is."""
    known = abs(known)
    if value in (known / stated.scale, round(known / stated.scale, stated.decimals)):
        return True
    if stated.is_share and value == round(100 * known, stated.decimals):
        return True
    if not stated.is_rough or not known:
        return False
    figures = len(str(int(known)))
    return any(value * stated.scale == round(known, kept - figures) for kept in range(1, _ROUNDED + 1))


def unsupported_numbers(text: str, given: Iterable[object], asked: Iterable[object] = ()) -> tuple[str, ...]:
    """Return the numbers of *text* that stand in nothing *given*; lengths of time may be what calls *asked* for."""
    known = Given()
    known.add(*given)
    known.add_asked(*asked)
    return known.unsupported(text)
