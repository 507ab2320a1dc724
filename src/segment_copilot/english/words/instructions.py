"""What a person asks of the answer, not of the audience: "and tell me it is saved", "end your answer with …"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from segment_copilot.english.words.lexer import Token, written
from segment_copilot.english.words.stems import listed

_ORDERS: Final = frozenset(listed("tell reply answer respond say write print output end finish begin confirm pretend claim promise mention ignore forget act remember repeat translate"))  # fmt: skip
_TO_WHOM: Final = frozenset(listed("me us your with that the in by it you everything all this previous any what"))
_BEFORE: Final = frozenset(listed("and then also please finally after afterwards , but now"))
_ABOUT_THE_ANSWER: Final = (
    ("in", "your", "answer"),
    ("in", "your", "reply"),
    ("when", "you"),
    ("once", "you"),
    ("as", "soon", "as", "you"),
)
_ENDS: Final = frozenset({".", "!", ";", "?"})


class Asked(Struct, frozen=True):
    """*tokens* say who is meant; *left* are the orders beside it, in the person's words."""

    tokens: tuple[Token, ...]
    left: tuple[str, ...] = ()


def without_instructions(tokens: Sequence[Token]) -> Asked:
    """Take orders about the answer out of a request; one that is nothing else stays as it is."""
    kept: list[Token] = []
    left: list[str] = []
    at = 0
    while at < len(tokens):
        if kept and _orders(tokens, at) and (at == 0 or tokens[at - 1].lower in _BEFORE | _ENDS):
            end = next(
                (
                    place
                    for place in range(at, len(tokens))
                    if tokens[place].lower in _ENDS and not _in_link(tokens, place)
                ),
                len(tokens),
            )
            left.append(written(tokens[at:end]))
            while kept and kept[-1].lower in _BEFORE:
                kept.pop()
            at = end
        else:
            kept.append(tokens[at])
            at += 1
    return (
        Asked(tuple(kept), tuple(text for text in left if text))
        if any(token.kind != "sign" for token in kept)
        else Asked(tuple(tokens))
    )


def _orders(tokens: Sequence[Token], at: int) -> bool:
    words = tuple(token.lower for token in tokens[at : at + 4])
    if any(words[: len(start)] == start for start in _ABOUT_THE_ANSWER):
        return True
    return len(words) > 1 and words[0] in _ORDERS and tokens[at].kind == "word" and words[1] in _TO_WHOM


def _in_link(tokens: Sequence[Token], at: int) -> bool:
    """Whether a sign belongs to an image or a link: the "!" of "![ok](…)"."""
    return at + 1 < len(tokens) and tokens[at + 1].lower in {"[", "("}
