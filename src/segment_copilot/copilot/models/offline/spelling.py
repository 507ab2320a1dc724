"""Typing errors: a word that nobody knows and that is one slip away from one that is known here."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from rapidfuzz.distance import DamerauLevenshtein

from segment_copilot.copilot.models.offline import words
from segment_copilot.copilot.models.offline.index import Index
from segment_copilot.copilot.models.offline.lexer import Token, word

_SHORTEST = 5
_LONG = 8


def corrected(tokens: Sequence[Token], index: Index) -> tuple[tuple[Token, ...], tuple[str, ...]]:
    """The tokens with slips mended, and a note for each."""
    notes: list[str] = []
    mended: list[Token] = []
    vocabulary = words.known() | index.vocabulary
    stemmed = words.known_stems() | index.stems
    for token in tokens:
        meant = _meant(token, vocabulary, stemmed)
        if meant is not None:
            notes.append(f"{token.text!r} is read as {meant!r}")
        mended.append(word(meant) if meant is not None else token)
    return tuple(mended), tuple(dict.fromkeys(notes))


def _meant(token: Token, vocabulary: frozenset[str], stemmed: frozenset[str]) -> str | None:
    lower = token.lower
    if (
        token.kind != "word"
        or len(lower) < _SHORTEST
        or not lower.isalpha()
        or lower in vocabulary
        or token.stem in stemmed
    ):
        return None
    return _nearest(lower, vocabulary)


def _nearest(lower: str, vocabulary: frozenset[str]) -> str | None:
    allowed = 2 if len(lower) >= _LONG else 1
    near = [
        (DamerauLevenshtein.distance(lower, known), known)
        for known in vocabulary
        if known[0] == lower[0] and abs(len(known) - len(lower)) <= allowed and len(known) >= _SHORTEST - 1
    ]
    close = sorted(pair for pair in near if pair[0] <= allowed)
    if not close or (len(close) > 1 and close[0][0] == close[1][0] and not _same(close[0][1], close[1][1])):
        return None
    return close[0][1]


@cache
def _same(one: str, two: str) -> bool:
    return word(one).stem == word(two).stem
