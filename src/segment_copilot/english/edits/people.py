"""Phrases that begin with people: "users who", "the ones in"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from segment_copilot.english.words.lexer import Token
from segment_copilot.english.words.lexicon import PEOPLE

_MODALS: Final = {"they", "must", "should", "need", "needs", "that", "who", "then", "somebody", "someone", "users"}
_BEFORE: Final = {"the", "those", "all", "any", "every", "only", "also", "for"}


def speaks_of_people(tokens: Sequence[Token]) -> bool:
    """Whether a phrase begins with people: "users who", "the ones in"."""
    at = 0
    while at < len(tokens) and tokens[at].lower in _BEFORE:
        at += 1
    if tokens and tokens[0].lower == "those" and len(tokens) > 1 and tokens[1].lower in _AFTER:
        return True
    following = tokens[at + 1].lower if at + 1 < len(tokens) else ""
    return at < len(tokens) and tokens[at].stem in PEOPLE and (at + 1 == len(tokens) or following in _AFTER)


_AFTER: Final = {
    "who",
    "that",
    "in",
    "from",
    "on",
    "with",
    "without",
    "whose",
    "of",
    "not",
    "never",
    "having",
    "aged",
    "living",
    "tagged",
    "over",
    "under",
    "are",
    "is",
}


def without_subject(tokens: Sequence[Token]) -> tuple[Token, ...]:
    """The phrase without "the ones", "users who"."""
    every = tuple(tokens)
    while len(every) > 1 and every[0].lower in _MODALS:
        every = every[1:]
    if not speaks_of_people(every):
        return every
    at = next(at for at, token in enumerate(every) if token.stem in PEOPLE)
    return every[at + 1 :] or every
