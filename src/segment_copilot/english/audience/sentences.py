"""A sentence about people to a tree of conditions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from msgspec import Struct, structs

from segment_copilot.english.audience.joining import Joined, fold
from segment_copilot.english.audience.leaves import Node, Problem
from segment_copilot.english.audience.pieces import cut
from segment_copilot.english.audience.reader import read_pieces
from segment_copilot.english.audience.subject import read_subject
from segment_copilot.english.linking.index import Index
from segment_copilot.english.times.phrases import length, lowers
from segment_copilot.english.times.windows import window
from segment_copilot.english.words.lexer import Token, word, written
from segment_copilot.english.words.lexicon import VAGUE, stems


class Audience(Struct, frozen=True):
    """What was understood. *include* is missing where nothing was, or nothing but exclusions."""

    include: Node | None = None
    exclude: Node | None = None
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    label: str = ""


def read_audience(tokens: Sequence[Token], index: Index, today: date) -> Audience:
    """Read an audience; the request's command ("create a segment for") is already taken off.

    What stands before a dash, an equals sign or a colon is its name where the rest can be read alone and this cannot.
    """
    whole = _read(tokens, index, today)
    if not whole.problems:
        return whole
    for at, token in enumerate(tokens):
        if token.lower in _LABELS and 0 < at < len(tokens) - 1:
            rest = _read(tokens[at + 1 :], index, today)
            vague = any(one.lower in VAGUE for one in tokens[:at])
            named = token.lower == "=" and not vague and any(one.lower in index.field_names for one in tokens[:at])
            if named or rest.problems or rest.include is None or not _read(tokens[:at], index, today).problems:
                break
            name = written(tokens[:at])
            return structs.replace(rest, label=name, notes=(*rest.notes, f"{name!r} is taken as the name"))
    return whole


_LABELS = {":", "—", "="}


def _read(tokens: Sequence[Token], index: Index, today: date) -> Audience:
    label, labelled = _labelled(tokens, today)
    body = _idle(_ordered(labelled))
    subject = read_subject(body, index, today)
    first = (Joined("and", subject.node),) if subject.node is not None else ()
    read, notes = read_pieces(cut(body[subject.end :], index, today), index, today, first=first)
    folded = fold(tuple(read))
    return Audience(folded.include, folded.exclude, (*notes, *folded.notes), folded.problems, label)


def _ordered(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """Of "viewed, added and purchased in that order": every joint becomes a "then"."""
    for words in (
        ("in", "that", "order"),
        ("in", "this", "order"),
        ("in", "order"),
        ("in", "sequence"),
        ("in", "that", "sequence"),
    ):
        for at in range(len(tokens)):
            if lowers(tokens, at, len(words)) == words:
                rest = (*tokens[:at], *tokens[at + len(words) :])
                joints = [token.lower in {",", "and"} for token in rest]
                kept = [
                    token
                    for place, token in enumerate(rest)
                    if not (joints[place] and joints[place + 1 : place + 2] == [True])
                ]
                return tuple(word("then") if token.lower in {",", "and"} else token for token in kept)
    return tokens


def _idle(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """Of "gone 45 days without ordering": not ordered in 45 days."""
    for at, token in enumerate(tokens):
        span = length(tokens, at + 1) if token.stem in _GOING else None
        if span and lowers(tokens, span[1], 1) == ("without",):
            read = [word(text) for text in ("have", "not", "in")]
            return (*tokens[:at], *read, *tokens[at + 1 : span[1]], *tokens[span[1] + 1 :])
    return tokens


_GOING = stems("go gone spend")
_NOT_NAMES = {
    "except", "exclude", "excluding", "without", "who", "that", "not", "in", "from", "on", "with", "unless", "living", "based", "never", "but",
}  # fmt: skip
"""Words that make what stands before a colon a part of the audience, not its name."""


def _labelled(tokens: Sequence[Token], today: date) -> tuple[str, tuple[Token, ...]]:
    """A name in front of a colon, and the rest."""
    every = tuple(tokens)
    for at, token in enumerate(every):
        if token.lower == ":" and 0 < at < len(every) - 1:
            named = not any(item.lower in _NOT_NAMES or item.kind in {"number", "money"} for item in every[:at])
            named = named and not any(window(every[:at], place, today) for place in range(at))  # "Year to date: …"
            return (written(every[:at]), every[at + 1 :]) if named else ("", every)
    return "", every
