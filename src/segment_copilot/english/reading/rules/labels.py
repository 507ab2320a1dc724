"""Reads the name that stands before what it is to hold: "Lapsed: customers who …", "Whales (orders over 900)"."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Final

from segment_copilot.english import lexicon
from segment_copilot.english.reading.anchors import Anchor, mask
from segment_copilot.english.reading.meanings import Reading
from segment_copilot.english.reading.spans import Span, reading, union


def label(span: Span) -> Iterator[Reading]:
    """Summer sale: a name for what follows, which says nothing by itself."""
    if span.found.content & ((1 << span.start) - 1):
        return
    behind = span.end + (span.lower_after == ",")
    following = [one for one in span.found.joints if one.start == behind and one.kind in {"colon", "dash"}]
    if following and span.end - span.start <= _LONGEST and (_is_idiom(span) or not _is_condition(span)):
        unknown = (span.found.content & span.mask & ~_known(span)).bit_count()
        mentions = len(span.windows) + len(span.quantities) + len(span.values) + len(span.segments)
        features = {"label:mentions": float(mentions), "label:timed": float(bool(span.windows)), "label:number": float(bool(span.quantities)),
                    "label:unknown": float(bool(unknown)), "label:joints": float(_joined(span)), "label:out": float(_takes_out(span))}  # fmt: skip
        yield reading(span, "label", None, span.mask, "", features, label=span.mask)
    elif span.end - span.start <= _LABEL and span.lower_after == "(" and _is_told_behind(span):
        features = {"label:bracket": 1.0, "label:bracket:event": float(bool(span.mentions))}
        yield reading(span, "label", None, span.mask, "", features, label=span.mask)


def _takes_out(span: Span) -> bool:
    """Return whether it begins by saying who is left out: that names nothing."""
    out = (one for one in span.found.joints if one.kind == "except")
    return span.lower(span.start) == "without" or any(one.end <= span.start or one.start == span.start for one in out)


def title(span: Span) -> Iterator[Reading]:
    """Call it Sleeping Giants: the name that the audience is to have."""
    name = (
        span.start
        + 2
        + (
            span.lower(span.start + 1) in {"the", "this"}
            and span.found.tokens[span.start + 2 : span.start + 3] != ()
            and span.found.tokens[span.start + 2].stem in lexicon.stems("group")
        )
    )
    called = span.lower(span.start) in _CALL and (span.lower(span.start + 1) in _CALLED or name > span.start + 2)
    if not called or not 0 < span.end - name <= _NAME or span.lower_after not in _BEHIND_NAME:
        return
    people = lexicon.stems("people") | {"who", "whose", "with", "that"}
    if any(one.kind not in {"soft", "and"} for one in span.inside) or any(
        span.found.tokens[at].stem in people for at in range(name, span.end)
    ):
        return
    yield reading(span, "title", None, span.mask, "", {}, label=mask(name, span.end))


_CALL: Final = frozenset({"call", "name", "label", "title", "named", "called"})
_CALLED: Final = frozenset({"it", "this", "that", "them", "these"})
_NAME: Final = 5  # words
_BEHIND_NAME: Final = frozenset({"", ".", ";", "!", "?", ","})


def _is_idiom(span: Span) -> bool:
    """Return whether it is one phrase as it was typed, whatever it is read as: "Window shoppers: …"."""
    return span.end - span.start > 1 and len({*span.found.sentence.spans[span.start : span.end]}) == 1


def _is_condition(span: Span) -> bool:
    """Return whether words before a colon are rather what is asked for: they take somebody out, or say how many, when or which alone."""
    if any(span.lower(at) in _SPOKEN for at in range(span.start, span.end)):
        return True  # "tell Ann I need her accounts: …"
    known = _known(span)
    if (
        any(one.kind == "except" and known >> one.end for one in span.inside)
        or _heads_list(span)
        or _is_spoken_of(span)
    ):
        return True  # not of "Drop-off: …", which takes nobody out
    if any(span.lower(at) in {":", "="} for at in range(span.start, span.end)):
        return True  # "country: France / tier: …"
    if span.lower_after == "=" and (span.orders or span.metrics or span.money):
        return True  # "first article read = …" is what is tested
    compared = any(not one.quantity.bare and not one.quantity.none for one in span.quantities)
    if compared and (span.mentions or span.values or span.fields):
        return True  # "articles with a word count over 2000: …"
    negations = [one for one in span.negations if known >> one.end or one.start == span.start]
    anchored = span.windows or span.quantities or negations
    if span.lower_after not in {":", "=", "—", ","} and (anchored or span.values):
        return True  # "weekly users of last week, active meaning …"
    if anchored and not span.found.content & span.mask & ~known:
        return True
    return any(span.lower(one.start) not in {"without", "non", "nobody", "no"} for one in negations)


def _heads_list(span: Span) -> bool:
    """Return whether it says how a list behind it is meant: "all three: …", "suppress: …", "who meet at least two of: …"."""
    listed = any(one.start >= span.start and one.end <= span.end for one in span.found.lists)
    return listed or (span.lower(span.start) in _LISTS and span.lower(span.start + 1) != "-")


def _is_spoken_of(span: Span) -> bool:
    """Return whether it says what is counted behind it, or a share of people."""
    behind = [token.lower for token in span.found.tokens[span.end : span.end + _BEHIND]]
    back = "such" in behind or any(pair in _ORDERED for pair in itertools.pairwise(behind))
    events = {span.found.evidence[at][0][0] for at in range(span.start, span.end) if span.found.evidence[at]}
    shared = any(one.start >= span.start and one.end <= span.end for one in span.found.shares)
    return shared or back or len(events) > 2  # noqa: PLR2004


def _known(span: Span) -> int:
    """Return the words that could be of a condition."""
    events = (Anchor(at, at + 1) for at in range(span.start, span.end) if span.found.evidence[at])
    named = (one for one in span.fields if one.share == 1)
    return union((*events, *named, *span.values, *span.windows, *span.quantities, *span.segments))


def _joined(span: Span) -> bool:
    return any(one.kind not in {"rel", "soft", "and"} for one in span.inside)


_LONGEST: Final = 10  # words before a colon
_BEHIND: Final = 8
_ORDERED: Final = frozenset(itertools.product(("that", "this", "same", "exact"), ("order", "sequence")))
_SPOKEN: Final = frozenset({"i", "we", "her", "his", "need", "want", "tell"})
_LISTS: Final = frozenset({"all", "both", "any", "either", "neither", "none", "exclude", "suppress", "each"})
_LABEL: Final = 4  # words


def _is_told_behind(span: Span) -> bool:
    """Return whether the bracket behind says what a name stands for: "Whales (largest invoice above 9,000)"."""
    closed = next((at for at in range(span.end, len(span.found.tokens)) if span.found.tokens[at].lower == ")"), 0)
    named = any(one.share == 1 and one.place.numeric for one in span.fields)
    traits = any(not value.place.event for one in span.values for value in one.values)
    if traits or span.segments or span.windows or span.quantities or span.negations or span.inside or named:
        return False
    told = Span(span.found, span.end + 1, max(closed, span.end + 1))
    if span.values or any(span.found.evidence[at] for at in range(span.start, span.end)):
        return any(not one.quantity.bare for one in told.quantities)
    return bool(told.quantities or told.values or told.segments)
