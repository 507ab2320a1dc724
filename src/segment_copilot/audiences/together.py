"""Writes the members of many segments of one tenant at one instant, by short statements that go on from what is kept.

Every slot of all the definitions is asked once, those of one source by one statement, some sequences by one, and its set of users is kept
(`kept_slots.py`). A slot that was kept as of an earlier instant is asked again about those users only for whom something arrived
since, or whom the clock moves; where there is none of them, it is not asked. Then the members of all segments are made of
the sets by one statement. A statement that is killed or refused is tried again, and what was found before it stays; so it does
when the worker dies (docs/decisions/0028-kept-slots.md).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

import structlog
from msgspec import Struct, field

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.claims import Claim
from segment_copilot.audiences.kept_slots import KeptSlot, KeptSlots, question_of
from segment_copilot.audiences.planning import Planner, Planning
from segment_copilot.audiences.references import lists_among
from segment_copilot.audiences.removals import keep_lists
from segment_copilot.audiences.spread import Ranks
from segment_copilot.audiences.turns import note_progress
from segment_copilot.audiences.user_numbers import UserNumbers
from segment_copilot.compiler import (
    CREATE_ARRIVED,
    EVERYBODY,
    TOUCHED_BY_CAUSE,
    Asked,
    CompiledQuery,
    Kept,
    Move,
    Plan,
    SeenSince,
    SlotSets,
    slots_between,
)
from segment_copilot.errors import QueryTimeout, Unavailable
from segment_copilot.events.arrivals import Arrivals, Mark
from segment_copilot.language import Parsed, parse
from segment_copilot.stores.clickhouse import ClickHouse, ClickHouseError, Session
from segment_copilot.stores.merging import SUMS, grouped
from segment_copilot.stores.postgres import Postgres

log = structlog.get_logger()

ATTEMPTS: Final = 3
SHARE: Final = 0.15
"""Of more users than this share, asking about some costs no less than asking about all (benchmarks/README.md)."""

WRITTEN: Final = 0.9
"""The part of a refresh that is done when its members are written: they are to be compared and published."""

_INSTANTS: Final = 3  # of which most is kept, and is looked for: each costs planning everything once more
_BLOCK: Final = 50_000  # ids in one INSERT
_USERS: Final = "SELECT count() FROM users WHERE tenant_id = {tenant:UInt32}"


class _Earlier(Struct, frozen=True):
    """Tells what is kept, by slot, with whom the clock moved since; and what arrived since, by event type."""

    seen: Mark
    slots: Mapping[Asked, tuple[KeptSlot, frozenset[Move]]] = field(
        default_factory=dict[Asked, "tuple[KeptSlot, frozenset[Move]]"]
    )
    arrived: Sequence[tuple[str, str]] = ()
    most: int = 0

    @property
    def since(self) -> datetime:
        """Return the earliest instant of all."""
        return min(one.as_of for one, _ in self.slots.values())


class _Touched(Struct, frozen=True):
    """Holds a session with the users who were touched, and their numbers by cause."""

    session: Session
    causes: Mapping[str | Move, int]
    counts: Mapping[int, int]


class _Work(Struct):
    """Holds what is to be found, and what was found so far."""

    tenant: Tenant
    claims: Sequence[Claim]
    plans: Sequence[Plan]
    sets: SlotSets
    earlier: _Earlier
    found: dict[Asked, Kept] = field(default_factory=dict[Asked, Kept])
    carried: set[Asked] = field(default_factory=set[Asked])


class Together:
    """Writes members for all tenants; its method takes claims, which are of one tenant."""

    def __init__(
        self,
        postgres: Postgres,
        clickhouse: ClickHouse,
        arrivals: Arrivals,
        planning: Planning,
        kept: KeptSlots,
    ) -> None:
        self._postgres = postgres
        self._clickhouse = clickhouse
        self._arrivals = arrivals
        self._planning = planning
        self._kept = kept
        self._ranks = Ranks(clickhouse)
        self._numbers = UserNumbers(postgres, clickhouse)

    async def write(self, claims: Sequence[Claim]) -> set[int]:
        """Write the members of the claims' runs, which are of one tenant and instant; return the ids of those written.

        Left out are those whose definition no longer compiles.
        """
        tenant, as_of = claims[0].tenant, claims[0].as_of
        planner = await self._planning.of(tenant, fresh=True)
        while not await keep_lists(
            self._postgres, "computations", claims[0].id, lists_among(planner.references.values())
        ):
            planner = await self._planning.of(tenant, fresh=True)
        parsed, plans = dict[int, Parsed](), dict[int, Plan]()
        for one in claims:
            await asyncio.sleep(0)  # compiling hundreds takes a while, in which others are served
            try:
                parsed[one.id] = parse((one.definition or "{}").encode())
                plans[one.id] = planner.plan(parsed[one.id], as_of)
            except Exception as error:  # noqa: BLE001  # it will be met again, and settled, by itself
                log.warning("computation.apart", computation_id=one.id, error=type(error).__name__)
        if not plans:
            return set()
        plans = dict(zip(plans, await self._ranks.bounded(list(plans.values()), purpose="compute"), strict=True))
        earlier = await self._earlier(tenant, planner, [(parsed[id_], plan) for id_, plan in plans.items()], as_of)
        await self._numbers.give(tenant)
        planned = [one for one in claims if one.id in plans]
        await self._write(_Work(tenant, planned, list(plans.values()), SlotSets(list(plans.values())), earlier))
        return set(plans)

    # What is kept, and what happened since

    async def _earlier(
        self, tenant: Tenant, planner: Planner, asked: Sequence[tuple[Parsed, Plan]], as_of: datetime
    ) -> _Earlier:
        rows = await self._kept.read(tenant, as_of=as_of)
        instants = {instant for instant, _ in Counter(one.as_of for one in rows.values()).most_common(_INSTANTS)}
        rows = {question: one for question, one in rows.items() if one.as_of in instants}
        ((users,),) = (await self._clickhouse.fetch(_USERS, {"tenant": tenant.id}, purpose="compute", merge=SUMS)).rows
        most, last = int(users * SHARE), None
        seen = (await self._arrivals.since(tenant, None, most=0)).mark  # before anything else is read
        for mark in sorted({one.seen for one in rows.values()}, key=_when, reverse=True):
            arrived = await self._arrivals.since(tenant, mark, most=most)
            if arrived.why:  # and all that is older is no better
                log.info("slots.asked_anew", tenant_id=tenant.id, why=arrived.why)
                break
            last = mark
        usable = {one.question: one for one in rows.values() if last and one.seen.at >= last.at}
        await self._kept.forget(tenant, rows.keys() - usable.keys())
        if last is None:
            return _Earlier(seen)
        slots = dict[Asked, tuple[KeptSlot, frozenset[Move]]]()
        for instant in sorted({one.as_of for one in usable.values()}, reverse=True):
            if everybody := usable.get(question_of(instant, EVERYBODY)):
                slots.setdefault(EVERYBODY, (everybody, frozenset({SeenSince()})))
            for definition, plan in asked:
                await asyncio.sleep(0)
                earlier = planner.plan(definition, instant)
                for before, after, moves in slots_between(earlier, plan):
                    if after not in slots and (one := usable.get(question_of(instant, before))):
                        slots[after] = one, moves
        return _Earlier(seen, slots, await self._arrivals.by_type(tenant, last), most)

    # Ask what is to be asked

    async def _write(self, work: _Work) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with self._touched(work) as touched:
                    await self._find(work, touched)
                await self._make_members(work)
                break
            except (ClickHouseError, QueryTimeout, Unavailable) as error:
                log.warning("slots.tried_again", attempt=attempt, error=type(error).__name__)
                if attempt == ATTEMPTS:
                    raise
                # What was found stays; what was kept may be the trouble, so the rest is asked anew.
                for slot in work.carried:
                    work.found.pop(slot, None)
                work.carried.clear()
                work.earlier = _Earlier(work.earlier.seen)
        used = [one.question for one, _ in work.earlier.slots.values() if one.as_of != work.plans[0].as_of]
        await self._kept.forget(work.tenant, used)

    @asynccontextmanager
    async def _touched(self, work: _Work) -> AsyncGenerator[_Touched | None]:
        """Find who was touched since what is kept was asked, in a session; None where nothing is kept."""
        earlier = work.earlier
        if not earlier.slots:
            yield None
            return
        types = sorted({name for name, _ in earlier.arrived})
        moves = sorted(frozenset[Move]().union(*(moves for _, moves in earlier.slots.values())), key=repr)
        causes: dict[str | Move, int] = {one: number for number, one in enumerate([*types, *moves])}
        async with self._clickhouse.session(purpose="compute") as session:
            await session.fetch(CREATE_ARRIVED)
            rows = [(causes[name], user_id) for name, user_id in earlier.arrived]
            for start in range(0, len(rows), _BLOCK):
                await session.insert(
                    "arrived", ("cause", "user_id"), rows[start : start + _BLOCK], tenant=work.tenant.id
                )
            for query in work.sets.touched({move: causes[move] for move in moves}, since=earlier.since):
                await session.fetch(query.sql, query.params)
            touched = await session.fetch(TOUCHED_BY_CAUSE, merge=grouped(1, "add"))
            counts = {cause: int(count) for cause, count in touched.rows}
            yield _Touched(session, causes, counts)

    async def _find(self, work: _Work, touched: _Touched | None) -> None:
        """Find the sets of all slots that are not found yet, together those that may be asked together, and keep them."""
        renewals, questions, carried = list[tuple[list[Asked], set[int]]](), list[list[Asked]](), dict[Asked, Kept]()
        for slots in work.sets.asked:
            anew, some, causes = list[Asked](), list[Asked](), set[int]()
            for slot in slots:
                if slot in work.found:
                    continue
                if touched is None or slot not in work.earlier.slots:
                    anew.append(slot)
                    continue
                kept, moves = work.earlier.slots[slot]
                if named := work.sets.causes_of(slot, moves, touched.causes) & touched.counts.keys():
                    some.append(slot)
                    causes |= named
                else:
                    carried[slot] = kept.kept
            if some and touched and sum(touched.counts[cause] for cause in causes) > work.earlier.most:
                anew, some = [*anew, *some], []
            if some:
                renewals.append((some, causes))
            if anew:
                questions.append(anew)
        work.carried |= carried.keys()
        await self._keep(work, carried)
        log.info("slots.found", carried=len(carried), renewals=len(renewals), questions=len(questions))
        if touched:
            for slots, causes in renewals:
                set_id = await self._kept.begin(work.tenant)
                kept = [work.earlier.slots[slot][0].kept for slot in slots]
                query = work.sets.renew(slots, kept=kept, causes=sorted(causes), set_id=set_id)
                await touched.session.fetch(query.sql, query.params)
                await self._keep(work, {slot: Kept(set_id, place) for place, slot in enumerate(slots)})
        for slots in questions:
            set_id = await self._kept.begin(work.tenant)
            query = work.sets.ask(slots, set_id=set_id)
            await self._execute(query)
            await self._keep(work, {slot: Kept(set_id, place) for place, slot in enumerate(slots)})

    async def _keep(self, work: _Work, found: Mapping[Asked, Kept]) -> None:
        if not found:
            return
        as_of, lease = work.plans[0].as_of, work.claims[0].lease
        await self._kept.keep(work.tenant, found, as_of=as_of, seen=work.earlier.seen, lease=lease)
        work.found |= found
        share = len(work.found) / sum(map(len, work.sets.asked))
        ids = [one.id for one in work.claims]
        await note_progress(self._postgres, ids, done=share * WRITTEN * WRITTEN, of=1)

    async def _make_members(self, work: _Work) -> None:
        segments, runs = [one.segment_id for one in work.claims], [one.run_id for one in work.claims]
        await self._execute(work.sets.members(work.found, segment_ids=segments, run_ids=runs))

    async def _execute(self, query: CompiledQuery) -> None:
        await self._clickhouse.execute(query.sql, query.params, purpose="compute")


def _when(mark: Mark) -> datetime:
    return mark.at
