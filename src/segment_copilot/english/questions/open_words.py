"""Asks what words without a number are to mean ("loyal", "recently"): each option stands in their place and can be drafted.

Which words, and what people mean by them, stands in questions_open.toml.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from importlib import resources
from typing import Final

import msgspec
from msgspec import Struct, structs

from segment_copilot.english.lexicon import lines
from segment_copilot.english.outcomes import Asked, Choice, Drafted, Outcome, Refused
from segment_copilot.language import Definition, encode

_MOST: Final = 4
_MEASURE: Final = re.compile(
    r"(?:\d[\d.,]*|more|than|over|above|at|least|under|less|fewer|below|up|to|or|about|around|days?|weeks?|months?|years?|hours?|times|euros?|dollars?|[€$£]|\s)+",
    re.IGNORECASE,
)
"""An answer that is only a number, an amount or a length of time."""


class Open(Struct, frozen=True):
    """A row of the table: words that mean the same, what is asked about them, and the phrases that may be meant.

    With *amounts* they say how often or how much.
    """

    words: tuple[str, ...]
    ask: str
    options: tuple[str, ...]
    template: str
    amounts: bool = False


class Found(Struct, frozen=True):
    """Open words as they stand in a text."""

    row: Open
    start: int
    end: int


@cache
def _table() -> tuple[tuple[re.Pattern[str], Open], ...]:
    text = (resources.files("segment_copilot.english.questions") / "open_words.toml").read_text(encoding="utf-8")
    rows = msgspec.convert(tomllib.loads(text)["open"], tuple[Open, ...])
    longest = (sorted(map(re.escape, row.words), key=len, reverse=True) for row in rows)
    return tuple(
        (re.compile(rf"\b(?:{'|'.join(said)})\b", re.IGNORECASE), row) for said, row in zip(longest, rows, strict=True)
    )


def open_words(text: str, refused: Refused | None) -> tuple[Found, ...]:
    """Return the words of a text that have no number, in order: of a refused one only those for which it was refused."""
    unplaced = [one.text.casefold() for one in refused.unplaced] if refused is not None else [text.casefold()]
    found: list[Found] = []
    for pattern, row in _table():
        for match in pattern.finditer(text):
            said = match.group().casefold()
            blamed = any(said in one or one in said for one in unplaced)
            if blamed and not any(one.start < match.end() and match.start() < one.end for one in found):
                found.append(Found(row, *match.span()))
    return tuple(sorted(found, key=lambda one: one.start))


def passes_over(text: str, definition: Definition) -> bool:
    """Return whether a definition has no number, though words of *text* say how often or how much: "frequent visitors"."""
    written = encode(definition).decode().casefold()
    asked = _courtesy().sub(" ", text)  # "thanks a lot"
    said = (asked[one.start : one.end].casefold() for one in open_words(asked, None) if one.row.amounts)
    return not _AMOUNT.search(written) and any(words not in written for words in said)


@cache
def _courtesy() -> re.Pattern[str]:
    phrases = sorted(lines("courtesy.txt"), key=len, reverse=True)
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, phrases))})\b", re.IGNORECASE)


_AMOUNT: Final = re.compile(r'"(?:value2?|factor|(?:top|bottom)(?:_percent)?)":-?(?:[2-9]|\d\d|0?\.|1\.)')
"""A number that is compared with, other than whether something was done at all."""


def ask_about(text: str, refused: Refused | None, read: Callable[[str], Outcome]) -> Asked | None:
    """Return the question about the open words of *text*; None when there are none, or nothing that they may mean can be drafted.

    Of a text that was refused, those it was refused for come first.
    """
    blamed = open_words(text, refused)
    every = open_words(text, None) if blamed else ()
    phrases = [one for one in every if one in blamed or text[one.start : one.end].count(" ") >= _PHRASE]
    if len(phrases) > len(blamed) and (asked := _asked(text, tuple(phrases), read)) is not None:
        return asked
    return _asked(text, blamed, read) or (_asked(text, every, read) if len(every) > len(blamed) else None)


_PHRASE: Final = 2  # spaces: "we haven't seen" is open wherever it stands, and "much" may be a part of something else


def _asked(text: str, found: tuple[Found, ...], read: Callable[[str], Outcome]) -> Asked | None:
    options: list[Choice] = []
    for number in range(_MOST if found else 0):
        phrases = [one.row.options[min(number, len(one.row.options) - 1)] for one in found]
        label = ", ".join(phrases)
        choice = _option(text, found, phrases, f"{label[:1].upper()}{label[1:]}", read)
        if choice is not None and all(choice.draft.definition != one.draft.definition for one in options):
            options.append(choice)
    if not options:
        return None
    said = " and ".join(f"“{text[one.start : one.end]}”" for one in found)
    one = len(found) == 1
    return Asked(
        f"{said} {'has' if one else 'have'} no number: {found[0].row.ask if one else 'what do you mean by them?'}",
        tuple(options),
    )


def _option(
    text: str, found: tuple[Found, ...], phrases: list[str], label: str, read: Callable[[str], Outcome]
) -> Choice | None:
    """Return what the phrases make of *text*; where that can be read in two ways, the likelier, told in its own words."""
    drafted = settled(text, found, phrases, read)
    if drafted is not None:
        return Choice(label, drafted)
    outcomes = (read(whole) for whole in _written(text, found, phrases))
    likely = next((one.options[0] for one in outcomes if isinstance(one, Asked)), None)
    return None if likely is None else Choice(likely.label, structs.replace(likely.draft, reading=()))


def answered(text: str, refused: Refused, answer: str, read: Callable[[str], Outcome]) -> tuple[str, ...]:
    """Return *text* with an answer in the person's own words in the place of the open words that it fits, as it may be written."""
    found = open_words(text, refused)
    for one in found:
        for phrase in _forms(one.row, answer):
            phrases = [phrase if other is one else other.row.options[0] for other in found]
            if any(isinstance(read(whole), Drafted | Asked) for whole in _written(text, found, phrases)):
                return tuple(_written(text, (one,), [phrase]))
    return ()


def _forms(row: Open, answer: str) -> tuple[str, ...]:
    """Return how an answer may stand in the place of open words: of a noun ("big spenders") it says who they are."""
    filled, noun = row.template.format(answer), row.template.startswith(("customers ", "users "))
    if _MEASURE.fullmatch(answer):
        return (filled,) if noun else (filled, answer)
    return (f"people who {answer}", answer, filled) if noun else (answer, f"who {answer}", filled)


def settled(text: str, found: tuple[Found, ...], phrases: list[str], read: Callable[[str], Outcome]) -> Drafted | None:
    """Return the draft of *text* with phrases in the place of open words, whichever place they fit; its words are told anew."""
    for whole in _written(text, found, phrases):
        outcome = read(whole)
        if isinstance(outcome, Drafted):
            return structs.replace(outcome, reading=())
    return None


def _written(text: str, found: tuple[Found, ...], phrases: list[str]) -> Iterator[str]:
    """Yield *text* with the phrases in the place of the words; and with those of them that say who at its end."""
    kept, behind, at = "", list[str](), 0
    for one, phrase in zip(found, phrases, strict=True):
        kept += text[at : one.start]
        moves = phrase.split()[0] in {"who", "whose"}
        behind += [phrase] if moves else []
        kept += "" if moves else phrase
        at = one.end
    kept = re.sub(r"\s+", " ", kept + text[at:]).strip(" .!?")
    ends = " and ".join(behind)
    if ends:
        yield f"{kept} {ends}"
        yield f"{kept} and {ends}"
        yield f"users {ends} and {kept}"
    else:
        yield kept
