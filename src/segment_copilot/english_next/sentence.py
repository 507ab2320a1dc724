"""A sentence as words: what was typed is kept beside what is read, so that every word can be pointed to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Final

from msgspec import Struct
from rapidfuzz.distance import DamerauLevenshtein

from segment_copilot.english.times import phrases
from segment_copilot.english.words import known as grammar
from segment_copilot.english.words.lexer import Token, read, word
from segment_copilot.english_next import lexicon

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
    tokens = tuple(_first_time(token) for token in read(text.replace("\n", ";")))  # a line ends a sentence
    tokens, spans = _rewritten(tokens, _aligned(text, tokens), is_name)
    tokens, spans = _comparisons_ahead(tokens, spans)
    notes: list[tuple[int, str]] = []
    mended = list(tokens)
    for at, token in enumerate(tokens):
        meant = _meant(token, vocabulary)
        if meant is not None:
            mended[at] = word(meant)
            notes.append((at, f"“{token.text}” is read as “{meant}”."))
    return Sentence(text, tuple(mended), tuple(spans), tuple(notes))


def _first_time(token: Token) -> Token:
    """Return "first" for "first-time", which the reader of words takes for "one-time"."""
    return word("first") if token.lower == "onetime" and token.text.lower().startswith("first") else token


def _aligned(text: str, tokens: Sequence[Token]) -> list[tuple[int, int]]:
    """Return where each token stands. A contraction is two tokens of one word: the second has the rest of it."""
    plain = text.replace("\u2019", "'").lower()
    spans: list[tuple[int, int]] = []
    cursor = 0
    for token in tokens:
        parts = token.lower.split() if token.kind not in {"quoted", "money"} else [token.lower]
        start = plain.find(_first(parts), cursor, cursor + _NEAR + len(parts[0]) if parts else cursor)
        if start < 0:
            spans.append((cursor, _word_end(plain, cursor)))
        else:
            end = start
            for part in parts:
                found = plain.find(part, end, end + _NEAR + len(part))
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
    tokens: Sequence[Token], spans: Sequence[tuple[int, int]], is_name: Callable[[Sequence[Token]], bool]
) -> tuple[tuple[Token, ...], list[tuple[int, int]]]:
    made: list[Token] = []
    placed: list[tuple[int, int]] = []
    at = 0
    while at < len(tokens):
        size, plain = _rewrite(tokens, at)
        if size and not is_name(tokens[at : at + size]):
            made += plain
            placed += [(spans[at][0], spans[at + size - 1][1])] * len(plain)
            at += size
        else:
            made.append(tokens[at])
            placed.append(spans[at])
            at += 1
    return tuple(made), placed


_BEHIND: Final = (
    ("at", "most"),
    ("at", "least"),
    ("or", "more"),
    ("or", "fewer"),
    ("or", "less"),
    ("at", "minimum"),
    ("at", "maximum"),
)
_THINGS: Final = 2  # words between a number and what says how to compare with it


def _comparisons_ahead(
    tokens: tuple[Token, ...], spans: list[tuple[int, int]]
) -> tuple[tuple[Token, ...], list[tuple[int, int]]]:
    """Put "at most" beside its number: of "2 visits at most"."""
    order = list(range(len(tokens)))
    for at, token in enumerate(tokens):
        if token.kind != "number":
            continue
        for skip in range(1, _THINGS + 1):
            start = at + 1 + skip
            between = tokens[at + 1 : start]
            if any(one.kind != "word" for one in between) or phrases.length(tokens, at) is not None:
                break
            if tuple(one.lower for one in tokens[start : start + 2]) in _BEHIND:
                order[at + 1 : start + 2] = [start, start + 1, *range(at + 1, start)]
                break
    return tuple(tokens[at] for at in order), [spans[at] for at in order]


def _rewrite(tokens: Sequence[Token], at: int) -> tuple[int, tuple[Token, ...]]:
    for key, plain in lexicon.rewrites().get(tokens[at].lower, ()):
        if tuple(token.lower for token in tokens[at : at + len(key)]) == key:
            return len(key), plain
    return 0, ()


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
