"""Questions for a number of people: "how many users …", "did anyone …", "are there customers who …"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from segment_copilot.english.words.lexer import Token, word
from segment_copilot.english.words.lexicon import PEOPLE, stems

_PHRASES: Final = (
    ("how", "many"), ("what", "number", "of"), ("what", "is", "the", "number", "of"), ("is", "the", "number", "of"), ("the", "number", "of"), ("number", "of"),
    ("what", "is", "the", "count", "of"), ("the", "count", "of"), ("the", "total", "number", "of"), ("total", "number", "of"),
    ("count", "of"), ("what", "percentage", "of"), ("what", "percent", "of"), ("what", "share", "of"), ("percentage", "of"), ("what", "proportion", "of"), ("count",),
)  # fmt: skip
_BEFORE: Final = {"tell", "me", "us", "know", "exactly", "roughly", "approximately", "about", "so", "and", "just", "is", "give", "can", "you", "please", "what", "get", "show"}  # fmt: skip
_FILLERS: Final = (
    ("do", "we", "have"),
    ("do", "i", "have"),
    ("have", "we", "got"),
    ("are", "there"),
    ("did", "we", "have"),
    ("were", "there"),
)
_ONCE_EACH: Final = {"distinct", "unique", "different", "individual", "separate"}
_AUXILIARIES: Final = {"did", "has", "have", "does", "do", "is", "are", "was", "were"}
_ANYONE: Final = PEOPLE - stems("those one contact lead account profile")


def counted(tokens: Sequence[Token]) -> tuple[Token, ...] | None:
    """The audience whose number is asked for; None when none is."""
    every = tuple(tokens)
    words = tuple(token.lower for token in every)
    for start in range(min(5, len(words))):
        if any(lower not in _BEFORE for lower in words[:start]):
            break
        for phrase in _PHRASES:
            if words[start : start + len(phrase)] == phrase:
                return _plain(every[start + len(phrase) :])
    return _whether(every)


def _plain(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """Without what only asks: "distinct" before people, "do we have", "are there"."""
    while len(tokens) > 1 and (
        tokens[0].lower in {"of", "the", "our", "my"} or (tokens[0].lower in _ONCE_EACH and tokens[1].stem in PEOPLE)
    ):
        tokens = tokens[1:]
    rest = _without_filler(tokens)
    return tuple(
        token
        for at, token in enumerate(rest)
        if not (token.lower in {"are", "is", "there"} and at in {1, 2}) or _needed(rest, at)
    )


def _without_filler(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """Without the "do we have" of "how many users do we have in Spain"."""
    words = tuple(token.lower for token in tokens)
    for filler in _FILLERS:
        for at in (1, 2):
            if words[at : at + len(filler)] == filler:
                return (*tokens[:at], *tokens[at + len(filler) :])
    return tokens


def _needed(tokens: Sequence[Token], at: int) -> bool:
    """Whether "are" belongs to a condition: "are not in", "are tagged"."""
    following = tokens[at + 1].lower if at + 1 < len(tokens) else ""
    return following in {"not", "tagged", "on", "in", "from"}


def _whether(tokens: tuple[Token, ...]) -> tuple[Token, ...] | None:
    """Of "did anyone order yesterday", "are there users who ordered twice": those people."""
    if not tokens or tokens[0].lower not in _AUXILIARIES:
        return None
    start = 1
    there = start < len(tokens) and tokens[start].lower == "there"
    start += there
    while start < len(tokens) and tokens[start].lower in {"any", "some", "a", "of", "our", "the", "already", "single"}:
        start += 1
    if start >= len(tokens) or tokens[start].stem not in _ANYONE:
        return None
    subject, rest = tokens[start], tokens[start + 1 :]
    if there or (rest and rest[0].lower in {"who", "that", "whose", "with", "in", "from"}):
        return (subject, *rest)
    return (subject, word("who"), *rest) if rest else None
