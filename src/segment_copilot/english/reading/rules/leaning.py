"""Rules of parts that say nobody by themselves: only when, only how many of what was spoken of before, or nothing at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import structs

from segment_copilot.english import lexicon
from segment_copilot.english.reading.amounts import value_tests
from segment_copilot.english.reading.meanings import Fragment, Reading
from segment_copilot.english.reading.rules.traits import Rule
from segment_copilot.english.reading.spans import Span, reading, union
from segment_copilot.english.words.stems import stem


def _window(span: Span) -> Iterator[Reading]:
    """In the last 30 days: only when, of what stands beside it."""
    if len(span.windows) == 1:
        yield reading(span, "window", None, span.windows[0].mask, "", {}, window=span.windows[0])


def _empty(span: Span) -> Iterator[Reading]:
    """Users; show me everyone; I would love to know: nobody in particular."""
    if span.end - span.start == 1 and span.lower(span.start) == "not" and span.lower_after == "(":
        yield reading(span, "empty", None, span.mask, "", {})  # what is in the bracket is taken out
        return
    if not span.found.content & span.mask:
        yield reading(span, "empty", None, span.pronouns, "", {})
        return
    mentioned = span.windows or span.quantities or span.values or span.segments or span.negations
    words, listed = span.having(lexicon.stems("chat")), lexicon.words("chat")
    for at in range(span.start, span.end):
        if span.lower(at) not in listed and any(how == "own" for _, how, _ in span.found.evidence[at]):
            words &= ~(1 << at)  # "booked" is what was done, though "book" is chat
    if not mentioned and not span.found.content & span.mask & ~words:
        yield reading(
            span, "chat", None, span.mask, "", {"chat:words": min((span.found.content & span.mask).bit_count(), 6)}
        )


_DID: Final = frozenset({"did", "do", "done", "does", "so", "yes", stem("does"), stem("done")})
"""Words for what was said to be done: "did in June", "in June yes"."""
_SINCE: Final = frozenset({stem("since"), stem("afterwards"), stem("thereafter")})


def _fragment(span: Span) -> Iterator[Reading]:
    """But not in the last 7 days; but fewer than 10; but not shoes: of the event that was spoken of before."""
    if len(span.windows) > 1 or len(span.negations) > 1 or len(span.quantities) > 1:
        return
    when, number = union(span.windows), span.quantities[0] if span.quantities else None
    events = dict.fromkeys(value.place.event for anchor in span.values for value in anchor.values if value.place.event)
    for event in events or ("",):
        tests = value_tests(span, event, when) if event else None
        back = span.having(_SINCE) if span.negations and not span.windows else 0
        again = span.having(_DID) if not span.mentions else 0
        if not tests and not number and not back and not (span.windows and (span.negations or span.pronouns or again)):
            continue
        used = (
            when | back | again | union(span.negations) | (tests.used if tests else 0) | (number.mask if number else 0)
        )
        part = Fragment(
            used,
            bool(span.negations),
            number,
            tests.tests if tests else (),
            span.windows[0].window if span.windows else None,
            since=bool(back),
        )
        features: dict[str, float] = {
            "fragment:value": float(bool(tests)),
            "fragment:number": float(bool(number)),
            "fragment:window": float(bool(when)),
        }
        made = reading(span, "fragment", None, used, "event", features, fragment=part)
        yield structs.replace(made, fragment=structs.replace(part, used=used))


RULES: Final = (Rule("window", _window), Rule("empty", _empty), Rule("fragment", _fragment))
"""Every part that leans on what stands beside it, or says nothing."""
