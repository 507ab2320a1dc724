"""Reads how many of a list have to hold: "any two of", "at least 3 of the following four", "two or more of these"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from segment_copilot.english.words.lexer import Token

_MANY: Final = 20
_SOME: Final = (
    ("at", "least"),
    ("a", "minimum", "of"),
    ("minimum", "of"),
    ("no", "fewer", "than"),
    ("minimum",),
    ("any",),
    ("min",),
)
_THESE: Final = frozenset(
    {"the", "these", "those", "this", "following", "signs", "conditions", "criteria", "things", "points"}
)
_HOLD: Final = frozenset({"hold", "holds", "apply", "applies", "are", "is", "true", "to", "be", "met", "fulfilled"})


def said(tokens: tuple[Token, ...]) -> Iterator[tuple[int, int, str]]:
    """Yield each such mention: where it begins and ends, and "least:" with how many."""
    for at, token in enumerate(tokens):
        if token.kind != "number" or not 2 <= token.value <= _MANY:  # noqa: PLR2004
            continue
        start = next(
            (
                at - len(lead)
                for lead in _SOME
                if tuple(one.lower for one in tokens[max(at - len(lead), 0) : at]) == lead
            ),
            at,
        )
        end = at + 1
        end += 2 * (tuple(one.lower for one in tokens[end : end + 2]) in {("or", "more"), ("out", "of")})
        end += (end < len(tokens) and tokens[end].lower == "of") * (tokens[end - 1].lower != "of")
        if tokens[end - 1].lower != "of":
            continue
        listed = end
        while end < len(tokens) and (
            tokens[end].lower in _THESE or (tokens[end].kind == "number" and tokens[end].value > token.value)
        ):
            end += 1
        if end < len(tokens) and (end > listed or tokens[end].lower == ":"):
            while end < len(tokens) and tokens[end].lower in _HOLD:
                end += 1
            yield start, end, f"least:{int(token.value)}"
