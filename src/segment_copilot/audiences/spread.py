"""Ranks users who are spread over shards: finds where a rank ends among all of them, before each shard runs its part of a plan.

Every shard tells how its users are distributed: values in the order of the rank, each with how many users come up to it. A shard
with many different values tells some of them, so that fewer than a step of users lie between two; then a span is left in which
the border must be, and is asked about again. Each time its users are fewer by a factor of some thousand, until every value in it is told.
Of those at the border the last id that is in is found in the same way.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from segment_copilot import compiler
from segment_copilot.compiler import Bounds, Person, Plan, RankSlot, Span
from segment_copilot.errors import Unavailable
from segment_copilot.stores.clickhouse import ClickHouse, Purpose
from segment_copilot.stores.cluster import Cluster
from segment_copilot.stores.merging import ROWS, SUMS

STEPS: Final = 4_096
"""So many values a shard tells at once; it has to be several times the number of shards."""

_ATTEMPTS: Final = 3

Key = Callable[[str], Any]
"""What sorts values, which are texts, as the rank does."""


class Told(Struct, frozen=True):
    """Holds what one shard tells of a span: how many users come *before* it, and *values* in it with how many users come up to each.

    With *is_whole* those are all values that the shard has there.
    """

    before: int
    values: Sequence[str]
    running: Sequence[int]
    is_whole: bool

    @property
    def inside(self) -> int:
        """The number of users in the span."""
        return self.running[-1] if self.running else 0


class Border(Struct, frozen=True):
    """A border is the value of the last of so many users: how many come *before* it, and *up_to* it, None where that is not told."""

    value: str
    before: int
    up_to: int | None = None


class Moved(Exception):  # it is no error: what was told is asked anew
    """Says that between two answers the users have changed, so that no border fits both."""


def narrowed(told: Sequence[Told], wanted: int, span: Span, *, key: Key) -> Border | Span:
    """Return the value of the user at the place *wanted*, from 1, or a smaller span in which it is.

    Raises:
        Moved: It is not where it was.
    """
    before = sum(one.before for one in told)
    inside = sum(one.inside for one in told)
    if wanted <= before:
        raise Moved
    if wanted > before + inside:
        if span.before is None:
            raise Moved
        return Border(span.before, before + inside)
    keys = [[key(value) for value in one.values] for one in told]
    values = sorted({value for one in told for value in one.values}, key=key)

    def least(value: str) -> int:
        """Return how many users at least come up to a value."""
        return before + sum(_least(one, of_one, key(value)) for one, of_one in zip(told, keys, strict=True))

    def most(value: str) -> int:
        return before + sum(_most(one, of_one, key(value)) for one, of_one in zip(told, keys, strict=True))

    reached = bisect_left(values, wanted, key=least)
    if all(one.is_whole for one in told):
        up_to_last = before if reached == 0 else least(values[reached - 1])
        return Border(values[reached], up_to_last, least(values[reached]))
    passed = bisect_left(values, wanted, key=most)
    return Span(values[passed - 1] if passed else span.after, values[reached])


def _least(told: Told, keys: Sequence[Any], key: Any) -> int:
    place = bisect_right(keys, key)
    return told.running[place - 1] if place else 0


def _most(told: Told, keys: Sequence[Any], key: Any) -> int:
    place = bisect_right(keys, key)
    if told.is_whole or place == len(keys) or (place and keys[place - 1] == key):
        return told.running[place - 1] if place else 0
    return told.running[place] - 1  # whoever has the next value comes after


class Ranks:
    """Gives the ranks of plans their bounds; on one server plans stay as they are."""

    def __init__(self, clickhouse: ClickHouse, *, steps: int = STEPS) -> None:
        self._clickhouse = clickhouse
        self._steps = steps
        self.is_spread = isinstance(clickhouse, Cluster)
        """Whether plans are to be `spread`, because users are on several shards."""

    async def bounded(self, plans: Sequence[Plan], *, purpose: Purpose) -> list[Plan]:
        """Return the plans, which are of one tenant and instant, with bounds for each rank in them, and in what stands behind them.

        Raises:
            Unavailable: So much happens that users cannot be ranked.
        """
        found = dict[RankSlot, Bounds]()
        for plan in plans:
            for slot in compiler.ranks_of(plan) if plan.spread else ():
                if slot.bounds is None and slot not in found:
                    found[slot] = await self._bounds(plan, slot, purpose)
        return [compiler.with_bounds(plan, found) if found else plan for plan in plans]

    async def placed(self, plan: Plan, person: Person, *, purpose: Purpose) -> Plan:
        """Return a plan that has bounds, with the place of one person in each."""
        if not plan.spread:
            return plan
        found = dict[RankSlot, Bounds]()
        for slot in compiler.ranks_of(plan):
            query = compiler.render_amount(plan, slot, person)
            rows = (await self._fetch(query, purpose, user=person.user_id)).rows
            if rows and slot.bounds is not None:
                query = compiler.render_before(plan, slot, amount=rows[0][0], user_id=person.user_id)
                ((before,),) = (await self._fetch(query, purpose, merge=SUMS)).rows
                found[slot] = replace(slot.bounds, place=before + 1)
        return compiler.with_bounds(plan, found)

    async def _bounds(self, plan: Plan, slot: RankSlot, purpose: Purpose) -> Bounds:
        for _ in range(_ATTEMPTS):
            try:
                return await self._found(plan, slot, purpose)
            except Moved:
                continue
        detail = "Events arrive while users are ranked, and move them. Ask again."
        raise Unavailable(detail)

    async def _found(self, plan: Plan, slot: RankSlot, purpose: Purpose) -> Bounds:
        ask = partial(self._ask, plan, slot, purpose)
        told = await ask(Span())
        ranked = sum(one.inside for one in told)
        places = compiler.places_of(slot, ranked)
        if not ranked:
            return Bounds(0, 0)
        border = await _find(ask, told, places, key=_descending)
        if border.up_to == places:
            return Bounds(ranked, places, border.value)
        ask = partial(self._ask, plan, slot, purpose, at=border.value)
        told, room = await ask(Span()), places - border.before
        if sum(one.inside for one in told) <= room:
            return Bounds(ranked, places, border.value)
        last = await _find(ask, told, room, key=str.encode)
        return Bounds(ranked, places, border.value, last.value)

    async def _ask(
        self, plan: Plan, slot: RankSlot, purpose: Purpose, span: Span, *, at: str | None = None
    ) -> list[Told]:
        query = compiler.render_distribution(plan, slot, span, steps=self._steps, at=at)
        answers = (await self._fetch(query, purpose, merge=ROWS)).rows
        return [_told(*row) for row in answers]

    async def _fetch(self, query: compiler.CompiledQuery, purpose: Purpose, **how: Any) -> Any:
        return await self._clickhouse.fetch(query.sql, query.params, purpose=purpose, **how)


async def _find(ask: Callable[[Span], Awaitable[list[Told]]], told: list[Told], wanted: int, *, key: Key) -> Border:
    span = Span()
    while isinstance(found := narrowed(told, wanted, span, key=key), Span):
        if found == span:  # with far too few steps for so many shards it can be, too
            raise Moved
        span = found
        told = await ask(span)
    return found


def _told(before: int, told: Iterable[tuple[str, int]], is_whole: int) -> Told:
    values = list(told)
    return Told(before, [value for value, _ in values], [running for _, running in values], bool(is_whole))


def _descending(text: str) -> float:
    return -(float(text) if any(one in text for one in ".en") else int(text))
