"""Makes the one form of all definitions that select the same people, as far as it can be told without the data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Final, Literal, assert_never, cast

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from segment_copilot.language.calendar_periods import period_of
from segment_copilot.language.equivalence.history import (
    Amount,
    Events,
    OneEvent,
    Other,
    Periods,
    Trait,
    excludes,
    happened,
    implies,
    loose,
)
from segment_copilot.language.equivalence.propositions import (
    Statement,
    Table,
    all_of,
    any_of,
    at_least,
    mapped,
    negation,
    table_of,
)
from segment_copilot.language.equivalence.spans import (
    EVER,
    Bound,
    Span,
    ago,
    at,
    is_bare_date,
    next_day,
    span_of,
    start_of,
)
from segment_copilot.language.equivalence.values import Atom, Sign, alternatives, anniversary, compared, test_of, there
from segment_copilot.language.local_times import WEEKDAYS
from segment_copilot.language.measure_checks import RANKED
from segment_copilot.language.nodes import (
    Condition,
    DateWindow,
    Definition,
    EventCondition,
    EventCount,
    EventMatch,
    EventPeriods,
    EventProperty,
    EventSequence,
    EventTime,
    EventTypes,
    Group,
    Leaf,
    LocalTime,
    Logic,
    Measure,
    MeasureCompare,
    MeasureOperator,
    Monetary,
    PropertyTest,
    Rank,
    Recency,
    Sample,
    SegmentMembership,
    Step,
    UserProperty,
    Where,
    WhereGroup,
)
from segment_copilot.language.operators import POSITIVE_OF, ValueType
from segment_copilot.language.value_types import operands, to_millionths

Declared = Callable[[EventTypes | None, str], ValueType | None]
"""Tells the declared type of a property of these event types, or (None) of a trait."""


class Form(Struct, frozen=True):
    """Two definitions with equal forms have the same members of the same tenant at any instant.

    Those with other forms may still have the same members: what follows only from numbers or texts is not looked for.
    """

    zone: str
    told: Table | str  # where there are too many conditions for a table, they stand in order

    @property
    def is_nobody(self) -> bool:
        """True when the definition contradicts itself."""
        return self.told == Table((), 0)

    @property
    def is_everybody(self) -> bool:
        """True when the definition leaves nobody out."""
        return self.told == Table((), 1)


def form_of(definition: Definition, declared: Declared = lambda _types, _path: None, *, is_exact: bool = True) -> Form:
    """Return the form of a definition.

    *declared* tells what the tenant's schemas say; it is not needed of a definition whose types are settled. Where it is
    not exact, the very instant at which a length before now begins or ends makes no difference ("within 7 days").
    """
    reader = _Reader(declared)
    statement = reader.joined(definition.logic, definition.conditions)
    if definition.exclude is not UNSET:
        out = reader.joined(definition.exclude.logic, definition.exclude.conditions)
        statement = all_of([statement, negation(out)])
    if not is_exact:
        statement = mapped(statement, loose)
    table = table_of(statement, implies, excludes)
    return Form(definition.timezone or "", repr(statement) if table is None else table)


class _Reader:
    """Reads conditions as statements about a person."""

    def __init__(self, declared: Declared) -> None:
        self._declared = declared

    def joined(self, logic: Logic, conditions: Iterable[Condition]) -> Statement:
        return (all_of if logic == "AND" else any_of)(self._condition(condition) for condition in conditions)

    def _condition(self, condition: Condition) -> Statement:
        statement = self._group(condition) if isinstance(condition, Group) else self._leaf(condition)
        return negation(statement) if condition.negate else statement

    def _group(self, group: Group) -> Statement:
        if group.logic == "AT_LEAST":
            return at_least(group.at_least or 0, map(self._condition, group.conditions))
        return self.joined(group.logic, group.conditions)

    def _leaf(self, leaf: Leaf) -> Statement:
        match leaf:
            case EventCount():
                events = self._events(leaf, span_of(leaf.window, leaf.window_days))
                return _counted(leaf, lambda least: happened(events, least))
            case Recency():
                return _recency(leaf, self._events(leaf))
            case EventTime():
                return _event_time(leaf, self._events(leaf))
            case Monetary():
                return self._monetary(leaf)
            case EventProperty():
                return self._event_property(leaf)
            case EventPeriods():
                return _periods(leaf, self._events(leaf))
            case UserProperty():
                return mapped(test_of(leaf, self._declared(None, leaf.property)), Trait)
            case EventSequence():
                return self._sequence(leaf)
            case MeasureCompare() | Rank():
                return self._of_measures(leaf)
            case SegmentMembership():
                member = any_of(Other("segment", one) for one in leaf.targets)
                return member if leaf.operator == "in" else negation(member)
            case Sample():
                share = (leaf.salt, float(leaf.from_), float(leaf.to))
                return True if share[1:] == (0, 100) else Other("sample", share)
            case _:
                assert_never(leaf)

    # Which events.

    def _events(
        self, match: EventCondition | EventMatch | Step | Measure, span: Span = EVER, more: Statement = True
    ) -> Events:
        """Return the events of a match in a span that pass one more test."""
        types = _types(match.event_type)
        where = self._where(match.event_type, match.where)
        return Events(types, alternatives(all_of([where, _at(match.at), more])), span)

    def _where(self, event_type: EventTypes, where: Where | UnsetType) -> Statement:
        if where is UNSET:
            return True
        tests, join = (where.conditions, where.logic) if isinstance(where, WhereGroup) else (where, "AND")
        return (all_of if join == "AND" else any_of)(self._property_test(event_type, test) for test in tests)

    def _property_test(self, event_type: EventTypes, test: PropertyTest) -> Statement:
        if test.any_of is UNSET:
            statement = test_of(test, self._declared(event_type, test.property))
        else:
            statement = _any_item(test.any_of, test.conditions or [])
        return negation(statement) if test.negate else statement

    def _monetary(self, leaf: Monetary) -> Statement:
        span = span_of(leaf.window, leaf.window_days)
        events, path, metric = self._events(leaf, span), leaf.property, leaf.metric

        def some(sign: Sign, value: float) -> Statement:
            return happened(self._events(leaf, span, compared(path, "number", sign, value)))

        if metric == "count_distinct":
            return _counted(leaf, lambda least: least <= 0 or Amount(metric, events, path, least))
        if metric in {"min", "max"}:
            present = happened(self._events(leaf, span, there(path, "number")))
            if metric == "max":
                return _measured(leaf, lambda value, is_in: some(">=" if is_in else ">", value), present)
            return _measured(
                leaf, lambda value, is_in: all_of([present, negation(some("<" if is_in else "<=", value))]), present
            )
        present = True if metric == "sum" else Amount("present", events, path)

        def above(value: float, is_in: bool) -> Statement:  # noqa: FBT001  # an end is in or out
            return Amount(metric, events, path, to_millionths(value), is_in)

        return _measured(leaf, above, present)

    def _of_measures(self, leaf: MeasureCompare | Rank) -> Statement:
        if isinstance(leaf, Rank):
            part = [(name, float(value)) for name in RANKED if (value := getattr(leaf, name)) is not UNSET]
            return Other("rank", (self._measure(leaf.by), *part))
        return _measures_compared(leaf, self._measure(leaf.left), self._measure(leaf.right))

    def _measure(self, measure: Measure) -> tuple[str, Events, str]:
        path = "" if measure.property is UNSET else measure.property
        return measure.measure, self._events(measure, span_of(measure.window)), path

    def _event_property(self, leaf: EventProperty) -> Statement:
        span = span_of(leaf.window, leaf.window_days)
        test = test_of(leaf, self._declared(leaf.event_type, leaf.property))
        match leaf.occurrence:
            case "any":
                return happened(self._events(leaf, span, test))
            case "every":
                failing = happened(self._events(leaf, span, negation(test)))
                return all_of([happened(self._events(leaf, span)), negation(failing)])
            case "latest" | "first":
                which, events = leaf.occurrence, self._events(leaf, span)
                return mapped(test, lambda atom: OneEvent(which, events, atom))
            case _:
                assert_never(leaf.occurrence)

    def _sequence(self, leaf: EventSequence) -> Statement:
        span = span_of(leaf.search_window)
        steps = [self._step(step, span) for step in leaf.events]
        if any(not events.alternatives for events, _within in steps):
            return False
        without = [] if leaf.none_between is UNSET else leaf.none_between
        banned = sorted({self._step(match, EVER)[0] for match in without}, key=repr)
        days = leaf.window_days
        longest = f"{days}d" if days is not UNSET else UNSET if leaf.window is UNSET else leaf.window.last
        same = tuple(sorted(set(leaf.same or ())))
        return Other("sequence", (tuple(steps), leaf.strict, tuple(banned), _minutes(longest), same))

    def _step(self, step: str | Step | EventMatch, span: Span) -> tuple[Events, int | None]:
        match = EventMatch(step) if isinstance(step, str) else step
        return self._events(match, span), _minutes(match.within if isinstance(match, Step) else UNSET)


def _any_item(path: str, tests: Iterable[PropertyTest]) -> Statement:
    """Return that an item of a list passes all tests, none of whose types is declared."""
    told = (negation(test_of(one, None)) if one.negate else test_of(one, None) for one in tests)
    passing = alternatives(all_of(told))
    return Atom(path, "items", "any_of", passing) if passing else False


def _at(at: LocalTime | UnsetType) -> Statement:
    """Return that an event is at one of the weekdays, and at the hours."""
    if at is UNSET:
        return True
    days = tuple(day for day in WEEKDAYS if day in (at.weekdays or WEEKDAYS))
    on = True if days == WEEKDAYS else Atom("", "clock", "on", days)
    return all_of([on, True if at.hours is UNSET else Atom("", "clock", "during", tuple(at.hours))])


def _types(event_type: EventTypes) -> tuple[str, ...]:
    return (event_type,) if isinstance(event_type, str) else tuple(sorted(set(event_type)))


_MINUTES: Final = {"m": 1, "h": 60, "d": 1440, "w": 10080}


def _minutes(length: str | UnsetType) -> int | None:
    """Return a length of a sequence, where a day is 24 hours."""
    return None if length is UNSET else int(length[:-1]) * _MINUTES[length[-1]]


# Numbers.


def _counted(leaf: EventCount | EventPeriods | Monetary, at_least: Callable[[int], Statement]) -> Statement:
    """Compare a whole number that is never missing."""
    return _compare(leaf, lambda value, is_in: at_least(math.ceil(value) if is_in else math.floor(value) + 1), True)


def _measured(leaf: Monetary, above: Callable[[float, bool], Statement], present: Statement) -> Statement:
    return _compare(leaf, above, present)


def _compare(
    leaf: EventCount | EventPeriods | Monetary, above: Callable[[float, bool], Statement], present: Statement
) -> Statement:
    """Compare a number by what is above an end, or at the end too; without *present* there is no number."""
    low, high = ([float(cast("float", value)) for value in operands(leaf)] * 2)[:2]
    positive = POSITIVE_OF.get(leaf.operator, leaf.operator)

    def below(value: float, *, is_in: bool) -> Statement:
        return all_of([present, negation(above(value, not is_in))])

    match positive:
        case "gte":
            statement = above(low, True)
        case "gt":
            statement = above(low, False)
        case "lt":
            statement = below(low, is_in=False)
        case "lte":
            statement = below(low, is_in=True)
        case "eq":
            statement = all_of([above(low, True), below(low, is_in=True)])
        case "between":
            statement = all_of([above(low, True), below(high, is_in=True)])
        case _:
            raise ValueError(f"{positive} does not compare numbers.")
    return statement if positive == leaf.operator else negation(statement)


_MIRRORED: Final[dict[MeasureOperator, MeasureOperator]] = {"gt": "lt", "gte": "lte", "lt": "gt", "lte": "gte"}


def _measures_compared(
    leaf: MeasureCompare, left: tuple[str, Events, str], right: tuple[str, Events, str]
) -> Statement:
    """Say of two measures that one is as high as the other; those that are never missing are at most what they are not above."""
    operator, factor = leaf.operator, float(leaf.factor)
    if factor == 1 and repr(right) < repr(left):
        left, right, operator = right, left, _MIRRORED.get(operator, operator)

    def compares(operator: MeasureOperator) -> Statement:
        return Other("measures", (left, operator, right, factor))

    if operator == "neq":
        return negation(compares("eq"))
    if {left[0], right[0]} & {"avg", "min", "max"}:
        return compares(operator)
    match operator:
        case "lt":
            return negation(compares("gte"))
        case "lte":
            return negation(compares("gt"))
        case _:
            return compares(operator)


def _periods(leaf: EventPeriods, events: Events) -> Statement:
    """One of the last periods is any time in them; all of one is in the current one."""

    def at_least(least: int) -> Statement:
        if least <= 0:
            return True
        if least > leaf.last:
            return False
        if leaf.last == 1 or (least == 1 and leaf.min_per_period == 1):
            since = Span(start_of(leaf.period, leaf.last - 1, is_in=True))
            return happened(replace(events, span=since), leaf.min_per_period)
        if not events.alternatives:
            return leaf.min_per_period <= 0
        return Periods(events, leaf.period, leaf.last, leaf.min_per_period, least)

    return _counted(leaf, at_least)


# When the first or last one was.


def _last_in(events: Events, span: Span) -> Statement:
    """Return that the last of the events is in the span: one is in it or after it, and none is after it."""
    found = happened(replace(events, span=Span(span.lower)))
    return all_of([found, *(negation(happened(replace(events, span=after))) for after in _after(span))])


def _first_in(events: Events, span: Span) -> Statement:
    found = happened(replace(events, span=Span(None, span.upper)))
    return all_of([found, *(negation(happened(replace(events, span=before))) for before in _before(span))])


def _after(span: Span) -> list[Span]:
    return [] if span.upper is None else [Span(span.upper.opposite())]


def _before(span: Span) -> list[Span]:
    return [] if span.lower is None else [Span(None, span.lower.opposite())]


def _recency(leaf: Recency, events: Events) -> Statement:
    near = leaf.window_days

    def days(count: int, *, is_in: bool) -> Bound:
        return ago(f"{count}d", is_in=is_in)

    match leaf.operator:
        case "gt":
            span = Span(None, days(near, is_in=False))
        case "gte":
            span = Span(None, days(near, is_in=True))
        case "lt":
            span = Span(days(near, is_in=False))
        case "lte":
            span = Span(days(near, is_in=True))
        case "eq":
            span = Span(days(near + 1, is_in=False), days(near, is_in=True))
        case "between":
            far = near if leaf.value2 is UNSET else leaf.value2
            span = Span(days(far, is_in=True), days(near, is_in=True))
        case _:
            assert_never(leaf.operator)
    return _last_in(events, span)


def _event_time(leaf: EventTime, events: Events) -> Statement:
    positive = POSITIVE_OF.get(leaf.operator, leaf.operator)
    if isinstance(leaf.value, DateWindow):
        statement = _time_in(leaf, positive, leaf.value, events)
    else:
        statement = any_of(_time_test(leaf, positive, value, events) for value in _time_values(leaf, leaf.value))
    return statement if positive == leaf.operator else negation(statement)


def _time_in(leaf: EventTime, operator: str, window: DateWindow, events: Events) -> Statement:
    """Return that the first or last one is in a window, or comes round in one."""
    if operator != "in_window":
        return OneEvent(_when(leaf), events, anniversary("", "datetime", operator, window))
    if window.period is not UNSET and period_of(window.period)[1] < 0:
        return False  # what happened is over
    return _in_span(leaf)(events, span_of(window))


def _when(leaf: EventTime) -> Literal["when_latest", "when_first"]:
    return "when_latest" if leaf.occurrence == "last" else "when_first"


def _in_span(leaf: EventTime) -> Callable[[Events, Span], Statement]:
    return _last_in if leaf.occurrence == "last" else _first_in


def _time_values(leaf: EventTime, value: str | list[str]) -> list[tuple[str, str]]:
    """Return pairs of ends; a range has two different ones, a list several pairs."""
    values = value if isinstance(value, list) else [value]
    if leaf.operator in {"between", "not_between"}:
        low, high = values if leaf.value2 is UNSET else (values[0], leaf.value2)
        return [(low, high)]
    return [(value, value) for value in values]


def _time_test(leaf: EventTime, operator: str, ends: tuple[str, str], events: Events) -> Statement:
    low, high = ends
    match operator:
        case "gte":
            span = Span(_begin(low))
        case "gt" | "after":
            span = Span(_end(low).opposite())
        case "lt" | "before":
            span = Span(None, _begin(low).opposite())
        case "lte":
            span = Span(None, _end(low))
        case "eq" | "in" | "between":
            span = Span(_begin(low), _end(high))
        case "in_last":
            span = Span(ago(low))
        case "in_next":
            return False  # what happened is over
        case _:
            return OneEvent(_when(leaf), events, anniversary("", "datetime", operator, low))
    return _in_span(leaf)(events, span)


def _begin(value: str) -> Bound:
    return at(value, is_in=True)


def _end(value: str) -> Bound:
    """Return the last instant that an instant or a whole day has."""
    return at(next_day(value), is_in=False) if is_bare_date(value) else at(value, is_in=True)
