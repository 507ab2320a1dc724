"""Finds how a text is laid out as a letter: its sentences, and the words with which one only asks for an audience."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from segment_copilot.english import lexicon
from segment_copilot.english.words.lexer import Token

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
    for first, end in sentences(tokens):
        start = preamble(tokens, first, end)
        whom = _whom(tokens, start, end)
        if whom is not None and _is_wish(tokens, start, whom, is_event):
            said = _mask(start, whom) & anchored & ~_mask(start, _behind_subject(tokens, start, whom))
            found |= 0 if said else _mask(start, whom)
    return found


def preamble(tokens: Sequence[Token], start: int, end: int) -> int:
    """Return where a sentence begins to ask, behind what for: "for the spring fair, | could you find …"."""
    opens = tokens[start].lower if start < end else ""
    for at in range(start + 2, min(end, start + _FRONT)) if opens in _CAUSES | _PURPOSES else ():
        comma = tokens[at - 1].lower == ","
        asks = (tokens[at].lower in _ASKS and (opens in _PURPOSES or comma)) or (comma and tokens[at].lower in _ORDERS)
        if asks and tokens[at - 1].lower not in {"that", "as", "because", "which", "who"}:
            return at
    return start


def mended(tokens: Sequence[Token]) -> int:
    """Return where what is meant begins, behind words that take back all that stands before: "… no, simply: |"; else 0."""
    found = 0
    for at, token in enumerate(tokens):
        opens = at == 0 or (tokens[at - 1].kind == "sign" and tokens[at - 1].lower in _BROKEN)
        end = at + 1
        while end < len(tokens) and tokens[end].lower in _TAKING_BACK:
            end += 1
        last = tokens[end - 1].lower
        said = end > at + 1 and (tokens[end - 1].kind == "sign" or last in _BREAKING)
        end += last in _BREAKING and end < len(tokens) and tokens[end].lower in {".", "!"}
        if (
            opens
            and token.lower in {"no", *_BREAKING}
            and said
            and end < len(tokens)
            and tokens[end].lower not in _GOES_ON
        ):
            found = end if _is_all_taken_back(tokens, at, end) else 0
    return found


def _is_all_taken_back(tokens: Sequence[Token], at: int, end: int) -> bool:
    """Return whether not only the last of several things is said anew: what is meant speaks of people, or one thing was said."""
    people = lexicon.stems("people")
    whom = any(token.stem in people or token.lower == "who" for token in tokens[end : end + 3])
    return whom or not any(token.lower in {"and", "or", "but", ",", "who"} for token in tokens[:at])


_BROKEN: Final = frozenset({".", "?", "—", ";"})
_TAKING_BACK: Final = frozenset({"wait", "sorry", "simply", "oh", "just", "no", ",", ":", "—"})
_BREAKING: Final = frozenset({"wait", "sorry", "simply"})
_GOES_ON: Final = frozenset({"and", "or", "but", "with", "not", ".", "?", "!", ";"})


def purpose(tokens: Sequence[Token], start: int, end: int) -> int:
    """Return where a sentence only says why it asks: "…, | because we want to thank them"; its end where it does not."""
    for at in range(start + 2, end - 1):
        pair = (tokens[at].lower, tokens[at + 1].lower)
        mine = pair[0] in _CAUSES | {"so"} and pair[1] in _ASKS - {"please", "could", "would", "can", "may", "might"}
        aim = pair[0] == "for" and tokens[at - 1].lower in {",", "—"}
        if mine or aim or pair in _SO_THAT:
            return at
    return end


_CAUSES: Final = frozenset({"as", "because", "since", "while", "when", "before"})
_PURPOSES: Final = frozenset({"for", "in", "ahead", "to", "on", "with", "after"})
_ASKS: Final = frozenset({"please", "i", "we", "i'd", "we'd", "i'm", "we're", "could", "would", "can", "may", "might"})
_ORDERS: Final = frozenset({"find", "give", "show", "select", "get", "pull", "list", "build", "make", "create", "pick"})
_SO_THAT: Final = frozenset({("so", "that"), ("in", "order"), ("so", "they"), ("so", "as")})


def _commands(tokens: Sequence[Token], names: int) -> int:
    commands, people = lexicon.words("commands"), lexicon.stems("people") - lexicon.stems("group")
    found, asking = 0, True
    for at, token in enumerate(tokens):
        if token.lower in _ENDS:
            asking = True
        elif asking and token.kind == "sign" and token.lower not in {":", "("}:
            continue
        elif (
            asking
            and not names >> at & 1
            and token.lower in commands
            and (token.lower != "us" or (at > 0 and found >> at - 1 & 1))
        ):
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
