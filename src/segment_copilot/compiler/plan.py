"""Plans a bound definition at an instant: a tree of positive slots to ask the store, every boundary an instant.

All time arithmetic happens here (by `dates`); the SQL only compares instants. A leaf is a *slot* (the users for whom something
happened) and whether to take its complement in the universe. Negative operators, `negate`, and leaves that hold when
nothing happened (`count lt 3`) are complements, so no slot needs a row for a user without events.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any, Final, assert_never, cast
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from segment_copilot.compiler.bind import Static
from segment_copilot.compiler.dates import Dates, kept
from segment_copilot.compiler.measures import plan_compared, plan_measure
from segment_copilot.compiler.operands import plan_comparison, plan_path
from segment_copilot.compiler.ranks import plan_rank
from segment_copilot.compiler.slots import (
    AggregateSlot,
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
    Measured,
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
    Measure,
    MeasureCompare,
    Monetary,
    PropertyTest,
    Rank,
    Recency,
    Sample,
    SegmentMembership,
    Step,
    UserProperty,
    WhereGroup,
    Window,
)
from segment_copilot.language.checks import as_date_test
from segment_copilot.language.lengths import MICROSECOND, parse_length
from segment_copilot.language.local_times import WEEKDAYS, parse_hours
from segment_copilot.language.nodes import EventCondition, EventTypes
from segment_copilot.language.operators import DATETIMES, POSITIVE_OF, WINDOWS, PropertyOperator
from segment_copilot.language.paths import parse_path
from segment_copilot.language.recency import recency_bounds
from segment_copilot.language.value_types import (
    EPOCH_UNITS,
    AnyTest,
    json_type,
    operands,
    other_value,
    resolve_type,
)

_NO_RUN: Final = UUID(int=0)  # a segment without members has none
MILLIONTHS: Final = 1_000_000
_WIDEST_SUM: Final = 10**37  # no sum of 128 bits in millionths gets near it
_WIDEST_AVERAGE: Final = 10**19  # a value is at most 9 × 10^18 millionths; times a count it stays within 256 bits


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
        self.dates = Dates(as_of, ZoneInfo(timezone))

    def definition(self, definition: Definition, pointer: str) -> Node:
        outer = self.dates
        self.dates = Dates(self.as_of, ZoneInfo(definition.timezone or self.timezone))
        root: Node = GroupNode(definition.logic, self._conditions(definition.conditions, pointer))
        if definition.exclude is not UNSET:
            excluded = GroupNode(
                definition.exclude.logic,
                self._conditions(definition.exclude.conditions, f"{pointer}/exclude"),
                complement=True,
            )
            root = GroupNode("AND", (root, excluded))
        self.dates = outer
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
            case MeasureCompare() | Rank():
                return self._of_measures(leaf)
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
        last = Range(*kept(*recency_bounds(leaf, self.as_of, self.dates.zone)))
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
        starts = self.dates.period_starts(leaf.period, leaf.last)
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
        when = self.dates.window(UNSET, leaf.search_window)
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
        same = tuple(sorted({parse_path(path) for path in leaf.same or ()}))
        return SequenceSlot(steps, span, tuple(blockers), same)

    # Parts of leaves

    def _matching(
        self,
        leaf: EventCondition | Measure,
        days: int | UnsetType = UNSET,
        window: Window | UnsetType = UNSET,
    ) -> Matching:
        return Matching(self._names(leaf.event_type), self._filter(leaf), self.dates.window(days, window))

    def _of_measures(self, leaf: MeasureCompare | Rank) -> tuple[Slot, bool]:
        if isinstance(leaf, Rank):
            return plan_rank(leaf, self._measured(leaf.by)), False
        return plan_compared(leaf, self._measured)

    def _measured(self, measure: Measure) -> Measured:
        return plan_measure(measure, self._matching(measure, UNSET, measure.window), zone=self.dates.zone.key)

    def _match(self, match: str | Step | EventMatch, when: Range) -> Matching:
        if isinstance(match, str):
            return Matching(self._names(match), None, when)
        return Matching(self._names(match.event_type), self._filter(match), when)

    def _names(self, event_type: EventTypes) -> tuple[str, ...] | None:
        if event_type == "*":
            return None
        return (event_type,) if isinstance(event_type, str) else tuple(event_type)

    def _filter(self, match: EventCondition | EventMatch | Step | Measure) -> Filter | None:
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
        return LocalTimes(self.dates.zone.key, days, None if at.hours is UNSET else parse_hours(at.hours))

    def _where_test(self, test: PropertyTest) -> Test:
        if test.any_of is not UNSET:
            of_item = tuple(self._where_test(one) for one in test.conditions or ())
            return Test(parse_path(test.any_of), "items", "contains", complement=test.negate, tests=of_item)
        planned = self._test(test)
        return replace(planned, complement=planned.complement != test.negate)

    def _test(self, test: AnyTest) -> Test:
        """*test* with its operator made positive; `complement` says whether it was a negative one."""
        if (other := other_value(test)) is not None:
            return plan_comparison(test, other, zone=self.dates.zone.key)
        operator = cast("PropertyOperator", POSITIVE_OF.get(test.operator, test.operator))
        complement = operator != test.operator
        values: tuple[Any, ...] = (test.value,) if operator in WINDOWS else tuple(operands(test))
        path = plan_path(test.property)
        type_ = resolve_type(test, None)
        kind: Kind
        match operator:
            case "is_set" | "is_not_empty":
                kind, values = "presence", ()
            case "anniversary_in_next":
                kind, values = "anniversary", (self.dates.next_anniversaries(values[0]),)
            case "anniversary_in_last":
                kind, values = "anniversary", (self.dates.last_anniversaries(values[0]),)
            case "anniversary_in":
                kind, values = "anniversary", (self.dates.season(values[0]),)
            case "contains":
                kind = "containment"
            case "is_true" | "is_false":
                kind, values, operator = "boolean", (operator == "is_true",), "eq"
            case _:
                kind = "datetime" if type_ in DATETIMES else cast("Kind", type_ or "string")
        types = tuple(json_type(value) for value in values) if kind in {"containment", "list"} else ()
        if kind == "datetime":
            values = tuple(self.dates.ranges(operator, values))
        return Test(path, kind, operator, values, types, test.ignore_case, complement, EPOCH_UNITS.get(type_ or "", 0))


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
