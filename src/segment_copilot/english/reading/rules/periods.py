"""Reads in how many days, weeks or months something was done: "on 3 days of the last 7", "twice in each of the last 4 weeks"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, cast

from msgspec import UNSET, Struct, structs

from segment_copilot.english.reading.amounts import may_count, plans
from segment_copilot.english.reading.anchors import WindowAnchor, mask
from segment_copilot.english.reading.meanings import Reading
from segment_copilot.english.reading.rules.told import clause, said
from segment_copilot.english.reading.spans import Mention, Span, reading
from segment_copilot.english.times.phrases import Length, Quantity, Unit
from segment_copilot.english.words.stems import stem
from segment_copilot.language import EventPeriods
from segment_copilot.language.operators import OPPOSITE_NUMBER

_UNITS: Final[dict[str, Unit]] = {"day": "d", "days": "d", "week": "w", "weeks": "w", "month": "mo", "months": "mo"}
_NAMES: Final[dict[str, str]] = {"d": "day", "w": "week", "mo": "month"}
_IN: Final[dict[tuple[str, str], float]] = {
    ("w", "d"): 7, ("mo", "d"): 30, ("y", "d"): 365, ("mo", "w"): 365 / 84, ("y", "w"): 52, ("y", "mo"): 12,
}  # fmt: skip
_EACH: Final = frozenset({"each", "every", "all", "any", "single", "of", "the", "one", "calendar", "full"})
_OTHER: Final = frozenset(
    {"different", "distinct", "separate", "calendar", "single", "unique", "various", "individual"}
)
_TAKEN: Final = frozenset(
    stem(word) for word in ("out", "calendar", "each", "during", "weekly", "daily", "monthly", "regularly", "different", "days", "week", "month")
)  # fmt: skip


class _Counted(Struct, frozen=True):
    """Says of how many units of a kind, by which words; *every* where it is all of them."""

    unit: Unit
    quantity: Quantity | None
    used: int
    how: str


def periods(span: Span, mention: Mention) -> Iterator[Reading]:
    """Ordered in at least 3 of the last 6 months; every week of the last 4; on 5 different days in two weeks."""
    for at in span.windows:
        length = at.window.length
        of = span.lower(at.start - 1) == "of"
        if at.window.kind != "last" or (at.bare and not of) or length is None or length.unit in {"m", "h"}:
            continue
        for one in _counted(span, at, length.unit):
            last = _units(length, "d" if at.window.assumed else length.unit, one.unit)
            last = length.count if at.window.assumed else last
            if last:
                yield from _of(span, mention, at, one, last)


def _units(length: Length, unit: Unit, wanted: Unit) -> int:
    """Return a length in whole units of a kind; 0 where it has none."""
    if unit == wanted:
        return length.count
    return round(length.count * _IN.get((unit, wanted), 0))


def _of(span: Span, mention: Mention, at: WindowAnchor, one: _Counted, last: int) -> Iterator[Reading]:
    told = said(span, mention, one.used, bare=at.bare)
    if told is None or told.window is not at:
        return
    amount = one.quantity or Quantity("gte", last)
    if amount.value > last or (told.negative and one.how == "days"):
        return
    operator = "gte" if amount.bare else amount.operator
    operator = OPPOSITE_NUMBER[operator] if told.negative else operator
    for plan in plans(span, mention, told.used | at.mask):
        each = plan.count.quantity if plan.count is not None else None
        if each is not None and (each.operator not in {"gte", "gt"} or (each.bare and "count:far" in plan.features)):
            continue
        where = (*told.tests, *plan.tests)
        used = told.used | at.mask | plan.used | span.having(_TAKEN)
        node = EventPeriods(
            event_type=mention.event, period=cast("Any", _NAMES[one.unit]), last=last, operator=operator, value=amount.value,
            value2=UNSET if amount.value2 is None else amount.value2, where=list(where) or UNSET,
            min_per_period=1 if each is None else int(each.value) + (each.operator == "gt"),
        )  # fmt: skip
        features = {**told.features, **plan.features, f"periods:{one.how}": 1.0}
        made = structs.replace(clause(node, used, where, positive=not told.negative), window=at.window)
        yield reading(span, "periods", made, used, "event", features)


def _counted(span: Span, at: WindowAnchor, unit: Unit) -> Iterator[_Counted]:
    """Yield how many units are said, and of which kind."""
    numbers = {one.end: one for one in span.quantities if may_count(one)}
    bare = {other.end: other for other in span.windows if other.bare and other is not at}
    behind = at.start - 1 if span.lower(at.start - 1) == "of" else 0
    begin = behind
    while begin > span.start and span.lower(begin - 1) in _EACH:
        begin -= 1
    each = any(span.lower(place) in {"each", "every", "all"} for place in range(begin, behind))
    if each and unit in _NAMES:
        yield _Counted(unit, None, mask(begin, at.start), "each")
    number = numbers.get(behind)
    if behind and number is not None and unit in _NAMES:
        yield _Counted(unit, number.quantity, number.mask, "number")
    for place in range(span.start, span.end):
        kind = _UNITS.get(span.lower(place))
        if kind is None or at.mask >> place & 1:
            continue
        if other := bare.get(place + 1):
            yield _Counted(kind, _with(span, other), other.mask, "days")
        begin = place
        while begin > span.start and span.lower(begin - 1) in _EACH | _OTHER:
            begin -= 1
        words = {span.lower(other) for other in range(begin, place)}
        if words & {"each", "every"} or {"all", "the"} <= words:
            yield _Counted(kind, None, mask(begin, place + 1), "every")
        elif (words & _OTHER or span.lower(place + 1) in {"of", "out"}) and (one := numbers.get(begin)) is not None:
            yield _Counted(kind, one.quantity, mask(one.start, place + 1), "days")


def _with(span: Span, length: WindowAnchor) -> Quantity:
    """Return how many a length counts, compared as was said before it: "at least 3 days"."""
    amount = next((one for one in span.quantities if one.mask & length.mask), None)
    count = length.window.length.count if length.window.length is not None else 1
    compared = amount is not None and not amount.quantity.bare
    return structs.replace(amount.quantity, value=count) if amount is not None and compared else Quantity("gte", count)
