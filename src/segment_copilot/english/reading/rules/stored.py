"""The rule of what an event says beside what is known of the person: "another club than their home club"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, cast

from msgspec import UNSET

from segment_copilot.english import lexicon
from segment_copilot.english.linking.fields import Place
from segment_copilot.english.reading.anchors import mask
from segment_copilot.english.reading.meanings import Reading
from segment_copilot.english.reading.rules.told import clause, counted, is_countable, order_words, said
from segment_copilot.english.reading.spans import Mention, Span, reading, union
from segment_copilot.language import EventProperty
from segment_copilot.language.nodes import PropertyTest, ValueObject

_NEAR: Final = 3  # words
_SIZES: Final = frozenset({"lt", "gt"})
_OWNERS: Final = frozenset({"as", "they", "their", "theirs", "own", "still", "current", "currently", "now", "today"})
"""Words of whose value it is: without one, "the same plan" is that of the step before (`same_thing.py`)."""


def stored(span: Span, mention: Mention) -> Iterator[Reading]:
    """Trained at another club than their home club; cancelled the plan that they still have; fewer seats than they have now."""
    said_so = list(
        lexicon.standing("measured", "stored", [token.lower for token in span.found.tokens], span.start, span.end)
    )
    kinds = {kind for *_, kind in said_so}
    if not said_so or mention.event in {"", "*"} or len(kinds - {"eq"}) > 1:
        return
    kind = min(kinds - {"eq"}, default="eq")
    if kind in _SIZES and not span.having(frozenset({"than"})):
        return
    words = 0
    for start, end, _ in said_so:
        words |= mask(start, end)
    lowers = {token.lower for token in span.found.tokens[span.start : span.end]}
    if kind == "eq" and "same" in lowers and not lowers & _OWNERS:
        return
    for place, trait, fields in _pairs(span, mention.event):
        if (kind in _SIZES) != (kind in _SIZES and place.numeric and trait.numeric):
            continue
        taken = words | fields
        if not any(_beside(fields, start, end) for start, end, _ in said_so):
            continue
        told = said(span, mention, taken)
        if (
            told is None
            or place.path in {test.property for test in told.tests}
            or not is_countable(told.window)
            or any(not one.mask & taken for one in span.quantities)
        ):
            continue
        yield _tested(span, mention, place, trait, kind, taken)


def _beside(fields: int, start: int, end: int) -> bool:
    """Return whether a word that relates two values stands near one of their names."""
    return bool(fields & mask(max(start - _NEAR, 0), end + _NEAR))


def _tested(span: Span, mention: Mention, place: Place, trait: Place, kind: str, taken: int) -> Reading:
    told = cast("Any", said(span, mention, taken))
    test = PropertyTest(place.path, cast("Any", kind), ValueObject(trait=trait.path))
    used = told.used | (told.window.mask if told.window else 0)
    last, every = order_words(span, "last"), order_words(span, "every") | order_words(span, "only")
    features = {**told.features, f"stored:{kind}": 1.0, "stored:same_name": float(place.words == trait.words)}
    if (last or every) and not told.negative:
        node: Any = EventProperty(
            event_type=mention.event, property=place.path, operator=test.operator, value=test.value,
            occurrence="latest" if last else "every", where=list(told.tests) or UNSET,
        )  # fmt: skip
        used |= last | every
    else:
        node = counted(mention.event, (*told.tests, test), "gte", 1, None, negative=told.negative)
    made = clause(node, used, (*told.tests, test), told.window, positive=not told.negative)
    return reading(span, "stored", made, used, "stored", features)


def _pairs(span: Span, event: str) -> Iterator[tuple[Place, Place, int]]:
    """Yield a property of the event and a trait of like names, one of them said, with the words that name them."""
    whole = [one for one in span.fields if one.share == 1]
    for trait in span.names.places:
        for place in span.names.places if not trait.event else ():
            mine, theirs = {*place.words}, {*trait.words}
            if place.event != event or not mine or not theirs or not (mine <= theirs or theirs <= mine):
                continue
            named = union(
                one for one in whole if (one.place.event, one.place.path) in {(event, place.path), ("", trait.path)}
            )
            if named:
                yield place, trait, named
