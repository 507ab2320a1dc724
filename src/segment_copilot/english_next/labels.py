"""Reads the name that stands before what it is to hold: "Lapsed: customers who …", "Whales (orders over 900)"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from segment_copilot.english_next.meanings import Reading
from segment_copilot.english_next.spans import Span, reading


def label(span: Span) -> Iterator[Reading]:
    """Summer sale: a name for what follows, which says nothing by itself."""
    following = [one for one in span.found.joints if one.start == span.end and one.kind in {"colon", "dash"}]
    if span.start == 0 and following and span.end <= 8:  # noqa: PLR2004
        if any(one.kind not in {"rel", "soft", "and"} for one in span.inside) or span.windows or span.quantities:
            return
        if span.lower_after == "=" and (span.orders or span.metrics or span.money):
            return  # "first article read = …" is what is tested
        mentions = len(span.windows) + len(span.quantities) + len(span.values) + len(span.segments)
        yield reading(span, "label", None, span.mask, "", {"label:mentions": mentions}, label=span.mask)
    elif span.start == 0 and span.end <= _LABEL and span.lower_after == "(" and _is_told_behind(span):
        yield reading(
            span,
            "label",
            None,
            span.mask,
            "",
            {"label:bracket": 1, "label:bracket:event": float(bool(span.mentions))},
            label=span.mask,
        )


_LABEL: Final = 4  # words


def _is_told_behind(span: Span) -> bool:
    """Return whether the bracket behind says what a name stands for: "Whales (largest invoice above 9,000)"."""
    closed = next((at for at in range(span.end, len(span.found.tokens)) if span.found.tokens[at].lower == ")"), 0)
    named = any(one.share == 1 and one.place.numeric for one in span.fields)
    if span.values or span.segments or span.windows or span.quantities or span.negations or span.inside or named:
        return False
    told = Span(span.found, span.end + 1, max(closed, span.end + 1))
    if any(span.found.evidence[at] for at in range(span.start, span.end)):
        return any(not one.quantity.bare for one in told.quantities)
    return bool(told.quantities or told.values or told.segments)
