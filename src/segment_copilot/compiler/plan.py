"""Plans a bound definition at an instant: a tree of positive slots to ask the store, every boundary an instant.

All time arithmetic happens here; the SQL only compares instants. A leaf is a *slot* (the users for whom something
happened) and whether to take its complement in the universe. Negative operators, `negate`, and leaves that hold when
nothing happened (`count lt 3`) are complements, so no slot needs a row for a user without events.
"""

from __future__ import annotations

import calendar
import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import starmap
from typing import Any, Final, assert_never, cast
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from segment_copilot.compiler.bind import Static
from segment_copilot.compiler.operands import plan_comparison
from segment_copilot.compiler.slots import (
    AggregateSlot,
    Anniversaries,
    AtLeastNode,
    Comparison,
    CountSlot,
    DateRange,
    Filter,
    GroupNode,
    Kind,
    ListedSlot,
    LocalTimes,
    Matching,
    MembersSlot,
    Node,
    OccurrenceSlot,
    PeriodsSlot,
    Plan,
    Range,
    SampleSlot,
    SequenceSlot,
    SequenceStep,
    Slot,
    SlotNode,
    Test,
    TimeSlot,
    TraitSlot,
)
from segment_copilot.language import (
    Condition,
    Definition,
    EventCount,
    EventMatch,
    EventPeriods,
    EventProperty,
    EventSequence,
    EventTime,
    Group,
    Leaf,
    LocalTime,
    Monetary,
    Recency,
    Sample,
    SegmentMembership,
    Step,
    UserProperty,
    WhereGroup,
    Window,
)
from segment_copilot.language.calendar_periods import period_bounds, period_start
from segment_copilot.language.checks import as_date_test
from segment_copilot.language.lengths import (
    EARLIEST,
    LATEST,
    Length,
    after,
    before,
    date_after,
    date_before,
    day_start,
    parse_length,
    to_instant,
    whole_days,
)
from segment_copilot.language.local_times import WEEKDAYS, parse_hours
from segment_copilot.language.nodes import EventCondition, EventTypes
from segment_copilot.language.operators import DATETIMES, POSITIVE_OF, PropertyOperator
from segment_copilot.language.paths import parse_path
from segment_copilot.language.recency import recency_bounds
from segment_copilot.language.value_types import (
    EPOCH_UNITS,
    AnyTest,
    json_type,
    operands,
    other_value,
    parse_date,
    resolve_type,
)

MICROSECOND: Final = timedelta(microseconds=1)
DAY: Final = timedelta(days=1)
_NO_RUN: Final = UUID(int=0)  # a segment without members has none
MILLIONTHS: Final = 1_000_000
_WIDEST_SUM: Final = 10**37  # no sum of 128 bits in millionths gets near it
_WIDEST_AVERAGE: Final = 10**19  # a value is at most 9 × 10^18 millionths; times a count it stays within 256 bits
_FIRST_DAY: Final = EARLIEST.date()  # what comes round had been before, so that nothing comes round earlier
_LAST_ANNIVERSARY: Final = date(LATEST.year + 17, 12, 31)  # by then every day of the year has come round once more
_TWO_LEAP_CYCLES: Final = timedelta(days=366 * 16)  # 1896 to 1904 had eight years without a leap day


def plan(
    definition: Definition,
    *,
    tenant_id: int,
    as_of: datetime,
    timezone: str,
    references: Mapping[int, Definition | Static],
) -> Plan:
    """Return the plan of a definition at *as_of*.

    Args:
        definition: Bound.
        tenant_id: The tenant whose data is asked.
        as_of: Aware; cut to microseconds already.
        timezone: The tenant's, for definitions without their own.
        references: What stands behind every segment that can be reached.
    """
    planner = _Planner(as_of=as_of.astimezone(UTC), timezone=timezone, references=references)
    return Plan(tenant_id, planner.as_of, planner.definition(definition, ""))


class _Planner:
    def __init__(self, *, as_of: datetime, timezone: str, references: Mapping[int, Definition | Static]) -> None:
        self.as_of = as_of
        self.timezone = timezone
        self.references = references
        self.zone = ZoneInfo(timezone)

    def definition(self, definition: Definition, pointer: str) -> Node:
        zone = self.zone
        self.zone = ZoneInfo(definition.timezone or self.timezone)
        root: Node = GroupNode(definition.logic, self._conditions(definition.conditions, pointer))
        if definition.exclude is not UNSET:
            excluded = GroupNode(
                definition.exclude.logic,
                self._conditions(definition.exclude.conditions, f"{pointer}/exclude"),
                complement=True,
            )
            root = GroupNode("AND", (root, excluded))
        self.zone = zone
        return root

    def _conditions(self, conditions: list[Condition], pointer: str) -> tuple[Node, ...]:
        return tuple(
            self._condition(condition, f"{pointer}/conditions/{index}") for index, condition in enumerate(conditions)
        )

    def _condition(self, condition: Condition, pointer: str) -> Node:
        if isinstance(condition, Group):
            children = self._conditions(condition.conditions, pointer)
            if condition.logic == "AT_LEAST":
                return AtLeastNode(condition.at_least or 0, children, condition.negate)
            return GroupNode(condition.logic, children, complement=condition.negate)
        slot, complement = self._leaf(condition)
        return SlotNode(slot, complement != condition.negate, pointer)

    def _leaf(self, leaf: Leaf) -> tuple[Slot, bool]:
        match leaf:
            case EventCount():
                return self._count(leaf)
            case Recency():
                return self._recency(leaf), False
            case EventTime():
                return self._event_time(leaf)
            case EventPeriods():
                return self._periods(leaf)
            case Monetary():
                return self._monetary(leaf)
            case EventProperty():
                return self._event_property(leaf)
            case UserProperty():
                test = self._test(leaf)
                steps = test.path
                positive = replace(test, path=("v", *steps[1:]), complement=False)
                return TraitSlot(steps[0], positive, self.as_of), test.complement
            case EventSequence():
                return self._sequence(leaf), False
            case Sample():
                return _sample(leaf), False
            case SegmentMembership():
                return self._members_of_any(leaf.targets), leaf.operator == "not_in"
            case _:
                assert_never(leaf)

    def _members_of_any(self, segment_ids: tuple[int, ...]) -> Slot:
        if len(segment_ids) == 1:
            return self._members(segment_ids[0])
        members = tuple(SlotNode(self._members(one), complement=False, pointer="") for one in segment_ids)
        return MembersSlot(segment_ids, GroupNode("OR", members))

    def _members(self, segment_id: int) -> Slot:
        match self.references[segment_id]:
            case Static(run_id):
                return ListedSlot(segment_id, run_id or _NO_RUN)
            case Definition() as definition:
                return MembersSlot((segment_id,), self.definition(definition, ""))

    def _count(self, leaf: EventCount) -> tuple[Slot, bool]:
        matching = self._matching(leaf, leaf.window_days, leaf.window)
        comparison, complement = _comparison(leaf.operator, leaf.value, leaf.value2)
        if comparison.holds(0):  # true when nothing happened: ask for those for whom it is false
            return CountSlot(matching, comparison.opposite()), not complement
        return CountSlot(matching, comparison), complement

    def _recency(self, leaf: Recency) -> Slot:
        """Plan days since the last match as a range for that match. Never did it: in no range."""
        last = Range(*_kept(*recency_bounds(leaf, self.as_of, self.zone)))
        return TimeSlot(self._matching(leaf), "last", (last,))

    def _event_time(self, leaf: EventTime) -> tuple[Slot, bool]:
        matching = self._matching(leaf)
        test = self._test(as_date_test(leaf))
        if test.kind == "anniversary":
            return TimeSlot(matching, leaf.occurrence, test.values[0]), test.complement
        ranges: tuple[DateRange, ...] = test.values
        when = tuple(Range(item.earliest, item.latest) for item in ranges)
        return TimeSlot(matching, leaf.occurrence, when), test.complement

    def _periods(self, leaf: EventPeriods) -> tuple[Slot, bool]:
        today = self.as_of.astimezone(self.zone).date()
        first_days = [period_start(leaf.period, today, ago) for ago in range(leaf.last - 1, -1, -1)]
        # Of the periods that begin before there is any event, the last has events.
        starts = tuple(dict.fromkeys(max(day_start(day, self.zone), EARLIEST) for day in first_days))
        names, wanted = self._names(leaf.event_type), self._filter(leaf)
        matching = Matching(names, wanted, Range(starts[0]))
        comparison, complement = _comparison(leaf.operator, leaf.value, leaf.value2)
        if comparison.holds(0):
            return PeriodsSlot(matching, starts, leaf.min_per_period, comparison.opposite()), not complement
        return PeriodsSlot(matching, starts, leaf.min_per_period, comparison), complement

    def _monetary(self, leaf: Monetary) -> tuple[Slot, bool]:
        matching = self._matching(leaf, leaf.window_days, leaf.window)
        comparison, complement = _comparison(leaf.operator, leaf.value, leaf.value2)
        if leaf.metric in {"sum", "avg", "median"}:
            widest = _WIDEST_SUM if leaf.metric == "sum" else _WIDEST_AVERAGE
            comparison = Comparison(
                comparison.operator,
                _millionths(comparison.low, widest),
                None if comparison.high is None else _millionths(comparison.high, widest),
            )
        path = parse_path(leaf.property)
        if leaf.metric in {"sum", "count_distinct"} and comparison.holds(0):
            return AggregateSlot(matching, path, leaf.metric, comparison.opposite()), not complement
        return AggregateSlot(matching, path, leaf.metric, comparison), complement

    def _event_property(self, leaf: EventProperty) -> tuple[Slot, bool]:
        matching = self._matching(leaf, leaf.window_days, leaf.window)
        test = self._test(leaf)
        if leaf.occurrence in {"any", "every"}:  # the complement is per value, and false without an event
            return OccurrenceSlot(matching, test, leaf.occurrence), False
        return OccurrenceSlot(matching, replace(test, complement=False), leaf.occurrence), test.complement

    def _sequence(self, leaf: EventSequence) -> Slot:
        when = self._range(UNSET, leaf.search_window)
        steps = tuple(
            SequenceStep(self._match(step, when))
            if isinstance(step, str)
            else SequenceStep(
                self._match(step, when), None if step.within is UNSET else _absolute_microseconds(step.within)
            )
            for step in leaf.events
        )
        span = None
        if leaf.window_days is not UNSET:
            span = _absolute_microseconds(f"{leaf.window_days}d")
        elif leaf.window is not UNSET and leaf.window.last is not UNSET:
            span = _absolute_microseconds(leaf.window.last)
        blockers = [self._match(match, when) for match in leaf.none_between or []]
        if leaf.strict:
            blockers.append(Matching(None, None, when))
        return SequenceSlot(steps, span, tuple(blockers))

    # Parts of leaves

    def _matching(
        self,
        leaf: EventCondition,
        days: int | UnsetType = UNSET,
        window: Window | UnsetType = UNSET,
    ) -> Matching:
        return Matching(self._names(leaf.event_type), self._filter(leaf), self._range(days, window))

    def _match(self, match: str | Step | EventMatch, when: Range) -> Matching:
        if isinstance(match, str):
            return Matching(self._names(match), None, when)
        return Matching(self._names(match.event_type), self._filter(match), when)

    def _names(self, event_type: EventTypes) -> tuple[str, ...] | None:
        if event_type == "*":
            return None
        return (event_type,) if isinstance(event_type, str) else tuple(event_type)

    def _filter(self, match: EventCondition | EventMatch | Step) -> Filter | None:
        at = self._local_times(match.at)
        if match.where is UNSET:
            return None if at is None else Filter("AND", (), at)
        logic, tests = (
            (match.where.logic, match.where.conditions) if isinstance(match.where, WhereGroup) else ("AND", match.where)
        )
        return Filter(logic, tuple(self._where_test(test) for test in tests), at)

    def _local_times(self, at: LocalTime | UnsetType) -> LocalTimes | None:
        if at is UNSET:
            return None
        days = () if at.weekdays is UNSET else tuple(sorted({WEEKDAYS.index(day) + 1 for day in at.weekdays}))
        return LocalTimes(self.zone.key, days, None if at.hours is UNSET else parse_hours(at.hours))

    def _where_test(self, test: AnyTest) -> Test:
        planned = self._test(test)
        return replace(planned, complement=planned.complement != test.negate)

    def _range(self, days: int | UnsetType, window: Window | UnsetType) -> Range:
        if days is not UNSET:
            return Range(max(self._days_ago(days), EARLIEST))
        if window is UNSET:
            return Range()
        if window.last is not UNSET and window.days is not UNSET:
            return self._whole_days(parse_length(window.last), with_today=window.days == "with_today")
        if window.last is not UNSET:
            return Range(max(before(self.as_of, parse_length(window.last), self.zone), EARLIEST))
        if window.between is not UNSET:
            far, near = (before(self.as_of, parse_length(end, least=0), self.zone) for end in window.between)
            return Range(*_kept(far, near))
        if window.period is not UNSET:
            start, end = period_bounds(window.period, self.as_of, self.zone)
            return Range(*_kept(start, end - MICROSECOND))
        start = EARLIEST if window.from_ is UNSET else self._span(window.from_)[0]
        end = LATEST if window.to is UNSET else self._span(window.to)[0] - MICROSECOND
        earliest, latest = _kept(start, end)
        return Range(None if earliest == EARLIEST else earliest, None if latest == LATEST else latest)

    def _whole_days(self, length: Length, *, with_today: bool) -> Range:
        """Return so many whole local days: those before today, or the last of them today, as far as it is."""
        today = self.as_of.astimezone(self.zone).date()
        first = today - timedelta(days=whole_days(length) - with_today)
        start = EARLIEST if first < EARLIEST.date() else max(day_start(first, self.zone), EARLIEST)
        return Range(start) if with_today else Range(*_kept(start, day_start(today, self.zone) - MICROSECOND))

    def _days_ago(self, days: int) -> datetime:
        return before(self.as_of, Length(days, "d"), self.zone)

    def _test(self, test: AnyTest) -> Test:
        """*test* with its operator made positive; `complement` says whether it was a negative one."""
        if (other := other_value(test)) is not None:
            return plan_comparison(test, other, zone=self.zone.key)
        operator = cast("PropertyOperator", POSITIVE_OF.get(test.operator, test.operator))
        complement = operator != test.operator
        values = tuple[Any, ...](operands(test))
        path = parse_path(test.property)
        type_ = resolve_type(test, None)
        kind: Kind
        match operator:
            case "is_set" | "is_not_empty":
                kind, values = "presence", ()
            case "anniversary_in_next":
                kind, values = "anniversary", (self._next_anniversaries(values[0]),)
            case "anniversary_in_last":
                kind, values = "anniversary", (self._last_anniversaries(values[0]),)
            case "contains":
                kind = "containment"
            case "is_true" | "is_false":
                kind, values, operator = "boolean", (operator == "is_true",), "eq"
            case _:
                kind = "datetime" if type_ in DATETIMES else cast("Kind", type_ or "string")
        types = tuple(json_type(cast("Any", value)) for value in values) if kind in {"containment", "list"} else ()
        if kind == "datetime":
            values = tuple(self._date_ranges(operator, values))
        return Test(path, kind, operator, values, types, test.ignore_case, complement, EPOCH_UNITS.get(type_ or "", 0))

    # Dates

    def _date_ranges(self, operator: PropertyOperator, values: tuple[Any, ...]) -> list[DateRange]:
        """Return the ranges of which a stored datetime must lie in one."""
        if operator == "in_last":
            return [self._date_range(before(self.as_of, parse_length(values[0]), self.zone), self.as_of)]
        if operator == "in_next":
            ahead = after(self.as_of, parse_length(values[0]), self.zone)
            return [self._date_range(self.as_of + MICROSECOND, ahead)]
        spans = SPANS[operator]([self._span(value) for value in values])
        return list(starmap(self._date_range, spans))

    def _last_anniversaries(self, text: str) -> Anniversaries:
        """Return the days of the year from today minus the length to today."""
        today = self.as_of.astimezone(self.zone).date()
        return self._anniversaries(date_before(today, parse_length(text, least=0), earliest=_FIRST_DAY), today)

    def _next_anniversaries(self, text: str) -> Anniversaries:
        """Return the days of the year from today to today plus the length."""
        today = self.as_of.astimezone(self.zone).date()
        ahead = after(day_start(today, self.zone), parse_length(text, least=0), self.zone)
        end = max(today, ahead.astimezone(self.zone).date())
        if ahead > LATEST:  # past the last instant that is kept anniversaries go on
            end = date_after(today, parse_length(text, least=0), latest=_LAST_ANNIVERSARY)
        return self._anniversaries(today, end)

    def _anniversaries(self, start: date, end: date) -> Anniversaries:
        """Return the days of the year from one date to another; 29 February is 28 in common years."""
        last_year = dict[int, int]()
        day = max(start, end - _TWO_LEAP_CYCLES)  # before that every day of the year has come round since
        while day <= end:
            last_year[day.month * 100 + day.day] = day.year
            if (day.month, day.day) == (2, 28) and not calendar.isleap(day.year):
                last_year[229] = day.year
            day += DAY
        return Anniversaries(self.zone.key, tuple(last_year), tuple(last_year.values()))

    def _span(self, text: str) -> tuple[datetime, datetime]:
        """Return the first and last instant of a test's value: a bare date is its whole local day."""
        value = parse_date(text)
        if isinstance(value, datetime):
            instant = value.astimezone(UTC) if value.tzinfo else to_instant(value, self.zone)
            return instant, instant
        if value is None:
            raise ValueError(f"not a date: {text!r}")  # checks refused it before
        return day_start(value, self.zone), day_start(value + DAY, self.zone) - MICROSECOND

    def _date_range(self, earliest: datetime, latest: datetime) -> DateRange:
        """Add the bare dates that have their local midnight in the range: compared as dates, so SQL needs no zone."""
        earliest, latest = _kept(earliest, latest)
        first = self._first_day(earliest)
        last = self._first_day(latest + MICROSECOND) - DAY
        first, last = max(first, EARLIEST.date()), min(last, LATEST.date())
        return DateRange(earliest, latest, *((first, last) if first <= last else (LATEST.date(), EARLIEST.date())))

    def _first_day(self, instant: datetime) -> date:
        """Return the first date that begins at *instant* or later; a day that the zone skipped begins with the next."""
        day = instant.astimezone(self.zone).date()
        while day_start(day - DAY, self.zone) >= instant:
            day -= DAY
        return day if day_start(day, self.zone) >= instant else day + DAY


_Span = tuple[datetime, datetime]
SPANS: Final[dict[PropertyOperator, Callable[[list[_Span]], list[_Span]]]] = {
    "eq": lambda given: given,
    "in": lambda given: given,
    "gt": lambda given: [(given[0][1] + MICROSECOND, LATEST)],
    "after": lambda given: [(given[0][1] + MICROSECOND, LATEST)],
    "gte": lambda given: [(given[0][0], LATEST)],
    "lt": lambda given: [(EARLIEST, given[0][0] - MICROSECOND)],
    "before": lambda given: [(EARLIEST, given[0][0] - MICROSECOND)],
    "lte": lambda given: [(EARLIEST, given[0][1])],
    "between": lambda given: [(given[0][0], given[1][1])],
}
"""The first and last instants that an operator of dates asks for, from those of its values."""

_ABSOLUTE: Final = {
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}


def _absolute_microseconds(length: str) -> int:
    """Return the microseconds of a length inside a sequence: absolute, so a day is 24 hours."""
    parsed = parse_length(length, least=0)
    return parsed.count * _ABSOLUTE[parsed.unit] // MICROSECOND


def _sample(leaf: Sample) -> SampleSlot:
    """Solve from * 2^64 <= 100 * hash < to * 2^64 for the hash, exactly."""
    low, high = (math.ceil(Fraction(percent) * 2**64 / 100) for percent in (leaf.from_, leaf.to))
    return SampleSlot(leaf.salt, low, high - 1)


def _kept(earliest: datetime, latest: datetime) -> tuple[datetime, datetime]:
    """Return the part of a range within the instants that are kept; the other way round when there is none."""
    earliest, latest = max(earliest, EARLIEST), min(latest, LATEST)
    return (earliest, latest) if earliest <= latest else (LATEST, EARLIEST)


def _comparison(operator: str, value: Any, value2: Any) -> tuple[Comparison, bool]:
    positive: Any = POSITIVE_OF.get(operator, operator)
    if positive == "between":
        ends = cast("list[Any]", value) if isinstance(value, list) else [value, value2]
        low, high = ends
        return Comparison("between", low, high), positive != operator
    return Comparison(positive, value), positive != operator


def _millionths(number: float, widest: int) -> int:
    """Return *number* × 1,000,000 as a double, rounded to the nearest integer, ties to even."""
    try:
        product = float(number) * MILLIONTHS
        return max(-widest, min(widest, round(product)))
    except OverflowError:
        return widest if number > 0 else -widest
