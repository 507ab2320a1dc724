"""Sequences: exact, and linear in one user's events (docs/decisions/0004-sequences.md).

What happened to a user is sorted, and a chain of steps is carried forward, step by step. A step is coded
`time * 16 + (steps after it)`, so at equal times later steps sort first and see only what is strictly earlier; what may
not stand between two steps is coded 15 and sorts last, for the same reason. Of all chains that reach a step, the one
that reached it latest also began latest: carrying that one is enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import indent
from typing import Final

from segment_copilot.compiler.aggregates import MICROSECONDS
from segment_copilot.compiler.params import Params
from segment_copilot.compiler.predicates import render_filter
from segment_copilot.compiler.slots import Matching, SequenceSlot
from segment_copilot.compiler.tables import Tables, in_range
from segment_copilot.language.catalog import IDENTIFY

_BLOCKER: Final = 15


def render_sequence(slot: SequenceSlot, tables: Tables, params: Params, narrowed: Sequence[str]) -> str:
    """`SELECT user_key` of the users in the slot, of those that pass *narrowed*."""
    return _Sequence(slot, tables, params).keys(narrowed)


class _Sequence:
    def __init__(self, slot: SequenceSlot, tables: Tables, params: Params) -> None:
        self._slot = slot
        self._tables = tables
        self._params = params

    def keys(self, narrowed: Sequence[str]) -> str:
        slot = self._slot
        steps = [self._is(step.matching) for step in slot.steps]
        columns = f"arraySort({self._codes(steps)}) AS codes"
        if slot.blockers:
            blocked = f"arrayMap(code -> if(bitAnd(code, 15) = {_BLOCKER}, bitShiftRight(code, 4), 0), codes)"
            columns += f",\n  arrayFill(blocker -> blocker > 0, {blocked}) AS blockers"
        having = " AND ".join(f"countIf({step}) > 0" for step in steps)
        rows = step_rows(slot, self._tables, self._params, narrowed)
        ordered = f"SELECT user_key, {columns}\n{rows}\nGROUP BY user_key\nHAVING {having}"
        chained = self._chain_with_gaps() if self._has_gaps else self._chain()
        return f"SELECT user_key FROM (\n{indent(ordered, '  ')}\n)\nWHERE {chained}"

    @property
    def _has_gaps(self) -> bool:
        """Whether anything is asked of what lies between two steps."""
        return bool(self._slot.blockers) or any(step.within is not None for step in self._slot.steps)

    def _codes(self, steps: Sequence[str]) -> str:
        """An event that may serve several steps is there once for each; mostly none can, and each is there once."""
        codes = [len(steps) - 1 - index for index in range(len(steps))]
        if self._is_told_by_type():
            *others, last = [*codes, _BLOCKER] if self._slot.blockers else codes
            kinds = [f"{test}, {code}" for code, test in zip(others, steps, strict=False)]
            return f"groupArray({MICROSECONDS} * 16 + multiIf({', '.join(kinds)}, {last}))"
        kinds = list(zip(codes, steps, strict=True))
        if self._slot.blockers:
            kinds.append((_BLOCKER, f"({' OR '.join(self._is(blocker) for blocker in self._slot.blockers)})"))
        arrays = [f"groupArrayIf({MICROSECONDS} * 16 + {code}, {test})" for code, test in kinds]
        return f"arrayConcat(\n{indent(f',{chr(10)}'.join(arrays), '  ')}\n)"

    def _is_told_by_type(self) -> bool:
        """Whether an event's type alone says which one step, or blocker, it is."""
        seen = set[str]()
        matchings = [step.matching for step in self._slot.steps]
        blocked = {name for blocker in self._slot.blockers for name in blocker.event_types or ("*",)}
        if any(matching.filter or matching.event_types is None for matching in (*matchings, *self._slot.blockers)):
            return False
        for names in (*(set(matching.event_types or ()) for matching in matchings), blocked):
            if names & seen:
                return False
            seen |= names
        return True

    def _is(self, matching: Matching) -> str:
        """Whether an event that was read is of this kind."""
        names = matching.event_types
        if names is None:
            tests = [f"event_type != '{IDENTIFY}'"]
        elif len(names) == 1:
            tests = [f"event_type = {self._params.bind(names[0], 'String')}"]
        else:
            tests = [f"event_type IN {self._params.bind(list(names), 'Array(String)')}"]
        if matching.filter:
            tests.append(render_filter("payload", matching.filter, self._params))
        return f"({' AND '.join(tests)})"

    def _chain(self) -> str:
        """Whether a chain of all steps exists. A chain is the instant at which it began."""
        slot, last = self._slot, len(self._slot.steps) - 1
        first = f"if(bitAnd(code, 15) = {last}, bitShiftRight(code, 4), 0)"
        begun = f"arrayFill(begin -> begin > 0, arrayMap(code -> {first}, codes))"
        for index in range(1, last):
            kept = f"if(bitAnd(code, 15) = {last - index}, begin, 0)"
            begun = f"arrayFill(begin -> begin > 0, arrayMap((code, begin) -> {kept}, codes, {begun}))"
        tests = ["bitAnd(code, 15) = 0", "begin > 0"]
        if slot.span is not None:
            tests.append(f"bitShiftRight(code, 4) - begin <= {self._params.bind(slot.span, 'Int64')}")
        return f"arrayExists((code, begin) -> {' AND '.join(tests)}, codes, {begun})"

    def _chain_with_gaps(self) -> str:
        """The same where gaps matter: a chain is when it began and when it reached its step."""
        slot, last = self._slot, len(self._slot.steps) - 1
        arrays = "codes, blockers" if slot.blockers else "codes"
        names = "code, blocker" if slot.blockers else "code"
        first = f"if(bitAnd(code, 15) = {last}, (bitShiftRight(code, 4), bitShiftRight(code, 4)), (0, 0))"
        chains = f"arrayFill(chain -> chain.1 > 0, arrayMap(code -> {first}, codes))"
        for index, step in enumerate(slot.steps[1:], 1):
            tests = [f"bitAnd(code, 15) = {last - index}", "chain.1 > 0"]
            if step.within is not None:
                tests.append(f"bitShiftRight(code, 4) - chain.2 <= {self._params.bind(step.within, 'Int64')}")
            if slot.blockers:
                tests.append("blocker <= chain.2")
            if index == last:
                if slot.span is not None:
                    tests.append(f"bitShiftRight(code, 4) - chain.1 <= {self._params.bind(slot.span, 'Int64')}")
                return f"arrayExists(({names}, chain) -> {' AND '.join(tests)}, {arrays}, {chains})"
            kept = f"if({' AND '.join(tests)}, (chain.1, bitShiftRight(code, 4)), (0, 0))"
            chains = f"arrayFill(chain -> chain.1 > 0, arrayMap(({names}, chain) -> {kept}, {arrays}, {chains}))"
        raise AssertionError("a sequence has two steps or more")


def step_rows(slot: SequenceSlot, tables: Tables, params: Params, narrowed: Sequence[str] = ()) -> str:
    """FROM and WHERE of all events whose type and instant can matter; the steps themselves say which event is which."""
    matchings = [*(step.matching for step in slot.steps), *slot.blockers]
    named = {name for matching in matchings for name in matching.event_types or ()}
    conditions = [*in_range(slot.steps[0].matching.range, params), *narrowed]
    if all(matching.event_types is not None for matching in matchings):
        return tables.events(tuple(sorted(named)), conditions)
    return tables.everything(conditions) if IDENTIFY in named else tables.events(None, conditions)
