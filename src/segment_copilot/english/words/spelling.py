"""Typing errors: a word that nobody knows and that is one slip away from one that is known here."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from rapidfuzz.distance import DamerauLevenshtein

from segment_copilot.english.budget import spend
from segment_copilot.english.linking.index import Index
from segment_copilot.english.words import known as words
from segment_copilot.english.words.lexer import Token, word

_SHORTEST = 5
_LONG = 8


def corrected(
    tokens: Sequence[Token], index: Index, *, also: frozenset[str] = frozenset()
) -> tuple[tuple[Token, ...], tuple[str, ...]]:
    """The tokens with slips mended, and a note for each. *also* are more words that are right as they are."""
    notes: list[str] = []
    known: dict[str, str | None] = {}
    mended: list[Token] = []
    vocabulary = words.known() | index.vocabulary | also
    stemmed = words.known_stems() | index.stems
    for token in tokens:
        if token.text not in known:
            known[token.text] = _meant(token, vocabulary, stemmed)
        meant = known[token.text]
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
    spend(len(vocabulary) // 10)
    near = sorted(
        (DamerauLevenshtein.distance(lower, known), known)
        for known in vocabulary
        if known[0] == lower[0]
        and abs(len(known) - len(lower)) <= 1
        and len(known) >= _SHORTEST - 1
        and _slip(lower, known)
    )
    if not near or (len(near) > 1 and near[0][0] == near[1][0] and not _same(near[0][1], near[1][1])):
        return None
    return near[0][1]


def _slip(lower: str, known: str) -> bool:
    """One letter left out, doubled or swapped; another letter only in a long word, where it rarely makes a word of its own."""
    distance = DamerauLevenshtein.distance(lower, known)
    if len(lower) == len(known):
        return distance == 1 and (sorted(lower) == sorted(known) or len(lower) >= _LONG)
    return distance <= (2 if len(lower) > _LONG else 1)


@cache
def _same(one: str, two: str) -> bool:
    return word(one).stem == word(two).stem
