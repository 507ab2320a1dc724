"""USE CASE: keep live segments true within a minute, by looking at those users only for whom something may have changed.

Whether somebody is a member follows from the rows of that person alone. So from one refresh to the next the members change
among those for whom something arrived, however late, and those whom the clock moves; they are evaluated anew, whole, and
all others are what they were. That is exactly what a computation of everybody gives at the same instant. Where only
everybody can be named, or evaluating all costs no more, everybody is evaluated (docs/decisions/0021-live-refresh.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Final, Literal
from uuid import UUID

import msgspec
import structlog
from msgspec import Struct

from segment_copilot import compiler
from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.computations import Computations
from segment_copilot.audiences.live_states import LiveStates
from segment_copilot.audiences.references import References, Saved, lists_among
from segment_copilot.audiences.removals import keep_lists
from segment_copilot.audiences.spread import Ranks
from segment_copilot.audiences.user_numbers import UserNumbers
from segment_copilot.compiler import Move, Plan, Referenced
from segment_copilot.errors import InvalidDefinition, SegmentCopilotError, Unavailable
from segment_copilot.events.arrivals import Arrivals, Arrived, Mark
from segment_copilot.events.discovery import Discovery
from segment_copilot.events.identity_links import IdentityLinks
from segment_copilot.language import Definition, encode, parse
from segment_copilot.language.catalog import Catalog
from segment_copilot.stores.clickhouse import ClickHouse, Session
from segment_copilot.stores.leases import LENGTH, Lease, LeaseLost, Leases, Queue
from segment_copilot.stores.merging import SUMS
from segment_copilot.stores.postgres import Postgres, Record
from segment_copilot.stores.presence import Presence

log = structlog.get_logger()

_QUEUE: Final = Queue("live_refreshes", waiting="waiting", working="working", of_tenants=True)
_VERSION: Final = version("segment-copilot").encode()
_PAUSE: Final = timedelta(seconds=5)  # before what did not work is tried again

_IS_LIVE: Final = "refresh_mode = 'live' AND paused_since IS NULL AND is_active AND definition IS NOT NULL"
_ADD: Final = """
INSERT INTO live_refreshes (tenant_id)
SELECT $1 WHERE EXISTS (SELECT FROM segments WHERE tenant_id = $1 AND {}) ON CONFLICT DO NOTHING
""".replace("{}", _IS_LIVE)
_LAST: Final = "SELECT as_of, seen FROM live_refreshes WHERE id = $1"
_SEGMENTS: Final = f"""
SELECT id, version, published_run, question, status = 'failed' AS has_failed FROM segments
LEFT JOIN live_segments ON live_segments.segment_id = id AND live_segments.run_id = published_run
WHERE segments.tenant_id = $1 AND {_IS_LIVE} ORDER BY id
"""
_USERS: Final = "SELECT count() FROM users WHERE tenant_id = {tenant:UInt32}"
_NOTE: Final = "UPDATE live_refreshes SET as_of = $3, seen = $4 WHERE id = $1 AND lease_id = $2"
_FORGET: Final = "DELETE FROM live_segments WHERE tenant_id = $1"
_KEEP: Final = """
INSERT INTO live_segments (segment_id, tenant_id, run_id, question)
SELECT segments.id, $1, run_id, question FROM unnest($2::bigint[], $3::uuid[], $4::bytea[]) AS kept (id, run_id, question)
JOIN segments ON segments.id = kept.id AND tenant_id = $1
"""
_COMPUTED: Final = """
UPDATE segments SET last_computed_at = $4, last_refreshed_at = greatest(last_refreshed_at, $4), refresh_failures = 0,
    last_error = NULL, status = CASE status WHEN 'failed' THEN 'computed' ELSE status END
FROM unnest($2::bigint[], $3::uuid[]) AS kept (id, run_id)
WHERE tenant_id = $1 AND segments.id = kept.id AND published_run = kept.run_id AND last_computed_at < $4
"""


class LivePolicy(Struct, frozen=True):
    """Says when only some users are evaluated: below these limits everybody is cheaper (benchmarks/README.md).

    Attributes:
        share: The most that they may be of all users.
        segments: The fewest segments that share the copying of their rows;
        events: or else the fewest events of the tenant.
    """

    share: float = 0.15
    segments: int = 10
    events: int = 100_000_000


class _Segment(Struct, frozen=True):
    id: int
    version: int
    run_id: UUID | None
    question: bytes | None
    """What was asked when its members were last known to be true; None where that is not known."""
    has_failed: bool


class _Asked(Struct, frozen=True):
    """A segment and its plan; *moves* names whom the clock moved, None where everybody is to be evaluated."""

    segment: _Segment
    plan: Plan
    question: bytes
    moves: frozenset[Move] | None


class LiveRefresh:
    """Refreshes the live segments of all tenants; it belongs to the worker, and its method takes the tenant."""

    def __init__(
        self,
        postgres: Postgres,
        clickhouse: ClickHouse,
        arrivals: Arrivals,
        discovery: Discovery,
        references: References,
        links: IdentityLinks,
        computations: Computations,
        *,
        policy: LivePolicy | None = None,
        lease: timedelta = LENGTH,
        presence: Presence | None = None,
    ) -> None:
        self._postgres = postgres
        self._clickhouse = clickhouse
        self._arrivals = arrivals
        self._discovery = discovery
        self._references = references
        self._links = links
        self._ranks = Ranks(clickhouse)
        self._computations = computations
        self._states = LiveStates(computations, UserNumbers(postgres, clickhouse))
        self._policy = policy or LivePolicy()
        self._leases = Leases(postgres, _QUEUE, length=lease, presence=presence)

    async def tick(self, tenant: Tenant, *, as_of: datetime) -> bool:
        """Make the tenant's live segments true at *as_of*; False when none is live, or another worker is at it.

        False as well for an instant before that of the last refresh. Who entered and left a segment is published as a
        computation of it; a segment that nobody entered or left gets none. What cannot be evaluated together is left to
        computations of single segments, which say why if they fail.

        Raises:
            Unavailable: A store is away; the next refresh goes on from the last one that was finished.
        """
        await self._postgres.execute(_ADD, tenant.id)
        for lease in await self._leases.claim(self._postgres, "tenant_id = $1", tenant.id):
            async with self._leases.renewed([lease]):
                return await self._attempt(tenant, lease, as_of)
        return False

    async def _attempt(self, tenant: Tenant, lease: Lease, as_of: datetime) -> bool:
        if lease.spent:
            await self._leave(tenant, as_of)
            await self._postgres.execute("UPDATE live_refreshes SET attempts = 0 WHERE id = $1", lease.id)
            await self._leases.release([msgspec.structs.replace(lease, attempts=0)], pause=timedelta(0))
            return True
        await self._leases.begin([lease])
        try:
            is_done = await self._refresh(tenant, lease, as_of)
        except Exception as error:
            if isinstance(error, Unavailable):
                await self._leases.release([lease], pause=_PAUSE)
                raise
            if not isinstance(error, SegmentCopilotError):
                log.exception("live.stumbled", tenant_id=tenant.id)
            await self._leave(tenant, as_of)
            is_done = True
        await self._leases.release([lease], pause=timedelta(0))
        return is_done

    async def _leave(self, tenant: Tenant, as_of: datetime) -> None:
        """Leave the segments to computations of their own."""
        log.warning("live.left", tenant_id=tenant.id)
        for row in await self._postgres.fetch(_SEGMENTS, tenant.id):
            try:
                await self._computations.request(tenant, row["id"], as_of=as_of)
            except Unavailable:
                raise
            except SegmentCopilotError as error:  # it was deleted, or is a draft by now
                log.info("live.gone", segment_id=row["id"], code=error.code)
        await self._postgres.execute(_FORGET, tenant.id)

    async def _refresh(self, tenant: Tenant, lease: Lease, as_of: datetime) -> bool:
        segments = [_segment(row) for row in await self._postgres.fetch(_SEGMENTS, tenant.id)]
        last = await self._postgres.fetchrow(_LAST, lease.id)
        assert last is not None  # noqa: S101  # the row that is leased
        since: datetime | None = last["as_of"]
        if not segments or (since is not None and as_of < since):
            return False
        ((users,),) = (await self._clickhouse.fetch(_USERS, {"tenant": tenant.id}, purpose="compute", merge=SUMS)).rows
        mark = msgspec.json.decode(last["seen"], type=Mark) if last["seen"] else None
        most = int(users * self._policy.share)
        arrived = await self._arrivals.since(tenant, mark, most=most)  # before anything else is read
        catalog = await self._discovery.catalog(tenant)
        every = await self._references.every(tenant)
        while not await keep_lists(self._postgres, "live_refreshes", lease.id, lists_among(_behind(every).values())):
            every = await self._references.every(tenant)
        asked = await self._plan(tenant, segments, catalog, _behind(every), as_of=as_of, since=since)
        on = [one for one in asked if one.moves is not None and not arrived.why]
        if not self._is_worth_it(len(on), catalog):
            on = []
        anew = [one for one in asked if one not in on]
        runs = dict[int, UUID]()
        if on and since is not None:
            found = await self._evaluate_touched(tenant, on, arrived, since=since, most=most)
            if found is None:
                anew, on = asked, []
            else:
                runs |= found
        if anew:
            runs |= await self._evaluate_all(tenant, anew)
        log.info("live.refreshed", tenant_id=tenant.id, on=len(on), anew=len(anew), why=arrived.why)
        await self._write_down(
            tenant, lease, [one for one in asked if one.segment.id in runs], runs, arrived.mark, as_of
        )
        return True

    def _is_worth_it(self, segments: int, catalog: Catalog) -> bool:
        events = sum(known.event_count for known in catalog.event_types.values())
        return segments >= self._policy.segments or events >= self._policy.events

    async def _plan(
        self,
        tenant: Tenant,
        segments: Sequence[_Segment],
        catalog: Catalog,
        behind: Mapping[int, Referenced],
        *,
        as_of: datetime,
        since: datetime | None,
    ) -> list[_Asked]:
        """Plan the segments as they are defined now; one that does not compile any more is left to a computation."""
        linked = await self._links.has_any(tenant)
        asked = list[_Asked]()

        def planned(definition: Definition, instant: datetime) -> Plan:
            return compiler.compile_definition(
                parse(encode(definition)),
                catalog=catalog,
                references=behind,
                tenant_id=tenant.id,
                as_of=instant,
                linked=linked,
                spread=self._ranks.is_spread,
            ).plan

        for segment in segments:
            definition = behind.get(segment.id)
            if not isinstance(definition, Definition):
                continue
            await asyncio.sleep(0)  # compiling hundreds takes a while, in which others are served
            try:
                plan, moves = planned(definition, as_of), None
                if since is not None and segment.question is not None:
                    earlier = planned(definition, since)
                    if _question(earlier) == segment.question:
                        moves = compiler.moves_between(earlier, plan)
            except InvalidDefinition:
                if not segment.has_failed:  # else it said why already
                    await self._computations.request(tenant, segment.id, as_of=as_of)
                continue
            asked.append(_Asked(segment, plan, _question(plan), moves))
        return asked

    async def _evaluate_touched(
        self, tenant: Tenant, asked: Sequence[_Asked], arrived: Arrived, *, since: datetime, most: int
    ) -> dict[int, UUID] | None:
        """Evaluate for whom something arrived and whom the clock moved; None where they are too many."""
        plans = [one.plan for one in asked]
        moves = frozenset[Move]().union(*(one.moves or () for one in asked))
        async with self._clickhouse.session(purpose="compute") as session:
            await session.fetch(compiler.CREATE_TOUCHED)
            rows = [(user_id,) for user_id in arrived.user_ids]
            await session.insert("touched", ("user_id",), rows, tenant=tenant.id)
            await _run(session, compiler.render_persons(plans[0], moves, since=since))
            ((persons,),) = (await session.fetch("SELECT count() FROM touched_persons", merge=SUMS)).rows
            log.info("live.touched", tenant_id=tenant.id, arrived=len(arrived.user_ids), persons=persons, most=most)
            if persons > most:
                return None
            if not persons:
                return {one.segment.id: one.segment.run_id for one in asked if one.segment.run_id}
            await _run(session, compiler.render_copies(plans))
            shared = compiler.SharedSlots(plans, names=compiler.TOUCHED)
            return await self._settle(session, tenant, asked, shared, of="touched")

    async def _evaluate_all(self, tenant: Tenant, asked: Sequence[_Asked]) -> dict[int, UUID]:
        async with self._clickhouse.session(purpose="compute") as session:
            plans = await self._ranks.bounded([one.plan for one in asked], purpose="compute")
            shared = compiler.SharedSlots(plans)
            return await self._settle(session, tenant, asked, shared, of="all")

    async def _settle(
        self,
        session: Session,
        tenant: Tenant,
        asked: Sequence[_Asked],
        shared: compiler.SharedSlots,
        *,
        of: Literal["touched", "all"],
    ) -> dict[int, UUID]:
        """Publish who entered and left; return, of the segments whose members are true now, the runs that have them."""
        await _run(session, [shared.create(), shared.create_members([one.segment.id for one in asked])])
        before = {one.segment.id: one.segment.run_id for one in asked}
        versions = {one.segment.id: one.segment.version for one in asked}
        return await self._states.publish(
            session, tenant, before=before, versions=versions, as_of=asked[0].plan.as_of, of=of
        )

    async def _write_down(
        self,
        tenant: Tenant,
        lease: Lease,
        asked: Sequence[_Asked],
        runs: dict[int, UUID],
        mark: Mark,
        as_of: datetime,
    ) -> None:
        ids = [one.segment.id for one in asked]
        kept = [runs[segment_id] for segment_id in ids]
        async with self._postgres.transaction() as transaction:
            seen = msgspec.json.encode(mark).decode()
            if not await transaction.execute(_NOTE, lease.id, lease.key, as_of, seen):
                raise LeaseLost("Another worker refreshes the tenant's live segments.")
            await transaction.execute(_FORGET, tenant.id)
            await transaction.execute(_KEEP, tenant.id, ids, kept, [one.question for one in asked])
            await transaction.execute(_COMPUTED, tenant.id, ids, kept, as_of)


def _behind(every: Mapping[int, Saved]) -> dict[int, Referenced]:
    return {segment_id: one.referenced for segment_id, one in every.items()}


def _question(plan: Plan) -> bytes:
    """Return what is asked; another version of this program may ask it otherwise."""
    return compiler.question_of(plan) + _VERSION


def _segment(row: Record) -> _Segment:
    return _Segment(row["id"], row["version"], row["published_run"], row["question"], row["has_failed"])


async def _run(session: Session, queries: Sequence[compiler.CompiledQuery]) -> None:
    for query in queries:
        await session.fetch(query.sql, query.params)
