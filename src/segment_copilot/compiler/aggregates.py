"""What is asked of the rows of one user, as expressions inside a GROUP BY: two-valued, false where nothing matched.

An expression may look at some of the rows only: *guard* is then the condition of its aggregates, empty for all rows.
Long expressions of a row are named once per query, because the server reads every repetition.
"""

from __future__ import annotations

from typing import Final, assert_never

from segment_copilot.compiler.params import Params
from segment_copilot.compiler.predicates import Stored, render_anniversary, render_test, stored
from segment_copilot.compiler.slots import (
    AggregateSlot,
    Anniversaries,
    Comparison,
    CountSlot,
    OccurrenceSlot,
    PeriodsSlot,
    TimeSlot,
    to_microseconds,
)
from segment_copilot.compiler.tables import INSTANT
from segment_copilot.language.lengths import EARLIEST, LATEST

GroupedSlot = CountSlot | TimeSlot | AggregateSlot | OccurrenceSlot | PeriodsSlot

# Positive for every instant from 1900 on, so that the bytes sort as the instants do.
MICROSECONDS: Final = "(toUnixTimestamp64Micro(occurred_at) + 2208988800000001)"
TIME_AND_ID: Final = f"concat(reverse(reinterpretAsFixedString(toUInt64({MICROSECONDS}))), event_id)"
"""Orders the events of a user, and the values of a trait: by time, then by the bytes of the id."""

_SYMBOLS: Final = {"eq": "=", "neq": "!=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_LARGEST_EXACT: Final = "9000000000000"  # beyond ±9 × 10^12 a number is missing to sum and avg
_BITS: Final = 64


class Aggregates:
    """Writes the expressions of one SELECT and collects the names they use."""

    def __init__(self, params: Params) -> None:
        self._params = params
        self._named: dict[str, str] = {}
        self._stored: dict[tuple[str, ...], Stored] = {}

    @property
    def prefix(self) -> str:
        """WITH …, for the names that were used; empty when there are none."""
        named = [f"{expression} AS {name}" for expression, name in self._named.items()]
        return f"WITH {', '.join(named)}\n" if named else ""

    def holds(self, slot: GroupedSlot, guard: str) -> str:
        """Whether the slot holds for the user."""
        match slot:
            case CountSlot():
                return self.compare(_aggregate("count", "", guard), slot.comparison, "UInt64")
            case TimeSlot():
                return self._when(slot, guard)
            case AggregateSlot():
                return self._of_values(slot, guard)
            case OccurrenceSlot():
                return self._occurrence(slot, guard)
            case PeriodsSlot():
                return self.compare(self._active_periods(slot, guard), slot.comparison, "UInt64")
            case _:
                assert_never(slot)

    def measured(self, slot: GroupedSlot) -> str:
        """What was measured, as JSON text; of a time, the microseconds since 1970."""
        match slot:
            case CountSlot():
                return "toString(count())"
            case TimeSlot():
                return (
                    f"toString(toUnixTimestamp64Micro({'min' if slot.occurrence == 'first' else 'max'}(occurred_at)))"
                )
            case PeriodsSlot():
                return f"toString({self._active_periods(slot, '')})"
            case OccurrenceSlot(occurrence="latest" | "first"):
                function = "argMax" if slot.occurrence == "latest" else "argMin"
                value = f"ifNull(toJSONString({self._value(slot.test.path).json}), 'null')"
                return f"{function}({value}, {self._name('time_and_id', TIME_AND_ID)})"
            case OccurrenceSlot():
                return f"toString(countIf({render_test('payload', slot.test, self._params)}))"
            case AggregateSlot():
                return self._measured_values(slot)

    def _measured_values(self, slot: AggregateSlot) -> str:
        value = self._value(slot.path)
        if slot.metric == "count_distinct":
            scalar = self._name("scalar", _scalar(value))
            return f"toString(uniqExactIf({scalar}, {scalar} != ''))"
        if slot.metric in {"min", "max"}:
            return f"ifNull(toString({slot.metric}OrNull({self._name('number', value.number)})), 'null')"
        millionths, is_summed = self._summed(value)
        match slot.metric:
            case "sum":
                whole = f"sum({millionths})"
            case "avg":
                whole = f"sum({millionths}) / countIf({is_summed})"
            case _:
                ordered = f"arraySort(groupArrayIf({millionths}, {is_summed}))"
                whole = (
                    f"({ordered}[intDiv(length({ordered}) + 1, 2)] + {ordered}[intDiv(length({ordered}), 2) + 1]) / 2"
                )
        found = "1" if slot.metric == "sum" else f"countIf({is_summed}) > 0"
        return f"if({found}, toString(toFloat64({whole}) / 1000000), 'null')"

    def _value(self, path: tuple[str, ...]) -> Stored:
        if path not in self._stored:
            self._stored[path] = stored("payload", path, self._params)
        return self._stored[path]

    def _name(self, kind: str, expression: str) -> str:
        return self._named.setdefault(expression, f"{kind}_{len(self._named)}")

    def compare(self, subject: str, comparison: Comparison, type_: str) -> str:
        """Whether a number passes."""
        convert = float if type_ == "Float64" else int
        low = self._params.bind(convert(comparison.low), type_)
        if comparison.high is None:
            return f"({subject} {_SYMBOLS[comparison.operator]} {low})"
        between = "NOT BETWEEN" if comparison.operator == "not_between" else "BETWEEN"
        return f"({subject} {between} {low} AND {self._params.bind(convert(comparison.high), type_)})"

    # Time

    def _when(self, slot: TimeSlot, guard: str) -> str:
        instant = _aggregate("min" if slot.occurrence == "first" else "max", "occurred_at", guard)
        if isinstance(slot.when, Anniversaries):
            tests = [render_anniversary(instant, slot.when, self._params)]
        else:
            tests = [self._within(instant, item.earliest, item.latest) for item in slot.when]
        found = f"countIf({guard}) > 0 AND " if guard else ""  # of no rows min and max are 1970
        return f"({found}({' OR '.join(tests)}))"

    def _within(self, subject: str, earliest: object, latest: object) -> str:
        tests = list[str]()
        if earliest is not None and earliest != EARLIEST:
            tests.append(f"{subject} >= {self._params.bind(earliest, INSTANT)}")
        if latest is not None and latest != LATEST:
            tests.append(f"{subject} <= {self._params.bind(latest, INSTANT)}")
        return f"({' AND '.join(tests) or '1'})"

    def period(self, slot: PeriodsSlot) -> str:
        """The period of an event, as its start: the greatest start that is not later."""
        return f"roundDown(toUnixTimestamp64Micro(occurred_at), {self._starts(slot)})"

    def _starts(self, slot: PeriodsSlot) -> str:
        return self._params.bind([to_microseconds(start) for start in slot.starts], "Array(Int64)")

    def _active_periods(self, slot: PeriodsSlot, guard: str) -> str:
        """How many periods hold an event: a bit for each where a word has room for them."""
        count = len(slot.starts)
        if count > _BITS:
            return _aggregate("uniqExact", self.period(slot), guard)
        bits = self._params.bind([1 << index for index in range(count)], "Array(UInt64)")
        bit = f"transform({self.period(slot)}, {self._starts(slot)}, {bits}, toUInt64(0))"
        return f"bitCount({_aggregate('groupBitOr', bit, guard)})"

    # Values of a property

    def _occurrence(self, slot: OccurrenceSlot, guard: str) -> str:
        test = render_test("payload", slot.test, self._params)
        match slot.occurrence:
            case "any":
                return f"({_aggregate('count', '', _both(guard, test))} > 0)"
            case "every":
                found = f"countIf({guard}) > 0 AND " if guard else ""
                return f"({found}countIf({_both(guard, f'NOT {test}')}) = 0)"
            case "latest" | "first":
                function = "argMax" if slot.occurrence == "latest" else "argMin"
                order = self._name("time_and_id", TIME_AND_ID)
                return f"{_aggregate(function, f'{test}, {order}', guard)}"

    def _of_values(self, slot: AggregateSlot, guard: str) -> str:
        value = self._value(slot.path)
        match slot.metric:
            case "sum":
                millionths, _ = self._summed(value)
                return self.compare(_aggregate("sum", millionths, guard), slot.comparison, "Int128")
            case "avg":
                return self._average(value, slot.comparison, guard)
            case "median":
                return self._median(value, slot.comparison, guard)
            case "min" | "max" as metric:
                number = self._name("number", value.number)
                found = _aggregate(f"{metric}OrNull", number, guard)
                return f"ifNull({self.compare(found, slot.comparison, 'Float64')}, 0)"
            case "count_distinct":
                scalar = self._name("scalar", _scalar(value))
                distinct = _aggregate("uniqExact", scalar, _both(guard, f"{scalar} != ''"))
                return self.compare(f"toFloat64({distinct})", slot.comparison, "Float64")

    def _summed(self, value: Stored) -> tuple[str, str]:
        """A number as whole millionths, ties to even, 0 where none is summed; and whether one is.

        What is not summed becomes 0 before the conversion: behind a NULL there may be an infinity, which has no integer.
        """
        number = self._name("number", value.number)
        is_summed = f"ifNull(abs({number}) <= {_LARGEST_EXACT}, 0)"
        return f"toInt128(roundBankers(if({is_summed}, assumeNotNull({number}), 0) * 1000000))", is_summed

    def _average(self, value: Stored, comparison: Comparison, guard: str) -> str:
        """The sum against bound × count: nothing is divided."""
        millionths, is_summed = self._summed(value)
        total = f"toInt256({_aggregate('sum', millionths, guard)})"
        count = f"toInt256({_aggregate('count', '', _both(guard, is_summed))})"
        low = f"toInt256({self._params.bind(int(comparison.low), 'Int128')}) * {count}"
        if comparison.high is not None:
            high = f"toInt256({self._params.bind(int(comparison.high), 'Int128')}) * {count}"
            return f"({count} > 0 AND {total} BETWEEN {low} AND {high})"
        return f"({count} > 0 AND {total} {_SYMBOLS[comparison.operator]} {low})"

    def _median(self, value: Stored, comparison: Comparison, guard: str) -> str:
        """The two middle values added, against twice the bound."""
        millionths, is_summed = self._summed(value)
        ordered = f"arraySort({_aggregate('groupArray', millionths, _both(guard, is_summed))})"
        middle = f"{ordered}[intDiv(length({ordered}) + 1, 2)] + {ordered}[intDiv(length({ordered}), 2) + 1]"
        doubled = Comparison(
            comparison.operator, comparison.low * 2, None if comparison.high is None else comparison.high * 2
        )
        return f"(notEmpty({ordered}) AND {self.compare(f'({middle})', doubled, 'Int128')})"


def _aggregate(function: str, arguments: str, guard: str) -> str:
    """The aggregate over the rows of the guard."""
    if not guard:
        return f"{function}({arguments})"
    return f"{function}If({', '.join(filter(None, (arguments, guard)))})"


def _both(guard: str, condition: str) -> str:
    return f"{guard} AND {condition}" if guard else condition


def _scalar(value: Stored) -> str:
    """A scalar as text that starts with its type, so that 1 and 1.0 are one and "1" is another; '' for anything else."""
    path = f"{value.column}.{value.path}"
    number = f"coalesce({path}.:Float64, toFloat64({path}.:Int64), toFloat64({path}.:UInt64)) + 0"  # -0.0 + 0 is 0
    return (
        f"multiIf({value.string} IS NOT NULL, concat('s', assumeNotNull({value.string})), "
        f"{value.boolean} IS NOT NULL, concat('b', toString(assumeNotNull({value.boolean}))), "
        f"{number} IS NOT NULL, concat('n', toString(assumeNotNull({number}))), '')"
    )
