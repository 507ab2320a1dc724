"""A sentence as words: what was typed is kept beside what is read, so that every word can be pointed to."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final

from msgspec import Struct
from rapidfuzz.distance import DamerauLevenshtein

from segment_copilot.english import lexicon
from segment_copilot.english.times.dates import MONTHS
from segment_copilot.english.times.shorthand import opened
from segment_copilot.english.words import known as grammar
from segment_copilot.english.words import layout
from segment_copilot.english.words.countries import ALIASES
from segment_copilot.english.words.lexer import Token, read, word

_NEAR: Final = 24  # characters: further on the same word is another one
_SHORTEST: Final = 4
_LONG: Final = 8


class Sentence(Struct, frozen=True):
    """The *tokens* of a *text*, and where each stands in it; *notes* are what was corrected, in sentences."""

    text: str
    tokens: tuple[Token, ...]
    spans: tuple[tuple[int, int], ...]
    notes: tuple[tuple[int, str], ...] = ()

    def said(self, positions: Sequence[int]) -> str:
        """Return the text from the first to the last of these tokens, as it was typed."""
        if not positions:
            return ""
        return self.text[min(self.spans[at][0] for at in positions) : max(self.spans[at][1] for at in positions)]


def read_sentence(text: str, vocabulary: frozenset[str], is_name: Callable[[Sequence[Token]], bool]) -> Sentence:
    """Return the words of *text*: shorthand and idioms opened, slips mended towards *vocabulary*; names stay as they are."""
    said = layout.plain(text)
    tokens = tuple(_first_time(token) for token in read(_apart(said)))
    tokens, spans = _rewritten(tokens, _aligned(said, tokens), vocabulary, is_name)
    tokens, spans = _turned(tokens, spans)
    tokens, spans = _gathered(tokens, spans)
    notes: list[tuple[int, str]] = []
    mended = list(tokens)
    for at, token in enumerate(tokens):
        meant = _meant(token, vocabulary)
        if meant is not None:
            mended[at] = word(meant)
            notes.append((at, f"“{token.text}” is read as “{meant}”."))
    return Sentence(text, _countries(tuple(mended)), tuple(spans), tuple(notes))


def _apart(text: str) -> str:
    """Return a text as words apart: a line ends a sentence, and numbers stand for themselves."""
    apart = _POINT.sub(r"0\1", text.replace("\n", ";"))
    return _HYPHEN.sub(r"\1 ", _GLUED.sub(r"\1 \2", apart))


def _countries(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """Return the words with "us" as a country where it stands beside one: "from us or canada"."""
    made = list(tokens)
    for at, token in enumerate(tokens):
        beside = [tokens[other].lower for other in (at - 2, at + 2) if 0 <= other < len(tokens)]
        joined = {tokens[other].lower for other in (at - 1, at + 1) if 0 <= other < len(tokens)} & {
            "or",
            "and",
            ",",
            "/",
            "&",
        }
        if token.lower == "us" and joined and any(one in ALIASES or one.rstrip("s") in ALIASES for one in beside):
            made[at] = word("US")
    return tuple(made)


def _first_time(token: Token) -> Token:
    """Return "first" for "first-time", which the reader of words takes for "one-time"."""
    return word("first") if token.lower == "onetime" and token.text.lower().startswith("first") else token


def _aligned(text: str, tokens: Sequence[Token]) -> list[tuple[int, int]]:
    """Return where each token stands. A contraction is two tokens of one word: the second has the rest of it."""
    typed = text.replace("\u2019", "'").lower()
    spans: list[tuple[int, int]] = []
    cursor = 0
    for token in tokens:
        while cursor < len(typed) - 1 and typed[cursor] == " ":
            cursor += 1
        parts = token.lower.split() if token.kind not in {"quoted", "money"} else [token.lower]
        start = typed.find(_first(parts), cursor, cursor + _NEAR + len(parts[0]) if parts else cursor)
        if start < 0:
            spans.append((cursor, _word_end(typed, cursor)))
        else:
            end = start
            for part in parts:
                found = typed.find(part, end, end + _NEAR + len(part))
                end = found + len(part) if found >= 0 else end
            spans.append((start, max(end, start + 1)))
        cursor = spans[-1][1]
    return spans


def _first(parts: Sequence[str]) -> str:
    return parts[0] if parts else " "


def _word_end(text: str, at: int) -> int:
    while at < len(text) and not text[at].isspace():
        at += 1
    return at


def _rewritten(
    tokens: Sequence[Token],
    spans: Sequence[tuple[int, int]],
    vocabulary: frozenset[str],
    is_name: Callable[[Sequence[Token]], bool],
) -> tuple[tuple[Token, ...], list[tuple[int, int]]]:
    made: list[Token] = []
    placed: list[tuple[int, int]] = []
    at = 0
    several = _names_of_several(tokens, is_name)
    while at < len(tokens):
        size, plain = _rewrite(tokens, at, vocabulary, is_name)
        if size and not any(
            start < at + size and at < end and not at <= start < end <= at + size for start, end in several
        ):
            made += plain
            placed += [(spans[at][0], spans[at + size - 1][1])] * len(plain)
            at += size
        else:
            made.append(tokens[at])
            placed.append(spans[at])
            at += 1
    return tuple(made), placed


def _names_of_several(
    tokens: Sequence[Token], is_name: Callable[[Sequence[Token]], bool]
) -> tuple[tuple[int, int], ...]:
    """Return where names of several words stand: a part of one stands for nothing else."""
    return tuple(
        (at, at + size)
        for size in (2, 3, 4)
        for at in range(len(tokens) - size + 1)
        if all(token.kind == "word" for token in tokens[at : at + size]) and is_name(tokens[at : at + size])
    )


def _rewrite(
    tokens: Sequence[Token], at: int, vocabulary: frozenset[str], is_name: Callable[[Sequence[Token]], bool]
) -> tuple[int, tuple[Token, ...]]:
    """Return how many words are opened, and what they stand for; a name and a word of the tenant's stay as they are."""
    first = tokens[at]
    if first.kind in {"word", "name"} and (short := opened(first.lower)) is not None:
        return 1, read(short)
    for key, plain in lexicon.rewrites().get(first.lower, ()):
        size = len(key)
        if tuple(token.lower for token in tokens[at : at + size]) != key or first.kind == "quoted":
            continue
        if size == 1 and len(first.lower) == 1:  # "n" joins, unless it is the value N or the unit of a number
            if first.text.islower() and (at == 0 or first.lower == "n" or tokens[at - 1].kind != "number"):
                return size, plain
        elif not is_name(tokens[at : at + size]) and not (size == 1 and _is_own(first, vocabulary)):
            return size, plain
    return 0, ()


_LATELY: Final = frozenset({"last", "past", "next", "previous", "latest", "coming"})
_LENGTHS: Final = frozenset({"days", "weeks", "months", "years", "hours"})
"""Not "week": "over 150 last week" are 150 of something, last week."""
_COMPARED: Final = frozenset(
    {"less", "more", "fewer", "greater", "higher", "lower", "superior", "inferior", "bigger", "smaller"}
)


def _turned(
    tokens: Sequence[Token], spans: Sequence[tuple[int, int]]
) -> tuple[tuple[Token, ...], list[tuple[int, int]]]:
    """Return the words in the order that readers of numbers know: "in 30 last days", "less of 20", "superior to 20"."""
    made, placed = list(tokens), list(spans)
    for at in range(len(made) - 2):
        first, second, third = made[at : at + 3]
        if first.kind == "number" and second.lower in _LATELY and third.lower in _LENGTHS:
            made[at], made[at + 1] = second, first
            placed[at], placed[at + 1] = placed[at + 1], placed[at]
        elif first.lower in _COMPARED and second.lower in {"of", "that", "to"} and third.kind in _NUMBERS:
            plain = {"superior": "more", "inferior": "less"}.get(first.lower, first.lower)
            made[at], made[at + 1] = word(plain), word("than")
    return tuple(made), placed


_BEHIND: Final = tuple(
    tuple(words.split())
    for words in (
        "or more", "or less", "or fewer", "or above", "or below", "or over", "or under", "at least", "at most", "minimum",
        "maximum", "min", "max", "exactly", "precisely", "only", "or higher", "or lower", "or longer", "and more", "and up", "or up", "and above", "and over", "tops", "at minimum", "at maximum",
    )
)  # fmt: skip
_ENDS: Final = frozenset({"and", "but", ",", ".", ";", ")", "so"})
_IN_FULL: Final = {"min": "minimum", "max": "maximum"}
_UNIT: Final = {"min": "minutes", "sec": "seconds", "secs": "seconds", "s": "seconds", "ms": "milliseconds"}


def _gathered(
    tokens: Sequence[Token], spans: Sequence[tuple[int, int]]
) -> tuple[tuple[Token, ...], list[tuple[int, int]]]:
    """Return the words with what compares a number beside it: "3 visits or more" is read as "3 or more visits".

    Numbers in the plural ("500s") and units in short ("30 min") become the plain ones.
    """
    made: list[tuple[Token, tuple[int, int]]] = []
    for at, (token, span) in enumerate(zip(tokens, spans, strict=True)):
        before = tokens[at - 1] if at else None
        plural = _PLURAL.fullmatch(token.lower)
        if made and made[-1][0].kind in {"number", "name"} and _is_version(tokens, spans, at):
            last, where = made.pop()
            text = last.text + token.text
            made.append((Token("name", text, text, text), (where[0], span[1])))
        elif token.lower == "st" and before is not None and before.lower == "1" and _is_first(tokens, at):
            made[-1] = (word("first"), made[-1][1])
        elif plural is not None and token.kind == "word":
            made.append((read(plural[1])[0], span))
        elif token.lower in _UNIT and before is not None and (before.kind == "number" or _is_more(tokens, at)):
            made.append((word(_UNIT[token.lower]), span))
        elif (
            token.lower in {"until", "till", "through"}
            and before is not None
            and before.kind == "number"
            and _is_number(tokens, at + 1)
        ) or (token.lower == "up" and before is not None and before.kind in _NUMBERS and _number_behind(tokens, at)):
            made.append((word("to"), span))
        elif not (
            token.lower == "to" and before is not None and before.lower == "up" and made and made[-1][0].lower == "to"
        ):
            made.append((token, span))
    at = 0
    while at < len(made):
        size = next(
            (len(words) for words in _BEHIND if tuple(one[0].lower for one in made[at : at + len(words)]) == words), 0
        )
        number = _number_before(made, at) if size else None
        following = made[at + size][0] if at + size < len(made) else None
        goes_on = following is not None and (
            following.kind in _NUMBERS
            or following.lower in {"once", "twice", "a"}
            or (made[at][0].lower == "only" and following.lower not in _ENDS)
        )
        if number is not None and not goes_on:
            behind = [(word(_IN_FULL.get(token.lower, token.lower)), where) for token, where in made[at : at + size]]
            made[number + 1 : at + size] = [*behind, *made[number + 1 : at]]
        at += size or 1
    return tuple(token for token, _ in made), [span for _, span in made]


_POINT: Final = re.compile(r"(?<![\w.])(\.\d)")
"""A number without the zero before its point: ".8"."""
_GLUED: Final = re.compile(r"(?<![\w.])(\d+)(ms|mins?|secs?|pcs)\b")
"""A number and its unit in one word: "300ms"."""
_HYPHEN: Final = re.compile(r"\b(over|under|above|below)-(?=\d)", re.IGNORECASE)
"""A comparison and its number in one word: "over-60s"."""
_PLURAL: Final = re.compile(r"(\d{1,4})s")
_NUMBERS: Final = frozenset({"number", "money"})
_BEHIND_UNITS: Final = frozenset(
    {"days", "day", "weeks", "week", "months", "month", "years", "year", "hours", "hour", "ago", "times", "time", "-", "/"}
)  # fmt: skip


def _is_number(tokens: Sequence[Token], at: int) -> bool:
    return (
        at < len(tokens)
        and tokens[at].kind in _NUMBERS
        and not (at + 1 < len(tokens) and tokens[at + 1].lower in MONTHS)
    )


def _is_version(tokens: Sequence[Token], spans: Sequence[tuple[int, int]], at: int) -> bool:
    """Return whether a token goes on with a number of a version: "5.2.1"."""
    if spans[at][0] != spans[at - 1][1]:
        return False
    if tokens[at].lower == ".":
        return (
            "." in tokens[at - 1].text
            and at + 1 < len(tokens)
            and tokens[at + 1].kind == "number"
            and spans[at + 1][0] == spans[at][1]
        )
    return tokens[at].kind == "number" and tokens[at - 1].lower == "."


def _is_first(tokens: Sequence[Token], at: int) -> bool:
    """Return whether "1st" is the first of something, and not of a month."""
    following = tokens[at + 1].lower if at + 1 < len(tokens) else ""
    return following.isalpha() and following not in {"of", "to", "and", "until", "till", "through", *MONTHS}


def _is_more(tokens: Sequence[Token], at: int) -> bool:
    """Return whether "20+" stands before a unit."""
    return at > 1 and tokens[at - 1].lower == "+" and tokens[at - 2].kind == "number"


def _number_behind(tokens: Sequence[Token], at: int) -> bool:
    return at + 2 < len(tokens) and tokens[at + 1].lower == "to" and tokens[at + 2].kind in _NUMBERS


def _number_before(made: Sequence[tuple[Token, tuple[int, int]]], at: int) -> int | None:
    """Return where the number stands that words behind it compare, with one or two words of what is counted between."""
    for back in (2, 3):
        between = [token for token, _ in made[max(at - back + 1, 0) : at]]
        if at - back < 0 or any(
            token.kind != "word" or token.lower in _BEHIND_UNITS | {"and", "or", "in"} for token in between
        ):
            return None
        if made[at - back][0].kind in _NUMBERS:
            return at - back
    return None


def _is_own(token: Token, vocabulary: frozenset[str]) -> bool:
    """Return whether a non-word of English is a word of the tenant's."""
    return token.lower in vocabulary and token.lower not in lexicon.english_words() and token.lower not in ALIASES


def _meant(token: Token, vocabulary: frozenset[str]) -> str | None:
    """Return the word that a non-word was meant for; none for a word of English, a name, and what is near nothing."""
    lower = token.lower
    if token.kind != "word" or len(lower) < _SHORTEST - 1 or not lower.isalpha() or lower in vocabulary:
        return None
    if lower in lexicon.english_words() or lower in _grammar() or token.stem in grammar.known_stems():
        return None
    return _nearest(lower, vocabulary | lexicon.known() | _grammar())


@cache
def _grammar() -> frozenset[str]:
    return grammar.known() | lexicon.known()


def _nearest(lower: str, words: frozenset[str]) -> str | None:
    most = 2 if len(lower) >= _LONG else 1
    near = sorted(
        (DamerauLevenshtein.distance(lower, one, score_cutoff=most), one != lower, one)
        for one in words
        if one[0] == lower[0] and abs(len(one) - len(lower)) <= most and len(one) >= _SHORTEST - 1
    )
    near = [row for row in near if row[0] <= most and (len(lower) >= _SHORTEST or sorted(row[2]) == sorted(lower))]
    if not near or (len(near) > 1 and near[0][0] == near[1][0] and word(near[0][2]).stem != word(near[1][2]).stem):
        return None
    return near[0][2]
