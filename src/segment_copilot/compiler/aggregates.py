"""Writes what a slot asks of one user's rows, inside a GROUP BY: two-valued, false where nothing matched.

An expression may look at some of the rows only: *guard* is then the condition of its aggregates, None for all rows.
Long expressions of a row are `named`; the SELECT that holds the expressions is to be put through `with_named`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final, LiteralString, assert_never

from segment_copilot.compiler.amounts import Guard, aggregate, number_of, scalar_of, summed, with_guard
from segment_copilot.compiler.fragments import Fragment, bind, group, join, named, sql
from segment_copilot.compiler.measures import render_compared, render_measures
from segment_copilot.compiler.predicates import render_anniversary, render_test, render_tested
from segment_copilot.compiler.slots import (
    AggregateSlot,
    Anniversaries,
    CompareSlot,
    Comparison,
    CountSlot,
    OccurrenceSlot,
    PeriodsSlot,
    Range,
    Test,
    TimeSlot,
)
from segment_copilot.compiler.tables import INSTANT
from segment_copilot.language.lengths import EARLIEST, LATEST, to_microseconds
from segment_copilot.language.nodes import NumberOperator

GroupedSlot = CountSlot | TimeSlot | AggregateSlot | OccurrenceSlot | PeriodsSlot | CompareSlot

# Positive for every instant from 1900 on, so that the bytes sort as the instants do.
MICROSECONDS: Final = "(toUnixTimestamp64Micro(occurred_at) + 2208988800000001)"
TIME_AND_ID: Final[LiteralString] = f"concat(reverse(reinterpretAsFixedString(toUInt64({MICROSECONDS}))), event_id)"
"""Orders the events of a user, and the values of a trait: by time, then by the bytes of the id."""

NO_ROW: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""What `max` and `min` make of no rows."""

_BITS: Final = 64

COMPARISONS: Final[dict[NumberOperator, LiteralString]] = {
    "eq": "{subject} = {low}",
    "neq": "{subject} != {low}",
    "gt": "{subject} > {low}",
    "gte": "{subject} >= {low}",
    "lt": "{subject} < {low}",
    "lte": "{subject} <= {low}",
    "between": "{subject} BETWEEN {low} AND {high}",
    "not_between": "{subject} NOT BETWEEN {low} AND {high}",
}


def render_holds(slot: GroupedSlot, guard: Guard, tests: Sequence[Test] = ()) -> Fragment:
    """Write whether the slot holds for the user; *tests* are those that several slots make of the row that it tests."""
    match slot:
        case CountSlot():
            return render_comparison(aggregate("count", guard), slot.comparison, "UInt64")
        case TimeSlot():
            return _when(slot, guard)
        case AggregateSlot():
            return _metric_holds(slot, guard)
        case OccurrenceSlot():
            return _occurrence(slot, guard, tests)
        case PeriodsSlot():
            return render_comparison(_active_periods(slot, guard), slot.comparison, "UInt64")
        case CompareSlot():
            return render_compared(slot, guard)
        case _:
            assert_never(slot)


def render_measured(slot: GroupedSlot) -> Fragment:
    """Write the measured value, as JSON text; of a time, the microseconds since 1970."""
    match slot:
        case CountSlot():
            return sql("toString(count())")
        case TimeSlot():
            return sql("toString(toUnixTimestamp64Micro({}))", _instant(slot, None))
        case PeriodsSlot():
            return sql("toString({})", _active_periods(slot, None))
        case OccurrenceSlot(occurrence="latest" | "first"):
            return _at_end(slot, render_tested("payload", slot.test), None)
        case OccurrenceSlot():
            return sql("toString(countIf({}))", render_test("payload", slot.test))
        case AggregateSlot():
            return _metric_measured(slot)
        case CompareSlot():
            return render_measures(slot)
        case _:
            assert_never(slot)


def render_comparison(subject: Fragment, comparison: Comparison, type_: LiteralString) -> Fragment:
    """Write whether a number passes."""
    convert = float if type_ == "Float64" else int
    return sql("({})", _compare(subject, comparison, lambda end: bind(convert(end), type_)))


def _compare(subject: Fragment, comparison: Comparison, write: Callable[[float], Fragment]) -> Fragment:
    ends = {"low": comparison.low} if comparison.high is None else {"low": comparison.low, "high": comparison.high}
    written = {name: write(end) for name, end in ends.items()}
    return sql(COMPARISONS[comparison.operator], subject=subject, **written)


def _any_row(guard: Guard, test: Fragment) -> Fragment:
    """Write the test, where the guard has a row at all."""
    return test if guard is None else sql("{} > 0 AND {}", aggregate("count", guard), test)


# Time


def render_any_row(guard: Guard) -> Fragment:
    """Write whether there is a row."""
    return sql("({} > 0)", aggregate("count", guard))


def render_last_since(since: datetime, guard: Guard) -> Fragment:
    """Write whether the last row is not before an instant, which is after `NO_ROW`; false without any row."""
    return sql("({} >= {})", aggregate("max", guard, sql("occurred_at")), bind(since, INSTANT))


def _instant(slot: TimeSlot, guard: Guard) -> Fragment:
    return aggregate("min" if slot.occurrence == "first" else "max", guard, sql("occurred_at"))


def _when(slot: TimeSlot, guard: Guard) -> Fragment:
    instant = _instant(slot, guard)
    if isinstance(slot.when, Anniversaries):
        tests = [render_anniversary(instant, slot.when)]
    else:
        tests = [_within(instant, wanted) for wanted in slot.when]
    return sql("({})", _any_row(guard, group("OR", tests)))  # of no rows min and max are 1970


def _within(subject: Fragment, wanted: Range) -> Fragment:
    tests = list[Fragment]()
    if wanted.earliest is not None and wanted.earliest != EARLIEST:
        tests.append(sql("{} >= {}", subject, bind(wanted.earliest, INSTANT)))
    if wanted.latest is not None and wanted.latest != LATEST:
        tests.append(sql("{} <= {}", subject, bind(wanted.latest, INSTANT)))
    return group("AND", tests or [sql("1")])


def render_period(slot: PeriodsSlot) -> Fragment:
    """Write the period of an event, as its start: the greatest start that is not later."""
    return sql("roundDown(toUnixTimestamp64Micro(occurred_at), {})", _starts(slot))


def _starts(slot: PeriodsSlot) -> Fragment:
    return bind([to_microseconds(start) for start in slot.starts], "Array(Int64)")


def _active_periods(slot: PeriodsSlot, guard: Guard) -> Fragment:
    """Count the periods that hold an event: a bit for each where a word has room for them."""
    count = len(slot.starts)
    if count > _BITS:
        return aggregate("uniqExact", guard, render_period(slot))
    bits = bind([1 << index for index in range(count)], "Array(UInt64)")
    bit = sql("transform({}, {}, {}, toUInt64(0))", render_period(slot), _starts(slot), bits)
    return sql("bitCount({})", aggregate("groupBitOr", guard, bit))


# Values of a property


def _occurrence(slot: OccurrenceSlot, guard: Guard, tests: Sequence[Test]) -> Fragment:
    test = render_test("payload", slot.test)
    match slot.occurrence:
        case "any":
            return sql("({} > 0)", aggregate("count", with_guard(guard, test)))
        case "every":
            failed = with_guard(guard, sql("NOT {}", test))
            return sql("({})", _any_row(guard, sql("{} = 0", aggregate("count", failed))))
        case "latest" | "first":
            return _at_end(slot, test, guard) if len(tests) <= 1 else _one_of(tests, slot, guard)


def _one_of(tests: Sequence[Test], slot: OccurrenceSlot, guard: Guard) -> Fragment:
    """Write the slot's test as one of several of the same event, which is found once for all of them: a bit for each."""
    place = tests.index(slot.test)
    some = tests[place - place % _BITS :][:_BITS]
    bits = [sql("if({}, {}, 0)", render_test("payload", test), 1 << bit) for bit, test in enumerate(some)]
    found = _at_end(slot, sql("toUInt64({})", join(" + ", bits)), guard)
    return sql("bitTest({}, {})", found, place % _BITS)


def _at_end(slot: OccurrenceSlot, expression: Fragment, guard: Guard) -> Fragment:
    """The expression for the latest, or the first, event."""
    function = "argMax" if slot.occurrence == "latest" else "argMin"
    return aggregate(function, guard, expression, named("time_and_id", (), sql(TIME_AND_ID)))


def _metric_holds(slot: AggregateSlot, guard: Guard) -> Fragment:
    match slot.metric:
        case "sum":
            millionths, _ = summed(slot.path)
            return render_comparison(aggregate("sum", guard, millionths), slot.comparison, "Int128")
        case "avg":
            return _average(slot, guard)
        case "median":
            return _median(slot, guard)
        case "min" | "max":
            return sql("ifNull({}, 0)", render_comparison(_extreme(slot, guard), slot.comparison, "Float64"))
        case "count_distinct":
            return render_comparison(sql("toFloat64({})", _distinct(slot, guard)), slot.comparison, "Float64")


def _metric_measured(slot: AggregateSlot) -> Fragment:
    match slot.metric:
        case "sum":
            millionths, _ = summed(slot.path)
            whole, found = sql("sum({})", millionths), sql("1")
        case "avg":
            millionths, is_summed = summed(slot.path)
            whole = sql("sum({}) / countIf({})", millionths, is_summed)
            found = sql("countIf({}) > 0", is_summed)
        case "median":
            _, is_summed = summed(slot.path)
            whole, found = sql("({}) / 2", _two_middle(_ordered(slot, None))), sql("countIf({}) > 0", is_summed)
        case "min" | "max":
            return sql("ifNull(toString({}), 'null')", _extreme(slot, None))
        case "count_distinct":
            return sql("toString({})", _distinct(slot, None))
    return sql("if({}, toString(toFloat64({}) / 1000000), 'null')", found, whole)


def _extreme(slot: AggregateSlot, guard: Guard) -> Fragment:
    return aggregate("minOrNull" if slot.metric == "min" else "maxOrNull", guard, number_of(slot.path))


def _distinct(slot: AggregateSlot, guard: Guard) -> Fragment:
    scalar = scalar_of(slot.path)
    return aggregate("uniqExact", with_guard(guard, sql("{} != ''", scalar)), scalar)


def _average(slot: AggregateSlot, guard: Guard) -> Fragment:
    """Compare the sum with bound × count: nothing is divided."""
    millionths, is_summed = summed(slot.path)
    total = sql("toInt256({})", aggregate("sum", guard, millionths))
    count = sql("toInt256({})", aggregate("count", with_guard(guard, is_summed)))
    test = _compare(total, slot.comparison, lambda end: sql("toInt256({}) * {}", bind(int(end), "Int128"), count))
    return sql("({} > 0 AND {})", count, test)


def _median(slot: AggregateSlot, guard: Guard) -> Fragment:
    """Compare the two middle values, added, with twice the bound."""
    ordered = _ordered(slot, guard)
    middle = sql("({})", _two_middle(ordered))
    test = _compare(middle, slot.comparison, lambda end: bind(int(end * 2), "Int128"))
    return sql("(notEmpty({}) AND ({}))", ordered, test)


def _ordered(slot: AggregateSlot, guard: Guard) -> Fragment:
    millionths, is_summed = summed(slot.path)
    return sql("arraySort({})", aggregate("groupArray", with_guard(guard, is_summed), millionths))


def _two_middle(ordered: Fragment) -> Fragment:
    return sql("{a}[intDiv(length({a}) + 1, 2)] + {a}[intDiv(length({a}), 2) + 1]", a=ordered)
