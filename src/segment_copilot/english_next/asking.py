"""Finds how a text is laid out as a letter: its sentences, and the words with which one only asks for an audience."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from segment_copilot.english.words.lexer import Token
from segment_copilot.english_next import lexicon

_ENDS: Final = frozenset({".", "!", "?", ";"})
_FRONT: Final = 24  # words: a longer one says more than that it asks
_SUBJECT: Final = 5  # words of "our new finance team"


def sentences(tokens: Sequence[Token], *, told: bool = False) -> tuple[tuple[int, int], ...]:
    """Return where each sentence begins and ends, without the signs around it; *told*: a colon ends one too."""
    ends = _ENDS | {":"} if told else _ENDS
    found: list[tuple[int, int]] = []
    start = 0
    for at in range(len(tokens) + 1):
        if at == len(tokens) or (tokens[at].kind == "sign" and tokens[at].lower in ends):
            first, last = start, at
            while first < last and tokens[first].kind == "sign" and tokens[first].lower != "(":
                first += 1
            while (
                last > first and tokens[last - 1].kind == "sign" and tokens[last - 1].lower in {",", ":", "—", "-", ")"}
            ):
                last -= 1
            if last > first:
                found.append((first, last))
            start = at + 1
    return tuple(found)


def heads(tokens: Sequence[Token], names: int, anchored: int, is_event: Callable[[Token], bool]) -> int:
    """Return the words at the heads of sentences that only ask for a segment.

    *names* are the words of values and segments, *anchored* those and of numbers, windows and negations.
    """
    found = _commands(tokens, names)
    for start, end in sentences(tokens):
        whom = _whom(tokens, start, end)
        if whom is not None and _is_wish(tokens, start, whom, is_event):
            said = _mask(start, whom) & anchored & ~_mask(start, _behind_subject(tokens, start, whom))
            found |= 0 if said else _mask(start, whom)
    return found


def _commands(tokens: Sequence[Token], names: int) -> int:
    commands, people = lexicon.words("commands"), lexicon.stems("people") - lexicon.stems("group")
    found, asking = 0, True
    for at, token in enumerate(tokens):
        if token.lower in _ENDS:
            asking = True
        elif asking and token.kind == "sign" and token.lower not in {":", "("}:
            continue
        elif asking and not names >> at & 1 and token.lower in commands:
            found |= 1 << at
            asking = token.stem not in people and token.lower not in {"who", "that"}
        else:
            asking = False
    return found


def _whom(tokens: Sequence[Token], start: int, end: int) -> int | None:
    """Return where a sentence first speaks of people."""
    people = lexicon.stems("people") - lexicon.stems("group")
    whom = people | {"who", "whose", "whom", "whoever"}
    found = (
        at for at in range(start, min(end, start + _FRONT)) if tokens[at].kind == "word" and tokens[at].stem in whom
    )
    return next(found, None)


def _behind_subject(tokens: Sequence[Token], start: int, end: int) -> int:
    """Return the position behind "our finance team", of a sentence that begins so."""
    roles = lexicon.words("roles")
    ends = [at + 1 for at in range(start, min(end, start + _SUBJECT)) if tokens[at].lower in roles]
    begins = tokens[start].lower in {"the", "a", "an"} | lexicon.words("first_person")
    return max(ends) if ends and begins else start


def _is_wish(tokens: Sequence[Token], start: int, whom: int, is_event: Callable[[Token], bool]) -> bool:
    """Return whether words before the people only say that somebody wants to do something with them.

    Somebody is whoever writes, or a team; what they want to do ("write to") may be an event's word, nothing else may.
    """
    front = [token.lower for token in tokens[start:whom]]
    if not front or not set(front) & lexicon.words("wishes") or set(front) & lexicon.words("binding_always"):
        return False
    verb = _behind_subject(tokens, start, whom)
    mine = verb > start or front[0] in lexicon.words("first_person") | lexicon.words("asking")
    silent = lexicon.words("light") | lexicon.words("chat") | lexicon.words("commands")
    told = (
        at
        for at, token in enumerate(tokens[verb:whom], verb)
        if token.lower not in silent and tokens[at - 1].lower != "to" and is_event(token)
    )
    return mine and next(told, None) is None


def _mask(start: int, end: int) -> int:
    return ((1 << end) - 1) & ~((1 << start) - 1)
