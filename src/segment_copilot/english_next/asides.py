"""Passes over the sentences of a letter that only tell: why somebody asks, and who they are."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Final

from segment_copilot.english_next import lexicon
from segment_copilot.english_next.asking import sentences
from segment_copilot.english_next.meanings import Reading
from segment_copilot.english_next.names import concept
from segment_copilot.english_next.spans import Span, reading, union

_CLOSING: Final = re.compile(
    r"(regards|thanks|thank you|cheers|best|wishes|greetings|sincerely|warmly)\W*$", re.IGNORECASE
)
_SIGNED: Final = 4  # words of a signature


def aside(span: Span) -> Iterator[Reading]:
    """We have a new collection: a sentence of its own that asks for nobody, and speaks of nothing that could be a condition."""
    told = _sentences(span)
    place = next((at for at, (start, end) in enumerate(told) if start >= span.start and end <= span.end), None)
    if place is None or len(told) < 2 or not _is_whole(span, told[place]):  # noqa: PLR2004
        return
    if _is_signature(span, last=place == len(told) - 1):
        yield reading(span, "signature", None, span.mask, "", {})
    elif _only_tells(span, asked=any(_asks(span, *other) for other in told[place + 1 :])):
        features = {"aside:event": float(bool(span.mentions)), "aside:value": float(bool(span.values)), "aside:window": float(bool(span.windows)),
                    "aside:number": float(bool(span.quantities)), "aside:first": float(place == 0)}  # fmt: skip
        yield reading(span, "aside", None, span.mask, "", features)


def _sentences(span: Span) -> tuple[tuple[int, int], ...]:
    return sentences(span.found.tokens)


def _is_whole(span: Span, sentence: tuple[int, int]) -> bool:
    """Return whether a part is this sentence, with nothing beside it but signs."""
    beside = (*range(span.start, sentence[0]), *range(sentence[1], span.end))
    return all(span.found.tokens[at].kind == "sign" for at in beside)


def _only_tells(span: Span, *, asked: bool) -> bool:
    """Return whether a sentence may be passed over; *asked*: one behind it asks for people."""
    told = {span.lower(at) for at in range(span.start, span.end)}
    numbers = any(not one.quantity.bare and span.lower(one.start) != "again" for one in span.quantities)
    known = any(all(not value.place.event for value in one.values) for one in span.values)
    mine = bool(told & lexicon.words("first_person"))
    if numbers or known or span.segments or not (mine or asked) or (_is_anchored(span) and _is_pointed_at(span)):
        return False
    if told & lexicon.words("binding_always") - lexicon.words("negations"):
        return False
    if told & lexicon.words("negations"):
        subject = span.lower(
            next((at for at in range(span.start, span.end) if span.found.tokens[at].kind == "word"), -1)
        )
        return subject in _SUBJECTS and not _is_anchored(span) and not _speaks_of_people(span)
    if not told & lexicon.words("binding"):
        return not _asks_for_people(span)
    return not _is_anchored(span) and not _names_people(span) and (mine or not _has_events(span))


def _is_anchored(span: Span) -> bool:
    """Return whether a sentence mentions a value, or when, or how often."""
    return bool(span.values or span.windows or any(not one.quantity.bare for one in span.quantities))


def _has_events(span: Span) -> bool:
    silent = lexicon.words("chat") | lexicon.words("commands") | lexicon.words("light")
    return any(span.found.evidence[at] and span.lower(at) not in silent for at in range(span.start, span.end))


def _is_pointed_at(span: Span) -> bool:
    """Return whether what stands behind a sentence points back into it: "in that club", "who read her", "our club"."""
    behind = span.found.tokens[span.end :]
    named = {word for anchor in span.values for value in anchor.values for word in value.place.words}
    for at, token in enumerate(behind):
        before = behind[at - 1].lower if at else ""
        after = behind[at + 1].lower if at + 1 < len(behind) else ""
        if token.lower in _BACK or (token.lower in _THAT and before in _INTO and after not in _TIMES):
            return True
        if before in _OURS and concept(token.stem) in named:
            return True
    return False


_SUBJECTS: Final = frozenset({"i", "we", "it", "this", "that", "there", "our", "my", "some"})
_BACK: Final = frozenset({"her", "him", "his", "it", "its", "there", "she", "he"})
_THAT: Final = frozenset({"that", "this", "these", "those"})
_INTO: Final = frozenset({"in", "of", "for", "from", "at", "to", "on", "with", "by"})
_OURS: Final = frozenset({"our", "the", "this", "that", "same", "these", "those"})
_TIMES: Final = lexicon.words("times")


def _speaks_of_people(span: Span) -> bool:
    people = lexicon.stems("people") | {"who", "whose"}
    return any(token.stem in people for token in span.found.tokens[span.start : span.end])


def _names_people(span: Span) -> bool:
    """Return whether it begins with people, or says which: "dog owners", "I need customers who own a dog"."""
    people = lexicon.stems("people")
    tokens = span.found.tokens[span.start : span.end]
    which = {"who", "whose", "whom", "with", "having", "without", "whoever"}
    pairs = itertools.pairwise(tokens)
    begins = next((token.stem in people for token in tokens if token.lower not in lexicon.words("light")), False)
    says = any(token.lower in which for token in tokens)
    return (
        begins
        or says
        or _asks_for_people(span)
        or any(one.stem in people and two.lower == "that" for one, two in pairs)
    )


def _asks_for_people(span: Span) -> bool:
    """Return whether a sentence that is no wish to do something asks for people: "I need dog owners"."""
    tokens, people = span.found.tokens[span.start : span.end], lexicon.stems("people")
    asking = next(
        (at for at, token in enumerate(tokens) if token.lower in lexicon.words("asking") | lexicon.words("wishes")),
        None,
    )
    if asking is None or any(token.lower == "to" for token in tokens[asking + 1 : asking + 3]):
        return False
    return any(token.stem in people and token.lower not in _ONES for token in tokens[asking:])


_ONES: Final = frozenset({"one", "lot", "list"})


def _asks(span: Span, start: int, end: int) -> bool:
    """Return whether a sentence asks for people."""
    tokens = span.found.tokens[start:end]
    asking = any(token.lower in lexicon.words("asking") | lexicon.words("wishes") for token in tokens)
    whom = lexicon.stems("people") | {"who", "whose", "whom", "whoever"}
    return asking and any(token.stem in whom for token in tokens)


def _is_signature(span: Span, *, last: bool) -> bool:
    """Return whether it is the name under a letter: behind words that close one, it ends the text."""
    text = span.found.sentence.text
    content = span.found.content & span.mask
    known = union(span.values) | union(span.windows) | union(span.quantities) | union(span.segments)
    if (
        not last
        or known
        or content.bit_count() > _SIGNED
        or not _CLOSING.search(text[: span.found.sentence.spans[span.start][0]])
    ):
        return False
    return not any(span.found.tokens[at].stem in lexicon.stems("people") for at in range(span.start, span.end))
