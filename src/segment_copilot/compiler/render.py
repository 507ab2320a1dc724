"""Plan → SQL text and parameters: the only place where the text of a compiled definition is made.

The shape is one scan of the universe with an `IN` subquery per leaf. Every table is read through `_from_events`,
`_from_traits` or `_from_users`, which write the tenant predicate: a query without one cannot be built.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from textwrap import indent
from typing import Any, Final, assert_never
from uuid import UUID

from msgspec import Struct

from segment_copilot.catalog import IDENTIFY
from segment_copilot.compiler.params import Params
from segment_copilot.compiler.predicates import Stored, render_anniversary, render_filter, render_test, stored
from segment_copilot.compiler.slots import (
    AggregateSlot,
    Anniversaries,
    Branch,
    Choice,
    Comparison,
    CountSlot,
    Matching,
    MembersSlot,
    Node,
    OccurrenceSlot,
    PeriodsSlot,
    Plan,
    Range,
    SampleSlot,
    SequenceSlot,
    Slot,
    TimeSlot,
    TraitSlot,
    leaves,
)

INSTANT: Final = "DateTime64(6, 'UTC')"
_SYMBOLS: Final = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_LARGEST_EXACT: Final = "9000000000000"  # beyond ±9 × 10^12 a number is missing to sum and avg
_INSTANT: Final = "(toUnixTimestamp64Micro(occurred_at) + 2208988800000001)"  # from 1900; no instant is 0
_BLOCKER: Final = 15
_IS_SUMMED: Final = f"ifNull(abs(value) <= {_LARGEST_EXACT}, 0)"  # a number, and not one beyond ±9 × 10^12
# A number as whole millionths, ties to even; 0 where none is summed. What is not summed becomes 0 before the
# conversion: behind a NULL there may be an infinity, which has no integer.
_MILLIONTHS: Final = f"toInt128(roundBankers(if({_IS_SUMMED}, assumeNotNull(value), 0) * 1000000))"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class CompiledQuery(Struct, frozen=True):
    """SQL with typed placeholders, and their values. The text may be logged; the values may not."""

    sql: str
    params: dict[str, Any]


def render_members(plan: Plan) -> CompiledQuery:
    """`user_key, user_id` of every member."""
    rendering = _Rendering(plan)
    predicate = rendering.predicate(plan.root)
    return rendering.query(f"SELECT user_key, user_id\n{rendering.from_users()}\n  AND {predicate}")


def render_preview(plan: Plan, *, sample: int, breakdown: bool) -> CompiledQuery:
    """One row: `universe`, `matched_users`, `sample_user_ids` (the first by id), and per leaf `leaf_0`, `leaf_1`, …."""
    rendering = _Rendering(plan)
    columns = [
        "count() AS universe",
        f"countIf({rendering.predicate(plan.root)} AS is_member) AS matched_users",
        _sample(rendering, sample),
    ]
    if breakdown:
        for index, leaf in enumerate(leaves(plan.root)):
            columns.append(f"countIf({rendering.predicate(leaf)}) AS leaf_{index}")
    listed = ",\n".join(columns)
    return rendering.query(f"SELECT\n{indent(listed, '  ')}\n{rendering.from_users()}")


def render_membership_insert(plan: Plan, *, segment_id: int, run_id: UUID) -> CompiledQuery:
    """Write the members of one run; they never pass through Python."""
    rendering = _Rendering(plan)
    predicate = rendering.predicate(plan.root)
    segment = rendering.params.name("segment", segment_id, "UInt64")
    run = rendering.params.name("run", run_id, "UUID")
    return rendering.query(
        "INSERT INTO memberships (tenant_id, segment_id, run_id, user_id, user_key)\n"
        f"SELECT {rendering.tenant}, {segment}, {run}, user_id, user_key\n{rendering.from_users()}\n  AND {predicate}"
    )


def render_is_member(plan: Plan, *, user_id: str) -> CompiledQuery:
    """One row with 1 when the user is in the universe and matches; no row otherwise."""
    rendering = _Rendering(plan)
    user = rendering.params.name("user", user_id, "String")
    predicate = rendering.predicate(plan.root)
    return rendering.query(
        f"SELECT 1\n{rendering.from_users()}\n  AND user_key = sipHash64({user}) AND user_id = {user}\n  AND {predicate}"
    )


def _sample(rendering: _Rendering, limit: int) -> str:
    if limit == 0:
        return "emptyArrayString() AS sample_user_ids"
    return (
        f"groupArraySortedIf({rendering.params.name('limit', limit, 'UInt16')})(user_id, is_member) AS sample_user_ids"
    )


class _Rendering:
    """One query being written."""

    def __init__(self, plan: Plan) -> None:
        self.params = Params()
        self.tenant = self.params.name("tenant", plan.tenant_id, "UInt32")
        self.as_of = self.params.name("as_of", plan.as_of, INSTANT)

    def query(self, sql: str) -> CompiledQuery:
        return CompiledQuery(sql, self.params.values)

    # The three tables

    def from_users(self) -> str:
        return f"FROM users FINAL\nWHERE tenant_id = {self.tenant} AND first_seen <= {self.as_of}"

    def from_events(self, matching: Matching) -> str:
        tests = [f"tenant_id = {self.tenant}", self._is_type(matching), *self._in_range("occurred_at", matching.range)]
        if matching.filter:
            tests.append(render_filter("payload", matching.filter, self.params))
        return "FROM events\nWHERE " + "\n  AND ".join(tests)

    def from_traits(self, slot: TraitSlot) -> str:
        name = self.params.bind(slot.property, "String")
        return f"FROM traits\nWHERE tenant_id = {self.tenant} AND property = {name} AND occurred_at <= {self.as_of}"

    # The tree

    def predicate(self, node: Node) -> str:
        """One parenthesised expression over a row of users."""
        if isinstance(node, Choice):
            operator = "NOT IN" if node.complement else "IN"
            return f"(user_key {operator} (\n{indent(self.slot(node.slot), '    ')}\n  ))"
        return self._branch(node)

    def _branch(self, branch: Branch) -> str:
        inside = f" {branch.logic} ".join(self.predicate(child) for child in branch.children)
        return f"(NOT ({inside}))" if branch.complement else f"({inside})"

    def slot(self, slot: Slot) -> str:
        """`SELECT user_key …` of the users in the slot."""
        match slot:
            case CountSlot():
                return self._grouped(slot.matching, _turned(self._compare("count()", slot.comparison, "UInt64"), slot))
            case TimeSlot():
                return self._grouped(slot.matching, self._when(slot))
            case AggregateSlot():
                return self._aggregated(slot)
            case OccurrenceSlot():
                return self._grouped(slot.matching, self._occurrence(slot))
            case PeriodsSlot():
                return self._periods(slot)
            case TraitSlot():
                test = render_test("value", slot.test, self.params)
                return _select(self.from_traits(slot), f"argMax({test}, (occurred_at, event_id))")
            case SequenceSlot():
                return self._sequence(slot)
            case SampleSlot():
                return self._sample(slot)
            case MembersSlot():
                return f"SELECT user_key\n{self.from_users()}\n  AND {self.predicate(slot.root)}"
            case _:
                assert_never(slot)

    def _grouped(self, matching: Matching, having: str) -> str:
        return _select(self.from_events(matching), having)

    def _when(self, slot: TimeSlot) -> str:
        instant = "min(occurred_at)" if slot.occurrence == "first" else "max(occurred_at)"
        if isinstance(slot.when, Anniversaries):
            return render_anniversary(instant, slot.when, self.params)
        return " OR ".join(f"({' AND '.join(self._in_range(instant, item))})" for item in slot.when)

    def _periods(self, slot: PeriodsSlot) -> str:
        """Each event's period is the greatest start that is not later; the starts are sorted."""
        starts = self.params.bind([_to_microseconds(start) for start in slot.starts], "Array(Int64)")
        period = f"roundDown(toUnixTimestamp64Micro(occurred_at), {starts})"
        events = self.from_events(slot.matching)
        least = self.params.bind(slot.min_per_period, "UInt64")
        active = f"SELECT user_key\n{events}\nGROUP BY user_key, {period}\nHAVING count() >= {least}"
        tested = _turned(self._compare("count()", slot.comparison, "UInt64"), slot)
        return f"SELECT user_key FROM (\n{indent(active, '  ')}\n)\nGROUP BY user_key\nHAVING {tested}"

    def _sample(self, slot: SampleSlot) -> str:
        salt = self.params.bind(slot.salt, "String")
        hashed = f"reinterpretAsUInt64(reverse(substring(SHA256(concat({salt}, '\\0', user_id)), 1, 8)))"
        low, high = self.params.bind(slot.low, "UInt64"), self.params.bind(slot.high, "UInt64")
        return f"SELECT user_key\n{self.from_users()}\n  AND {hashed} BETWEEN {low} AND {high}"

    # Parts of slots

    def _is_type(self, matching: Matching) -> str:
        names = matching.event_types
        if names is None:  # an identify is not an event for "*"
            return f"event_type != '{IDENTIFY}'"
        if len(names) == 1:
            return f"event_type = {self.params.bind(names[0], 'String')}"
        return f"event_type IN {self.params.bind(list(names), 'Array(String)')}"

    def _in_range(self, subject: str, wanted: Range) -> list[str]:
        tests = [f"{subject} <= {self.params.bind(wanted.latest, INSTANT)}"]
        if wanted.earliest is not None:
            tests.insert(0, f"{subject} >= {self.params.bind(wanted.earliest, INSTANT)}")
        return tests

    def _compare(self, subject: str, comparison: Comparison, type_: str) -> str:
        convert = float if type_ == "Float64" else int
        low = self.params.bind(convert(comparison.low), type_)
        if comparison.high is not None:
            return f"({subject} BETWEEN {low} AND {self.params.bind(convert(comparison.high), type_)})"
        return f"({subject} {_SYMBOLS[comparison.operator]} {low})"

    def _aggregated(self, slot: AggregateSlot) -> str:
        """The value is named once, because its expression is long and the planner reads every repetition."""
        value = stored("payload", slot.path, self.params)
        events = self.from_events(slot.matching)
        having = _turned(self._aggregate(slot), slot)
        read = _scalar(value) if slot.metric == "count_distinct" else value.number
        return f"WITH {read} AS value\n{_select(events, having)}"

    def _aggregate(self, slot: AggregateSlot) -> str:
        match slot.metric:
            case "sum":
                return self._compare(f"sum({_MILLIONTHS})", slot.comparison, "Int128")
            case "avg":
                return self._average(slot.comparison)
            case "median":
                return self._median(slot.comparison)
            case "min" | "max" as metric:
                return f"ifNull({self._compare(f'{metric}OrNull(value)', slot.comparison, 'Float64')}, 0)"
            case "count_distinct":
                return self._compare("toFloat64(uniqExactIf(value, value != ''))", slot.comparison, "Float64")

    def _average(self, comparison: Comparison) -> str:
        """The sum against bound × count: nothing is divided."""
        total, count = f"toInt256(sum({_MILLIONTHS}))", f"toInt256(countIf({_IS_SUMMED}))"
        low = f"toInt256({self.params.bind(int(comparison.low), 'Int128')}) * {count}"
        if comparison.high is not None:
            high = f"toInt256({self.params.bind(int(comparison.high), 'Int128')}) * {count}"
            return f"({count} > 0 AND {total} BETWEEN {low} AND {high})"
        return f"({count} > 0 AND {total} {_SYMBOLS[comparison.operator]} {low})"

    def _median(self, comparison: Comparison) -> str:
        """The two middle values added, against twice the bound."""
        ordered = f"arraySort(groupArrayIf({_MILLIONTHS}, {_IS_SUMMED}))"
        middle = f"{ordered}[intDiv(length({ordered}) + 1, 2)] + {ordered}[intDiv(length({ordered}), 2) + 1]"
        doubled = Comparison(
            comparison.operator, comparison.low * 2, None if comparison.high is None else comparison.high * 2
        )
        return f"(notEmpty({ordered}) AND {self._compare(f'({middle})', doubled, 'Int128')})"

    def _occurrence(self, slot: OccurrenceSlot) -> str:
        test = render_test("payload", slot.test, self.params)
        match slot.occurrence:
            case "latest":
                return f"argMax({test}, (occurred_at, event_id))"
            case "first":
                return f"argMin({test}, (occurred_at, event_id))"
            case "any":
                return f"max({test})"
            case "every":
                return f"min({test})"

    # Sequences: exact, and linear in one user's events (docs/decisions/0004-sequences.md)

    def _is(self, matching: Matching) -> str:
        tests = [self._is_type(matching)]
        if matching.filter:
            tests.append(render_filter("payload", matching.filter, self.params))
        return f"({' AND '.join(tests)})"

    def _sequence(self, slot: SequenceSlot) -> str:
        """Sort what happened to each user, then carry a chain of steps forward, step by step.

        A step is coded `time * 16 + (steps after it)`, so at equal times later steps sort first and see only what is
        strictly earlier; what may not stand between two steps is coded 15 and sorts last, for the same reason. Of all
        chains that reach a step, the one that reached it latest also began latest: carrying that one is enough.
        """
        count = len(slot.steps)
        steps = [self._is(step.matching) for step in slot.steps]
        kinds = [(count - 1 - index, step) for index, step in enumerate(steps)]
        if slot.blockers:
            kinds.append((_BLOCKER, f"({' OR '.join(self._is(blocker) for blocker in slot.blockers)})"))
        codes = ",\n".join(f"groupArrayIf({_INSTANT} * 16 + {code}, {test})" for code, test in kinds)
        columns = f"arraySort(arrayConcat(\n{indent(codes, '  ')}\n)) AS codes"
        if slot.blockers:
            blocked = f"arrayMap(code -> if(bitAnd(code, 15) = {_BLOCKER}, bitShiftRight(code, 4), 0), codes)"
            columns += f",\n  arrayFill(blocker -> blocker > 0, {blocked}) AS blockers"
        having = " AND ".join(f"countIf({step}) > 0" for step in steps)
        ordered = _select(self._read_by_sequence(slot), having, columns)
        return f"SELECT user_key FROM (\n{indent(ordered, '  ')}\n)\nWHERE {self._chained(slot)}"

    def _chained(self, slot: SequenceSlot) -> str:
        """Whether a chain of all steps exists. A chain is (when it began, when it reached its step)."""
        last = len(slot.steps) - 1
        arrays = "codes, blockers" if slot.blockers else "codes"
        names = "code, blocker" if slot.blockers else "code"
        first = f"if(bitAnd(code, 15) = {last}, (bitShiftRight(code, 4), bitShiftRight(code, 4)), (0, 0))"
        chains = f"arrayFill(chain -> chain.1 > 0, arrayMap(code -> {first}, codes))"
        for index, step in enumerate(slot.steps[1:], 1):
            tests = [f"bitAnd(code, 15) = {last - index}", "chain.1 > 0"]
            if step.within is not None:
                tests.append(f"bitShiftRight(code, 4) - chain.2 <= {self.params.bind(step.within, 'Int64')}")
            if slot.blockers:
                tests.append("blocker <= chain.2")
            if index == last:
                if slot.span is not None:
                    tests.append(f"bitShiftRight(code, 4) - chain.1 <= {self.params.bind(slot.span, 'Int64')}")
                return f"arrayExists(({names}, chain) -> {' AND '.join(tests)}, {arrays}, {chains})"
            kept = f"if({' AND '.join(tests)}, (chain.1, bitShiftRight(code, 4)), (0, 0))"
            chains = f"arrayFill(chain -> chain.1 > 0, arrayMap(({names}, chain) -> {kept}, {arrays}, {chains}))"
        raise AssertionError("a sequence has two steps or more")

    def _read_by_sequence(self, slot: SequenceSlot) -> str:
        """The types and instants that can matter; the steps themselves say which event is which."""
        matchings = [*(step.matching for step in slot.steps), *slot.blockers]
        named = {name for matching in matchings for name in matching.event_types or ()}
        tests = [f"tenant_id = {self.tenant}", *self._in_range("occurred_at", slot.steps[0].matching.range)]
        if all(matching.event_types is not None for matching in matchings):
            tests.append(f"event_type IN {self.params.bind(sorted(named), 'Array(String)')}")
        elif IDENTIFY not in named:
            tests.append(f"event_type != '{IDENTIFY}'")
        return "FROM events\nWHERE " + "\n  AND ".join(tests)


def _select(source: str, having: str, extra: str = "") -> str:
    columns = f"user_key, {extra}" if extra else "user_key"
    return f"SELECT {columns}\n{source}\nGROUP BY user_key\nHAVING {having}"


def _to_microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)


def _turned(having: str, slot: CountSlot | AggregateSlot | PeriodsSlot) -> str:
    return f"NOT {having}" if slot.complement else having


def _scalar(value: Stored) -> str:
    """A scalar as text that starts with its type, so that 1 and 1.0 are one and "1" is another; '' for anything else."""
    path = f"{value.column}.{value.path}"
    number = f"coalesce({path}.:Float64, toFloat64({path}.:Int64), toFloat64({path}.:UInt64)) + 0"  # -0.0 + 0 is 0
    return (
        f"multiIf({value.string} IS NOT NULL, concat('s', assumeNotNull({value.string})), "
        f"{value.boolean} IS NOT NULL, concat('b', toString(assumeNotNull({value.boolean}))), "
        f"{number} IS NOT NULL, concat('n', toString(assumeNotNull({number}))), '')"
    )
