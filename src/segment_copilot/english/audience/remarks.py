"""Clauses that ask for nothing: "both ends included", "counting today", "zero counts as well"."""

from __future__ import annotations

from typing import Final

from segment_copilot.english.audience.chunks import Chunk
from segment_copilot.english.words.lexicon import NOISE, stems

_SAYING: Final = stems("include included including inclusive count counted counting allowed")
_ABOUT: Final = _SAYING | NOISE | stems(
    "both all end side limit edge amount value day date number month week quarter year today current running present this one two them "
    "zero none nobody as well too also please two whole same fully day time being fine ok okay"
)  # fmt: skip
_EMPTY: Final = {("not", "more"), ("nothing", "else"), ("no", "more"), ("that", "is", "it"), ("that", "is", "all"), ("nothing", "more"), ("not", "less"),
                 ("and", "so", "on"), ("if", "possible"), ("in", "general"), ("as", "well"), ("you", "know")}  # fmt: skip


def is_remark(chunk: Chunk) -> bool:
    """Whether a clause only says how a number or a time span before it is to be taken, as it is taken anyway."""
    words = tuple(token.lower for token in chunk.tokens if token.kind != "sign")
    if words in _EMPTY:
        return True
    stemmed = {token.stem for token in chunk.tokens if token.kind == "word"}
    told = any(
        token.kind in {"number", "money", "name", "path", "quoted"} and token.value != 0 for token in chunk.tokens
    )
    return bool(stemmed & _SAYING) and stemmed <= _ABOUT and not told and "not" not in words and not chunk.negated
