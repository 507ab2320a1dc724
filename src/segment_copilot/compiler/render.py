"""Plan → SQL text and parameters: the only place where the text of a compiled definition is made.

The shape is one scan of the universe with an `IN` subquery per leaf. Every table is read through `_from_events`,
`_from_traits` or `_from_users`, which write the tenant predicate: a query without one cannot be built.
"""

from __future__ import annotations

from textwrap import indent
from typing import Any, Final, assert_never
from uuid import UUID

from msgspec import Struct

from segment_copilot.catalog import IDENTIFY
from segment_copilot.compiler.params import Params
from segment_copilot.compiler.plan import (
    AggregateSlot,
    Branch,
    Choice,
    Comparison,
    CountSlot,
    LastSlot,
    Matching,
    MembersSlot,
    Node,
    OccurrenceSlot,
    Plan,
    Range,
    SequenceSlot,
    Slot,
    TraitSlot,
    leaves,
)
from segment_copilot.compiler.predicates import Stored, render_filter, render_test, stored

INSTANT: Final = "DateTime64(6, 'UTC')"
_SYMBOLS: Final = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_LARGEST_EXACT: Final = "9000000000000"  # beyond ±9 × 10^12 a number is missing to sum and avg
_TO_1900: Final = "2208988800000001"  # microseconds from 1900 to 1970, and one so that no instant is 0


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
            case LastSlot():
                return self._grouped(slot.matching, " AND ".join(self._in_range("max(occurred_at)", slot.last)))
            case AggregateSlot():
                return self._grouped(slot.matching, _turned(self._aggregate(slot), slot))
            case OccurrenceSlot():
                return self._grouped(slot.matching, self._occurrence(slot))
            case TraitSlot():
                test = render_test("value", slot.test, self.params)
                return _select(self.from_traits(slot), f"argMax({test}, (occurred_at, event_id))")
            case SequenceSlot():
                return self._strict_sequence(slot) if slot.strict else self._sequence(slot)
            case MembersSlot():
                return f"SELECT user_key\n{self.from_users()}\n  AND {self.predicate(slot.root)}"
            case _:
                assert_never(slot)

    def _grouped(self, matching: Matching, having: str) -> str:
        return _select(self.from_events(matching), having)

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

    def _aggregate(self, slot: AggregateSlot) -> str:
        value = stored("payload", slot.path, self.params)
        match slot.metric:
            case "sum":
                return self._compare(f"sum({_millionths(value)})", slot.comparison, "Int128")
            case "avg":
                return self._average(value, slot.comparison)
            case "median":
                return self._median(value, slot.comparison)
            case "min" | "max" as metric:
                extreme = f"{metric}OrNull({value.number})"
                return f"ifNull({self._compare(extreme, slot.comparison, 'Float64')}, 0)"
            case "count_distinct":
                scalar = _scalar(value)
                return self._compare(f"toFloat64(uniqExactIf({scalar}, {scalar} != ''))", slot.comparison, "Float64")

    def _average(self, value: Stored, comparison: Comparison) -> str:
        """The sum against bound × count: nothing is divided."""
        total, count = f"toInt256(sum({_millionths(value)}))", f"toInt256(countIf({_is_summed(value)}))"
        low = f"toInt256({self.params.bind(int(comparison.low), 'Int128')}) * {count}"
        if comparison.high is not None:
            high = f"toInt256({self.params.bind(int(comparison.high), 'Int128')}) * {count}"
            return f"({count} > 0 AND {total} BETWEEN {low} AND {high})"
        return f"({count} > 0 AND {total} {_SYMBOLS[comparison.operator]} {low})"

    def _median(self, value: Stored, comparison: Comparison) -> str:
        """The two middle values added, against twice the bound."""
        ordered = f"arraySort(groupArrayIf({_millionths(value)}, {_is_summed(value)}))"
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

    def _step(self, step: Matching) -> str:
        tests = [self._is_type(step)]
        if step.filter:
            tests.append(render_filter("payload", step.filter, self.params))
        return f"({' AND '.join(tests)})"

    def _any_step(self, slot: SequenceSlot) -> str:
        """The types and instants that can matter; the steps themselves say which event is which."""
        named = {name for step in slot.steps for name in step.event_types or ()}
        tests = self._in_range("occurred_at", slot.steps[0].range)
        if all(step.event_types is not None for step in slot.steps):
            tests.append(f"event_type IN {self.params.bind(sorted(named), 'Array(String)')}")
        elif IDENTIFY not in named:
            tests.append(f"event_type != '{IDENTIFY}'")
        return " AND ".join(tests)

    def _sequence(self, slot: SequenceSlot) -> str:
        """Sort each user's steps in time, then carry the latest possible start forward, step by step.

        An event is coded `time * 16 + (steps after it)`, so at equal times later steps sort first and see only
        what is strictly earlier.
        """
        count = len(slot.steps)
        steps = [self._step(step) for step in slot.steps]
        codes = ",\n".join(
            f"groupArrayIf((toUnixTimestamp64Micro(occurred_at) + {_TO_1900}) * 16 + {count - 1 - index}, {step})"
            for index, step in enumerate(steps)
        )
        having = " AND ".join(f"countIf({step}) > 0" for step in steps)
        source = f"FROM events\nWHERE tenant_id = {self.tenant} AND {self._any_step(slot)}"
        ordered = _select(source, having, f"arraySort(arrayConcat(\n{indent(codes, '  ')}\n)) AS codes")
        starts = f"arrayFill(start -> start > 0, arrayMap(code -> if(bitAnd(code, 15) = {count - 1}, bitShiftRight(code, 4), 0), codes))"
        for after in range(count - 2, 0, -1):
            kept = f"arrayMap((code, start) -> if(bitAnd(code, 15) = {after} AND start > 0, start, 0), codes, {starts})"
            starts = f"arrayFill(start -> start > 0, {kept})"
        within = (
            ""
            if slot.span is None
            else f" AND bitShiftRight(code, 4) - start <= {self.params.bind(slot.span, 'Int64')}"
        )
        chained = f"arrayExists((code, start) -> bitAnd(code, 15) = 0 AND start > 0{within}, codes, {starts})"
        return f"SELECT user_key FROM (\n{indent(ordered, '  ')}\n)\nWHERE {chained}"

    def _strict_sequence(self, slot: SequenceSlot) -> str:
        """No other event between two steps: carry the latest possible start forward, step by step, up to the next event.

        Each instant of the user's history has a mask of the steps that happened then, and whether an event did: an
        identify is there only as a step, and several of them may stand between two events. Where a step may follow
        from begins at the last event before it.
        """
        steps = [self._step(step) for step in slot.steps]
        mask = " + ".join(f"{1 << index} * toUInt16({step})" for index, step in enumerate(steps))
        tests = [f"tenant_id = {self.tenant}", *self._in_range("occurred_at", slot.steps[0].range)]
        where = " AND ".join([*tests, f"(event_type != '{IDENTIFY}' OR steps != 0)"])
        instants = (
            f"SELECT user_key, toUnixTimestamp64Micro(occurred_at) + {_TO_1900} AS instant, groupBitOr({mask} AS steps) AS possible,\n"
            f"  max(event_type != '{IDENTIFY}') AS is_event\n"
            f"FROM events\nWHERE {where}\nGROUP BY user_key, occurred_at"
        )
        history = (
            "SELECT user_key, arraySort(groupArray((instant, possible, is_event))) AS history,\n"
            "  arrayFill((position, at) -> at.3, arrayEnumerate(history), history) AS last_event,\n"
            "  arrayMap((first, position) -> (first, toUInt64(position - first)), arrayPushFront(arrayPopBack(last_event), 1), arrayEnumerate(history)) AS before\n"
            f"FROM (\n{indent(instants, '  ')}\n)\nGROUP BY user_key"
        )
        starts = "arrayMap(at -> if(bitTest(at.2, 0), at.1, 0), history)"
        for index in range(1, len(steps)):
            reached = f"arrayReduceInRanges('max', before, {starts})"
            starts = f"arrayMap((at, start) -> if(bitTest(at.2, {index}), start, 0), history, {reached})"
        within = "" if slot.span is None else f" AND at.1 - start <= {self.params.bind(slot.span, 'Int64')}"
        chained = f"arrayExists((at, start) -> start > 0{within}, history, {starts})"
        return f"SELECT user_key FROM (\n{indent(history, '  ')}\n)\nWHERE {chained}"


def _select(source: str, having: str, extra: str = "") -> str:
    columns = f"user_key, {extra}" if extra else "user_key"
    return f"SELECT {columns}\n{source}\nGROUP BY user_key\nHAVING {having}"


def _turned(having: str, slot: CountSlot | AggregateSlot) -> str:
    return f"NOT {having}" if slot.complement else having


def _is_summed(value: Stored) -> str:
    """Whether there is a number, and not one beyond ±9 × 10^12."""
    return f"ifNull(abs({value.number}) <= {_LARGEST_EXACT}, 0)"


def _millionths(value: Stored) -> str:
    """Int128: a number as whole millionths, ties to even; 0 where none is summed.

    What is not summed becomes 0 before the conversion: behind a NULL there may be an infinity, which has no integer.
    """
    return f"toInt128(roundBankers(if({_is_summed(value)}, assumeNotNull({value.number}), 0) * 1000000))"


def _scalar(value: Stored) -> str:
    """A scalar as text that starts with its type, so that 1 and 1.0 are one and "1" is another; '' for anything else."""
    path = f"{value.column}.{value.path}"
    number = f"coalesce({path}.:Float64, toFloat64({path}.:Int64), toFloat64({path}.:UInt64)) + 0"  # -0.0 + 0 is 0
    return (
        f"multiIf({value.string} IS NOT NULL, concat('s', assumeNotNull({value.string})), "
        f"{value.boolean} IS NOT NULL, concat('b', toString(assumeNotNull({value.boolean}))), "
        f"{number} IS NOT NULL, concat('n', toString(assumeNotNull({number}))), '')"
    )
