"""Rules of what people did, how often and how long ago: each gives what a part may mean of an event type."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, cast

from msgspec import UNSET, structs

from segment_copilot.english.reading.amounts import Plan, add, may_count, plans
from segment_copilot.english.reading.meanings import Reading, Tree, join
from segment_copilot.english.reading.rules.periods import periods
from segment_copilot.english.reading.rules.told import (
    Rule,
    Said,
    all_tests,
    clause,
    counted,
    is_countable,
    lies,
    order_words,
    said,
    tell_window,
)
from segment_copilot.english.reading.spans import Mention, Span, days_in, one_tree, reading, union
from segment_copilot.english.times.phrases import Quantity
from segment_copilot.english.words.stems import stem
from segment_copilot.language import Recency

# How often


def _count(span: Span, mention: Mention) -> Iterator[Reading]:
    """Ordered at least 3 times in the last 90 days; never ordered; ordered shoes over 50."""
    measured = any(at.bare and at.mask & one.mask for at in span.windows for one in span.quantities)
    for bare in (True, False) if measured else (True,):
        told = said(span, mention, bare=bare)
        if told is None or mention.how == "inactive" or not is_countable(told.window):
            continue
        for plan in plans(span, mention, told.used | (told.window.mask if told.window else 0)):
            if bare or plan.tests:
                for tree, used, features in _counts(span, mention, told, plan):
                    yield reading(span, "count", tree, used, "event", features)


_SINGLE: Final = frozenset({"single"})
_ONLY: Final = frozenset({"only", "just", "exact"})
_HOW_OFTEN: Final = frozenset({"twice", "thrice", "times", "x"})


def _counts(span: Span, mention: Mention, told: Said, plan: Plan) -> Iterator[tuple[Tree, int, dict[str, float]]]:
    amount = plan.count.quantity if plan.count else Quantity("gte", 1)
    negative = told.negative and not (amount.none and plan.count is not None)
    used = told.used | plan.used | (told.window.mask if told.window else 0)
    features = {**told.features, **plan.features}
    tell_window(features, told, "no" if negative or amount.none else "count")
    if mention.how == "any" and not told.window and plan.count is None:
        add(features, "any:bare")
    tests = (*told.tests, *plan.tests)
    if plan.count is not None:
        used |= union(one for one in span.metrics if one.kind == "sum")
    only = span.having(_ONLY)
    if plan.count is not None and only and not amount.none:
        if amount.operator in {"eq", "between", "lt", "lte"}:
            used |= only
        elif amount.value > 1 and only < plan.count.mask and set(plan.count.words) <= _HOW_OFTEN:
            amount, used = structs.replace(amount, operator="eq"), used | only  # "only ordered twice"
            add(features, "count:only")
    if told.window is not None and not negative:
        used |= span.having(frozenset({"new", "fresh", "recent"}))
    if span.having(_SINGLE) and (plan.tests or amount.value > 1):
        add(features, "single:test" if plan.tests else "single:count")
    node = counted(mention.event, tests, amount.operator, amount.value, amount.value2, negative=negative)
    plain = plan.count is None or amount.none
    positive = not negative and not amount.none
    if told.each and plain and positive:
        parts = [
            clause(counted(mention.event, (one, *(test for test in tests if test.property != one.property)), "gte", 1, None, negative=False),
                   used, (one,), told.window, counts=True)
            for one in told.each
        ]  # fmt: skip
        yield one_tree(parts), used, {**features, "value:each": 1}
    yield clause(node, used, tests, told.window, positive=positive, counts=plain), used, features


# How long ago


def _not_for(span: Span, mention: Mention) -> Iterator[Reading]:
    """Has not ordered for 60 days; inactive for 60 days."""
    told = said(span, mention)
    if (
        told is None
        or told.window is None
        or told.window.window.kind != "last"
        or not (told.negative or mention.how == "inactive")
    ):
        return
    days = days_in(told.window.window.length)
    if days is None or told.window.window.complete or any(not one.mask & told.used for one in span.quantities):
        return
    if told.negative and mention.how == "inactive":
        return
    operator = "gte" if told.window.window.operator == "gte" else "gt"
    used = told.used | told.window.mask
    tell_window(told.features, told, "not_for")
    node = Recency(event_type=mention.event, operator=operator, window_days=days, where=list(told.tests) or UNSET)
    made = structs.replace(clause(node, used, told.tests, positive=False), window=told.window.window)
    yield reading(span, "not_for", made, used, "event", told.features)


def _ago(span: Span, mention: Mention) -> Iterator[Reading]:
    """Last ordered more than 90 days ago; ordered less than a week ago."""
    told = said(span, mention)
    if told is None or told.window is None or told.window.window.kind != "ago" or told.negative:
        return
    said_window, days = told.window.window, days_in(told.window.window.length)
    if days is None or said_window.operator not in {"gt", "gte", "lt", "lte", "eq"}:
        return
    last, used = order_words(span, "last"), told.used | told.window.mask
    node = Recency(
        event_type=mention.event,
        operator=cast("Any", said_window.operator),
        window_days=days,
        where=list(told.tests) or UNSET,
    )
    features = {**told.features, "ago:last" if last else "ago:plain": 1, "ago:eq": float(said_window.operator == "eq")}
    if mention.how == "inactive":
        return
    for plan in all_tests(span, mention, told):
        node = structs.replace(node, where=[*told.tests, *plan.tests] or UNSET)
        yield reading(
            span, "ago", clause(node, used, told.tests), used | last | plan.used, "event", {**features, **plan.features}
        )


def _last_within(span: Span, mention: Mention) -> Iterator[Reading]:
    """Last order within 3 days; last visit between 14 and 28 days ago."""
    told, last = said(span, mention), order_words(span, "last")
    if told is None or told.window is None or not last or told.negative:
        return
    said_window, used = told.window.window, told.used | told.window.mask | last
    length, near = days_in(said_window.length), days_in(said_window.near)
    node: Any = None
    if said_window.kind == "last" and length is not None:
        amount = next((one for one in span.quantities if one.mask & told.window.mask and not one.quantity.bare), None)
        operator = amount.quantity.operator if amount is not None else said_window.operator or "lt"
        used |= amount.mask if amount is not None else 0
        if operator not in {"gt", "gte", "lt", "lte"}:
            return
        node = Recency(
            event_type=mention.event,
            operator=cast("Any", operator),
            window_days=length,
            where=list(told.tests) or UNSET,
        )
    elif said_window.kind == "between" and length is not None and near is not None:
        node = Recency(
            event_type=mention.event,
            operator="between",
            window_days=near,
            value2=length,
            where=list(told.tests) or UNSET,
        )
    if node is not None:
        yield reading(span, "last_within", clause(node, used, told.tests), used, "event", told.features)


def _since_last(span: Span, mention: Mention) -> Iterator[Reading]:
    """Days since the last order: more than 30; more than 30 days since they last ordered."""
    last, since = order_words(span, "last"), span.having(frozenset({stem("since")}))
    when = union(span.windows)
    told = said(span, mention, last | since | when | union(span.quantities) | span.having(frozenset({"it"})))
    if told is None or not since or told.negative:
        return
    for operator, low, high, words in _days_since(span):
        used = told.used | words
        node = Recency(
            event_type=mention.event,
            operator=cast("Any", operator),
            window_days=low,
            value2=UNSET if high is None else high,
            where=list(told.tests) or UNSET,
        )
        yield reading(span, "since_last", clause(node, used, told.tests), used, "event", told.features)


def _days_since(span: Span) -> Iterator[tuple[str, int, int | None, int]]:
    """Yield how many days a part may count, in which comparison, and the words that say so."""
    for at in span.windows:
        amount = next((one for one in span.quantities if one.mask & at.mask), None)
        days, operator = days_in(at.window.length), at.window.operator or (amount.quantity.operator if amount else None)
        if at.window.kind == "last" and days is not None and operator in {"gt", "gte", "lt", "lte"}:
            yield operator, days, None, at.mask | (amount.mask if amount else 0)
    unit = span.having(frozenset({"day"}))
    for one in span.quantities if unit and not span.windows else ():
        said_amount = one.quantity
        if may_count(one) and said_amount.operator in {"gt", "gte", "lt", "lte", "eq", "between"}:
            yield (
                said_amount.operator,
                int(said_amount.value),
                None if said_amount.value2 is None else int(said_amount.value2),
                one.mask | unit,
            )


def _first_date(span: Span, mention: Mention) -> Iterator[Reading]:
    """Ordered for the first time in the last 30 days; first order before May; last order in March."""
    told = said(span, mention)
    if told is None or told.window is None or told.window.window.kind == "next":
        return
    for which in ("first", "last"):
        words = order_words(span, which)
        if not words or (which == "last" and told.window.window.kind not in {"period", "range"}):
            continue
        used = told.used | told.window.mask | words
        tree = lies(mention.event, told.tests, which, told.window.window, used, negated=told.negative)
        if tree is not None:
            rule = f"{which}_date_not" if told.negative else f"{which}_date"
            yield reading(span, rule, tree, used, "event", told.features)


_ABANDONED: Final = frozenset({stem("abandon"), stem("abandoned"), stem("abandoner"), stem("deserted")})


def _abandoned(span: Span, mention: Mention) -> Iterator[Reading]:
    """Abandoned their cart: put something in and bought nothing, in the same time."""
    words, told = span.having(_ABANDONED), said(span, mention, span.having(_ABANDONED))
    bought = next((name for name in span.names.purchases if name != mention.event), None) or _bought(span)
    if (
        not words
        or told is None
        or bought is None
        or told.negative
        or not is_countable(told.window)
        or mention.how != "words"
    ):
        return
    numbers = [one for one in span.quantities if not one.mask & told.used]
    if numbers or mention.event in {bought, *span.names.purchases[:1]}:
        return
    used = told.used | words | (told.window.mask if told.window else 0)
    did = clause(
        counted(mention.event, told.tests, "gte", 1, None, negative=False), used, told.tests, told.window, counts=True
    )
    did_not = clause(
        counted(bought, (), "gte", 1, None, negative=True), used, (), told.window, positive=False, counts=True
    )
    features = {**told.features, "abandoned:added": float("add" in span.names.doings(mention.event))}
    note = "“Abandoned” is taken for: that, and no purchase in the same time."
    notes = ((words.bit_length() - 1, note),)
    yield reading(span, "abandoned", join("AND", did, did_not), used, "event", features, notes=notes)


def _bought(span: Span) -> str | None:
    return next((one.name for one in span.names.events if "purchase" in {*one.own, *one.meanings}), None)


RULES: Final = (
    Rule("count", _count),
    Rule("not_for", _not_for),
    Rule("ago", _ago),
    Rule("last_within", _last_within),
    Rule("since_last", _since_last),
    Rule("first_date", _first_date),
    Rule("periods", periods),
    Rule("abandoned", _abandoned),
)
"""Every way to say that something was done, or not; when says where one is tried, the weights say which is likeliest."""
