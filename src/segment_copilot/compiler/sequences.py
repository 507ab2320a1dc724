"""Finds sequences, exactly and in time linear in one user's events (docs/decisions/0004-sequences.md).

What happened to a user is sorted, and a chain of steps is carried forward, step by step. A step is coded
`time * 16 + (steps after it)`, so at equal times later steps sort first and see only what is strictly earlier; what may
not stand between two steps is coded 15 and sorts last, for the same reason. Of all chains that reach a step, the one
that reached it latest also began latest: carrying that one is enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, LiteralString

from segment_copilot.compiler.aggregates import MICROSECONDS
from segment_copilot.compiler.amounts import scalar_of
from segment_copilot.compiler.fragments import Fragment, bind, group, join, nested, sql, with_named
from segment_copilot.compiler.known import beside
from segment_copilot.compiler.moves import known_of
from segment_copilot.compiler.predicates import render_filter
from segment_copilot.compiler.slots import Matching, SequenceSlot
from segment_copilot.compiler.tables import Tables, in_range, of_types
from segment_copilot.language.catalog import IDENTIFY

_BLOCKER: Final = 15


def render_sequence(slot: SequenceSlot, tables: Tables, narrowed: Sequence[Fragment]) -> Fragment:
    """Write `SELECT user_key` of the users in the slot, of those that pass *narrowed*."""
    steps = [_is(step.matching) for step in slot.steps]
    if slot.same:
        return _render_same(slot, steps, tables, narrowed)
    columns = sql("arraySort({}) AS codes", _codes(slot, steps))
    if slot.blockers:
        columns = sql("{},\n  {} AS blockers", columns, _blocked(sql("codes")))
    ordered = nested(_by_user(columns, steps, tables, step_rows(slot, tables, narrowed)))
    return sql("SELECT user_key FROM {}\nWHERE {}", ordered, _chain_of(slot))


def _by_user(columns: Fragment, steps: Sequence[Fragment], tables: Tables, rows: Fragment) -> Fragment:
    """Write a row for each user who did each step at some time."""
    having = join(" AND ", [sql("countIf({}) > 0", step) for step in steps])
    return sql("SELECT {}, {}\n{}\nGROUP BY user_key\nHAVING {}", tables.key, columns, rows, having)


def _blocked(codes: Fragment) -> Fragment:
    """Write for each code the instant of the last blocker so far, 0 for none."""
    template = (
        "arrayFill(blocker -> blocker > 0, arrayMap(code -> if(bitAnd(code, 15) = {}, bitShiftRight(code, 4), 0), {}))"
    )
    return sql(template, _BLOCKER, codes)


def _render_same(
    slot: SequenceSlot, steps: Sequence[Fragment], tables: Tables, narrowed: Sequence[Fragment]
) -> Fragment:
    """Write `render_sequence` where steps have the same values: what happened is parted by them, and each part has chains.

    Blockers are of all parts: the last of them is told of each step before what happened is parted.
    """
    values = [scalar_of(path) for path in slot.same]
    value = values[0] if len(values) == 1 else sql("tuple({})", join(", ", values))
    is_there = [sql("{} != ''", one) for one in values]
    if not slot.blockers:  # what has no value is not read
        columns = sql("arraySort({}) AS found", _codes(slot, steps, value))
        rows = _by_user(columns, steps, tables, step_rows(slot, tables, [*narrowed, *is_there]))
        parts = [_parted("found.2", "found.1")]
    else:
        steps = [group("AND", [step, *is_there]) for step in steps]
        columns = sql("arraySort({}) AS coded", _codes(slot, steps, value, is_first=False))
        happened = sql("arrayZip(coded.2, coded.1, {})", _blocked(sql("coded.1")))
        found = sql("arraySort(arrayFilter(one -> bitAnd(one.2, 15) != {}, {})) AS found", _BLOCKER, happened)
        rows = _by_user(sql("{},\n  {}", columns, found), steps, tables, step_rows(slot, tables, narrowed))
        parts = [_parted("found.2", "found.1"), _parted("found.3", "found.1")]
    names = sql("(codes, blockers)") if slot.blockers else sql("codes")
    template = "SELECT user_key FROM {}\nWHERE arrayExists({} -> {}, {})"
    return sql(template, nested(with_named(rows)), names, _chain_of(slot), join(", ", parts))


def _parted(column: LiteralString, by: LiteralString) -> Fragment:
    """Part an array where another changes."""
    template = (
        "arraySplit((one, value, before) -> value != before, {}, {by}, arrayPushFront(arrayPopBack({by}), {by}[1]))"
    )
    return sql(template, sql(column), by=sql(by))


def _codes(
    slot: SequenceSlot, steps: Sequence[Fragment], value: Fragment | None = None, *, is_first: bool = True
) -> Fragment:
    """Code the events: one that may serve several steps once for each; mostly none can, and each is there once.

    A *value* stands beside each code, the first of the two or the second.
    """

    def written(code: Fragment) -> Fragment:
        coded = sql("{} * 16 + {}", MICROSECONDS, code)
        if value is None:
            return coded
        return sql("({}, {})", value, coded) if is_first else sql("({}, {})", coded, value)

    codes = [len(steps) - 1 - index for index in range(len(steps))]
    if _is_told_by_type(slot) and not (slot.blockers and value):
        *others, last = [*codes, _BLOCKER] if slot.blockers else codes
        kinds = [sql("{}, {}", test, code) for code, test in zip(others, steps, strict=False)]
        return sql("groupArray({})", written(sql("multiIf({}, {})", join(", ", kinds), last)))
    kinds = list(zip(codes, steps, strict=True))
    if slot.blockers:
        kinds.append((_BLOCKER, group("OR", [_is(blocker) for blocker in slot.blockers])))
    arrays = [sql("groupArrayIf({}, {})", written(sql("{}", code)), test) for code, test in kinds]
    return sql("arrayConcat{}", nested(join(",\n", arrays)))


def _is_told_by_type(slot: SequenceSlot) -> bool:
    """Return whether an event's type alone says which one step, or blocker, it is."""
    seen = set[str]()
    matchings = [step.matching for step in slot.steps]
    blocked = {name for blocker in slot.blockers for name in blocker.event_types or ("*",)}
    if any(matching.filter or matching.event_types is None for matching in (*matchings, *slot.blockers)):
        return False
    for names in (*(set(matching.event_types or ()) for matching in matchings), blocked):
        if names & seen:
            return False
        seen |= names
    return True


def _is(matching: Matching) -> Fragment:
    """Write whether an event that was read is of this kind."""
    tests = [of_types(matching.event_types)]
    if matching.filter:
        tests.append(render_filter("payload", matching.filter))
    return group("AND", tests)


def could_be_step(slot: SequenceSlot) -> Fragment:
    """Write whether an event that was read is one that a step asks for, with all values that are to be the same."""
    some = group("OR", [_is(step.matching) for step in slot.steps])
    return group("AND", [some, *(sql("{} != ''", scalar_of(path)) for path in slot.same)])


def _within(template: LiteralString, most: int | None) -> list[Fragment]:
    return [] if most is None else [sql(template, most=bind(most, "Int64"))]


def _chain_of(slot: SequenceSlot) -> Fragment:
    has_gaps = slot.blockers or any(step.within is not None for step in slot.steps)
    return _chain_with_gaps(slot) if has_gaps else _chain(slot)


def _chain(slot: SequenceSlot) -> Fragment:
    """Write whether a chain of all steps exists. A chain is the instant at which it began."""
    last = len(slot.steps) - 1
    template = "if(bitAnd(code, 15) = {}, bitShiftRight(code, 4), 0)"
    begun = sql("arrayFill(begin -> begin > 0, arrayMap(code -> {}, codes))", sql(template, last))
    template = (
        "arrayFill(begin -> begin > 0, arrayMap((code, begin) -> if(bitAnd(code, 15) = {}, begin, 0), codes, {}))"
    )
    for step in range(last - 1, 0, -1):
        begun = sql(template, step, begun)
    tests = [sql("bitAnd(code, 15) = 0"), sql("begin > 0")]
    tests += _within("bitShiftRight(code, 4) - begin <= {most}", slot.span)
    return sql("arrayExists((code, begin) -> {}, codes, {})", join(" AND ", tests), begun)


def _chain_with_gaps(slot: SequenceSlot) -> Fragment:
    """Write `_chain` where gaps matter: a chain is the instants at which it began and reached its step."""
    last = len(slot.steps) - 1
    arrays = "codes, blockers" if slot.blockers else "codes"
    names = "code, blocker" if slot.blockers else "code"
    first = sql("if(bitAnd(code, 15) = {}, (bitShiftRight(code, 4), bitShiftRight(code, 4)), (0, 0))", last)
    chains = sql("arrayFill(chain -> chain.1 > 0, arrayMap(code -> {}, codes))", first)
    for index, step in enumerate(slot.steps[1:], 1):
        tests = [sql("bitAnd(code, 15) = {}", last - index), sql("chain.1 > 0")]
        tests += _within("bitShiftRight(code, 4) - chain.2 <= {most}", step.within)
        if slot.blockers:
            tests.append(sql("blocker <= chain.2"))
        if index == last:
            tests += _within("bitShiftRight(code, 4) - chain.1 <= {most}", slot.span)
            template = "arrayExists(({names}, chain) -> {tests}, {arrays}, {chains})"
        else:
            template = (
                "arrayFill(chain -> chain.1 > 0, arrayMap(({names}, chain) -> "
                "if({tests}, (chain.1, bitShiftRight(code, 4)), (0, 0)), {arrays}, {chains}))"
            )
        chains = sql(template, names=names, tests=join(" AND ", tests), arrays=arrays, chains=chains)
    return chains


def step_rows(slot: SequenceSlot, tables: Tables, narrowed: Sequence[Fragment] = ()) -> Fragment:
    """Read all events whose type and instant can matter (FROM and WHERE); the steps themselves say which is which."""
    tables = beside(tables, known_of(slot))
    matchings = [*(step.matching for step in slot.steps), *slot.blockers]
    named = {name for matching in matchings for name in matching.event_types or ()}
    conditions = [*in_range(slot.steps[0].matching.range), *narrowed]
    if all(matching.event_types is not None for matching in matchings):
        return tables.events(tuple(sorted(named)), conditions)
    return tables.everything(conditions) if IDENTIFY in named else tables.events(None, conditions)
