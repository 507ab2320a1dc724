"""Plans and writes measures, numbers made of a user's events, and how one compares with another: exactly, nothing is divided.

Numbers are whole: events, days and different values as they are counted, all others in millionths. An average is a sum
beside the number of its values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import gcd
from typing import Final, assert_never, cast

from msgspec import UNSET, Struct

from segment_copilot.compiler.amounts import Guard, aggregate, scalar_of, summed, with_guard
from segment_copilot.compiler.fragments import Fragment, bind, group, join, sql
from segment_copilot.compiler.predicates import render_filter
from segment_copilot.compiler.slots import CompareSlot, Matching, Measured
from segment_copilot.compiler.tables import hull, in_range, of_types
from segment_copilot.language import Measure, MeasureCompare
from segment_copilot.language.catalog import IDENTIFY
from segment_copilot.language.measure_checks import FACTOR_DECIMALS
from segment_copilot.language.nodes import MeasureOperator
from segment_copilot.language.operators import OPPOSITE_NUMBER, POSITIVE_OF, holds
from segment_copilot.language.paths import parse_path
from segment_copilot.language.value_types import as_decimals

MILLION: Final = 10**FACTOR_DECIMALS
NEVER_MISSING: Final = frozenset({"count", "sum", "count_distinct", "days_active"})
"""The measures that are 0 where nothing happened."""

_IN_MILLIONTHS: Final = frozenset({"sum", "avg", "min", "max"})
_SIGNS: Final[dict[MeasureOperator, Fragment]] = {
    "eq": Fragment("="),
    "neq": Fragment("!="),
    "gt": Fragment(">"),
    "gte": Fragment(">="),
    "lt": Fragment("<"),
    "lte": Fragment("<="),
}


def plan_measure(measure: Measure, matching: Matching, *, zone: str) -> Measured:
    """Return what a measure of these events asks."""
    path = () if measure.property is UNSET else parse_path(measure.property)
    return Measured(measure.measure, matching, path, zone if measure.measure == "days_active" else "")


def plan_compared(leaf: MeasureCompare, plan: Callable[[Measure], Measured]) -> tuple[CompareSlot, bool]:
    """Return the slot of users of whom something is known, and whether their complement is meant."""
    operator = cast("MeasureOperator", POSITIVE_OF.get(leaf.operator, leaf.operator))
    complement = operator != leaf.operator
    left, right = plan(leaf.left), plan(leaf.right)
    if {left.metric, right.metric} <= NEVER_MISSING and holds(operator, 0, 0):  # true when nothing happened
        operator, complement = cast("MeasureOperator", OPPOSITE_NUMBER[operator]), not complement
    return CompareSlot(left, operator, right, as_decimals(leaf.factor, FACTOR_DECIMALS) or 0), complement


# What one user's rows come to, inside a GROUP BY


class _Amount(Struct, frozen=True):
    """Holds a number, over *count* where it is an average; None where it is none. *is_there* is None where it always is."""

    number: Fragment
    count: Fragment | None = None
    is_there: Fragment | None = None


def render_compared(slot: CompareSlot, guard: Guard) -> Fragment:
    """Write whether the measures of a user compare so; false where one of them is missing."""
    left, right = (_amount(one, _rows_of(one, slot, guard)) for one in (slot.left, slot.right))
    part = gcd(slot.factor, MILLION)
    of_left = [*_unit(slot.left, slot.right), MILLION // part, right.count]
    of_right = [*_unit(slot.right, slot.left), slot.factor // part, left.count]
    is_plain = all(one is None or one == 1 for one in (*of_left, *of_right))
    sides = (left.number, right.number) if is_plain else (_times(left.number, of_left), _times(right.number, of_right))
    tests = [one.is_there for one in (left, right) if one.is_there is not None]
    return group("AND", [*tests, sql("{} {} {}", sides[0], _SIGNS[slot.operator], sides[1])])


def render_measures(slot: CompareSlot) -> Fragment:
    """Write both measures of a user, as JSON text; null for one that is missing."""
    told = [_as_json(one, _amount(one, _rows_of(one, slot, None))) for one in (slot.left, slot.right)]
    return sql("concat('{{\"left\": ', {}, ', \"right\": ', {}, '}}')", *told)


def _as_json(measured: Measured, amount: _Amount) -> Fragment:
    number = amount.number
    if measured.metric in _IN_MILLIONTHS:
        number = sql("toFloat64({}) / 1000000", number)
    if amount.count is not None:
        number = sql("{} / {}", number, amount.count)
    text = sql("toString({})", number)
    return text if amount.is_there is None else sql("if({}, {}, 'null')", amount.is_there, text)


def _unit(one: Measured, other: Measured) -> list[int]:
    """Return what brings a count into the unit of a number in millionths."""
    return [MILLION] if one.metric not in _IN_MILLIONTHS and other.metric in _IN_MILLIONTHS else []


def _times(number: Fragment, factors: Sequence[int | Fragment | None]) -> Fragment:
    """Write a product of 256 bits: of what there can be, none is larger."""
    product = [sql("toInt256({})", number)]
    for factor in factors:
        if isinstance(factor, Fragment):
            product.append(sql("toInt256({})", factor))
        elif factor is not None and factor != 1:
            product.append(sql("toInt256({})", bind(factor, "Int128")))
    return join(" * ", product)


def _amount(measured: Measured, guard: Guard) -> _Amount:
    match measured.metric:
        case "count":
            return _Amount(aggregate("count", guard))
        case "days_active":
            return _Amount(aggregate("uniqExact", guard, local_day(measured)))
        case "count_distinct":
            scalar = scalar_of(measured.path)
            return _Amount(aggregate("uniqExact", with_guard(guard, sql("{} != ''", scalar)), scalar))
        case "sum":
            return _Amount(aggregate("sum", guard, summed(measured.path)[0]))
        case "avg":
            millionths, is_summed = summed(measured.path)
            count = aggregate("count", with_guard(guard, is_summed))
            return _Amount(aggregate("sum", guard, millionths), count, sql("{} > 0", count))
        case "min" | "max":
            millionths, is_summed = summed(measured.path)
            some = with_guard(guard, is_summed)
            extreme = aggregate("min" if measured.metric == "min" else "max", some, millionths)
            return _Amount(extreme, None, sql("{} > 0", aggregate("count", some)))
        case _:
            assert_never(measured.metric)


def rows_of_both(slot: CompareSlot) -> Matching:
    """Return the events that any of the two measures may look at; where one looks at identifies, and the other at any event, these too."""
    left, right = slot.left.matching, slot.right.matching
    names = left.event_types
    if names != right.event_types:
        is_any = names is None or right.event_types is None
        names = None if is_any else tuple(sorted({*(names or ()), *(right.event_types or ())}))
    return Matching(names, left.filter if left.filter == right.filter else None, hull((left.range, right.range)))


def looks_at_everything(slot: CompareSlot) -> bool:
    """Return whether one of the measures looks at any event, and the other at identifies, which are none."""
    names = [slot.left.matching.event_types, slot.right.matching.event_types]
    return None in names and any(IDENTIFY in one for one in names if one)


def local_day(measured: Measured) -> Fragment:
    """Write the day on which an event happened, by the clock of the measure's zone."""
    return sql("toDate32(occurred_at, {})", bind(measured.zone, "String"))


def _rows_of(measured: Measured, slot: CompareSlot, guard: Guard) -> Guard:
    """Write the condition of the events that one of two measures looks at, among those that are read for both."""
    matching, tests = measured.matching, [] if guard is None else [guard]
    if slot.left.matching.event_types != slot.right.matching.event_types:
        tests.append(of_types(matching.event_types))
    if slot.left.matching.range != slot.right.matching.range:
        tests += in_range(matching.range)
    if matching.filter is not None and slot.left.matching.filter != slot.right.matching.filter:
        tests.append(render_filter("payload", matching.filter))
    return join(" AND ", tests) if tests else None


def counts_in_any(slot: CompareSlot) -> Fragment:
    """Write whether an event that is read is one that any of the measures looks at."""
    guards = [_rows_of(one, slot, None) for one in (slot.left, slot.right)]
    return group("OR", [sql("1") if guard is None else sql("({})", guard) for guard in guards])
