"""USE CASE: who is in a segment: compute it, publish it, read it back.

Members are written inside ClickHouse under a run id of their own; PostgreSQL then names the run that is published,
in one transaction. A run that fails or is overtaken is never seen, and the last good members stay.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Coroutine, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import structlog
from msgspec import Struct

from segment_copilot import compiler
from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.previews import Previews
from segment_copilot.audiences.references import not_found
from segment_copilot.audiences.segments import Segments
from segment_copilot.errors import Finding, InvalidInput, SegmentCopilotError, Unavailable
from segment_copilot.language.lengths import to_instant
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.postgres import Postgres, Record

log = structlog.get_logger()

MAX_ATTEMPTS: Final = 3
_LEASE: Final = timedelta(seconds=360)  # longer than a compute query may run, so a live worker is never overtaken
_TOGETHER: Final = 200  # segments of one tenant that are computed in one go
_WAIT_FOR_STORE: Final = timedelta(seconds=5)


class Computation(Struct, frozen=True):
    """One run that produces members, as it was requested."""

    id: int
    status: str
    as_of: datetime


class Member(Struct, frozen=True):
    """A user in a segment, since which computation."""

    user_id: str
    computed_at: datetime


class Members(Struct, frozen=True):
    """A page of members by user id; *cursor* continues it and stays on the same computation."""

    count: int
    members: tuple[Member, ...]
    cursor: str | None


class SegmentOfUser(Struct, frozen=True):
    """A segment that a user is in."""

    segment_id: int
    segment_name: str
    computed_at: datetime


class DayCount(Struct, frozen=True):
    """How many members a segment had at the last computation of a local day."""

    day: date
    count: int


class _Claimed(Struct, frozen=True):
    """A computation that this worker holds, for as long as its lease."""

    id: int
    tenant: Tenant
    segment_id: int
    definition: str
    as_of: datetime
    attempts: int
    run_id: UUID
    previous_run: UUID | None


class _Cursor(Struct, frozen=True, array_like=True):
    run_id: str
    last: str


class Memberships:
    """Members of all tenants' segments; every method is told whose."""

    def __init__(self, postgres: Postgres, clickhouse: ClickHouse, segments: Segments, previews: Previews) -> None:
        self._postgres = postgres
        self._clickhouse = clickhouse
        self._segments = segments
        self._previews = previews

    # Compute

    async def request(self, tenant: Tenant, segment_id: int, *, as_of: datetime | None = None) -> Computation:
        """Queue a computation at *as_of* (default: now); one that is still queued for then is taken instead."""
        async with self._postgres.transaction() as transaction:
            sql = "SELECT version FROM segments WHERE tenant_id = $1 AND id = $2 FOR UPDATE"
            version = await transaction.fetchval(sql, tenant.id, segment_id)
            if version is None:
                raise not_found(segment_id)
            sql = """
                SELECT id, status, as_of FROM computations
                WHERE segment_id = $1 AND version = $2 AND status = 'queued' AND as_of = coalesce($3, as_of)"""
            row = await transaction.fetchrow(sql, segment_id, version, as_of)
            if row is None:
                sql = """
                    INSERT INTO computations (tenant_id, segment_id, version, as_of) VALUES ($1, $2, $3, $4)
                    RETURNING id, status, as_of"""
                row = await transaction.fetchrow(sql, tenant.id, segment_id, version, as_of or datetime.now(UTC))
                await transaction.execute("UPDATE segments SET status = 'queued' WHERE id = $1", segment_id)
        assert row is not None  # noqa: S101  # RETURNING gives a row
        return Computation(row["id"], row["status"], row["as_of"])

    async def request_all(self, tenant: Tenant, *, as_of: datetime | None = None) -> int:
        """Queue a computation of every active segment at one instant (default: now); returns how many there are.

        Those that a worker claims together share what they ask of the store.
        """
        async with self._postgres.transaction() as transaction:
            sql = "SELECT id, version FROM segments WHERE tenant_id = $1 AND is_active ORDER BY id FOR UPDATE"
            rows = await transaction.fetch(sql, tenant.id)
            sql = """
                INSERT INTO computations (tenant_id, segment_id, version, as_of)
                SELECT $1, segment_id, version, $4 FROM unnest($2::bigint[], $3::int[]) AS wanted (segment_id, version)
                ORDER BY segment_id"""
            ids, versions = [row["id"] for row in rows], [row["version"] for row in rows]
            await transaction.execute(sql, tenant.id, ids, versions, as_of or datetime.now(UTC))
            await transaction.execute("UPDATE segments SET status = 'queued' WHERE id = ANY($1::bigint[])", ids)
        return len(rows)

    async def run_next(self) -> bool:
        """Claim a queued computation (or one whose worker died) and run it; False when there is none.

        Others of the same tenant and instant are claimed with it, and asked of the store together.
        """
        claimed = await self._claim()
        if claimed is None:
            return False
        others = await self._claim_alike(claimed)
        if not others:
            await self._settle(claimed, self._compute(claimed))
            return True
        try:
            written = await self._compute_together([claimed, *others])
        except Unavailable as error:
            log.warning("computation.waits", computation_id=claimed.id, others=len(others), code=error.code)
            for one in (claimed, *others):
                await self._release(one)
            return True
        for one in (claimed, *others):
            await self._settle(one, self._published(one) if one.id in written else self._compute(one))
        return True

    async def _settle(self, claimed: _Claimed, running: Coroutine[Any, Any, None]) -> None:
        """Wait for the end of a computation, whatever it is, and write it down."""
        try:
            await running
        except Unavailable as error:
            log.warning("computation.waits", computation_id=claimed.id, code=error.code)
            await self._release(claimed)
        except SegmentCopilotError as error:
            await self._fail(claimed, error.code, error.detail)

    async def _claim(self) -> _Claimed | None:
        """The oldest computation that waits, for this worker."""
        while claimed := await self._claim_where("true", limit=1):
            if alive := await self._without_crashed(claimed):
                return alive[0]
        return None

    async def _claim_alike(self, claimed: _Claimed) -> list[_Claimed]:
        """Others that wait, of the same tenant at the same instant."""
        alike = "tenant_id = $3 AND as_of = $4"
        found = await self._claim_where(alike, claimed.tenant.id, claimed.as_of, limit=_TOGETHER - 1)
        return await self._without_crashed(found)

    async def _claim_where(self, condition: str, *args: object, limit: int) -> list[_Claimed]:
        sql = f"""
            UPDATE computations SET status = 'running', attempts = attempts + 1, run_id = gen_random_uuid(),
                lease_until = now() + $1::interval
            WHERE id IN (
                SELECT id FROM computations
                WHERE ((status = 'queued' AND coalesce(lease_until, now()) <= now())
                    OR (status = 'running' AND lease_until < now())) AND {condition}
                ORDER BY id FOR UPDATE SKIP LOCKED LIMIT $2)
            RETURNING id, segment_id"""  # the condition is one of two above
        async with self._postgres.transaction() as transaction:
            rows = await transaction.fetch(sql, _LEASE, limit, *args)
            segments = [row["segment_id"] for row in rows]
            await transaction.execute("UPDATE segments SET status = 'computing' WHERE id = ANY($1::bigint[])", segments)
            sql = """
                SELECT computations.*, versions.definition, published_run, slug, timezone, dynamic_plus_limit
                FROM computations
                JOIN segments ON segments.id = computations.segment_id
                JOIN tenants ON tenants.id = computations.tenant_id
                JOIN segment_versions AS versions
                    ON versions.segment_id = computations.segment_id AND versions.version = computations.version
                WHERE computations.id = ANY($1::bigint[]) ORDER BY computations.id"""
            found = await transaction.fetch(sql, [row["id"] for row in rows])
        return [_claimed(row) for row in found]

    async def _without_crashed(self, claimed: Sequence[_Claimed]) -> list[_Claimed]:
        """Those that were not tried too often; the others are over."""
        alive = [one for one in claimed if one.attempts <= MAX_ATTEMPTS]
        for one in claimed:
            if one.attempts > MAX_ATTEMPTS:
                detail = f"The worker died {MAX_ATTEMPTS} times on this computation."
                await self._fail(one, "computation_crashed", detail)
        return alive

    async def _compute(self, claimed: _Claimed) -> None:
        compiled = await self._compiled(claimed)
        for keys in compiled.ranges:
            query = compiler.render_membership_insert(
                compiled.plan, segment_id=claimed.segment_id, run_id=claimed.run_id, keys=keys
            )
            await self._clickhouse.execute(query.sql, query.params, purpose="compute")
        await self._published(claimed)

    async def _compiled(self, claimed: _Claimed) -> compiler.Compiled:
        prepared = await self._previews.prepare(claimed.tenant, claimed.definition.encode(), as_of=claimed.as_of)
        return prepared.compiled

    async def _compute_together(self, claimed: Sequence[_Claimed]) -> set[int]:
        """Write the members of many runs, each slot asked once; the ids of those that are written.

        The others are left to be computed one by one: a definition that no longer compiles, or everything when the
        store refuses to do it in one go.
        """
        plans = dict[int, compiler.Plan]()
        for one in claimed:
            try:
                plans[one.id] = (await self._compiled(one)).plan
            except SegmentCopilotError as error:
                log.warning("computation.apart", computation_id=one.id, code=error.code)
        if not plans:
            return set()
        shared = compiler.SharedSlots(list(plans.values()))
        statements = [shared.create()]
        statements += [
            shared.insert(plans[one.id], segment_id=one.segment_id, run_id=one.run_id)
            for one in claimed
            if one.id in plans
        ]
        try:
            await self._clickhouse.script([(query.sql, query.params) for query in statements], purpose="compute")
        except SegmentCopilotError as error:
            log.warning("computation.apart", computations=len(plans), code=error.code)
            for one in claimed:  # what was written of it is not to be written twice
                await self._drop_run(one)
            return set()
        return set(plans)

    async def _drop_run(self, claimed: _Claimed) -> None:
        sql = """
            DELETE FROM memberships
            WHERE tenant_id = {tenant:UInt32} AND segment_id = {segment:UInt64} AND run_id = {run:UUID}"""
        params = {"tenant": claimed.tenant.id, "segment": claimed.segment_id, "run": claimed.run_id}
        await self._clickhouse.execute(sql, params, purpose="compute")

    async def _published(self, claimed: _Claimed) -> None:
        """Compare what was written with the members there are, and publish it."""
        count, entered, left = await self._differences(claimed)
        published = await self._publish(claimed, count, entered, left)
        log.info(
            "computation.done" if published else "computation.overtaken",
            computation_id=claimed.id,
            segment_id=claimed.segment_id,
            member_count=count,
            entered=entered,
            left=left,
        )
        if claimed.previous_run is not None or claimed.attempts > 1:  # a first computation has nothing behind it
            await self._drop_other_runs(claimed)

    async def _differences(self, claimed: _Claimed) -> tuple[int, int, int]:
        """Members of this run, and how many entered and left since the published one."""
        sql = """
            SELECT countIf(is_new), countIf(is_new AND NOT was_old), countIf(was_old AND NOT is_new) FROM (
              SELECT user_key, max(run_id = {run:UUID}) AS is_new, max(run_id = {previous:UUID}) AS was_old
              FROM memberships
              WHERE tenant_id = {tenant:UInt32} AND segment_id = {segment:UInt64}
                AND run_id IN ({run:UUID}, {previous:UUID})
              GROUP BY user_key)"""
        params = {
            "tenant": claimed.tenant.id,
            "segment": claimed.segment_id,
            "run": claimed.run_id,
            "previous": claimed.previous_run or UUID(int=0),
        }
        result = await self._clickhouse.fetch(sql, params, purpose="compute")
        count, entered, left = result.rows[0]
        return count, entered, left

    async def _publish(self, claimed: _Claimed, count: int, entered: int, left: int) -> bool:
        """Name the run as the segment's members, unless a later computation already did."""
        async with self._postgres.transaction() as transaction:
            sql = """
                UPDATE computations SET status = 'done', member_count = $3, entered = $4, left_count = $5,
                    lease_until = NULL, finished_at = now()
                WHERE id = $1 AND run_id = $2 AND status = 'running'"""
            if not await transaction.execute(sql, claimed.id, claimed.run_id, count, entered, left):
                return False  # the lease ran out and another worker holds it
            sql = """
                UPDATE segments SET published_run = $2, member_count = $3, last_computed_at = $4, last_error = NULL,
                    status = CASE WHEN EXISTS (
                        SELECT FROM computations WHERE segment_id = $1 AND status = 'queued') THEN 'queued'
                        ELSE 'computed' END
                WHERE id = $1 AND NOT EXISTS (
                    SELECT FROM computations WHERE segment_id = $1 AND status = 'done' AND id > $5)"""
            args = (claimed.segment_id, claimed.run_id, count, claimed.as_of, claimed.id)
            return bool(await transaction.execute(sql, *args))

    async def _drop_other_runs(self, claimed: _Claimed) -> None:
        """Keep this run and the one before it, which a reader may still be paging through."""
        sql = """
            DELETE FROM memberships
            WHERE tenant_id = {tenant:UInt32} AND segment_id = {segment:UInt64} AND run_id NOT IN {kept:Array(UUID)}"""
        running = "SELECT run_id FROM computations WHERE segment_id = $1 AND status = 'running' AND run_id IS NOT NULL"
        published = "SELECT published_run FROM segments WHERE id = $1"
        async with self._postgres.connection() as connection:
            kept = {row["run_id"] for row in await connection.fetch(running, claimed.segment_id)}
            kept |= {await connection.fetchval(published, claimed.segment_id), claimed.run_id, claimed.previous_run}
        params = {"tenant": claimed.tenant.id, "segment": claimed.segment_id, "kept": sorted(kept - {None}, key=str)}
        await self._clickhouse.execute(sql, params, purpose="compute")

    async def _release(self, claimed: _Claimed) -> None:
        """Back to the queue: the store was away, which is not the computation's fault and not an attempt."""
        sql = """
            UPDATE computations SET status = 'queued', attempts = attempts - 1, run_id = NULL,
                lease_until = now() + $3::interval
            WHERE id = $1 AND run_id = $2 AND status = 'running'"""
        await self._postgres.execute(sql, claimed.id, claimed.run_id, _WAIT_FOR_STORE)

    async def _fail(self, claimed: _Claimed, code: str, detail: str) -> None:
        """The computation is over; the segment keeps its last good members and says why."""
        error = msgspec.json.encode({"code": code, "detail": detail}).decode()
        log.warning("computation.failed", computation_id=claimed.id, segment_id=claimed.segment_id, code=code)
        async with self._postgres.transaction() as transaction:
            sql = """
                UPDATE computations SET status = 'failed', error = $3, lease_until = NULL, finished_at = now()
                WHERE id = $1 AND run_id = $2"""
            await transaction.execute(sql, claimed.id, claimed.run_id, error)
            sql = "UPDATE segments SET status = 'failed', last_error = $2 WHERE id = $1"
            await transaction.execute(sql, claimed.segment_id, error)

    async def backfill(self, tenant: Tenant, segment_id: int, instants: Sequence[datetime]) -> None:
        """Record how many members the segment had at each of *instants*, without keeping who they were."""
        segment = await self._segments.get(tenant, segment_id)
        counts = await self._previews.count_over_time(tenant, segment.definition, instants)
        rows = [
            (tenant.id, segment_id, segment.version, instant, "done", count, instant, instant)
            for instant, count in zip(instants, counts, strict=True)
        ]
        columns = ("tenant_id", "segment_id", "version", "as_of", "status", "member_count", "created_at", "finished_at")
        await self._postgres.copy("computations", columns=columns, rows=rows)

    # Read

    async def members(
        self, tenant: Tenant, segment_id: int, *, limit: int = 100, offset: int = 0, cursor: str | None = None
    ) -> Members:
        """A page of the published members, by user id. A *cursor* stays on the run it began with."""
        sql = "SELECT published_run, member_count, last_computed_at FROM segments WHERE tenant_id = $1 AND id = $2"
        row = await self._postgres.fetchrow(sql, tenant.id, segment_id)
        if row is None:
            raise not_found(segment_id)
        at = _read_cursor(cursor) if cursor else _Cursor(str(row["published_run"] or UUID(int=0)), "")
        query = """
            SELECT user_id FROM memberships
            WHERE tenant_id = {tenant:UInt32} AND segment_id = {segment:UInt64} AND run_id = {run:UUID}
              AND user_id > {last:String}
            ORDER BY user_id LIMIT {limit:UInt32} OFFSET {offset:UInt64}"""
        params = {
            "tenant": tenant.id,
            "segment": segment_id,
            "run": UUID(at.run_id),
            "last": at.last,
            "limit": limit + 1,
            "offset": offset,
        }
        result = await self._clickhouse.fetch(query, params, purpose="delivery")
        ids = [user_id for (user_id,) in result.rows]
        more = _write_cursor(_Cursor(at.run_id, ids[limit - 1])) if len(ids) > limit else None
        computed_at = row["last_computed_at"]
        return Members(row["member_count"] or 0, tuple(Member(user_id, computed_at) for user_id in ids[:limit]), more)

    async def of_user(self, tenant: Tenant, user_id: str) -> tuple[SegmentOfUser, ...]:
        """The segments whose published members include the user."""
        sql = """
            SELECT id, name, published_run, last_computed_at FROM segments
            WHERE tenant_id = $1 AND published_run IS NOT NULL AND is_active ORDER BY id"""
        published = {row["published_run"]: row for row in await self._postgres.fetch(sql, tenant.id)}
        if not published:
            return ()
        query = """
            SELECT run_id FROM memberships
            WHERE tenant_id = {tenant:UInt32} AND segment_id IN {segments:Array(UInt64)} AND run_id IN {runs:Array(UUID)}
              AND user_id = {user:String}"""
        segments = [row["id"] for row in published.values()]
        params = {"tenant": tenant.id, "segments": segments, "runs": list(published), "user": user_id}
        result = await self._clickhouse.fetch(query, params, purpose="delivery")
        found = sorted((published[run_id] for (run_id,) in result.rows), key=_id)
        return tuple(SegmentOfUser(row["id"], row["name"], row["last_computed_at"]) for row in found)

    async def trend(self, tenant: Tenant, segment_id: int, *, days: int, as_of: datetime) -> tuple[DayCount, ...]:
        """Members at the last computation of each local day, for the *days* up to *as_of*; days without one are absent."""
        zone = ZoneInfo(tenant.timezone)
        today = as_of.astimezone(zone).date()
        first = today - timedelta(days=days - 1)
        start = to_instant(datetime(first.year, first.month, first.day), zone)  # noqa: DTZ001  # a wall time
        sql = """
            SELECT as_of, member_count FROM computations
            WHERE tenant_id = $1 AND segment_id = $2 AND status = 'done' AND as_of >= $3 AND as_of <= $4
            ORDER BY as_of, id"""
        rows = await self._postgres.fetch(sql, tenant.id, segment_id, start, as_of)
        last: Mapping[date, int] = {row["as_of"].astimezone(zone).date(): row["member_count"] for row in rows}
        return tuple(DayCount(day, count) for day, count in last.items())


def _claimed(row: Record) -> _Claimed:
    return _Claimed(
        id=row["id"],
        tenant=Tenant(row["tenant_id"], row["slug"], row["timezone"], row["dynamic_plus_limit"]),
        segment_id=row["segment_id"],
        definition=row["definition"],
        as_of=row["as_of"],
        attempts=row["attempts"],
        run_id=row["run_id"],
        previous_run=row["published_run"],
    )


def _id(row: Record) -> int:
    return row["id"]


def _write_cursor(cursor: _Cursor) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=")


def _read_cursor(text: str) -> _Cursor:
    try:
        cursor = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=_Cursor)
        UUID(cursor.run_id)
    except (binascii.Error, msgspec.DecodeError, ValueError) as error:
        finding = Finding("/cursor", "bad_cursor", "This cursor was not made here; start again without one.")
        raise InvalidInput(finding.detail, findings=[finding]) from error
    return cursor
