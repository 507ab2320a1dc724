"""Rules of how much: what the values of events add up to, how many different ones there are, and those of one event."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, cast

from msgspec import UNSET, structs

from segment_copilot.english.linking.fields import SECONDS, money_rank
from segment_copilot.english.reading.amounts import add, currency_test, gap, is_of_one, may_count, measured, tells_count
from segment_copilot.english.reading.anchors import FieldAnchor, QuantityAnchor, WordAnchor, mask
from segment_copilot.english.reading.meanings import Clause, Reading, clauses, join
from segment_copilot.english.reading.rules.told import (
    Rule,
    Said,
    clause,
    counted,
    is_countable,
    said,
)
from segment_copilot.english.reading.spans import Mention, Span, reading, union
from segment_copilot.language import Monetary
from segment_copilot.language.operators import OPPOSITE_NUMBER

# How much


def _money(span: Span, mention: Mention) -> Iterator[Reading]:
    """Spent more than 500; average order value above 80; total refunds over 200."""
    for metric in span.money:
        yield from _amount(span, mention, metric, "money")


def _metric(span: Span, mention: Mention) -> Iterator[Reading]:
    """Average total of orders; 3 items in total; the largest order over 400."""
    for metric in span.metrics:
        if metric.kind != "distinct":
            yield from _amount(span, mention, metric, "metric")


def _amount(span: Span, mention: Mention, metric: WordAnchor, rule: str) -> Iterator[Reading]:
    if mention.event == "*" or not mention.event:
        return
    mention = structs.replace(mention, mask=mention.mask & ~metric.mask)
    for one in span.quantities:
        if one.quantity.times or one.quantity.none or one.mask & metric.mask:
            continue
        for path, words, how, scaled in _measured(span, mention, one, metric):
            if (
                how == "money"
                and rule == "metric"
                and metric.kind == "sum"
                and not one.quantity.currency
                and mask(one.end, one.end + 2) & mention.mask
            ):
                continue  # "3 orders in total" counts orders
            told = said(span, mention, words | one.mask | metric.mask)
            others = [] if told is None else [other for other in span.quantities if not other.mask & told.used]
            if told is None or not is_countable(told.window) or len(others) > 1:
                continue
            if not others:
                yield _aggregate(span, mention, told, path, metric.kind, scaled, rule, how)
            elif may_count(others[0]) and not told.negative and mention.mask:
                yield _counted_too(
                    span,
                    mention,
                    told,
                    _aggregate(span, mention, told, path, metric.kind, scaled, rule, how),
                    others[0],
                )


def _counted_too(span: Span, mention: Mention, told: Said, made: Reading, many: QuantityAnchor) -> Reading:
    """Of "an average above 80 over at least 3 orders": so many of these too."""
    one = cast("Clause", made.tree)
    amount, used = many.quantity, one.used | many.mask
    node = counted(one.event, told.tests, amount.operator, amount.value, amount.value2, negative=False)
    both = join("AND", one, clause(node, used, told.tests, told.window, counts=False))
    return reading(span, "counted_too", both, used, "event", {**made.features, **tells_count(span, mention, many)})


def _aggregate(
    span: Span, mention: Mention, told: Said, path: str, metric: str, one: QuantityAnchor, rule: str, how: str
) -> Reading:
    amount = one.quantity
    equal = amount.bare and span.lower(one.start - 1) in {"is", "was", "=", "equals", "are", "of exactly"}
    operator = "eq" if equal else amount.operator
    operator = OPPOSITE_NUMBER[operator] if told.negative else operator
    upper = UNSET if amount.value2 is None else amount.value2
    tests = (
        *told.tests,
        *(
            test
            for test in currency_test(span, mention.event, amount)
            if test.property not in {t.property for t in told.tests}
        ),
    )
    node = Monetary(
        event_type=mention.event,
        property=path,
        metric=cast("Any", metric),
        operator=operator,
        value=amount.value,
        value2=upper,
        where=list(tests) or UNSET,
    )
    used = told.used | (told.window.mask if told.window else 0)
    if metric == "sum":
        used |= union(other for other in span.metrics if other.kind == "sum")
    else:  # "spend more than 80 per order on average"
        used |= union(other for other in span.money if other.kind == "sum")
    features = {**told.features, f"{rule}:{metric}": 1, f"measured:{how}": 1}
    if amount.currency:
        add(features, "measured:currency")
    elif amount.bare and metric in {"max", "min"} and any(gap(word, one) == 0 for word in span.metrics):
        add(features, "measured:ranked")  # "the 100 biggest" are not one of 100
    made = clause(node, used, told.tests, told.window, positive=not told.negative)
    return reading(span, rule, made, used, "event", features)


def _measured(
    span: Span, mention: Mention, given: QuantityAnchor, metric: WordAnchor
) -> Iterator[tuple[str, int, str, QuantityAnchor]]:
    """Yield what an amount may be of, in its unit: a field that is named, else money."""
    seen: set[str] = set()
    for field in span.fields:
        place = field.place
        read = measured(span, place, given) if place.event == mention.event and place.numeric else None
        near = gap(field, given) <= 4 or (gap(field, metric) <= 2 and metric.end > metric.start)  # noqa: PLR2004
        if read is not None and not field.mask & given.mask and near:
            seen.add(place.path)
            how = ("named" if money_rank(place.field) >= 10 else "money_named") + ("" if field.share == 1 else "_part")  # noqa: PLR2004
            yield place.path, field.mask & ~mention.mask | read[1], how, read[0]
    for place in span.names.numeric(mention.event):
        read = measured(span, place, given)
        if place.path in seen or read is None:
            continue
        unit = read[1] or (mask(given.end, given.end + 1) if span.having(place.units) >> given.end & 1 else 0)
        if unit:
            seen.add(place.path)
            yield place.path, unit, "unit", read[0]
    money = span.names.money(mention.event)
    if money is not None and money.path not in seen and measured(span, money, given) is not None:
        yield money.path, 0, "money", given


def _implied_sum(span: Span, mention: Mention) -> Iterator[Reading]:
    """Over $200 in refunds: an amount of money, and the events that it adds up from."""
    if mention.how in {"property", "visit", "any", "inactive"}:
        return
    for one in span.quantities:
        if one.end < span.end and span.found.tokens[one.end].stem in SECONDS and not one.quantity.currency:
            for made in _amount(span, mention, WordAnchor(one.start, one.start, "sum"), "implied_sum_time"):
                if any(
                    place.second is not None and place.path in _paths(made)
                    for place in span.names.numeric(mention.event)
                ):
                    of = span.lower(one.end + 1) == "of"
                    yield structs.replace(made, features={**made.features, "implied_sum_time:of": float(of)})
        if one.quantity.currency and mention.mask and not is_of_one(span, mention, one):
            behind = one.end <= mention.mask.bit_length() - 1
            yield from _amount(
                span, mention, WordAnchor(one.start, one.start, "sum"), f"implied_sum_{'of' if behind else 'by'}"
            )


def _paths(made: Reading) -> frozenset[str]:
    return frozenset(one.condition.property for one in clauses(made.tree) if isinstance(one.condition, Monetary))


def _distinct(span: Span, mention: Mention) -> Iterator[Reading]:
    """Bought in at least 3 different categories; in more than 2 categories; looked at 3 different pages."""
    words = [one for one in span.metrics if one.kind == "distinct"]
    for one in span.quantities:
        if not may_count(one) or one.quantity.none or one.quantity.times:
            continue
        for field in span.fields:
            behind = 0 <= field.start - one.end <= 2 or (bool(words) and field.end <= one.start)  # noqa: PLR2004
            texts = not field.place.numeric and not field.place.field.unreadable
            if field.place.event != mention.event or not texts or not behind:
                continue
            yield from _values_counted(span, mention, words, field, one)
        pages = [FieldAnchor(at, at + 1, place, 1.0) for at in range(one.end, min(span.end, one.end + 3)) if span.found.tokens[at].stem == "pag"
                 for place in span.names.places if place.event == mention.event and "path" in place.field.words and words]  # fmt: skip
        for field in pages:
            yield from _values_counted(span, mention, words, field, one)


def _values_counted(
    span: Span, mention: Mention, words: Sequence[WordAnchor], field: FieldAnchor, one: QuantityAnchor
) -> Iterator[Reading]:
    kept = mention.mask & ~field.mask or mention.mask
    told = said(span, structs.replace(mention, mask=kept), field.mask | union(words) | one.mask)
    if told is not None and is_countable(told.window):
        made = _aggregate(span, mention, told, field.place.path, "count_distinct", one, "distinct", "named")
        features = {
            **made.features,
            "distinct:said" if words else "distinct:implied": 1.0,
            "distinct:share": field.share,
        }
        yield structs.replace(made, features=features)


RULES: Final = (
    Rule("money", _money),
    Rule("metric", _metric),
    Rule("implied_sum", _implied_sum),
    Rule("distinct", _distinct),
)
"""Every way to say how much."""
