"""Questions about what is on the table: how many of them, how many with a change, and a count that becomes a segment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

from segment_copilot.english.answers.drafting import Count
from segment_copilot.english.audience.draft import Proposal
from segment_copilot.english.edits import clauses, patches
from segment_copilot.english.edits.drafted import Drafted, Json
from segment_copilot.english.edits.patches import Unfit
from segment_copilot.english.linking.index import Index
from segment_copilot.english.plan import Plan
from segment_copilot.english.times.phrases import lowers
from segment_copilot.english.words.lexer import Token, word
from segment_copilot.english.words.lexicon import NOISE, stems

_SEGMENTS: Final = stems("segment audience group cohort list draft")
_POINTING: Final = {"them", "those", "these", "it", "that", "this", "they"}
_FEW: Final = 4


def counted(tokens: tuple[Token, ...], drafted: Drafted, index: Index, today: date) -> Plan | None:
    """Of "how many of them are in Spain?", "how many would that be?"."""
    lead = next((at for at in range(_FEW) if lowers(tokens, at, 2) == ("how", "many")), 0)
    if lead and all(token.lower in _POINTING | {"and", "of", ",", "so", "but", "then"} for token in tokens[:lead]):
        rest = [token for token in tokens[lead + 2 :] if token.lower not in _POINTING | {"of"}]
        tokens = (*tokens[lead : lead + 2], word("of"), word("them"), *rest)
    start = next(
        (
            size
            for size, words in ((2, ("how", "many")), (3, ("what", "number", "of")), (1, ("count",)))
            if lowers(tokens, 0, size) == words
        ),
        0,
    )
    rest = tuple(token for token in tokens[start:] if token.lower not in {"?", "!", "."})
    if not start or not rest or not any(token.lower in _POINTING for token in rest[:_FEW]):
        return None
    clause = [
        token
        for token in rest
        if token.lower
        not in _POINTING
        | {"of", "are", "there", "is", "would", "be", "users", "people", "customers", "do", "we", "have"}
    ]
    if drafted.saved and "segment" in {token.lower for token in rest}:
        return None
    definition: Json = drafted.definition
    notes: tuple[str, ...] = ()
    if any(token.stem not in NOISE for token in clause):
        try:
            found = (
                clauses.read_clause(rest, index, today)
                if not clause
                else clauses.read_clause(_spoken(rest), index, today)
            )
        except Unfit:
            return None
        for condition in found.conditions:
            definition = patches.applied(definition, patches.joined(definition, condition, "AND"))
        if found.excluded:
            definition = patches.applied(definition, patches.excluded(definition, found.excluded))
        notes = found.notes
    name = drafted.name or "Matching users"
    return Count(Proposal(name, name, dict(definition), notes))


def _spoken(tokens: Sequence[Token]) -> tuple[Token, ...]:
    """The clause without "of them": "are in Spain"."""
    rest = list(tokens)
    while rest and rest[0].lower in {
        "of",
        "are",
        "is",
        "there",
        "would",
        "do",
        *_POINTING,
        "users",
        "people",
        "customers",
    }:
        rest = rest[1:]
    return tuple(rest)


def supposed(tokens: tuple[Token, ...]) -> tuple[Token, ...] | None:
    """The edit in "how many would it be with 5?", "how many if we drop the country?"."""
    if lowers(tokens, 0, 2) not in {
        ("how", "many"),
        ("what", "would"),
        ("how", "big"),
        ("how", "large"),
        ("what", "happens"),
    }:
        return None
    at = next((at for at, token in enumerate(tokens[:_WITHIN]) if token.lower in {"if", "with", "without", "when"}), 0)
    before = {token.lower for token in tokens[2:at]}
    if not at or not before <= _WOULD:
        return None
    rest = tokens[at + (tokens[at].lower != "without") :]
    while (
        rest and rest[0].lower in {"we", "i", "you", "it", "were", "was", "is", "only", "the", "be"} and len(rest) > 1
    ):
        rest = rest[1:]
    return tuple(token for token in rest if token.lower != "?") or None


_WITHIN = 9
_WOULD: Final = {"would", "it", "be", "are", "there", "that", "this", "users", "people", "customers", "match", "get", "we", "do", "i", "happen", "have", "left", "of", "them",
                 "happens", "the", "segment", "audience", "count", "number", "members", "remain", "come", "up"}  # fmt: skip


def makes_it_one(tokens: Sequence[Token]) -> bool:
    """Whether what was counted is to be drafted: "make that a segment", "create a segment from that"."""
    said = {token.lower for token in tokens}
    nouns = any(token.stem in _SEGMENTS for token in tokens)
    return (
        nouns
        and bool(said & _POINTING)
        and bool(said & _MAKING)
        and said <= _POINTING | _MAKING | _MADE | {token.lower for token in tokens if token.stem in _SEGMENTS}
    )


_MAKING: Final = {"make", "create", "build", "turn", "draft", "save", "propose", "use", "convert", "put"}
_MADE: Final = {"a", "an", "the", "new", "from", "of", "into", "as", "with", "for", "out", "please", "can", "you", "could", "now", "and", "ok", "then", "me", "users", "people",
                ".", "!", "?", ",", "to", "in", "them", "i", "want", "let", "us"}  # fmt: skip
