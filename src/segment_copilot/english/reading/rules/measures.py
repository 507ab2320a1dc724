"""Rules of people beside others ("the top 10% of spenders") and of one number of theirs beside another ("more than last month")."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, cast

from msgspec import UNSET, Struct, structs

from segment_copilot.english import lexicon
from segment_copilot.english.reading.amounts import may_count
from segment_copilot.english.reading.anchors import Anchor, WindowAnchor, mask
from segment_copilot.english.reading.meanings import Clause, Reading, when
from segment_copilot.english.reading.rules.told import Said, is_countable, said
from segment_copilot.english.reading.spans import Mention, Span, reading, union
from segment_copilot.english.times.phrases import comparator
from segment_copilot.english.words.stems import stem
from segment_copilot.language import MeasureCompare, Rank
from segment_copilot.language.nodes import Measure, Window

_FAR: Final = 7  # words between "more" and "than"
_NAMED: Final = 0.5  # of the words of a field
_MOST: Final = 4  # measures that one part may be about


class Measured(Struct, frozen=True):
    """A number of somebody's that a part may speak of, with the words that said it; *at* is its window."""

    measure: Measure
    used: int
    features: dict[str, float]
    at: WindowAnchor | None
    event: str


def _said_at(span: Span, part: str) -> Iterator[tuple[int, int, str]]:
    """Yield from where to where phrases of a kind stand in a part, and what each says."""
    return lexicon.standing("measured", part, [token.lower for token in span.found.tokens], span.start, span.end)


def _measures(span: Span, taken: int) -> Iterator[Measured]:
    """Yield the numbers that a part may speak of: how often, how much money, what a field adds up to."""
    windows = [one for one in span.windows if not one.mask & taken]
    if len(windows) > 1:
        return
    for mention in span.mentions:
        for name, path, words, how in _kinds(span, mention, taken):
            event = structs.replace(mention, mask=mention.mask & ~words or mention.mask)
            told = said(span, event, taken | words | union(span.windows))
            if told is None or told.negative or mention.how in {"property", "inactive"}:
                continue
            if mention.how == "visit" and span.having(_RETURNED) & mention.mask:
                continue  # "more than they returned": what they sent back, rather
            at = windows[0] if windows else None
            if is_countable(at):
                yield _measured(mention, told, name, path, at, {**told.features, f"of:{how}": 1})


_RETURNED: Final = frozenset({stem("returned")})


def _kinds(span: Span, mention: Mention, taken: int) -> Iterator[tuple[str, str | None, int, str]]:
    """Yield what is made of the events: a name, of which property, and the words that said so."""
    money = [one for one in span.money if not one.mask & taken]
    metric = next((one for one in span.metrics if not one.mask & taken and one.kind in {"sum", "avg"}), None)
    words = metric.mask if metric else 0
    worth = span.names.money(mention.event) if money and mention.event != "*" else None
    if worth is not None and money[0].kind in {"sum", "avg"}:
        yield money[0].kind, worth.path, money[0].mask | union(span.metrics) & ~taken, "money"
    for field in span.fields:
        if field.place.event == mention.event and field.place.numeric and field.share >= _NAMED:
            yield metric.kind if metric else "sum", field.place.path, field.mask | words, "field"
    lasting = [place for place in span.names.numeric(mention.event) if place.second is not None]
    spent = _time_spent(span) & ~taken
    if spent and len(lasting) == 1:
        yield metric.kind if metric else "sum", lasting[0].path, spent | words, "lasting"
    implied = None if money or metric is not None or mention.event == "*" else span.names.money(mention.event)
    if implied is not None:
        yield "sum", implied.path, 0, "implied"
    if mention.how != "spent":
        yield "count", None, words if metric is not None and metric.kind == "sum" else 0, "count"


def _time_spent(span: Span) -> int:
    """Return the words of "total visit time", "time spent": how long something took, and not when or how often it was."""
    said = (
        at
        for at in range(span.start, span.end)
        if span.lower(at) == "time" and span.lower(at - 1) not in _WHICH_TIME and not union(span.windows) >> at & 1
    )
    return union(Anchor(at, at + 1 + (span.lower(at + 1) in {"spent", "spend"})) for at in said)


_WHICH_TIME: Final = frozenset(
    {"last", "first", "latest", "any", "same", "one", "all", "each", "every", "that", "this", "next", "some", "no"}
)


def _measured(
    mention: Mention, told: Said, name: str, path: str | None, at: WindowAnchor | None, features: dict[str, float]
) -> Measured:
    measure = Measure(
        measure=cast("Any", name),
        event_type=mention.event,
        property=UNSET if path is None else path,
        where=list(told.tests) or UNSET,
    )
    return Measured(_within(measure, at), told.used | (at.mask if at else 0), features, at, mention.event)


def _within(measure: Measure, at: WindowAnchor | None) -> Measure:
    """Return the measure in a window."""
    if at is None:
        return measure
    fields = when(at.window)
    days: Any = fields.get("window_days")
    return structs.replace(measure, window=fields.get("window", UNSET) if days is None else Window(last=f"{days}d"))


def rank(span: Span) -> Iterator[Reading]:
    """The top 10% of spenders this year; the 500 customers who ordered most often; the 20 with the fewest orders."""
    busy = union(span.windows) | union(span.orders) | _compared(span)
    words = [one for one in _said_at(span, "rank") if not mask(*one[:2]) & busy]
    kinds = {kind for *_, kind in words}
    sizes = list(_sizes(span))
    if len(kinds) != 1 or len(sizes) != 1:
        return
    used, percent, size = sizes[0]
    if not any(_stands_by(span, used, *one[:2]) for one in words):
        return
    used |= union(one for one in span.quantities if one.mask & used)
    for start, end, _ in words:
        used |= mask(start, end)
    if any(not one.mask & used for one in span.quantities):
        return
    denied = [one for one in span.negations if one.end <= words[0][0]]
    used |= union(denied)
    for at, one in enumerate(_measures(span, used)):
        if at < _MOST:
            name = f"{min(kinds)}_percent" if percent else min(kinds)
            node = Rank(by=one.measure, negate=len(denied) == 1, **cast("Any", {name: size}))
            all_used = used | one.used
            made = Clause(node, all_used, one.event, tuple(_tests(one.measure)), timed=True, positive=not denied)
            yield reading(span, "rank", made, all_used, "rank", {**one.features, "rank:percent": float(percent)})


def _stands_by(span: Span, size: int, start: int, end: int) -> bool:
    """Return whether how many there are stands beside the word that ranks, or before the people: "the 500 who ordered most"."""
    first, last = (size & -size).bit_length() - 1, size.bit_length()
    near = bool(size & mask(start, end)) or last <= start <= last + 1 or first - 1 <= end <= first
    behind = span.lower(last + (span.lower(last) in {"of", "our", "the"}))
    return near or behind == "who" or stem(behind) in lexicon.stems("people")


def _compared(span: Span) -> int:
    """Return the words of "at least", "at the most", which rank nobody."""
    used = 0
    for at in range(span.start, span.end):
        found = comparator(span.found.tokens, at)
        used |= mask(at, found[1]) if found is not None and found[1] > at + 1 else 0
    return used


def _sizes(span: Span) -> Iterator[tuple[int, bool, float]]:
    """Yield how many people are meant, in per cent or by number, with the words."""
    shares = [one for one in span.found.shares if span.start <= one.start and one.end <= span.end]
    for one in shares:
        yield one.mask, True, _whole(one.high - one.low)
    if not shares:
        for number in span.quantities:
            value = number.quantity.value
            if number.quantity.bare and may_count(number) and not number.quantity.times and value >= 1:
                yield number.mask, False, int(value)


def _whole(number: float) -> float:
    return int(number) if float(number).is_integer() else number


def _tests(measure: Measure) -> Iterator[Any]:
    if isinstance(measure.where, list):
        yield from measure.where


class _Head(Struct, frozen=True):
    """The words that compare: *left* is before them or around them, the other begins at *right*."""

    used: int
    operator: str
    factor: float
    left: int  # the end of what is compared
    right: int


def compare(span: Span) -> Iterator[Reading]:
    """Spent more this month than last month; more refunds than orders; clicked less than a tenth of what they opened."""
    for head in _heads(span):
        if not span.start < head.left or head.right >= span.end:
            continue
        before, behind = Span(span.found, span.start, head.left), Span(span.found, head.right, span.end)
        if any(not one.mask & head.used for one in (*before.quantities, *behind.quantities)):
            continue
        for one in list(_measures(before, head.used))[:_MOST]:
            for other, how in _others(one, behind, head):
                left, right = one.measure, other.measure
                if left.window is UNSET and right.window is not UNSET and how == "event":
                    left = structs.replace(left, window=right.window)
                elif right.window is UNSET and left.window is not UNSET and how == "event":
                    right = structs.replace(right, window=left.window)
                if left == right:
                    continue
                node = MeasureCompare(
                    left=left, operator=cast("Any", head.operator), right=right, factor=cast("Any", head.factor)
                )
                used = one.used | other.used | head.used
                features = {**one.features, f"compare:{how}": 1, "compare:factor": float(head.factor != 1)}
                if span.names.things(one.event) & span.names.things(other.event):
                    features["compare:agree"] = 1
                made = Clause(node, used, one.event, tuple(_tests(left)), timed=True)
                yield reading(span, "compare", made, used, "rank", features)


def _others(one: Measured, behind: Span, head: _Head) -> Iterator[tuple[Measured, str]]:
    """Yield what a number is compared with: the same at another time, else one of other events."""
    if len(behind.windows) == 1 and one.at is not None and is_countable(behind.windows[0]):
        at = behind.windows[0]
        rest = behind.found.content & behind.mask & ~at.mask & ~behind.having(lexicon.swallowed("rank"))
        if not rest or not behind.mentions:
            measure = _within(structs.replace(one.measure, window=UNSET), at)
            yield structs.replace(one, measure=measure, used=at.mask | behind.pronouns), "time"
    for other in list(_measures(behind, head.used))[:_MOST]:
        if other.event != one.event or other.measure.where != one.measure.where:
            same = other.measure.measure == one.measure.measure
            yield other, "event" if same else "other"


def _heads(span: Span) -> Iterator[_Head]:
    than = [at for at in range(span.start, span.end) if span.lower(at) == "than" and not union(span.windows) >> at & 1]
    numbers = union(one for one in span.quantities if not one.quantity.times)
    factors = list(_factors(span))
    for start, end, factor in factors:
        operator, first = _how(span, start)
        used = mask(first, end)
        operator = operator or ("gte" if factor > 1 else "lte")
        many = end
        if span.lower(end) == "as":
            many = next((at for at in range(end + 1, min(span.end, end + _FAR + 3)) if span.lower(at) == "as"), 0)
            used |= mask(end, end + 2)
        elif any(end <= at < end + _FAR for at in than):
            many = next(at for at in than if at >= end)
        if many and many != end:
            yield _Head(used | 1 << many, operator, factor, many, many + 1)
        elif many:
            yield _Head(used, operator, factor, first, end)
    for start, end, operator in _said_at(span, "than"):
        pivot = next((at for at in than if end <= at <= end + _FAR), None)
        if pivot is not None and not numbers >> pivot & 1 and not any(f[0] == pivot + 1 for f in factors):
            yield _Head(mask(start, end) | 1 << pivot, operator, 1, pivot, pivot + 1)


def _factors(span: Span) -> Iterator[tuple[int, int, float]]:
    for start, end, factor in _said_at(span, "factor"):
        yield start, end, _whole(float(factor))
    for one in span.quantities:
        if one.quantity.times and span.lower(one.end) in {"as", "more", "the"} and one.quantity.value > 1:
            first = next((at for at in range(one.start, one.end) if span.found.tokens[at].kind == "number"), None)
            if first is not None:
                yield first, one.end, _whole(one.quantity.value)


def _how(span: Span, at: int) -> tuple[str, int]:
    """Return how a factor is compared by the words before it, and where these begin: "at least twice"."""
    for first in range(max(span.start, at - 4), at):
        found = comparator(span.found.tokens, first)
        if found is not None and found[1] == at:
            return found[0], first
    return "", at


RULES: Final = (rank, compare)
"""Every way to put people, or their numbers, beside others."""
