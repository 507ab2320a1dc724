"""Says what a part of a sentence tells of an event type, whatever the rule: which of them, when, and whether not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

from msgspec import UNSET, Struct, structs

from segment_copilot.english import lexicon
from segment_copilot.english.reading.amounts import TEXTS, Plan, Tests, add, plans, text_test, truth, value_tests
from segment_copilot.english.reading.anchors import WindowAnchor, WordAnchor, mask
from segment_copilot.english.reading.meanings import Clause, Reading, Tree, timed
from segment_copilot.english.reading.spans import Mention, Span, days_in, one_tree, union
from segment_copilot.english.times.date_tests import date_tests
from segment_copilot.english.times.windows import Window
from segment_copilot.language import EventCount, EventTime, Recency
from segment_copilot.language.nodes import PropertyTest
from segment_copilot.language.operators import OPPOSITE_NUMBER, NumberOperator


class Rule(Struct, frozen=True):
    """One row of the table: a name, and the readings that it gives of a part in which an event type is mentioned."""

    name: str
    make: Callable[[Span, Mention], Iterator[Reading]]


class Said(Struct, frozen=True):
    """Holds what a part says of an event type besides how often: which of them, when, whether not."""

    tests: tuple[PropertyTest, ...]
    each: tuple[PropertyTest, ...]
    used: int
    features: dict[str, float]
    negative: bool
    window: WindowAnchor | None


def said(span: Span, mention: Mention, taken: int = 0, *, bare: bool = True) -> Said | None:
    """Return what the part says of the events, found once for all rules that ask."""
    mark = (mention.event, mention.how, mention.mask, taken, bare)
    if mark not in span.memo:
        span.memo[mark] = _said(span, mention, taken, bare=bare)
    found: Said | None = span.memo[mark]
    return found if found is None else structs.replace(found, features=dict(found.features))


def _said(span: Span, mention: Mention, taken: int, *, bare: bool) -> Said | None:
    """Return what the part says of the events; none where it says two things of one kind, which is more than one clause.

    Without *bare*, a length such as "80 minutes" is no window.
    """
    values = value_tests(span, mention.event, mention.mask | taken | union(span.windows) | union(span.quantities))
    values = _with_texts(span, mention, values, taken)
    more = _presence(span, mention, values, taken) or _searched(span, mention, values, taken)
    tests, used = values.tests, values.used | mention.mask | taken
    features = {**mention.features, **values.features}
    if more is not None:
        tests, used = (*tests, *more.tests), used | more.used
        features |= more.features
    for yes in _answers(span, mention, used):
        tests, used = (*tests, *yes.tests), used | yes.used
        add(features, "value:truth")
    negations = [one for one in span.negations if not one.mask & used]
    windows = [one for one in span.windows if not one.mask & taken and (bare or not one.bare)]
    if len(negations) > 1 or len(windows) > 1 or (negations and _is_of_another(span, negations[0])):
        return None
    if negations:
        used |= union(negations)
        if negations[0].start > max(mention.mask.bit_length() - 1, 0) and mention.mask:
            features["not:behind"] = 1
    return Said(tests, values.each, used, features, bool(negations), windows[0] if windows else None)


def _is_of_another(span: Span, negation: WordAnchor) -> bool:
    """Return whether "not" stands in another clause than a number: "worth more than 500 who did not buy …" denies no worth."""
    joints = (one for one in span.inside if one.kind in {"rel", "but", "and"} and one.end <= negation.start)
    return any(number.end <= joint.start for joint in joints for number in span.quantities)


def _with_texts(span: Span, mention: Mention, values: Tests, taken: int) -> Tests:
    """Return the tests of values with those of texts: "whose path begins with /help"."""
    for field in span.fields:
        text = text_test(span, field) if field.place.event == mention.event and not field.place.numeric else None
        if text is None or text[1] & taken or text[0].property in {test.property for test in values.tests}:
            continue
        features = {**values.features, "value:text": values.features.get("value:text", 0) + 1}
        values = Tests((*values.tests, text[0]), values.used | text[1], features, values.each)
    return values


def _answers(span: Span, mention: Mention, taken: int) -> Iterator[Tests]:
    """Yield tests of properties that are yes or no: "premium articles", "non-premium", "flagged comments"."""
    seen: set[str] = set()
    for field in span.fields:
        place = field.place
        if place.event != mention.event or field.share < 1 or not (place.field.boolean or place.field.answers):
            continue
        if place.path in seen or field.mask & taken:
            continue
        seen.add(place.path)
        before = span.lower(field.start - 1) == "-" and span.lower(field.start - 2) == "non"
        turning = [
            one
            for one in span.negations
            if one.end == field.start
            and span.lower(one.start) != "never"  # "commenters never flagged" is said of all their comments
            and (span.lower(one.start) == "non" or (mention.mask and mention.mask.bit_length() <= one.start))
        ]
        says = not (turning or before)
        operator, value = truth(place, says=says)
        used = field.mask | union(turning) | (mask(field.start - 2, field.start) if before else 0)
        yield Tests((PropertyTest(place.path, operator, value),), used, {})


def _presence(span: Span, mention: Mention, values: Tests, taken: int) -> Tests | None:
    """Of "ordered with a coupon", "without a coupon": a property that some of the events have."""
    tested = {test.property for test in values.tests}
    for field in span.fields:
        place = field.place
        if place.event != mention.event or field.share < 1 or place.path in tested or place.numeric:
            continue
        if (
            field.mask & (mention.mask | values.used | taken)
            or place.field.boolean
            or place.field.answers
            or place.dated
        ):
            continue
        without = [
            one
            for one in span.negations
            if one.end <= field.start <= one.end + 2 and span.lower(one.start) == "without"
        ]
        behind = mention.mask and without and without[0].start > mention.mask.bit_length() - 1
        none = [
            one
            for one in span.quantities
            if one.quantity.none and one.end <= field.start <= one.end + 2 and span.orders
        ]
        missing = bool(behind or none)
        words = field.mask | (union(without) if behind else 0) | union(none)
        return Tests((PropertyTest(place.path, "is_not_set" if missing else "is_set"),), words, {"value:presence": 1})
    return None


def _searched(span: Span, mention: Mention, values: Tests, taken: int) -> Tests | None:
    """Of "searched for boots": a text that is looked for in what was searched."""
    fields = span.names.searched(mention.event)
    if not fields or not mention.mask or values.tests:
        return None
    said = [at for at in range(span.start, span.end) if span.found.tokens[at].stem in TEXTS]
    said = said or [at for at in range(span.start, span.end) if span.lower(at) in {"for", "about"}]
    start = said[0] + 1 if said else None
    if start is None:
        return None
    blocked = union(span.windows) | union(span.quantities) | mention.mask | union(span.inside) | taken
    while start < span.end and span.lower(start) in {"a", "an", "the", "any"}:
        start += 1
    end = start
    while end < span.end and not blocked >> end & 1 and span.found.tokens[end].kind in {"word", "quoted", "name"}:
        if span.lower(end) in lexicon.words("light") | {"something", "anything"}:
            break
        end += 1
    text = " ".join(token.text for token in span.found.tokens[start:end])
    return (
        Tests((PropertyTest(fields[0].path, "contains", text),), mask(said[0], end), {"value:searched": 1})
        if text
        else None
    )


def counted(
    event: str,
    tests: tuple[PropertyTest, ...],
    operator: NumberOperator,
    low: float,
    high: float | None,
    *,
    negative: bool,
) -> EventCount:
    """Return how many of the events there are; turned around where that was said."""
    if negative:
        operator = OPPOSITE_NUMBER[operator]
    if operator == "lt" and low == 1:
        operator, low = "eq", 0
    upper = UNSET if high is None else high
    return EventCount(event_type=event, where=list(tests) or UNSET, operator=operator, value=low, value2=upper)


def clause(
    node: Any,
    used: int,
    tests: tuple[PropertyTest, ...],
    at: WindowAnchor | None = None,
    *,
    positive: bool = True,
    counts: bool = False,
) -> Clause:
    """Return a clause about an event, in a window where one was said."""
    made = Clause(node, used, node.event_type, tests, positive=positive, counts=counts)
    if at is None:
        return made
    if at.window.kind == "same":
        return structs.replace(made, window=at.window)
    return timed(made, at.window, at.mask)


def lies(
    event: str, where: tuple[PropertyTest, ...], which: str, said: Window, used: int, *, negated: bool = False
) -> Tree | None:
    """Return that the last or first of the events was at a time: "the latest 90 to 180 days ago", "the first in May"."""
    tests: Any = list(where) or UNSET
    far, near = days_in(said.length), days_in(said.near)
    operator: Any = said.operator if said.kind == "ago" else "lt"
    if (
        not negated
        and which == "last"
        and far is not None
        and said.kind in {"ago", "last", "between"}
        and operator != "eq"
    ):
        ends = {"operator": operator, "window_days": far}
        if said.kind == "between":
            ends = {"operator": "between", "window_days": near, "value2": far}
        return clause(Recency(event_type=event, where=tests, **cast("Any", ends)), used, where)
    parts = [
        clause(EventTime(event_type=event, occurrence=cast("Any", which), where=tests, **test), used, where)
        for test in date_tests(said, negated=negated)
    ]
    if negated or any(cast("EventTime", part.condition).operator == "not_in_last" for part in parts):
        parts += [clause(counted(event, where, "gte", 1, None, negative=False), used, where)] if parts else []
    return one_tree(parts) if parts else None


def lapsed(part: Clause) -> Clause | None:
    """Return that somebody who did not do something in a time did it before: not in 30 days, but before."""
    node, said = part.condition, part.window
    if isinstance(node, Recency) and node.operator in {"gt", "gte"} and not node.negate:
        return part
    if not isinstance(node, EventCount) or node.operator != "eq" or node.value != 0 or said is None:
        return None
    tests: Any = list(part.where) or UNSET
    days = days_in(said.length) if said.kind == "last" else None
    if days is not None:
        quiet: Any = Recency(event_type=part.event, operator="gt", window_days=days, where=tests)
    elif said.kind in {"range", "period"} and said.first is not None and (said.after is None or said.kind == "period"):
        quiet = EventTime(
            event_type=part.event, occurrence="last", operator="lt", value=said.first.isoformat(), where=tests
        )
    else:
        return None
    return structs.replace(part, condition=quiet, counts=False)


def tell_window(features: dict[str, float], told: Said, rule: str) -> None:
    """Say in features how a window stands beside a negation: what "in 30 days" and "in the last 30 days" tell apart."""
    if told.window is None:
        return
    said_window = told.window.window
    form = "bare" if told.window.bare else "rolling" if said_window.rolling else said_window.lead or "none"
    add(features, f"window:{rule}:{said_window.kind}:{form}")
    if said_window.operator:
        add(features, f"window:{rule}:{said_window.operator}")


def is_countable(at: WindowAnchor | None) -> bool:
    """Return whether events can be counted in a window of this kind."""
    return at is None or (not at.ahead and at.window.kind in {"last", "period", "range", "between", "ever", "same"})


def all_tests(span: Span, mention: Mention, told: Said) -> Iterator[Plan]:
    """Yield the ways in which every number of the part is a test."""
    return (plan for plan in plans(span, mention, told.used) if plan.count is None)


def order_words(span: Span, kind: str) -> int:
    """Return the words that say first or last; 0 where none do."""
    return union(one for one in span.orders if one.kind == kind)
